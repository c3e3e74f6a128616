"""A lane's replies, cut anywhere: each request gets its own, whole, and errors that nobody saw are run again."""

from __future__ import annotations

from itertools import pairwise
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy.sql.plan import ClientText, CompiledQuery, Plan, StatementKind
from proxy.postgres import expected
from proxy.postgres.backend import BackendConnection
from proxy.postgres.lanes.lane import Lane
from proxy.postgres.lanes.request import LaneRequest
from proxy.postgres.statements import BackendStatements, SharedStatement
from proxy.postgres.wire import replies
from proxy.session import NO_VALUES, Template

PLAN = Plan(StatementKind.READ, "SELECT", (ClientText("SELECT 1", 0),), "SELECT 1")
TEMPLATE = Template(CompiledQuery((PLAN,), True), NO_VALUES)
DESCRIPTION = replies.text_row_description(["a"])
ROWS = replies.data_row([b"x" * 40]) * 3 + replies.command_complete("SELECT 3")
READY = replies.READY_IDLE
ERROR = replies.error_response("ERROR", "22012", "division by zero")


class Backend:
    """Keeps what is sent."""

    def __init__(self) -> None:
        self.sent: list[bytes] = []
        self.statements = BackendStatements()
        self.aborted = False
        self.target: Any = type("Target", (), {"name": "main"})

    def write(self, data: bytes) -> None:
        self.sent.append(data)

    def abort(self) -> None:
        self.aborted = True


class Owner:
    """A session: keeps what its client gets, and what it is told."""

    def __init__(self) -> None:
        self.output = b""
        self.told: list[tuple[object, ...]] = []

    def lane_moved(self, lane: Lane) -> None:
        self.told.append(("moved",))

    def lane_output(self, data: bytes) -> None:
        self.output += data

    def lane_done(self, request: LaneRequest, reply: bytes, rows: int) -> None:
        self.output += reply
        self.told.append(("done", rows))

    def lane_again(self, request: LaneRequest) -> None:
        self.told.append(("again", request.retires))

    def lane_lost(self, request: LaneRequest) -> None:
        self.told.append(("lost",))

    def lane_error(self, fields: dict[str, bytes], tag: bytes) -> bytes:
        return replies.encode_error_fields(tag, fields)


def make_lane() -> tuple[Lane, Backend, list[LaneRequest]]:
    backend, lost = Backend(), []

    def on_lost(_lane: Lane, again: list[LaneRequest]) -> None:
        lost.extend(again)

    def call_soon(act: Any) -> None:
        act()

    return Lane(cast(BackendConnection, backend), lambda: 0.0, call_soon, on_lost), backend, lost


def request(owner: Owner, statement: SharedStatement, *, simple: bool = True, parses: bool = False) -> LaneRequest:
    kind = expected.QUERY if simple else expected.EXECUTE
    made = LaneRequest(kind, TEMPLATE, (), "SELECT 1", 0.0, 0.0, statement, b"BES", b"client", owner)
    made.simple, made.keeps_parse = simple, parses
    made.describes = simple and statement.row_description is None
    return made


def feed(lane: Lane, stream: bytes, cuts: list[int]) -> None:
    for start, stop in pairwise([0, *sorted(cuts), len(stream)]):
        if start != stop:
            lane.backend_data(stream[start:stop])


@given(st.lists(st.integers(0, 900), max_size=12))
def test_replies_cut_anywhere_reach_their_owners_whole(cuts: list[int]) -> None:
    lane, backend, _ = make_lane()
    statement = SharedStatement("SELECT 1", b"\0\0")
    owners = [Owner() for _ in range(4)]
    lane.submit(request(owners[0], statement))
    lane.submit(request(owners[1], statement))
    lane.submit(request(owners[2], statement, simple=False, parses=True))
    lane.submit(request(owners[3], statement, simple=False))
    assert backend.sent[0].startswith(statement.parse)
    stream = replies.PARSE_COMPLETE + replies.BIND_COMPLETE + DESCRIPTION + ROWS + READY
    stream += replies.BIND_COMPLETE + DESCRIPTION + ROWS + READY
    stream += (replies.BIND_COMPLETE + DESCRIPTION + ROWS + READY) * 2
    feed(lane, stream, [min(cut, len(stream)) for cut in cuts])
    assert owners[0].output == owners[1].output == DESCRIPTION + ROWS + READY
    assert owners[2].output == replies.PARSE_COMPLETE + replies.BIND_COMPLETE + DESCRIPTION + ROWS + READY
    assert owners[3].output == replies.BIND_COMPLETE + DESCRIPTION + ROWS + READY
    assert [owner.told for owner in owners] == [[("done", 3)]] * 4
    assert not lane.queue
    assert not backend.aborted
    later = Owner()
    lane.submit(request(later, statement))
    lane.backend_data(replies.BIND_COMPLETE + ROWS + READY)
    assert later.output == DESCRIPTION + ROWS + READY, "a RowDescription that is known is not asked for again"


@given(st.lists(st.integers(0, 300), max_size=8))
def test_an_error_that_nobody_saw_is_run_again(cuts: list[int]) -> None:
    lane, _, _ = make_lane()
    statement = SharedStatement("SELECT 1", b"\0\0")
    failing, other = Owner(), Owner()
    lane.submit(request(failing, statement))
    lane.submit(request(other, statement))
    stream = replies.PARSE_COMPLETE + replies.BIND_COMPLETE + DESCRIPTION + replies.data_row([b"1"]) + ERROR + READY
    stream += replies.BIND_COMPLETE + DESCRIPTION + ROWS + READY
    feed(lane, stream, [min(cut, len(stream)) for cut in cuts])
    assert failing.output == b""
    assert failing.told[0][0] == "again"
    assert other.output == DESCRIPTION + ROWS + READY


def test_an_error_in_a_long_reply_is_shown() -> None:
    lane, _, _ = make_lane()
    statement, owner = SharedStatement("SELECT 1", b"\0\0"), Owner()
    lane.submit(request(owner, statement))
    big = replies.data_row([b"x" * 50_000])
    lane.backend_data(replies.PARSE_COMPLETE + replies.BIND_COMPLETE + DESCRIPTION + big + big)
    assert owner.output == DESCRIPTION + big + big
    lane.backend_data(ERROR + READY)
    assert (
        owner.output
        == DESCRIPTION + big + big + replies.encode_error_fields(b"E", replies.decode_error_fields(ERROR)) + READY
    )
    assert not statement.proven


def test_a_stale_plan_is_given_up() -> None:
    lane, backend, _ = make_lane()
    statement, owner = SharedStatement("SELECT 1", b"\0\0"), Owner()
    backend.statements.add(statement.name)
    lane.submit(request(owner, statement))
    lane.backend_data(replies.error_response("ERROR", "0A000", "cached plan must not change result type") + READY)
    assert owner.told == [("again", True)]
    assert statement.name not in backend.statements


def test_shed_requests_leave_their_replies_to_nobody() -> None:
    lane, _, _ = make_lane()
    statement = SharedStatement("SELECT 1", b"\0\0")
    head, behind = Owner(), Owner()
    lane.submit(request(head, statement))
    lane.submit(request(behind, statement))
    shed = lane.shed()
    assert [each.owner for each in shed] == [behind]
    assert not lane.open
    lane.backend_data(replies.PARSE_COMPLETE + (replies.BIND_COMPLETE + DESCRIPTION + ROWS + READY) * 2)
    assert head.output == DESCRIPTION + ROWS + READY
    assert behind.output == b""
    assert not lane.queue


def test_a_lost_backend_gives_back_what_nobody_saw() -> None:
    lane, _, lost = make_lane()
    statement = SharedStatement("SELECT 1", b"\0\0")
    seen, unseen = Owner(), Owner()
    lane.submit(request(seen, statement))
    lane.submit(request(unseen, statement))
    lane.backend_data(replies.PARSE_COMPLETE + replies.BIND_COMPLETE + DESCRIPTION + replies.data_row([b"x" * 70_000]))
    lane.backend_lost(None)
    assert seen.told == [("lost",)]
    assert [each.owner for each in lost] == [unseen]


@pytest.mark.parametrize(
    "stream",
    [
        replies.BIND_COMPLETE + DESCRIPTION + ROWS + replies.ready_for_query(b"T"),
        b"X\0\0\0\4",
    ],
)
def test_a_backend_out_of_step_is_cut_off(stream: bytes) -> None:
    lane, backend, lost = make_lane()
    owner = Owner()
    lane.submit(request(owner, SharedStatement("SELECT 1", b"\0\0")))
    lane.backend_data(stream)
    assert backend.aborted
    assert [each.owner for each in lost] == [owner]
