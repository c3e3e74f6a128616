"""The relay: whatever a backend says, split anywhere, the client gets the same bytes and the engine the same story."""

from __future__ import annotations

import struct
from collections import deque
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy.errors import AccessDenied, QuotaExceeded, TenantGateError
from policy.sql.plan import ClientText, CompiledQuery, Plan, StatementKind
from proxy.errors import BackendLost, LocalProtocolError
from proxy.postgres import expected
from proxy.postgres.expected import EXPECT_SYNC, Expected, ExpectedQueue, Running
from proxy.postgres.prepared import Prepared
from proxy.postgres.relay import ReplyRelay
from proxy.postgres.statements import SharedStatement
from proxy.postgres.wire import replies
from proxy.postgres.wire.messages import encode
from proxy.session import NO_VALUES, Template

PLAN = Plan(StatementKind.READ, "SELECT", (ClientText("SELECT 1", 0),), "SELECT 1")
EXPECT_UNNAMED_BIND = Expected(expected.BIND, name=b"")


class Story:
    """Listens, and keeps what it is told."""

    def __init__(self) -> None:
        self.told: list[tuple[object, ...]] = []
        self.does_without = False  # a backend
        self.notices = b""

    def statement_ended(self, running: Running, outcome: str, sqlstate: str, rows: int, size: int) -> None:
        self.told.append(("ended", outcome, sqlstate, rows, size))

    def parse_ended(self, entry: Expected, done: bool) -> None:
        self.told.append(("parse", entry.name, done))

    def copy_in_started(self, message: bytes) -> bytes | None:
        return None

    def request_failed(self, skipping: bool) -> None:
        self.told.append(("failed", skipping))

    def backend_leaves(self) -> bool:
        return self.does_without

    def trial_failed(self, statement: SharedStatement) -> None:
        raise AssertionError

    def place_of_parameter(self, context: bytes) -> int:
        raise AssertionError

    def parse_failed(self, prepared: Prepared, sqlstate: str) -> None:
        self.told.append(("parse failed", sqlstate))

    def ready(self, status: int, is_sync: bool) -> bytes:
        self.told.append(("ready", chr(status)))
        return self.notices

    def result_cut(self, running: Running) -> TenantGateError:
        self.told.append(("cut", running.rows_shown))
        return QuotaExceeded("too much", quota="result_rows", sqlstate="54000")

    def check_only_read(self, running: Running) -> None:
        self.told.append(("only read?",))

    def abort_transaction(self, is_sync: bool) -> None:
        self.told.append(("abort", is_sync))

    def transaction_command_ended(self, tag: bytes) -> None:
        self.told.append(("transaction", tag))

    def statement_stale(self, statement: SharedStatement) -> None:
        self.told.append(("stale", statement.name))

    def heal(self, entry: Expected) -> bool:
        return False

    def parameter_changed(self, name: str, value: str) -> None:
        self.told.append(("parameter", name, value))

    def map_position(self, entry: Expected, position: int) -> int:
        return position + 100

    def notification(self, message: bytes) -> bytes:
        self.told.append(("notification", message))
        return b""


def query(*plans: Plan) -> Running:
    template = Template(CompiledQuery(plans or (PLAN,), True), NO_VALUES)
    return Running(expected.QUERY, template, (), "SELECT 1", 0.0, 0.0)


def execute() -> Running:
    return Running(expected.EXECUTE, Template(CompiledQuery((PLAN,), True), NO_VALUES), (), "SELECT 1", 0.0, 0.0)


def relay(chunks: list[bytes], entries: list[Expected], *, verbatim: bool = False) -> tuple[bytes, Story, ReplyRelay]:
    out, story = bytearray(), Story()
    queue: ExpectedQueue = deque(entries)
    subject = ReplyRelay(queue, out.extend, story, verbatim_errors=verbatim)
    for chunk in chunks:
        subject.feed(chunk)
    return bytes(out), story, subject


ROW = replies.data_row([b"x" * 50])
RESULT = replies.text_row_description(["a"]) + ROW * 3 + replies.command_complete("SELECT 3") + replies.READY_IDLE


@given(st.lists(st.integers(0, len(RESULT)), max_size=8))
def test_a_result_split_anywhere_is_forwarded_unchanged(cuts: list[int]) -> None:
    points = [0, *sorted(cuts), len(RESULT)]
    chunks = [RESULT[a:b] for a, b in pairwise(points)]
    out, story, subject = relay(chunks, [query()])
    assert out == RESULT
    assert story.told == [("ended", "ok", "", 3, len(RESULT) - 6), ("ready", "I")]
    assert subject.is_clean


def test_one_chunk_is_forwarded_as_the_object_that_came() -> None:
    writes: list[bytes] = []
    subject = ReplyRelay(deque([query()]), writes.append, Story(), verbatim_errors=False)
    subject.feed(RESULT)
    assert len(writes) == 1
    assert writes[0] is RESULT


@pytest.mark.parametrize("does_without", [False, True])
def test_a_targets_farewell_behind_the_last_answer(does_without: bool) -> None:
    """It is of the backend: a session that has none of its own there goes on, and is not told."""
    out: list[bytes] = []
    story = Story()
    story.does_without = does_without
    subject = ReplyRelay(deque([query()]), out.append, story, verbatim_errors=False)
    subject.feed(RESULT + replies.error_response("FATAL", "57P01", "terminating connection"))
    assert (b"terminating" in b"".join(out)) is not does_without
    assert subject.farewell is not does_without
    assert subject.is_clean


def test_a_farewell_with_something_behind_it_is_told() -> None:
    """The session's backend can be let go only where nothing of a message is left."""
    story = Story()
    story.does_without = True
    subject = ReplyRelay(deque([query()]), lambda data: None, story, verbatim_errors=False)
    subject.feed(RESULT + replies.error_response("FATAL", "57P01", "terminating connection") + b"N")
    assert subject.farewell


def test_a_target_that_leaves_instead_of_being_made_ready_is_lost_and_no_bug() -> None:
    prefix = Expected(expected.PREFIX, forward=False, error=LocalProtocolError("it could not be set"))
    with pytest.raises(BackendLost):
        relay([replies.error_response("FATAL", "57P01", "terminating connection")], [prefix, query()])
    with pytest.raises(LocalProtocolError):
        relay([replies.error_response("ERROR", "22023", "invalid value")], [prefix, query()])


def test_a_refusal_takes_the_place_of_the_targets_failure() -> None:
    target_says = replies.error_response("ERROR", "26000", "prepared statement does not exist") + replies.READY_IDLE
    denied = Expected(expected.REFUSED, error=AccessDenied("no", hint="ask"))
    out, story, _ = relay([target_says], [denied, EXPECT_UNNAMED_BIND, execute(), EXPECT_SYNC])
    assert out == replies.error_response("ERROR", "42501", "no", hint="ask") + replies.READY_IDLE
    assert ("ended", "skipped", "", 0, 0) in story.told
    assert story.told[-1] == ("ready", "I")


def test_details_of_a_targets_error_do_not_pass() -> None:
    error = encode(
        b"E", b"SERROR\0C23505\0Mduplicate key\0DKey (email)=(ceo@globex) exists\0Hlook at globex\0WSQL\0P9\0\0"
    )
    out, _, _ = relay([error + replies.READY_IDLE], [query()])
    assert b"globex" not in out
    assert b"duplicate key" in out
    assert b"P109\0" in out
    verbatim, _, _ = relay([error + replies.READY_IDLE], [query()], verbatim=True)
    assert b"Key (email)" in verbatim


def test_notices_and_notifications_of_a_shared_database() -> None:
    notice = encode(b"N", b"SNOTICE\0C00000\0Mhello\0Dof globex\0\0")
    notification = encode(b"A", struct.pack("!I", 1) + b"channel\0globex\0")
    out, story, _ = relay([notice + notification], [])
    assert b"hello" in out
    assert b"globex" not in out
    assert story.told == [("notification", notification)]


def test_a_foreign_tenant_value_found_at_run_time_is_an_access_error() -> None:
    error = encode(b"E", b'SERROR\0C42P01\0Mrelation "tenantgate_foreign_tenant" does not exist\0\0')
    out, _, _ = relay([error + replies.READY_IDLE], [query()])
    assert replies.decode_error_fields(out[: -len(replies.READY_IDLE)])["C"] == b"42501"


@pytest.mark.parametrize(
    ("entries", "said"),
    [
        ([], replies.READY_IDLE),
        ([EXPECT_SYNC], replies.BIND_COMPLETE),
        ([EXPECT_SYNC], replies.command_complete("SELECT 1")),
        ([query()], encode(b"R", b"\0\0\0\0")),
        ([Expected(expected.PARSE, name=b"")], replies.READY_IDLE),
    ],
)
def test_out_of_step_is_noticed(entries: list[Expected], said: bytes) -> None:
    with pytest.raises(LocalProtocolError):
        relay([said], entries)


def test_after_an_error_without_sync_the_server_skips() -> None:
    _, story, _ = relay([replies.error_response("ERROR", "42601", "x")], [Expected(expected.PARSE, name=b"s")])
    assert story.told == [("parse", b"s", False), ("failed", True)]


def test_swallowed_answers_are_not_seen() -> None:
    entries = [
        expected.SWALLOW_CLOSE,
        Expected(expected.PARSE, forward=False, name=b"s"),
        EXPECT_UNNAMED_BIND,
        EXPECT_SYNC,
    ]
    said = replies.CLOSE_COMPLETE + replies.PARSE_COMPLETE + replies.BIND_COMPLETE + replies.READY_IDLE
    out, _, _ = relay([said], entries)
    assert out == replies.BIND_COMPLETE + replies.READY_IDLE


CUT = replies.error_response("ERROR", "54000", "too much", hint="Wait, or ask your administrator to raise the quota.")
CANCELLED = replies.error_response("ERROR", "57014", "canceling statement due to user request")


def cut_to(rows: int, stream: bytes, entries: list[Expected], sizes: list[int]) -> tuple[bytes, Story, ReplyRelay]:
    """What the client gets of a result of which it may see so many rows; the stream comes in pieces of these sizes."""
    out, story = bytearray(), Story()
    subject = ReplyRelay(deque(entries), out.extend, story, verbatim_errors=True)
    subject.metered = True
    for entry in entries:
        if isinstance(entry, Running):
            entry.rows_left, entry.bytes_left = rows, 1 << 40
    at = 0
    for size in [*sizes, len(stream)]:
        subject.feed(stream[at : at + size])
        at += size
    assert subject.is_clean
    return bytes(out), story, subject


ROW = replies.data_row([b"x" * 30])
HEAD = replies.row_description([("n", 25)])
ENDS = {  # what the target says behind the rows, and what the client gets of it
    "stopped": (CANCELLED + replies.READY_IDLE, CUT + replies.READY_IDLE),
    "done": (replies.command_complete("SELECT 9") + replies.READY_IDLE, CUT + replies.READY_IDLE),
    "and another": (
        replies.command_complete("SELECT 9") + HEAD + ROW + replies.command_complete("SELECT 1") + replies.READY_IDLE,
        CUT + replies.READY_IDLE,
    ),
}


@given(sizes=st.lists(st.integers(1, 60), max_size=30), rows=st.integers(0, 8), end=st.sampled_from(sorted(ENDS)))
def test_a_result_is_cut_behind_the_last_row_that_may_be_seen(sizes: list[int], rows: int, end: str) -> None:
    said, shown = ENDS[end]
    out, story, _ = cut_to(rows, HEAD + 9 * ROW + said, [query(PLAN, PLAN)], sizes)
    assert out == HEAD + rows * ROW + shown
    assert [told for told in story.told if told[0] == "ended"] == [
        ("ended", "refused", "54000", rows, len(HEAD + rows * ROW))
    ]
    assert ("cut", rows) in story.told
    assert (("only read?",) in story.told) == (end != "stopped")


@given(sizes=st.lists(st.integers(1, 60), max_size=30))
def test_a_transaction_that_the_target_would_go_on_with_is_made_to_fail(sizes: list[int]) -> None:
    said = replies.BIND_COMPLETE + 3 * ROW + replies.command_complete("SELECT 3") + replies.ready_for_query(b"T")
    entries: list[Expected] = [EXPECT_UNNAMED_BIND, execute(), EXPECT_SYNC]
    out, story, subject = cut_to(2, said, entries, sizes)
    assert out == replies.BIND_COMPLETE + 2 * ROW + CUT  # and the ReadyForQuery of what makes it fail
    assert ("abort", True) in story.told[-1:]
    subject.queue.append(Expected(expected.REFUSED_QUERY, forward=False))
    subject.feed(CANCELLED + replies.ready_for_query(b"E"))
    assert story.told[-1] == ("ready", "E")


def test_notices_come_before_the_ready_for_query_and_nowhere_else() -> None:
    out, story = bytearray(), Story()
    story.notices = replies.notice("nearly used up", "SHOW QUOTA")
    subject = ReplyRelay(deque([query()]), out.extend, story, verbatim_errors=False)
    subject.feed(HEAD + ROW + replies.command_complete("SELECT 1") + replies.READY_IDLE)
    assert out == HEAD + ROW + replies.command_complete("SELECT 1") + story.notices + replies.READY_IDLE
