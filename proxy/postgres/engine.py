"""A session at work: what the client asks, judged and sent on; what comes back, relayed and recorded.

Nothing here awaits: client messages are handled in the callback that brought them, and all that goes to the backend
leaves in one write. A refused statement never reaches the target; in its place a message goes that fails there, so that
the target itself does what PostgreSQL does after an error (skips to Sync, aborts the transaction), and the client gets
the refusal in place of that failure. What reads only, fast and little goes to a lane (lanes/), all else to a backend of
the session's own for the time of its transaction.

Messages are named as in the protocol ("Message Flow", PostgreSQL documentation chapter 55).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from policy.errors import TenantGateError, UnsupportedStatement
from policy.sql.plan import Plan, StatementKind
from proxy.errors import RemoteProtocolError
from proxy.lease import Lease
from proxy.postgres import expected
from proxy.postgres.begin_later import BeginLater
from proxy.postgres.conversation import IDLE, REFUSALS, TEMPORARY_TABLE, Equipment
from proxy.postgres.copying import CopyIn
from proxy.postgres.encodings import codec_of
from proxy.postgres.errors import error_reply
from proxy.postgres.expected import Expected, Running
from proxy.postgres.function_calls import statement_of
from proxy.postgres.held import Wait
from proxy.postgres.lanes.template import SharedTemplate
from proxy.postgres.prepared import Prepared
from proxy.postgres.relay import ReplyRelay
from proxy.postgres.reserved_names import END_STAGES, FAILING_QUERY
from proxy.postgres.result_limit import too_large
from proxy.postgres.settings import SessionSettings
from proxy.postgres.statements import SharedStatement
from proxy.postgres.wire import messages, replies
from proxy.session import Session, Template, client_position

_MAX_QUEUE: Final = 4096  # answers to come, before the client is no longer read
_CURSOR_COMMANDS: Final = frozenset({"DECLARE CURSOR", "CLOSE CURSOR", "DISCARD"})  # portals come and go by SQL
_ROLLBACK: Final = b"ROLLBACK"
_READING_COMMANDS: Final = ("SELECT", "COPY", "EXPLAIN")
_READING: Final = (StatementKind.READ, StatementKind.COPY_OUT)
_NO_RELATION: Final = ("42P01", "3F000")


class Engine(BeginLater):
    """Client messages in, backend messages out, and back."""

    __slots__ = ("_crowded", "_cutting", "_failed", "_rolled_back_last")

    def __init__(self, session: Session, lease: Lease, settings: SessionSettings, equipment: Equipment) -> None:
        super().__init__(session, lease, settings, equipment)
        self.relay = ReplyRelay(self.queue, self.client_write, self, verbatim_errors=self.verbatim_errors)
        self._cutting = False  # a result was cut in the chunk at hand
        self._crowded = False  # the client is not read until the queue is shorter
        self._failed = False  # the request whose answers come now has failed
        self._rolled_back_last = False  # the last of the transaction's commands was ROLLBACK

    # From the client

    def client_data(self, data: bytes) -> None:
        """Bytes from the client. Raises RemoteProtocolError when it breaks the protocol: end the connection."""
        self.session.totals.bytes_received += len(data)
        if self._lanes is not None and self._rides(data):
            return
        self._take(data)

    def _take(self, data: bytes) -> None:
        try:
            for tag, message in self.reader.feed(data):
                if self.wait != Wait.NOTHING:
                    self._held.append(tag, message)
                elif self._copy is not None:
                    self._on_message_in_copy(tag, message)
                elif self.skipping and tag not in (_SYNC, _TERMINATE):
                    continue
                elif not self.begun or self._has_begun(tag, message):
                    _HANDLERS[tag](self, message)
                if self.ended:
                    break
        finally:
            self._flush()
        if len(self.queue) > _MAX_QUEUE or self._held.is_full:
            self._crowd()
        elif self.backend is not None and not self.queue:
            self._release_if_free()

    def _crowd(self) -> None:
        """Do not read the client until the queue is shorter, and have the backend say what it has kept back."""
        self._crowded = True
        self.pause_client(True)
        if self._in_request and self._copy is None and self.backend is not None:
            self.backend.write(messages.FLUSH)

    def _dispatch(self, tag: int, message: bytes) -> None:
        if self._copy is not None:
            self._on_message_in_copy(tag, message)
        elif self.skipping and tag not in (_SYNC, _TERMINATE):
            return
        elif not self.begun or self._has_begun(tag, message):
            _HANDLERS[tag](self, message)

    # Simple query

    def _on_query(self, message: bytes) -> None:
        judged, self._judged = self._judged, None
        if judged is None:
            judged = self._judge_query(message)
            if judged is None:
                return
            if self._lanes is not None:
                self._shared_template(judged[1])
        text, template, literals = judged
        try:
            if not template.plain:
                if self._hangs_on_answers(template):
                    self._wait_with(message, Wait.SETTLED)
                    return
                self._check_special(template)
            if template.begins and self._may_begin_later(template):
                self._admit(template)
                self._begin_later(template, text)
                return
            if not self._has_backend(message):
                return
            sent = self._judge.encode(template.text(literals))
            self._admit(template)
        except REFUSALS as error:
            self._refuse_query(error, text, template)
            return
        self._in_request = False
        self._unnamed = None  # a Query ends the unnamed statement
        if not template.plain:
            self._make_real(template)
        if self._untried is not None:
            self._try_statement()
        statement: SharedStatement | None = None
        shared = template.shared
        if isinstance(shared, SharedTemplate):
            statement = shared.statement(literals)
            if self._may_run_shared(template, statement):
                self._run_shared(shared, statement, template, literals, text)
                return
        running = self._begin(expected.QUERY, template, literals, text)
        running.shared = statement
        self._out.append(messages.encode_query(sent))
        if self._settle_next:
            self._settle_next = False
            if self.wait == Wait.NOTHING:
                self.wait = Wait.SETTLED

    def _hangs_on_answers(self, template: Template) -> bool:
        """Whether it executes by a name that a PREPARE before it, which is under way, may give."""
        executes = any(plan.session_action[:1] == ("execute",) for plan in template.compiled.plans)
        return executes and bool(self.queue) and not self._in_request

    def _judge_query(self, message: bytes) -> tuple[str, Template, tuple[str, ...]] | None:
        """What a query string becomes; None when it was refused, or has to be compiled first."""
        body = messages.decode_query(message)
        text = ""
        try:
            if self._encoding_open and self._must_settle(body, message):
                return None
            text = self._judge.decode(body)
            if self._judge.is_costly(text) and self._compile_ahead(text, message):
                return None
            template, literals = self._judge.judge(text)
        except REFUSALS as error:
            self._refuse_query(error, text or body.decode("utf-8", "replace"), None)
            return None
        return text, template, literals

    def _refuse_query(self, error: TenantGateError, text: str, template: Template | None) -> None:
        self._record_refusal(error, text, template, "simple")
        if self.backend is None or not (self.queue or self.status != IDLE or self._out or self._in_request):
            self.client_write(error_reply(error, codec=self._judge.codec) + replies.READY_IDLE)
            return
        self._in_request = False
        self.queue.append(Expected(expected.REFUSED_QUERY, error=error))
        self._out.append(FAILING_QUERY)

    def _on_function_call(self, message: bytes) -> None:
        """Of large objects in a database of the tenant's own: judged as the SELECT that says the same."""
        text = statement_of(message) if self.verbatim_errors else None
        if text is None:
            self._refuse_function_call()
            return
        template: Template | None = None
        try:
            template, literals = self._judge.judge(text)
            self._check_special(template)
            if not self._has_backend(message):
                return
            self._admit(template)
        except REFUSALS as error:
            self._refuse_query(error, text, template)
            return
        self._in_request = False
        self._begin(expected.QUERY, template, literals, text)
        self._out.append(message)

    def _refuse_function_call(self) -> None:
        error = UnsupportedStatement(
            "function calls by OID are not supported",
            hint="Call the function in a SELECT statement.",
        )
        self._record_refusal(error, "", None, "function_call")
        if self.backend is None:
            self.client_write(error_reply(error, codec=self._judge.codec) + replies.READY_IDLE)
            return
        self._in_request = False
        self.queue.append(Expected(expected.REFUSED_QUERY, error=error))
        self._out.append(FAILING_QUERY)

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
            self._count_copy(self._copy.received)
            failure = self._copy.failure
            self._copy = None
            if failure is not None:
                self._replace_copy_error(failure)
            elif tag == _COPY_DONE:
                self._fill_from_stage()
            self.wait = Wait.COPY if self._copy_may_follow() else Wait.NOTHING

    def _fill_from_stage(self) -> None:
        """The rest of a COPY that the extended protocol has as several statements."""
        head = self.queue[0] if self.queue else None
        if isinstance(head, Running) and head.own_copy and head.template.stages:
            self._out.append(END_STAGES)

    def _count_copy(self, received: int) -> None:
        """For the audit."""
        head = self.queue[0] if self.queue else None
        if isinstance(head, Running):
            head.about = {**(head.about or {}), "copied_bytes": str(received)}

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
        if self._cutting:
            self._stop_cut()
        if self.wait != Wait.NOTHING and self._may_go_on():
            self.go_on()
        if self._crowded and len(self.queue) < _MAX_QUEUE // 2 and not self._held.is_full:
            self._crowded = False
            self.pause_client(False)
        if not self.queue:
            self._release_if_free()

    def _may_go_on(self) -> bool:
        """What is waited for is there."""
        if self.wait == Wait.ANSWERS:
            return self._answered == self._request
        if self.wait == Wait.SETTLED:
            return not self.queue
        return self.wait == Wait.COPY and (self._copy is not None or not self._statement_runs())

    def _statement_runs(self) -> bool:
        return any(entry.kind in (expected.QUERY, expected.EXECUTE) for entry in self.queue)

    def statement_ended(self, running: Running, outcome: str, sqlstate: str, rows: int, size: int) -> None:
        plan = running.plan
        if plan is not None and plan.pins and _has_run(outcome, sqlstate):
            self._pin(plan.pins)
        if plan is not None and not running.template.plain and outcome == "ok":
            if plan.settings:
                self.settings.changed(plan.settings)
            if plan.session_action:
                self._act(plan.session_action[0], plan.session_action)
                self._sql_prepared.apply(plan, self._statements, running)
                self._cursors.apply(plan, running)
        if plan is not None and plan.command in _CURSOR_COMMANDS:
            self._portals.clear()
        if running.kind == expected.EXECUTE or running.failed or running.index + 1 >= len(running.plans):
            self._running -= 1
            if not self._running:
                self.session.usage.end_statement()
        if running.failed and running.error is not None and not running.cut:
            self._record_refusal(running.error, running.text, running.template, "copy")
            return
        seconds = self.recorder.ended(self.session, running, outcome, sqlstate, rows, size)
        if self.relay.metered and running.bytes_left >= 0 and not running.failed:
            self.limit_result(running)  # of the next one in the query string
        if running.shared is not None and outcome == "ok":
            running.shared.observe(seconds, size)

    def _act(self, action: str, names: tuple[str, ...]) -> None:
        """PREPARE, DEALLOCATE, DISCARD was done."""
        if action == "deallocate":
            self._real_names.pop(names[1].encode(), None)
        elif action == "discard_all":
            self._unpin()

    def transaction_command_ended(self, tag: bytes) -> None:
        """BEGIN, COMMIT, ROLLBACK … has ended, with this command tag."""
        self._rolled_back_last = tag == _ROLLBACK
        if self._rolled_back_last:
            self.settings.rolled_back()

    def request_failed(self, skipping: bool) -> None:
        self._failed = True
        self._failures += 1
        self.skipping = skipping
        self._copy = None

    def parse_failed(self, prepared: Prepared, sqlstate: str) -> None:
        running = Running(expected.EXECUTE, prepared.template, prepared.literals, prepared.text, self.clock(), 0.0)
        self.recorder.ended(self.session, running, "error", sqlstate, 0, 0)

    def parameter_changed(self, name: str, value: str) -> None:
        if self.backend is not None:
            self.backend.parameters[name] = value
        if name == "client_encoding":
            self._judge.codec = self.relay.codec = codec_of(value)
            self._parses.clear()

    def ready(self, status: int, is_sync: bool) -> bytes:
        """What comes before the ReadyForQuery: notices about quotas."""
        self.status = status
        backend = self.backend
        assert backend is not None
        backend.transaction_status = status
        self._answered += is_sync
        failed, self._failed = self._failed, False
        if status == IDLE:
            self._encoding_open = self._encoding_open and bool(self.queue)
            done = self._answered == self._request and not self._in_request
            self._portals.end_transaction(self._answered, all_answered=done)
            if done and not self.queue:
                self._cursors.end_transaction()
            self._settings_ended(failed)
        else:
            self.settings.transaction_goes_on()
        return self.take_notices() if self.session.usage.alerts.count != self.session.alerts_seen else b""

    # Results that are cut

    def result_cut(self, running: Running) -> TenantGateError:
        """Why; the target is told to stop when this chunk does not bring the statement's end."""
        self._cutting = True
        plan, ledger = running.plan, self.session.usage.ledger
        if plan is not None and running.bytes_left == plan.byte_limit and running.rows_left > 0:
            return too_large(plan.byte_limit, plan.limited_by)
        assert ledger is not None
        return ledger.cut(running.rows_shown, time.time())

    def _stop_cut(self) -> None:
        self._cutting = False
        head = self.queue[0] if self.queue else None
        if isinstance(head, Running) and head.cut and not head.failed and self.backend is not None:
            self._spawn(self.lease.cancel())

    def check_only_read(self, running: Running) -> None:
        """The target has done a statement that the client is told has failed. That is true when all of its request only
        reads, and nothing behind it counts on it. Raises what ends the session otherwise."""
        behind = list(self.queue)[1:]
        if running.kind == expected.EXECUTE:
            syncs = [at for at, entry in enumerate(behind) if entry.kind == expected.SYNC]
            own = behind[: syncs[0]] if syncs else behind
            wrote = self._wrote_in == self._request - len(syncs)
            simple = not wrote and all(entry.kind == expected.CLOSE for entry in own)
            behind = behind[len(own) + 1 :]
        else:
            simple = True
        if simple and all(_only_reads(plan) for plan in running.plans) and not (behind and self.status != IDLE):
            return
        assert running.error is not None
        raise TenantGateError(
            running.error.message,
            sqlstate=running.error.sqlstate,
            detail="The statement may have taken effect all the same, so the session ends.",
            hint=running.error.hint,
        )

    def abort_transaction(self, is_sync: bool) -> None:
        """The client was told of an error that the target knows nothing of: its transaction has to fail."""
        self._answered += is_sync
        assert self.backend is not None
        self.queue.append(Expected(expected.REFUSED_QUERY, forward=False))
        self.backend.write(FAILING_QUERY)

    def _settings_ended(self, failed: bool) -> None:
        """A transaction has ended, and what it set with it holds or not."""
        backend, settings = self.backend, self.settings
        assert backend is not None
        if not settings.pending:
            return
        there = settings.transaction_ended(
            backend.settings,
            backend.parameters["DateStyle"],
            failed=failed,
            committed_last=not self._rolled_back_last,
        )
        backend.settings = there
        if settings.doubtful:
            self._pin("settings that a savepoint may have changed")
            backend.settings = settings.current
        elif not self.pinned:
            self._lanes = self.lanes_for(settings.current)

    def notification(self, message: bytes) -> bytes:
        return self._notifications.present(message, 0 if self.backend is None else self.backend.pid)

    def map_position(self, entry: Expected, position: int) -> int:
        if isinstance(entry, Running):
            if entry.from_query:
                return 0
            return client_position(entry.template.compiled, position, self.session.values, entry.literals)
        if entry.prepared is not None:
            prepared = entry.prepared
            return client_position(prepared.template.compiled, position, self.session.values, prepared.literals)
        return 0

    # For the frontend and the server

    def client_reads(self, reads: bool) -> None:
        """The client takes what is written to it, or does not: then its backend is not read either."""
        self._client_full = not reads
        if self.rides:
            self.pause_lane(not reads)
        elif self.backend is not None and reads:
            self.backend.resume_reading()
        elif self.backend is not None:
            self.backend.pause_reading()

    @property
    def is_idle(self) -> bool:
        """No transaction is open and nothing is under way."""
        nothing = not self.queue and not len(self._held) and self._copy is None
        return self.status == IDLE and nothing and not self.rides

    @property
    def mid_message(self) -> bool:
        """The client has got a part of a message: what is written now would be taken for the rest of it."""
        return self.riding.cut if self.riding is not None else self.relay.mid_message

    @property
    def farewell(self) -> bool:
        """The client knows already why its backend is lost."""
        return self.relay.farewell

    @property
    def is_active(self) -> bool:
        """A statement is under way, or waits for a backend."""
        return bool(self.queue) or self.rides or self.wait == Wait.BACKEND

    def discard(self) -> None:
        """The session is over, and nothing comes from a backend any more."""
        self.relay.discard()

    def rest(self) -> None:
        """The client has said nothing for a while: let go of what is made anew in microseconds."""
        self.session.forget_templates()
        self._judge.forget()

    @property
    def is_reusable(self) -> bool:
        """The backend, if there is one, may serve another session after a reset."""
        return self.relay.is_clean and self._copy is None and not self.skipping

    def overdue(self, now: float) -> bool:
        """The statement that runs has used up its tenant's statement timeout."""
        runs = self.riding if self.rides else next((each for each in self.queue if isinstance(each, Running)), None)
        return runs is not None and 0.0 < runs.deadline <= now

    def cancel_locally(self) -> bool:
        """Cancel a statement that no backend of this session runs: on a lane, or waiting. Whether there was one."""
        if self.wait == Wait.BACKEND:
            self.lease.stop_waiting()
            self.unserved(_cancelled())
            return True
        return self.cancel_ride(_cancelled())

    def abandon(self, outcome: str) -> None:
        """The session ends: what is under way is recorded with `outcome`."""
        self.ended = True
        self.abandon_ride(outcome)
        while self.queue:
            entry = self.queue.popleft()
            if isinstance(entry, Running) and not entry.failed:  # those that failed are recorded
                entry.failed = True
                self.statement_ended(entry, outcome, "", 0, 0)
        if self._running:  # admitted, but an error came before it was sent
            self._running = 0
            self.session.usage.end_statement()


def _only_reads(plan: Plan) -> bool:
    if plan.write or plan.settings or plan.grows or plan.pins not in ("", TEMPORARY_TABLE):
        return False
    of_temporary = plan.kind is StatementKind.UTILITY and plan.command in _READING_COMMANDS
    return of_temporary or plan.kind in _READING or plan.session_action[:1] == ("fetch",)


def _has_run(outcome: str, sqlstate: str) -> bool:
    """Whether a statement may have left something on its backend; one whose relation is not there has not."""
    return outcome not in ("", "skipped") and not (outcome == "error" and sqlstate in _NO_RELATION)


def _cancelled() -> TenantGateError:
    return TenantGateError("canceling statement due to user request", sqlstate="57014")


_COPY_DONE: Final = ord("c")
_SYNC: Final = ord("S")
_FLUSH: Final = ord("H")
_TERMINATE: Final = ord("X")


_HANDLERS: Final[dict[int, Callable[[Engine, bytes], None]]] = {
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
