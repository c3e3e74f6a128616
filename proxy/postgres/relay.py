"""From backend to client: match answers to what is expected, pass row data on in ranges.

Rows are never decoded and never copied one by one: of every received chunk the longest unchanged ranges are
forwarded, usually the chunk itself. Only messages that end something or that must be changed are looked at.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Protocol, cast

from policy.change_tracking import TOLD_SQLSTATE
from policy.errors import AccessDenied, TenantGateError
from policy.sql.plan import Plan, StatementKind
from policy.sql.rules.copy_staged import STAGES
from proxy.errors import BackendLost, LocalProtocolError, RemoteProtocolError
from proxy.postgres import expected
from proxy.postgres.errors import (
    FOREIGN_TENANT_MARKER,
    as_of_copy,
    error_reply,
    foreign_tenant,
    presentable_fields,
    scrub,
)
from proxy.postgres.expected import Expected, ExpectedQueue, Running
from proxy.postgres.prepared import Prepared
from proxy.postgres.statements import SharedStatement
from proxy.postgres.wire import replies
from proxy.postgres.wire.framing import HEADER_BYTES, length_at
from proxy.quota_ledger import UNBOUNDED

_DATA_ROW: Final = ord("D")
_COPY_DATA: Final = ord("d")
_COPY_DONE: Final = ord("c")
_READY: Final = ord("Z")
_IN_TRANSACTION: Final = ord("T")
_NOTIFICATION: Final = ord("A")
_PARAMETER_STATUS: Final = ord("S")
_ERROR: Final = ord("E")
_NO_DATA: Final = ord("n")
_ROW_DESCRIPTION: Final = ord("T")
_MAX_REPLY_BYTES: Final = 16 * 1024 * 1024  # of a message that must be seen whole (RowDescription, errors …)
_OUTCOMES: Final = {"57014": "cancelled", AccessDenied.default_sqlstate: "refused"}
_TRANSACTION: Final = StatementKind.TRANSACTION  # a member of an Enum costs 0.1 us each time
_TOLD: Final = b"\0C" + TOLD_SQLSTATE.encode() + b"\0"
_MAX_TOLD: Final = 128  # characters
_MAX_CHANGES: Final = 4096
_FAREWELLS: Final = (b"FATAL", b"PANIC")
_STALE: Final = (b"0A000", b"26000")  # "cached plan must not change result type"; a statement that is not there
_TYPE_IS_GONE: Final = b"cache lookup failed for type "  # dropped since it was prepared
TABLE_CHANGED: Final = TenantGateError(
    "could not serialize access: a table of the statement was altered meanwhile",
    sqlstate="40001",
    hint="Run the transaction again.",
)
_ENDED_BY_READY: Final = frozenset({expected.SYNC, expected.QUERY, expected.REFUSED_QUERY})
_HIDDEN_PARAMETERS: Final = frozenset({"session_authorization", "is_superuser"})


class RelayListener(Protocol):
    """What the engine is told."""

    def statement_ended(self, running: Running, outcome: str, sqlstate: str, rows: int, size: int) -> None: ...
    def parse_ended(self, entry: Expected, done: bool) -> None: ...
    def copy_in_started(self, message: bytes) -> bytes | None: ...
    def request_failed(self, skipping: bool) -> None: ...
    def backend_leaves(self) -> bool: ...
    def trial_failed(self, statement: SharedStatement) -> None: ...
    def parse_failed(self, prepared: Prepared, sqlstate: str) -> None: ...
    def ready(self, status: int, is_sync: bool) -> bytes: ...
    def transaction_command_ended(self, tag: bytes) -> None: ...
    def statement_stale(self, statement: SharedStatement) -> None: ...
    def heal(self, entry: Expected) -> bool: ...
    def parameter_changed(self, name: str, value: str) -> None: ...
    def place_of_parameter(self, context: bytes) -> int: ...
    def map_position(self, entry: Expected, position: int) -> int: ...
    def notification(self, message: bytes) -> bytes: ...
    def result_cut(self, running: Running) -> TenantGateError: ...
    def check_only_read(self, running: Running) -> None: ...
    def abort_transaction(self, is_sync: bool) -> None: ...


class ReplyRelay:
    """Lifetime: one lease. Feed it all that the backend says; it calls `write` with what the client gets.

    bytes_in: bytes of the backend's stream before the chunk at hand.
    farewell: the target has said that it ends the connection, and why. verbatim_errors: the database is the tenant's
    own, so its errors need no scrubbing.

    A result that is larger than its tenant may have is cut: the client gets the rows up to there, and an error when the
    target has ended the statement, which it is told to. One that has ended it already is told to fail, too, so that
    what the client sees holds: no transaction goes on. `_dropping`: the message that is half received is not shown.
    `_swallowing`: nothing is until ReadyForQuery. `_parameters`: a ParameterDescription that is kept until the results
    are described, too; that may fail, and both are asked for again.
    """

    __slots__ = (
        "_dropping",
        "_ended_at",
        "_held",
        "_listener",
        "_parameters",
        "_skip",
        "_swallowing",
        "_write",
        "bytes_in",
        "codec",
        "farewell",
        "metered",
        "queue",
        "verbatim_errors",
    )

    def __init__(
        self,
        queue: ExpectedQueue,
        write: Callable[[bytes], None],
        listener: RelayListener,
        *,
        verbatim_errors: bool,
    ) -> None:
        self.queue = queue
        self._write = write
        self._listener = listener
        self._held = b""
        self._parameters = b""
        self._skip = 0
        self._dropping = self._swallowing = False
        self._ended_at = 0  # in the backend's stream, the statement before the one that runs
        self.metered = False  # results may be cut
        self.bytes_in = 0
        self.farewell = False
        self.codec: str | None = None  # of the client, None for UTF-8
        self.verbatim_errors = verbatim_errors

    @property
    def is_clean(self) -> bool:
        """Nothing is expected and no message is half received."""
        return not self.queue and not self._held and not self._skip

    @property
    def mid_message(self) -> bool:
        """The client has got a part of a message and not the rest."""
        return self._skip > 0 and not self._dropping

    def discard(self) -> None:
        """There is nobody to tell any more, and nothing to feed."""
        self._listener = cast(RelayListener, None)

    def feed(self, data: bytes) -> None:
        """Take a chunk. Raises LocalProtocolError when backend and expectation are out of step."""
        if self._held:
            data = self._held + data
            self._held = b""
        size = len(data)
        position, start = self._skip, 0
        if self._dropping:
            start = position
        metered = self.metered
        changed: list[bytes] | None = None
        while size - position >= HEADER_BYTES:
            tag = data[position]
            stop = position + 1 + length_at(data, position + 1)
            if tag == _DATA_ROW or tag == _COPY_DATA:
                if metered and self._is_beyond(position, stop):
                    if changed is None:
                        changed = []
                    if start < position:
                        changed.append(data[start:position])
                    start = stop
                position = stop
                continue
            if stop > size:
                if stop - position > _MAX_REPLY_BYTES:
                    raise LocalProtocolError(f"message {chr(tag)!r} of {stop - position} bytes from the target")
                break
            handler = _HANDLERS.get(tag)
            if handler is None:
                raise LocalProtocolError(f"unexpected message {chr(tag)!r} from the target")
            replacement: bytes | None
            queue = self.queue
            if queue and queue[0].kind == expected.PREFIX:
                replacement = self._on_prefix(tag, data, position, stop)
            elif metered and (self._swallowing or tag == _COPY_DONE):
                replacement = self._unseen(handler, tag, data, position, stop)
            else:
                replacement = handler(self, data, position, stop)
            if queue and queue[0].kind == expected.SIMULATED:
                simulated = self._simulated()
                replacement = (data[position:stop] if replacement is None else replacement) + simulated
            if replacement is not None:
                if changed is None:
                    changed = []
                changed.append(data[start:position])
                changed.append(replacement)
                start = stop
            position = stop
        self._finish(data, size, position, start, changed)

    def _finish(self, data: bytes, size: int, position: int, start: int, changed: list[bytes] | None) -> None:
        self._dropping = start > size
        if position >= size:
            self._skip = position - size
            rest = data if start == 0 else data[start:]
        else:
            self._skip = 0
            self._held = data[position:]
            rest = data[start:position]
        self.bytes_in += size - len(self._held)
        if changed is not None:
            changed.append(rest)
            rest = b"".join(changed)
        if rest:
            self._write(rest)

    # Results that are cut

    def limit(self, running: Running, rows: int, size: int) -> None:
        """Bound the result of a statement that is sent now, or of the next one of its query string."""
        if rows < UNBOUNDED or size < UNBOUNDED:
            running.rows_left, running.bytes_left = rows, size
            running.rows_shown = 0
            self.metered = True

    def _is_beyond(self, position: int, stop: int) -> bool:
        """Whether this row, in the chunk at hand, is not shown any more."""
        running = self.queue[0] if self.queue else None
        if self._swallowing:
            return True
        if not isinstance(running, Running) or running.bytes_left < 0:
            return False
        if running.cut:
            return True
        began = self.bytes_in - max(running.start_bytes, self._ended_at)
        if running.rows_left > 0 and began + stop <= running.bytes_left:
            running.rows_left -= 1
            running.rows_shown += 1
            return False
        running.cut = True
        running.bytes_shown = began + position
        running.error = self._listener.result_cut(running)
        return True

    def _unseen(
        self,
        handler: Callable[[ReplyRelay, bytes, int, int], bytes | None],
        tag: int,
        data: bytes,
        start: int,
        stop: int,
    ) -> bytes | None:
        """A message behind a result that was cut."""
        head = self.queue[0] if self.queue else None
        if not self._swallowing:  # CopyDone
            return b"" if isinstance(head, Running) and head.cut else None
        if tag == _READY:
            return self._ready_after_cut(data, start, stop)
        if tag == _PARAMETER_STATUS or tag == _NOTIFICATION:
            return handler(self, data, start, stop)
        if head is None or head.kind != expected.QUERY:
            handler(self, data, start, stop)
        return b""

    def _end_cut(self, running: Running) -> bytes:
        """The target has done the statement in spite of all: the client is told that it failed, so it must be that
        nothing was done but reading. Raises what ends the session where it may be otherwise."""
        self._listener.check_only_read(running)
        assert running.error is not None
        self._swallowing = True
        self._fail(running, running.error.sqlstate)
        if running.kind == expected.QUERY:
            self._listener.request_failed(False)
        else:
            self.queue.popleft()
            self._listener.request_failed(all(entry.kind != expected.SYNC for entry in self.queue))
        return error_reply(running.error, codec=self.codec)

    def _ready_after_cut(self, data: bytes, start: int, stop: int) -> bytes | None:
        self._swallowing = False
        if data[start + HEADER_BYTES] != _IN_TRANSACTION:
            return self._on_ready(data, start, stop)
        kind = self.queue[0].kind if self.queue else -1
        if kind not in _ENDED_BY_READY:
            raise LocalProtocolError("the target is ready before its time")
        self.queue.popleft()
        self._listener.abort_transaction(kind == expected.SYNC)
        return b""

    def _simulated(self) -> bytes:
        """Answers that no backend gives, now that their turn has come."""
        answers: list[bytes] = []
        while self.queue and self.queue[0].kind == expected.SIMULATED:
            entry = self.queue.popleft()
            answers.append(entry.reply)
            self._listener.parse_ended(entry, True)
        return b"".join(answers)

    def _on_prefix(self, tag: int, data: bytes, start: int, stop: int) -> bytes:
        """Messages of ours before a request: the client sees nothing of their answers."""
        entry = self.queue[0]
        if tag == _READY:
            self.queue.popleft()
            self._ended_at = self.bytes_in + stop
        elif tag == _ERROR and replies.decode_error_fields(data[start:stop]).get("V") in _FAREWELLS:
            raise BackendLost("the connection to the database was lost", hint="Try again.")
        elif entry.shared is not None:
            self._on_trial(entry.shared, tag, data, start, stop)
        elif tag == _PARAMETER_STATUS:
            self._listener.parameter_changed(*replies.decode_parameter_status(data[start:stop]))
        elif tag == _ERROR and entry.error is not None:
            raise entry.error
        return b""

    def _on_trial(self, statement: SharedStatement, tag: int, data: bytes, start: int, stop: int) -> None:
        """Of a statement that is parsed and described to see whether the target takes it."""
        if tag == _NO_DATA or tag == _ROW_DESCRIPTION:
            statement.described = True
            statement.row_description = data[start:stop] if tag == _ROW_DESCRIPTION else None
        elif tag == _ERROR:
            self._listener.trial_failed(statement)

    # Handlers: None forwards the message as it is, bytes replace it.

    def _on_parse_complete(self, _data: bytes, _start: int, _stop: int) -> bytes | None:
        entry = self._take(expected.PARSE)
        self._listener.parse_ended(entry, True)
        return None if entry.forward else b""

    def _on_bind_complete(self, _data: bytes, _start: int, _stop: int) -> bytes | None:
        entry = self._take(expected.BIND)
        return None if entry.forward else entry.reply

    def _on_close_complete(self, _data: bytes, _start: int, _stop: int) -> bytes | None:
        return None if self._take(expected.CLOSE).forward else b""

    def _on_parameter_description(self, data: bytes, start: int, stop: int) -> bytes | None:
        if self.queue and self.queue[0].forward:
            self._parameters = data[start:stop]
        return b""

    def _on_row_description(self, data: bytes, start: int, stop: int) -> bytes | None:
        queue = self.queue
        if not queue:
            raise LocalProtocolError("the target speaks unasked")
        entry = queue[0]
        if entry.kind != expected.DESCRIBE:
            return None
        queue.popleft()
        if entry.prepared is not None:
            entry.prepared.told, entry.prepared.told_of = data[start:stop], entry.shared
        elif entry.shared is not None:
            self._on_trial(entry.shared, data[start], data, start, stop)
        if not entry.forward:
            return b""
        parameters, self._parameters = self._parameters, b""
        return parameters + data[start:stop] if parameters else None

    def _on_command_complete(self, data: bytes, start: int, stop: int) -> bytes | None:
        tag = data[start + HEADER_BYTES : stop - 1]
        head = self.queue[0] if self.queue else None
        if head is not None and head.kind == expected.EXECUTE and not head.forward:
            self.queue.popleft()
            return b""
        if isinstance(head, Running) and head.cut:
            return self._end_cut(head)
        word = tag.rpartition(b" ")[2]  # `SELECT 5`, `INSERT 0 1`, `COPY 7`
        rows = int(word) if word.isdigit() else 0
        if isinstance(head, Running) and head.plan is not None:
            if head.plan.kind is _TRANSACTION:
                self._listener.transaction_command_ended(tag)
            elif head.plan.staged:
                return self._on_stage_complete(head, rows, self.bytes_in + stop)
        if isinstance(head, Running) and head.plan is not None and head.plan.row_limit:
            return self._on_limited_complete(head.plan, data[start:stop], rows, self.bytes_in + stop)
        self._end_statement(rows, self.bytes_in + stop)
        return None

    def _on_limited_complete(self, plan: Plan, message: bytes, rows: int, stream_position: int) -> bytes | None:
        """The end of a result whose rows policies limit: the client is told when there may be more."""
        self._end_statement(rows, stream_position)
        if rows < plan.row_limit:
            return None
        text = f"the result was cut at {plan.row_limit} rows by policy {plan.limited_by}"
        fields = {"S": b"WARNING", "V": b"WARNING", "C": b"01000", "M": text.encode()}
        return replies.encode_error_fields(b"N", fields) + message

    def _on_stage_complete(self, running: Running, rows: int, stream_position: int) -> bytes:
        """One of the statements that a COPY became. The client sees the last end, as a COPY of what was inserted."""
        running.stage += 1
        if running.stage < STAGES:
            running.copied = rows
            return b""
        self._end_statement(running.copied, stream_position)
        return replies.command_complete(f"COPY {running.copied}")

    def _on_no_rows(self, _data: bytes, _start: int, stop: int) -> bytes | None:
        self._end_statement(0, self.bytes_in + stop)
        return None

    def _on_portal_suspended(self, _data: bytes, _start: int, stop: int) -> bytes | None:
        head = self.queue[0] if self.queue else None
        if isinstance(head, Running) and head.cut:
            return self._end_cut(head)
        self._end_statement(head.max_rows if isinstance(head, Running) else 0, self.bytes_in + stop)
        return None

    def _end_statement(self, rows: int, stream_position: int) -> None:
        queue = self.queue
        running = queue[0] if queue else None
        if not isinstance(running, Running):
            raise LocalProtocolError("a statement ended that was not begun")
        if running.kind == expected.EXECUTE:
            queue.popleft()
        size = stream_position - max(running.start_bytes, self._ended_at)
        self._ended_at = stream_position
        self._listener.statement_ended(running, "ok", "", rows, size)
        running.advance()
        running.start_bytes = stream_position

    def _on_ready(self, data: bytes, start: int, stop: int) -> bytes | None:
        queue = self.queue
        kind = queue[0].kind if queue else -1
        if kind not in _ENDED_BY_READY:
            raise LocalProtocolError("the target is ready before its time")
        queue.popleft()
        notices = self._listener.ready(data[start + HEADER_BYTES], kind == expected.SYNC)
        return notices + data[start:stop] if notices else None

    def _on_error(self, data: bytes, start: int, stop: int) -> bytes | None:
        fields = replies.decode_error_fields(data[start:stop])
        if fields.get("V") in _FAREWELLS:
            if not self.queue and stop == len(data) and self._listener.backend_leaves():
                return b""
            self.farewell = True
        if not self.queue:
            return self._present(None, fields)
        entry = self.queue[0]
        self._parameters = b""
        code = fields.get("C", b"")
        sqlstate = code.decode() if len(code) == 5 and code.isalnum() else "XX000"
        if entry.shared is not None and (code in _STALE or fields.get("M", b"").startswith(_TYPE_IS_GONE)):
            self._listener.statement_stale(entry.shared)
            if entry.kind != expected.EXECUTE and self._listener.heal(entry):
                return b""
        reply = self._present(entry, fields)
        if FOREIGN_TENANT_MARKER in fields.get("M", b""):
            sqlstate = AccessDenied.default_sqlstate
        if entry.kind == expected.QUERY:
            assert isinstance(entry, Running)
            self._fail(entry, sqlstate)
            self._listener.request_failed(False)
        elif entry.kind in (expected.REFUSED_QUERY, expected.SYNC):
            self._listener.request_failed(False)
            if not entry.forward:
                return b""
        else:
            self._skip_to_sync(sqlstate)
        return reply

    def _skip_to_sync(self, sqlstate: str) -> None:
        """The server discards messages until Sync: so do their entries. The error is recorded with one statement."""
        listener, head = self._listener, self.queue[0]
        blamed: Prepared | None = None
        if head.kind == expected.PARSE and head.prepared is not None:
            blamed = head.prepared
            listener.parse_failed(blamed, sqlstate)
        to_blame = head.kind in (expected.BIND, expected.EXECUTE)
        while self.queue and self.queue[0].kind != expected.SYNC:
            entry = self.queue.popleft()
            if not isinstance(entry, Running):
                if entry.name is not None or entry.shared is not None:
                    listener.parse_ended(entry, False)
            elif to_blame:
                self._fail(entry, sqlstate)
                to_blame = False
            else:
                own = blamed is not None and entry.template is blamed.template
                listener.statement_ended(entry, "" if own else "skipped", "", 0, 0)
                blamed = None if own else blamed
        listener.request_failed(not self.queue)

    def _fail(self, running: Running, sqlstate: str) -> None:
        running.failed = True
        if running.cut and running.error is not None:
            shown = running.bytes_shown
            self._listener.statement_ended(running, "refused", running.error.sqlstate, running.rows_shown, shown)
            return
        outcome = _OUTCOMES.get(sqlstate, "error")
        self._listener.statement_ended(running, outcome, sqlstate, 0, max(0, self.bytes_in - running.start_bytes))

    def _present(self, entry: Expected | None, fields: dict[str, bytes]) -> bytes:
        if entry is not None and entry.error is not None:
            return error_reply(entry.error, codec=self.codec)
        if FOREIGN_TENANT_MARKER in fields.get("M", b""):
            return error_reply(foreign_tenant(fields.get("M", b"")), codec=self.codec)
        staged = _staged_table(entry)
        if staged:
            fields = as_of_copy(fields, staged)
        if entry is not None and entry.kind == expected.BIND and not entry.forward and entry.shared is not None:
            return self._present_bind(fields)
        position = None
        if staged and entry is not None and entry.kind != expected.QUERY:
            position = 0  # in a statement of its own, which the client does not know
        elif entry is not None and fields.get("P", b"").isdigit():
            position = self._listener.map_position(entry, int(fields["P"]))
        return replies.encode_error_fields(b"E", presentable_fields(fields, position, verbatim=self.verbatim_errors))

    def _present_bind(self, fields: dict[str, bytes]) -> bytes:
        """An error of a Bind that stands for a Query of the client, which has no parameters."""
        if fields.get("C") in _STALE:
            return error_reply(TABLE_CHANGED)
        position = self._listener.place_of_parameter(fields.pop("W", b""))
        return replies.encode_error_fields(b"E", presentable_fields(fields, position, verbatim=self.verbatim_errors))

    def _on_notice(self, data: bytes, start: int, stop: int) -> bytes | None:
        if data.find(_TOLD, start, stop) >= 0:
            self._on_changes(replies.decode_error_fields(data[start:stop]).get("M", b"").decode("ascii", "replace"))
            return b""
        if self.verbatim_errors:
            return None
        return replies.encode_error_fields(b"N", scrub(replies.decode_error_fields(data[start:stop]), 0))

    def _on_changes(self, told: str) -> None:
        """A trigger says what it wrote down of a tracked table's changes: `transaction:position:digest`."""
        running = self.queue[0] if self.queue else None
        if not isinstance(running, Running) or len(told) > _MAX_TOLD:
            return
        about = running.about or {}
        known = about.get("changes", "")
        if told not in known and len(known) < _MAX_CHANGES:
            running.about = {**about, "changes": f"{known} {told}".lstrip()}

    def _on_notification(self, data: bytes, start: int, stop: int) -> bytes | None:
        return self._listener.notification(data[start:stop])

    def _on_parameter_status(self, data: bytes, start: int, stop: int) -> bytes | None:
        name, value = replies.decode_parameter_status(data[start:stop])
        self._listener.parameter_changed(name, value)
        return b"" if name in _HIDDEN_PARAMETERS else None

    def _on_copy_in(self, data: bytes, start: int, stop: int) -> bytes | None:
        return self._listener.copy_in_started(data[start:stop])

    def _on_copy_out(self, _data: bytes, _start: int, _stop: int) -> bytes | None:
        head = self.queue[0] if self.queue else None
        plan = head.plan if isinstance(head, Running) else None
        if plan is None or plan.kind is not StatementKind.COPY_OUT:
            raise RemoteProtocolError("COPY TO STDOUT under a portal or a name that does not stand for it")
        return None

    def _forward(self, _data: bytes, _start: int, _stop: int) -> bytes | None:
        return None

    def _take(self, kind: int) -> Expected:
        if not self.queue or self.queue[0].kind != kind:
            raise LocalProtocolError(f"the target answered what was not asked ({kind})")
        return self.queue.popleft()


def _staged_table(entry: Expected | None) -> str:
    """What a COPY that is several statements, of which this is one, copies into; "" for other statements."""
    if isinstance(entry, Running):
        return entry.plan.staged if entry.plan is not None else ""
    if entry is None or entry.prepared is None or entry.prepared.template.first is None:
        return ""
    return entry.prepared.template.first.staged


Handler = Callable[[ReplyRelay, bytes, int, int], bytes | None]

_HANDLERS: Final[dict[int, Handler]] = {
    ord("1"): ReplyRelay._on_parse_complete,
    ord("2"): ReplyRelay._on_bind_complete,
    ord("3"): ReplyRelay._on_close_complete,
    ord("T"): ReplyRelay._on_row_description,
    ord("n"): ReplyRelay._on_row_description,
    ord("t"): ReplyRelay._on_parameter_description,
    ord("C"): ReplyRelay._on_command_complete,
    ord("I"): ReplyRelay._on_no_rows,
    ord("V"): ReplyRelay._on_no_rows,
    ord("s"): ReplyRelay._on_portal_suspended,
    ord("Z"): ReplyRelay._on_ready,
    ord("E"): ReplyRelay._on_error,
    ord("N"): ReplyRelay._on_notice,
    ord("A"): ReplyRelay._on_notification,
    ord("S"): ReplyRelay._on_parameter_status,
    ord("G"): ReplyRelay._on_copy_in,
    ord("H"): ReplyRelay._on_copy_out,
    ord("c"): ReplyRelay._forward,
}
