"""A session's requests that go to a lane: which they are, and what comes of them.

A request rides when the client's bytes are that one request and no more, nothing else of the session is under way, no
backend is held, and its statement has shown to be fast and small. While it rides, further messages wait.
"""

from __future__ import annotations

import time
from typing import Final

from policy.errors import TenantGateError
from proxy.errors import BackendLost
from proxy.lease import Lease
from proxy.postgres import expected
from proxy.postgres.conversation import REFUSALS, Equipment
from proxy.postgres.errors import error_reply, presentable_fields
from proxy.postgres.extended import ExtendedConversation
from proxy.postgres.held import Wait
from proxy.postgres.lanes.group import Lanes
from proxy.postgres.lanes.lane import Lane
from proxy.postgres.lanes.request import LaneRequest
from proxy.postgres.lanes.template import DESCRIBE_PORTAL, EXECUTE_ALL, SharedTemplate
from proxy.postgres.prepared import Prepared
from proxy.postgres.settings import SessionSettings
from proxy.postgres.statements import SharedStatement
from proxy.postgres.wire import messages, replies
from proxy.postgres.wire.framing import HEADER_BYTES, MessageReader, length_at
from proxy.quota_ledger import UNBOUNDED
from proxy.session import Session, Template

_QUERY: Final = ord("Q")
_PARSE: Final = ord("P")
_BIND: Final = ord("B")
_MAX_BYTES: Final = 16_384
_ENDS: Final = (EXECUTE_ALL + messages.SYNC, DESCRIBE_PORTAL + EXECUTE_ALL + messages.SYNC)
_NOT_SEEN: Final = None
_SEEN_ONCE: Final = "seen once"
_NEVER: Final = "never"


class LaneRider(ExtendedConversation):
    """`riding`: the request that is on a lane now."""

    __slots__ = ("_judged", "_lane", "_ride_lanes", "riding")

    def __init__(self, session: Session, lease: Lease, settings: SessionSettings, equipment: Equipment) -> None:
        super().__init__(session, lease, settings, equipment)
        self.riding: LaneRequest | None = None
        self._lane: Lane | None = None
        self._ride_lanes: Lanes | None = None
        self._judged: tuple[str, Template, tuple[str, ...]] | None = None  # the Query that comes next

    @property
    def rides(self) -> bool:
        return self.riding is not None

    def _rides(self, data: bytes) -> bool:
        """Send `data` to a lane, if it is a request for one."""
        if self.backend is not None or self.wait != Wait.NOTHING or self.skipping or self._in_request or self.begun:
            return False
        size = len(data)
        if not HEADER_BYTES < size <= _MAX_BYTES or self.reader.pending_bytes or self._client_full or len(self._held):
            return False
        tag = data[0]
        if tag == _QUERY:
            return self._simple_rides(data, size)
        return (tag == _BIND or tag == _PARSE) and self._extended_rides(data, tag, size)

    # Simple query

    def _simple_rides(self, data: bytes, size: int) -> bool:
        if length_at(data, 1) + 1 != size:
            return False
        try:
            text = self._judge.decode(messages.decode_query(data))
            if not self._judge.is_ready(text):
                return False
            template, literals = self._judge.judge(text)
        except REFUSALS:
            return False  # it is judged again, to be refused
        self._judged = text, template, literals
        shared = self._shared_template(template)
        if shared is None or template.first is None or not template.first.shareable:
            return False
        statement = shared.statement(literals)
        now = self.clock()
        lane = self._lane_for(statement, now)
        if lane is None or not self._admitted(template):
            return False
        self._judged = None
        describes = statement.row_description is None
        message = shared.message(statement, literals, describes=describes)
        request = LaneRequest(
            expected.QUERY, template, literals, text, now, self._deadline(now), statement, message, data, self
        )
        request.simple = True
        request.describes = describes
        self._ride(lane, request)
        return True

    def _shared_template(self, template: Template) -> SharedTemplate | None:
        """How a query string runs as a shared statement; asked the second time that the session sends it."""
        shared = template.shared
        if isinstance(shared, SharedTemplate):
            return shared
        if shared == _NEVER:
            return None
        if shared is _NOT_SEEN:
            preparable = template.first is not None and template.first.preparable
            template.shared = _SEEN_ONCE if preparable and len(template.compiled.plans) == 1 else _NEVER
            return None
        session = self.session
        assert session.scope is not None
        form = session.scope.form(template.compiled)
        if form is None:
            template.shared = _NEVER
            return None
        made = SharedTemplate(form, self.book, session.values, session.principal, session.tenant)
        template.shared = made
        return made

    # Extended query

    def _extended_rides(self, data: bytes, tag: int, size: int) -> bool:
        """Parse (known already) or none, Bind, Describe or none, Execute, Sync; all for the unnamed portal."""
        if not data.endswith(messages.SYNC):
            return False
        name: bytes | None = None
        prepared: Prepared | None = None
        start = 0
        if tag == _PARSE:
            start = 1 + length_at(data, 1)
            known = self._parses.get(data[:start])
            if known is None or size < start + HEADER_BYTES or data[start] != _BIND:
                return False
            name, prepared = known.name, known.prepared
        stop = start + 1 + length_at(data, start + 1)
        end = data[stop:]
        if end != _ENDS[0] and end != _ENDS[1]:
            return False
        bind = data[start:stop]
        portal, bound = messages.decode_bind(bind)
        if portal or (name is not None and bound != name):
            return False
        if prepared is None:
            prepared = self._statements.defined(bound)
        if prepared is None or prepared.generation != self.recorder.generation():
            return False
        return self._prepared_rides(data, prepared, bind, end, bound, tag == _PARSE)

    def _prepared_rides(
        self, data: bytes, prepared: Prepared, bind: bytes, end: bytes, name: bytes, parses: bool
    ) -> bool:
        first, statement = prepared.template.first, prepared.shared
        if first is None or not first.shareable or statement is None or statement.retired:
            return False
        if not parses and prepared.told is not None and prepared.told_of is not statement:
            return False  # its results may not be what the client was told
        now = self.clock()
        lane = self._lane_for(statement, now)
        if lane is None or (parses and not self._statements.has_room(name)) or not self._admitted(prepared.template):
            return False
        message = messages.with_statement_name(bind, b"", name, statement.name) + end
        template, literals, text = prepared.template, prepared.literals, prepared.text
        request = LaneRequest(
            expected.EXECUTE, template, literals, text, now, self._deadline(now), statement, message, data, self
        )
        request.keeps_parse = parses
        request.bound = self.recorder.bound(bind, prepared)
        if parses:
            prepared.told = None
            self._statements.replace(name, prepared)
        self._ride(lane, request)
        return True

    # On and off

    def _lane_for(self, statement: SharedStatement, now: float) -> Lane | None:
        if self._lanes is None or not statement.proven:
            return None
        return self._lanes.take(now)

    def _admitted(self, template: Template) -> bool:
        """Whether audit and quotas let it pass; who says no says it again without a lane."""
        try:
            self._admit(template)
        except REFUSALS:
            return False
        return True

    def _deadline(self, now: float) -> float:
        return now + self.timeout_s if self.timeout_s else 0.0

    def _ride(self, lane: Lane, request: LaneRequest) -> None:
        assert self._lanes is not None
        if self.recorder.records_requests:
            self.recorder.began(self.session, request)
        ledger = self.session.usage.ledger
        if ledger is not None:
            rows, size = ledger.allowance(time.time())
            if rows < UNBOUNDED or size < UNBOUNDED:
                request.rows_left, request.bytes_left = rows, size
        self.riding = request
        self._lane = lane
        self._ride_lanes = self._lanes
        self.wait = Wait.LANE
        self._lanes.submit(lane, request)

    def _get_off(self) -> None:
        self.riding = self._lane = self._ride_lanes = None
        self.wait = Wait.NOTHING

    def _end_ride(self, request: LaneRequest, outcome: str) -> None:
        self._running -= 1
        self.session.usage.end_statement()
        self.recorder.ended(self.session, request, outcome, request.error_sqlstate, request.rows, request.size)

    # What the lane tells

    def lane_moved(self, lane: Lane) -> None:
        """The request is on another lane now."""
        self._lane = lane

    def lane_output(self, data: bytes) -> None:
        """A part of a long reply."""
        self.client_write(data)

    def lane_done(self, request: LaneRequest, reply: bytes, rows: int) -> None:
        """The reply is whole."""
        if request.bytes_left >= 0 and (rows > request.rows_left or request.size > request.bytes_left):
            request.statement.demote()
            self.lane_again(request)  # more than may be shown: where it is cut to that
            return
        self._get_off()
        try:
            self._end_ride(request, "error" if request.troubled else "ok")
            if self.session.usage.alerts.count != self.session.alerts_seen:
                reply = reply[: -len(replies.READY_IDLE)] + self.take_notices() + replies.READY_IDLE
            self.client_write(reply)
            if len(self._held):
                self.go_on()
            self.settled()
        except Exception as error:
            self.fail(error)

    def lane_again(self, request: LaneRequest) -> None:
        """It failed, or there is no lane any more, and nothing was shown: run it without one."""
        if request.retires:
            self.book.retire(request.statement)
        self._get_off()
        self._running -= 1
        self.session.usage.end_statement()
        self._readmitted = True
        self._request_again = request.request
        again = list(MessageReader(_MAX_BYTES).feed(request.data))
        for _, message in reversed(again):
            self._held.put_back(message)
        self.go_on()

    def lane_lost(self, request: LaneRequest) -> None:
        """The backend broke in the middle of the reply."""
        self._get_off()
        try:
            self._end_ride(request, "lost")
        except TenantGateError as error:
            self.fail(error)
        if request.cut:
            self.fail(ConnectionAbortedError("in the middle of a message"))
        else:
            self.fail(BackendLost("the connection to the database was lost", hint="Try again."))

    def lane_error(self, fields: dict[str, bytes], tag: bytes) -> bytes:
        """An error or notice of the target as this client may see it; a position in our text says nothing to it."""
        return replies.encode_error_fields(tag, presentable_fields(fields, 0, verbatim=self.verbatim_errors))

    # What the client and the gateway want

    def pause_lane(self, paused: bool) -> None:
        """The client does not read a long reply, or reads it again."""
        if self._ride_lanes is not None and self._lane is not None and self.riding is not None:
            self._ride_lanes.pause(self._lane, self.riding, paused)

    def cancel_ride(self, error: TenantGateError) -> bool:
        """Answer the request that rides with `error`; whether one did. A reply that has begun ends on the target."""
        request, lane, lanes = self.riding, self._lane, self._ride_lanes
        if request is None or lane is None or lanes is None:
            return False
        if request.shown:
            lanes.cancel_running(lane)
            return True
        lanes.cancel(lane, request)
        self._get_off()
        request.error_sqlstate = error.sqlstate
        try:
            self._end_ride(request, "cancelled")
        except TenantGateError as unavailable:
            self.fail(unavailable)
            return True
        self.client_write(error_reply(error) + replies.READY_IDLE)
        self.go_on()
        return True

    def abandon_ride(self, outcome: str) -> None:
        """The session ends."""
        request, lane, lanes = self.riding, self._lane, self._ride_lanes
        if request is not None and lane is not None and lanes is not None:
            lanes.cancel(lane, request)
            self._get_off()
            self._end_ride(request, outcome)
