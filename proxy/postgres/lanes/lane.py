"""A lane: one backend on which statements of many sessions run in turn, pipelined.

Every request is one statement of its own implicit transaction, sent as Bind, Execute and Sync of a shared prepared
statement. Replies come in the order of requests; each ends with a ReadyForQuery that says idle, or the lane is
broken. Requests only read, so one that fails before its client has seen anything is run again without a lane: the
client gets the very error that its own text causes.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from typing import Final

from proxy.errors import LocalProtocolError
from proxy.postgres.backend import BackendConnection
from proxy.postgres.lanes.request import LaneRequest
from proxy.postgres.wire import messages, replies
from proxy.postgres.wire.framing import HEADER_BYTES, length_at

logger = logging.getLogger(__name__)

HOLD_BYTES: Final = 64 * 1024  # of a reply, before its first part is shown
_MAX_REPLY_BYTES: Final = 16 * 1024 * 1024  # of a message that must be seen whole
_IDLE: Final = ord("I")
_DATA_ROW: Final = ord("D")
_READY: Final = ord("Z")
_COMPLETE: Final = ord("C")
_PARSED: Final = ord("1")
_BOUND: Final = ord("2")
_CLOSED: Final = ord("3")
_DESCRIBED: Final = ord("T")
_NO_DATA: Final = ord("n")
_ERROR: Final = ord("E")
_NOTICE: Final = ord("N")
_PARAMETER: Final = ord("S")
_NOTIFICATION: Final = ord("A")
_STALE: Final = (b"0A000", b"26000")  # "cached plan must not change result type", and a statement that is not there


class Lane:
    """The receiver of its backend's bytes. `queue`: requests whose replies have not ended, the head's comes next.

    head_since: when the head's turn began, on the gateway's clock. open: takes newcomers. doomed: to be closed when
    it is empty, since a cancel request may still hit it or its backend has lived for long enough.
    """

    __slots__ = (
        "_call_soon",
        "_clock",
        "_data",
        "_lost",
        "_out",
        "_skip",
        "backend",
        "doomed",
        "head_since",
        "idle_since",
        "open",
        "opened_at",
        "queue",
    )

    def __init__(
        self,
        backend: BackendConnection,
        clock: Callable[[], float],
        call_soon: Callable[[Callable[[], None]], object],
        lost: Callable[[Lane, list[LaneRequest]], None],
    ) -> None:
        self.backend = backend
        self.queue: deque[LaneRequest] = deque()
        self.opened_at = self.head_since = self.idle_since = clock()
        self.open = True
        self.doomed = False
        self._clock = clock
        self._call_soon = call_soon
        self._out: list[bytes] = []
        self._lost = lost  # told once, with the requests that can be run again
        self._data = b""
        self._skip = 0

    def submit(self, request: LaneRequest) -> None:
        """Send a request. Its reply goes to its owner."""
        queue = self.queue
        message = request.message
        name = request.statement.name
        statements = self.backend.statements
        if name not in statements:
            request.parsing = True
            closing = [messages.encode_close_statement(each) for each in statements.add(name)]
            message = b"".join((*closing, request.statement.parse, message))
        if queue:
            queue.append(request)
            out = self._out
            if not out:
                self._call_soon(self._flush)
            out.append(message)
        else:
            self.head_since = request.started
            queue.append(request)
            self.backend.write(message)

    def _flush(self) -> None:
        """One write for all requests that came in one turn of the event loop behind another."""
        out, self._out = self._out, []
        self.backend.write(out[0] if len(out) == 1 else b"".join(out))

    def shed(self) -> list[LaneRequest]:
        """Give up all requests behind the head, whose replies are no longer wanted here; take no newcomers."""
        self.open = False
        shed = [request for request in list(self.queue)[1:] if request.owner is not None]
        self.queue = deque([self.queue[0], *(request.ghost() for request in list(self.queue)[1:])])
        for request in shed:
            request.begin()
        return shed

    def abandon(self, request: LaneRequest) -> None:
        """Nobody waits for this request's reply any more."""
        request.owner = None
        request.parts = None

    # Receiver of the backend

    def backend_data(self, data: bytes) -> None:
        try:
            self._feed(data)
        except Exception as error:
            logger.error("a lane of target %s is out of step: %s", self.backend.target.name, error)
            self.backend.abort()
            self._break()

    def _feed(self, data: bytes) -> None:
        now = self._clock()
        if self._data:
            data = self._data + data
            self._data = b""
        queue = self.queue
        request = queue[0] if queue else None
        size = len(data)
        position, start = self._skip, 0
        self._skip = 0
        while size - position >= HEADER_BYTES:
            tag = data[position]
            stop = position + 1 + length_at(data, position + 1)
            if tag == _DATA_ROW:
                if stop > size and size - position < HOLD_BYTES:
                    break
                position = stop
                continue
            if stop > size:
                if stop - position > _MAX_REPLY_BYTES:
                    raise LocalProtocolError(f"message {chr(tag)!r} of {stop - position} bytes")
                break
            if request is None:
                self._on_unasked(tag)
                start = position = stop
                continue
            if tag == _READY:
                if data[stop - 1] != _IDLE:
                    raise LocalProtocolError("a lane's backend is in a transaction")
                queue.popleft()
                self._end(request, data[start:stop], now)
                start = position = stop
                queue = self.queue  # the end of one may have shed the others
                request = queue[0] if queue else None
                continue
            if tag == _COMPLETE:
                word = data[position + HEADER_BYTES : stop - 1].rpartition(b" ")[2]
                request.rows = int(word) if word.isdigit() else 0
            elif tag == _BOUND:
                if request.simple:
                    start = stop
            elif tag == _PARSED:
                if not request.keeps_parse:
                    start = stop
            elif tag == _CLOSED:
                start = stop
            elif tag == _DESCRIBED:
                if request.simple:
                    request.statement.row_description = data[position:stop]
                    request.statement.described = True
            elif tag != _NO_DATA:
                self._keep(request, data[start:position])
                self._on_other(request, tag, data[position:stop])
                start = stop
            position = stop
        self._rest(request, data, start, position, size)

    def _rest(self, request: LaneRequest | None, data: bytes, start: int, position: int, size: int) -> None:
        """The chunk is over, within a reply."""
        if position > size:
            self._skip = position - size
            position = size
        elif position < size:
            self._data = data[position:]
        if request is not None and position > start:
            self._keep(request, data[start:position])
            if request.held_bytes > HOLD_BYTES and request.owner is not None and not request.troubled:
                if request.bytes_left < 0:
                    self._show(request)
                else:
                    self._elsewhere(request)

    def _keep(self, request: LaneRequest, part: bytes) -> None:
        if not part or request.owner is None:
            return
        if request.parts is None:
            request.parts = []
        request.parts.append(part)
        request.held_bytes += len(part)

    def _elsewhere(self, request: LaneRequest) -> None:
        """A result that may be cut is counted row by row, on a backend of its session's own."""
        owner = request.owner
        assert owner is not None
        request.statement.demote()
        self.abandon(request)
        owner.lane_again(request)

    def _show(self, request: LaneRequest) -> None:
        assert request.parts is not None
        assert request.owner is not None
        part = b"".join(request.parts)
        if not request.shown:
            part = self._prefix(request) + part
            request.shown = True
        request.cut = self._skip > 0
        request.parts = None
        request.held_bytes = 0
        request.size += len(part)
        request.owner.lane_output(part)

    def _prefix(self, request: LaneRequest) -> bytes:
        if request.simple:
            known = request.statement.row_description
            return known if known is not None and not request.describes else b""
        return replies.PARSE_COMPLETE if request.keeps_parse and not request.parsing else b""

    def _end(self, request: LaneRequest, reply: bytes, now: float) -> None:
        """ReadyForQuery has come."""
        seconds = now - self.head_since
        self.head_since = self.idle_since = now
        owner = request.owner
        if owner is None:
            return
        if request.troubled and not request.shown:
            owner.lane_again(request)
            return
        if request.parts is not None:
            request.parts.append(reply)
            reply = b"".join(request.parts)
            request.parts = None
        if not request.shown:
            reply = self._prefix(request) + reply
        request.size += len(reply)
        request.turn_s = seconds
        if not request.troubled:
            request.statement.observe(seconds, request.size)
        owner.lane_done(request, reply, request.rows)

    def _on_other(self, request: LaneRequest, tag: int, message: bytes) -> None:
        if tag == _ERROR:
            self._on_error(request, replies.decode_error_fields(message))
        elif tag == _NOTICE:
            if request.owner is not None:
                self._keep(request, request.owner.lane_error(replies.decode_error_fields(message), b"N"))
        elif tag not in (_PARAMETER, _NOTIFICATION):
            raise LocalProtocolError(f"unexpected message {chr(tag)!r} from the target")

    def _on_error(self, request: LaneRequest, fields: dict[str, bytes]) -> None:
        request.troubled = True
        request.statement.demote()
        if request.parsing or fields.get("C") in _STALE:
            self.backend.statements.remove(request.statement.name)
            request.retires = True
        if request.owner is None:
            return
        if request.shown:
            code = fields.get("C", b"")
            request.error_sqlstate = code.decode() if code.isalnum() else "XX000"
            self._keep(request, request.owner.lane_error(fields, b"E"))

    def _on_unasked(self, tag: int) -> None:
        """Notices and settings come at any time; an error unasked for is the server's farewell."""
        if tag not in (_NOTICE, _PARAMETER, _NOTIFICATION, _ERROR):
            raise LocalProtocolError(f"message {chr(tag)!r} unasked for")

    def backend_lost(self, error: Exception | None) -> None:
        self._break()

    def _break(self) -> None:
        self.open = False
        requests, self.queue = list(self.queue), deque()
        again: list[LaneRequest] = []
        for request in requests:
            owner = request.owner
            if owner is None:
                continue
            if request.shown:
                owner.lane_lost(request)
            else:
                request.begin()
                again.append(request)
        self._lost(self, again)

    def backend_pause_writing(self) -> None:
        self.open = False

    def backend_resume_writing(self) -> None:
        self.open = not self.doomed
