"""A session at work: what the client asks, judged and sent on; what comes back, relayed and recorded.

Lifetime: one lease (for now a whole session). Nothing here awaits: client messages are handled in the callback that
brought them, and all that goes to the backend leaves in one write. A refused statement never reaches the target; in
its place a message goes that fails there, so that the target itself does what PostgreSQL does after an error (skips
to Sync, aborts the transaction), and the client gets the refusal in place of that failure.

Messages are named as in the protocol ("Message Flow", PostgreSQL documentation chapter 55).
"""

from __future__ import annotations

import secrets
from collections import deque
from collections.abc import Callable

from policy.errors import InvalidStatement, StatementRefused, TenantGateError, UnsupportedStatement
from policy.sql.plan import StatementKind
from proxy.audit.errors import AuditUnavailable
from proxy.errors import RemoteProtocolError
from proxy.postgres import expected
from proxy.postgres.backend import BackendConnection
from proxy.postgres.copying import CopyIn
from proxy.postgres.errors import error_reply
from proxy.postgres.expected import EXPECT_BIND, EXPECT_DESCRIBE, EXPECT_SYNC, Expected, KnownParse, Running
from proxy.postgres.held import HeldMessages, Wait
from proxy.postgres.judge import Judge
from proxy.postgres.notifications import Notifications
from proxy.postgres.parameter_types import check_declared_types
from proxy.postgres.portals import Portals, cursor
from proxy.postgres.prepared import ANY_GENERATION, Prepared, PreparedStatements
from proxy.postgres.recorder import Recorder
from proxy.postgres.relay import ReplyRelay
from proxy.postgres.sql_prepared import SqlPrepared
from proxy.postgres.wire import messages, replies
from proxy.postgres.wire.framing import MessageReader
from proxy.session import Session, Template, client_position

_IDLE = ord("I")
_NOWHERE = f"tenantgate_refused_{secrets.token_hex(8)}".encode()  # no statement has this name
_FAILING_BIND = messages.encode_bind_nothing(_NOWHERE)
_COPY_NAME = f"tenantgate_copy_{secrets.token_hex(8)}".encode()
_CLOSE_COPY = messages.encode_close_statement(_COPY_NAME) + messages.encode_close_portal(_COPY_NAME)
_RUN_COPY = messages.encode_bind_nothing(_COPY_NAME, _COPY_NAME) + messages.encode_execute(_COPY_NAME)
_FAILING_QUERY = messages.encode_query(b"tenantgate: this statement was refused")
_MAX_KNOWN_PARSES, _MAX_KNOWN_BYTES = 64, 4096
_MAX_QUEUE = 4096  # answers to come, before the client is no longer read
_UNNAMED_ALL = messages.Execute(b"", 0)
_CURSOR_COMMANDS = frozenset({"DECLARE CURSOR", "CLOSE CURSOR", "DISCARD"})  # portals come and go by SQL
_DESCRIBE_UNNAMED_PORTAL = messages.encode(b"D", b"P\0")
_EXECUTE_UNNAMED = messages.encode(b"E", b"\0\0\0\0\0")
_REFUSALS = (StatementRefused, AuditUnavailable)  # of a statement; other errors end the session


class Engine:
    """Client messages in, backend messages out, and back.

    `status` is the transaction status of the last ReadyForQuery. `skipping`: the server discards all up to Sync.
    `wait`: what the client's messages are held back for.
    """

    __slots__ = (
        "_answered",
        "_copy",
        "_crowded",
        "_held",
        "_in_request",
        "_judge",
        "_notifications",
        "_out",
        "_parses",
        "_portals",
        "_request",
        "_running",
        "_sql_prepared",
        "_statements",
        "backend",
        "client_write",
        "clock",
        "ddl_pending",
        "ended",
        "fail",
        "pause_client",
        "queue",
        "reader",
        "recorder",
        "relay",
        "session",
        "skipping",
        "status",
        "timeout_s",
        "wait",
    )

    def __init__(
        self,
        session: Session,
        backend: BackendConnection,
        *,
        client_write: Callable[[bytes], None],
        pause_client: Callable[[bool], None],
        fail: Callable[[BaseException], None],
        judge: Judge,
        recorder: Recorder,
        clock: Callable[[], float],
        reader: MessageReader,
        max_prepared: int,
        verbatim_errors: bool,
    ) -> None:
        self.session = session
        self.backend = backend
        self.client_write = client_write
        self.pause_client = pause_client
        self.fail = fail  # ends the session with an error, where no caller is there to raise to
        self.recorder = recorder
        self.clock = clock
        self.reader = reader
        self.queue: expected.ExpectedQueue = deque()
        self.relay = ReplyRelay(self.queue, client_write, self, verbatim_errors=verbatim_errors)
        self.status = _IDLE
        self.skipping = False
        self.wait = Wait.NOTHING
        self.ended = False
        self.ddl_pending = False
        limit = session.tenant.quotas.statement_timeout_ms
        self.timeout_s = limit / 1000 if limit else 0.0
        self._statements = PreparedStatements(max_prepared)
        self._parses: dict[bytes, KnownParse] = {}
        self._portals = Portals(max_prepared)
        self._request = 0  # Syncs sent: the number of the request that is being sent
        self._answered = 0  # Syncs answered
        self._judge = judge
        self._sql_prepared = SqlPrepared()
        self._notifications = Notifications(session, own_database=verbatim_errors)
        self._copy: CopyIn | None = None
        self._crowded = False  # the client is not read until the queue is shorter
        self._held = HeldMessages()
        self._in_request = False  # extended messages were sent and no Sync behind them
        self._running = 0  # statements admitted and not ended
        self._out: list[bytes] = []

    # From the client

    def client_data(self, data: bytes) -> None:
        """Bytes from the client. Raises RemoteProtocolError when it breaks the protocol: end the connection."""
        self.session.totals.bytes_received += len(data)
        try:
            for tag, message in self.reader.feed(data):
                if self.wait is not Wait.NOTHING:
                    self._held.append(tag, message)
                elif self._copy is not None:
                    self._on_message_in_copy(tag, message)
                elif self.skipping and tag not in (_SYNC, _TERMINATE):
                    continue
                else:
                    _HANDLERS[tag](self, message)
                if self.ended:
                    break
        finally:
            self._flush()
        if len(self.queue) > _MAX_QUEUE or self._held.is_full:
            self._crowded = True
            self.pause_client(True)

    def _dispatch(self, tag: int, message: bytes) -> None:
        if self._copy is not None:
            self._on_message_in_copy(tag, message)
        elif not self.skipping or tag in (_SYNC, _TERMINATE):
            _HANDLERS[tag](self, message)

    def _flush(self) -> None:
        if self._out:
            out = self._out
            self.backend.write(out[0] if len(out) == 1 else b"".join(out))
            out.clear()

    def _wait_with(self, message: bytes, wait: Wait) -> None:
        """Handle this message again, and those behind it, when what it waits for is there."""
        self.wait = wait
        self._held.put_back(message)

    def _release_held(self) -> None:
        """Handle what was held back; stops when something must be waited for again."""
        self.wait = Wait.NOTHING
        while len(self._held) and self.wait is Wait.NOTHING and not self.ended:
            self._dispatch(*self._held.take())
        self._flush()

    def _compile_ahead(self, text: str, message: bytes) -> bool:
        """Whether `message` has to wait for its long text to be compiled."""
        if not self._judge.compile_ahead(text, self.clock(), lambda: not self.ended, self._on_compiled):
            return False
        self._wait_with(message, Wait.COMPILATION)
        return True

    def _on_compiled(self) -> None:
        if self.ended:
            return
        try:
            self._release_held()
        except Exception as error:
            self.fail(error)

    # Simple query

    def _on_query(self, message: bytes) -> None:
        body = messages.decode_query(message)
        try:
            text = self._judge.decode(body)
        except _REFUSALS as error:
            self._refuse_query(error, body.decode("utf-8", "replace"), None)
            return
        template: Template | None = None
        try:
            if self._judge.is_costly(text) and self._compile_ahead(text, message):
                return
            template, literals = self._judge.judge(text)
            if not template.plain:
                if self._hangs_on_answers(template):
                    self._wait_with(message, Wait.ANSWERS)
                    return
                self._check_special(template)
            self._admit()
        except _REFUSALS as error:
            self._refuse_query(error, text, template)
            return
        self._in_request = False
        self._begin(expected.QUERY, template, literals, text)
        self._out.append(messages.encode_query(template.text(literals).encode()))

    def _hangs_on_answers(self, template: Template) -> bool:
        """Whether it executes by a name that a PREPARE before it, which is under way, may give."""
        executes = any(plan.session_action[:1] == ("execute",) for plan in template.compiled.plans)
        return executes and bool(self.queue) and not self._in_request

    def _check_special(self, template: Template) -> None:
        """Refuse what is refused, check what needs the session's state."""
        denial = template.compiled.denial
        if denial is not None:
            raise denial
        for plan in template.compiled.plans:
            if plan.session_action:
                self._sql_prepared.admit(plan, self._statements, self.session.generation)
            if plan.session_action[:1] == ("listen",):
                self._notifications.listen(plan.session_action[1])

    def _admit(self) -> None:
        """Audit can take it, quotas have room for it. Raises AuditUnavailable or QuotaExceeded."""
        self.recorder.check_available()
        self.session.usage.admit_statement(self.clock(), pipelined=self._running > 0)
        self._running += 1

    def _begin(self, kind: int, template: Template, literals: tuple[str, ...], text: str) -> Running:
        now = self.clock()
        running = Running(kind, template, literals, text, now, now + self.timeout_s if self.timeout_s else 0.0)
        running.start_bytes = self.relay.bytes_in
        self.queue.append(running)
        if not template.plain:
            kinds = {plan.kind for plan in template.compiled.plans}
            if StatementKind.COPY_IN in kinds:
                self.wait = Wait.COPY
            self.ddl_pending = self.ddl_pending or StatementKind.DDL in kinds
        return running

    def _refuse_query(self, error: TenantGateError, text: str, template: Template | None) -> None:
        self._record_refusal(error, text, template, "simple")
        if not self.queue and self.status == _IDLE and not self._out and not self._in_request:
            self.client_write(error_reply(error) + replies.READY_IDLE)
            return
        self._in_request = False
        self.queue.append(Expected(expected.REFUSED_QUERY, error=error))
        self._out.append(_FAILING_QUERY)

    # Extended query

    def _on_parse(self, message: bytes) -> None:
        known = self._parses.get(message)
        if known is None or known.generation != self.recorder.generation():
            known = self._parse(message)
            if known is None:
                return
        entry = known.entry
        try:
            self._statements.announce(entry.name or b"", entry.prepared, self._request)
        except StatementRefused as error:
            self._fail(error, "", None)
            return
        self._in_request = True
        self.queue.append(entry)
        self._out.append(known.sent)

    def _parse(self, message: bytes) -> KnownParse | None:
        """Judge a Parse; drivers send the same one again and again, so it is kept. None: it was refused."""
        name, query, types = messages.decode_parse(message)
        text, template = query.decode("utf-8", "replace"), None
        try:
            text = self._judge.decode(query)
            if self._judge.is_costly(text) and self._compile_ahead(text, message):
                return None
            template, literals = self._judge.judge(text)
            prepared = self._prepare(text, types, template, literals)
        except _REFUSALS as error:
            if not name:
                self._statements.forget(name)
            self._fail(error, text, template)
            return None
        entry = Expected(expected.PARSE, name=name, prepared=prepared)
        known = KnownParse(entry, messages.encode_parse(name, prepared.sent.encode(), types), prepared.generation)
        if len(message) <= _MAX_KNOWN_BYTES:
            if len(self._parses) >= _MAX_KNOWN_PARSES:
                self._parses.clear()
            self._parses[message] = known
        return known

    def _prepare(self, text: str, types: bytes, template: Template, literals: tuple[str, ...]) -> Prepared:
        denial = template.compiled.denial
        if denial is not None:
            raise denial
        if len(template.compiled.plans) > 1:
            raise InvalidStatement("cannot insert multiple commands into a prepared statement")
        if template.first is not None and not self.relay.verbatim_errors:
            check_declared_types(template.first, types)
        return Prepared(text, types, template, literals, self.session.generation)

    def _on_bind(self, message: bytes) -> None:
        portal, name = messages.decode_bind(message)
        if self._statements.announced_before(name, self._request):
            self._wait_with(message, Wait.ANSWERS)
            return
        prepared: Prepared | None = None
        try:
            prepared = self._statements.find(name)
            if prepared.generation != self.recorder.generation():
                if self._judge.is_costly(prepared.text) and self._compile_ahead(prepared.text, message):
                    return
                prepared = self._prepare_again(name, prepared)
            self._portals.bind(portal, prepared, self._request)
        except _REFUSALS as error:
            self._fail(error, prepared.text if prepared else "", prepared.template if prepared else None)
            return
        self._in_request = True
        self.queue.append(Expected(expected.BIND, name=portal) if portal else EXPECT_BIND)
        self._out.append(message)

    def _prepare_again(self, name: bytes, prepared: Prepared) -> Prepared:
        """Policy or catalog changed: judge the statement anew and, when it became another, prepare it again, unseen."""
        again = self._prepare(prepared.text, prepared.types, *self._judge.judge(prepared.text))
        announced = self._statements.is_announced(name)
        if again.sent == prepared.sent:
            if not announced:
                self._statements.replace(name, again)
            return again
        if announced:
            raise InvalidStatement("the policy changed meanwhile", sqlstate="26000", hint="Prepare it again.")
        self._statements.announce(name, again, self._request)
        self.queue.append(expected.SWALLOW_CLOSE)
        self.queue.append(Expected(expected.PARSE, forward=False, name=name, prepared=again))
        self._out.append(messages.encode_close_statement(name))
        self._out.append(messages.encode_parse(name, again.sent.encode(), again.types))
        return again

    def _on_describe(self, message: bytes) -> None:
        self._in_request = True
        if message == _DESCRIBE_UNNAMED_PORTAL:
            self.queue.append(EXPECT_DESCRIBE)
            self._out.append(message)
            return
        kind, name = messages.decode_target(message, "Describe")
        if kind == _STATEMENT and self._statements.announced_before(name, self._request):
            self._wait_with(message, Wait.ANSWERS)
            return
        try:
            if kind == _STATEMENT:
                self._statements.find(name)
        except _REFUSALS as error:
            self._fail(error, "", None)
            return
        self.queue.append(EXPECT_DESCRIBE)
        self._out.append(message)

    def _on_execute(self, message: bytes) -> None:
        name, max_rows = _UNNAMED_ALL if message == _EXECUTE_UNNAMED else messages.decode_execute(message)
        portal, request = self._portals.find(name)
        if portal is None:
            portal = cursor(name)
        elif request != self._request and self._answered != self._request:
            self._wait_with(message, Wait.ANSWERS)
            return
        try:
            self._judge.follow_policy()
            if portal.generation not in (self.session.generation, ANY_GENERATION):
                if self._judge.is_costly(portal.text) and self._compile_ahead(portal.text, message):
                    return
                self._check_unchanged(portal)
            if not portal.template.plain:
                self._check_special(portal.template)
            self._admit()
        except _REFUSALS as error:
            self._fail(error, portal.text, portal.template)
            return
        plan = portal.template.first
        if plan is not None and plan.kind is StatementKind.COPY_IN:
            self._execute_copy(portal)
            return
        running = self._begin(expected.EXECUTE, portal.template, portal.literals, portal.text)
        running.max_rows = max(max_rows, 0)
        self._out.append(message)

    def _execute_copy(self, copy: Prepared) -> None:
        """Run a COPY FROM under a name of our own: its data are stamped by the very plan that asks for them.

        Whatever the client made of its own names, by protocol or by SQL, no other COPY can take its place.
        """
        self.queue.extend((expected.SWALLOW_CLOSE, expected.SWALLOW_CLOSE))
        self.queue.append(Expected(expected.PARSE, forward=False, prepared=copy))
        self.queue.append(expected.SWALLOW_BIND)
        self._begin(expected.EXECUTE, copy.template, copy.literals, copy.text).own_copy = True
        self._out.append(_CLOSE_COPY + messages.encode_parse(_COPY_NAME, copy.sent.encode()) + _RUN_COPY)

    def _check_unchanged(self, portal: Prepared) -> None:
        """A portal that was bound under an older policy goes on if that statement would still be sent as it was."""
        template, literals = self._judge.judge(portal.text)
        if template.compiled.denial is not None or template.text(literals) != portal.sent:
            raise InvalidStatement(
                "the portal was opened under an older policy", sqlstate="34000", hint="Run the statement again."
            )

    def _on_close(self, message: bytes) -> None:
        kind, name = messages.decode_target(message, "Close")
        self._in_request = True
        if kind == _STATEMENT:
            self._statements.announce(name, None, self._request)
            self.queue.append(Expected(expected.CLOSE, name=name))
        else:
            self._portals.drop(name)
            self.queue.append(expected.EXPECT_CLOSE)
        self._out.append(message)

    def _on_flush(self, message: bytes) -> None:
        if message != messages.FLUSH:
            raise RemoteProtocolError("invalid message format in Flush")
        self._out.append(message)

    def _on_sync(self, message: bytes) -> None:
        if message != messages.SYNC:
            raise RemoteProtocolError("invalid message format in Sync")
        self.skipping = self._in_request = False
        self._request += 1
        self.queue.append(EXPECT_SYNC)
        self._out.append(message)

    def _on_function_call(self, _message: bytes) -> None:
        error = UnsupportedStatement(
            "function calls by OID are not supported",
            hint="Call the function in a SELECT statement.",
        )
        self._record_refusal(error, "", None, "function_call")
        self._in_request = False
        self.queue.append(Expected(expected.REFUSED_QUERY, error=error))
        self._out.append(_FAILING_QUERY)

    def _fail(self, error: TenantGateError, text: str, template: Template | None) -> None:
        """Refuse a message of an extended request: the target fails in its place and skips to Sync, and so do we."""
        self._record_refusal(error, text, template, "extended")
        self._in_request = self.skipping = True
        self.queue.append(Expected(expected.REFUSED, error=error))
        self._out.append(_FAILING_BIND)

    def _record_refusal(self, error: TenantGateError, text: str, template: Template | None, protocol: str) -> None:
        if not isinstance(error, StatementRefused):
            return
        plans = template.compiled.plans if template is not None else ()
        plan = next((plan for plan in plans if plan.denial is not None), plans[0] if plans else None)
        self.recorder.refused(self.session, error, text, plan, protocol)

    # COPY FROM STDIN

    def _on_stray_copy_message(self, _message: bytes) -> None:
        """Outside of COPY these are discarded, as the server does: a COPY that failed leaves them behind."""

    def _on_message_in_copy(self, tag: int, message: bytes) -> None:
        assert self._copy is not None
        if tag in (_SYNC, _FLUSH):
            return  # ignored by the server during COPY FROM STDIN
        if tag == _TERMINATE:
            self._on_terminate(message)
            return
        out = self._copy.client_message(tag, message)
        if out:
            self._out.append(out)
        if self._copy.finished:
            failure = self._copy.failure
            self._copy = None
            if failure is not None:
                self._replace_copy_error(failure)
            self.wait = Wait.COPY if self._copy_may_follow() else Wait.NOTHING

    def _replace_copy_error(self, failure: TenantGateError) -> None:
        for entry in self.queue:
            if isinstance(entry, Running):
                entry.error = failure
                return

    def _copy_may_follow(self) -> bool:
        """Another COPY FROM in the same query string: wait again."""
        head = self.queue[0] if self.queue else None
        if not isinstance(head, Running) or head.kind != expected.QUERY:
            return False
        return any(plan.kind is StatementKind.COPY_IN for plan in head.plans[head.index + 1 :])

    def copy_in_started(self, message: bytes) -> bytes | None:
        """The target asks for data (CopyInResponse); returns what the client is told instead, if anything."""
        head = self.queue[0] if self.queue else None
        if not isinstance(head, Running) or not (head.kind == expected.QUERY or head.own_copy):
            raise RemoteProtocolError("COPY FROM STDIN under a name that does not stand for it")
        plan = head.plan
        if plan is None or plan.kind is not StatementKind.COPY_IN:
            raise RemoteProtocolError("COPY FROM STDIN under a portal or a name that does not stand for it")
        stamp = plan.copy_stamp
        self._copy = CopyIn(stamp, self.session.tenant.value)
        if stamp is not None and stamp.tenant_index is None:
            return replies.copy_in_without_last_column(message)
        return None

    # The rest

    def _on_password(self, _message: bytes) -> None:
        raise RemoteProtocolError("invalid frontend message type 112")

    def _on_terminate(self, _message: bytes) -> None:
        self.ended = True

    # From the backend

    def backend_data(self, data: bytes) -> None:
        """Bytes from the backend. Raises LocalProtocolError when it is out of step: end both connections."""
        self.relay.feed(data)
        if self.wait is not Wait.NOTHING and self._may_go_on():
            self._release_held()
        if self._crowded and len(self.queue) < _MAX_QUEUE // 2 and not self._held.is_full:
            self._crowded = False
            self.pause_client(False)

    def _may_go_on(self) -> bool:
        """What is waited for is there."""
        if self.wait is Wait.ANSWERS:
            return self._answered == self._request
        return self.wait is Wait.COPY and (self._copy is not None or not self._statement_runs())

    def _statement_runs(self) -> bool:
        return any(entry.kind in (expected.QUERY, expected.EXECUTE) for entry in self.queue)

    def statement_ended(self, running: Running, outcome: str, sqlstate: str, rows: int, size: int) -> None:
        plan = running.plan
        if plan is not None and plan.command in _CURSOR_COMMANDS:
            self._portals.clear()
        if plan is not None and plan.session_action and outcome == "ok":
            self._sql_prepared.apply(plan, self._statements, self.session.generation)
        if running.kind == expected.EXECUTE or running.failed or running.index + 1 >= len(running.plans):
            self._running -= 1
            if not self._running:
                self.session.usage.end_statement()
        if running.failed and running.error is not None:
            self._record_refusal(running.error, running.text, running.template, "copy")
            return
        self.recorder.ended(self.session, running, outcome, sqlstate, rows, size)

    def parse_ended(self, entry: Expected, done: bool) -> None:
        assert entry.name is not None
        if entry.kind == expected.BIND:
            self._portals.fail(entry.name, self._answered)
        elif done:
            self._statements.confirm(entry.name, entry.prepared, self._answered)
        else:
            self._statements.withdraw(entry.name, entry.prepared, self._answered)

    def request_failed(self, skipping: bool) -> None:
        self.skipping = skipping
        self._copy = None

    def parse_failed(self, prepared: Prepared, sqlstate: str) -> None:
        running = Running(expected.EXECUTE, prepared.template, prepared.literals, prepared.text, self.clock(), 0.0)
        self.recorder.ended(self.session, running, "error", sqlstate, 0, 0)

    def ready(self, status: int, is_sync: bool) -> None:
        self.status = self.backend.transaction_status = status
        self._answered += is_sync
        if status == _IDLE:
            done = self._answered == self._request and not self._in_request
            self._portals.end_transaction(self._answered, all_answered=done)

    def notification(self, message: bytes) -> bytes:
        return self._notifications.present(message, self.backend.pid)

    def map_position(self, entry: Expected, position: int) -> int:
        if isinstance(entry, Running):
            return client_position(entry.template.compiled, position, self.session.values, entry.literals)
        if entry.prepared is not None:
            prepared = entry.prepared
            return client_position(prepared.template.compiled, position, self.session.values, prepared.literals)
        return 0

    # For the frontend and the server

    @property
    def is_idle(self) -> bool:
        """No transaction is open and nothing is under way."""
        return self.status == _IDLE and not self.queue and not len(self._held) and self._copy is None

    @property
    def is_reusable(self) -> bool:
        """The backend may serve another session after a reset."""
        clean = self.relay.is_clean and self._copy is None and not self.skipping
        return clean and not self.backend.closed

    def overdue(self, now: float) -> bool:
        """The statement at the head has used up its tenant's statement timeout."""
        head = self.queue[0] if self.queue else None
        return isinstance(head, Running) and 0.0 < head.deadline <= now

    def abandon(self, outcome: str) -> None:
        """The session ends: what is under way is recorded with `outcome`."""
        self.ended = True
        while self.queue:
            entry = self.queue.popleft()
            if isinstance(entry, Running) and not entry.failed:  # those that failed are recorded
                entry.failed = True
                self.statement_ended(entry, outcome, "", 0, 0)
        if self._running:  # admitted, but an error came before it was sent
            self._running = 0
            self.session.usage.end_statement()


_SYNC, _FLUSH, _TERMINATE, _STATEMENT = b"SHXS"


_HANDLERS: dict[int, Callable[[Engine, bytes], None]] = {
    ord("Q"): Engine._on_query,
    ord("P"): Engine._on_parse,
    ord("B"): Engine._on_bind,
    ord("D"): Engine._on_describe,
    ord("E"): Engine._on_execute,
    ord("C"): Engine._on_close,
    ord("H"): Engine._on_flush,
    ord("S"): Engine._on_sync,
    ord("F"): Engine._on_function_call,
    ord("X"): Engine._on_terminate,
    ord("p"): Engine._on_password,
    ord("d"): Engine._on_stray_copy_message,
    ord("c"): Engine._on_stray_copy_message,
    ord("f"): Engine._on_stray_copy_message,
}
