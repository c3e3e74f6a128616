"""What all of a session's conversation needs: a backend, brought up to date; writing to it; waiting; admission.

A session holds a backend while a request or a transaction is under way. It keeps it when it is `pinned`: by something
that cannot be carried to another (a temporary table, LISTEN, a statement prepared in SQL …), or because its tenant
pools sessions.
"""

from __future__ import annotations

import re
import time
from collections import deque
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Final

from policy.errors import AccessDenied, InvalidStatement, StatementRefused, TenantGateError, UnsupportedStatement
from policy.sql.plan import StatementKind
from proxy.audit.errors import AuditUnavailable
from proxy.audit.parameters import Bound
from proxy.errors import LocalProtocolError
from proxy.lease import Lease
from proxy.postgres import expected
from proxy.postgres.backend import BackendConnection
from proxy.postgres.copying import CopyIn
from proxy.postgres.errors import error_reply
from proxy.postgres.expected import Expected, Running
from proxy.postgres.held import HeldMessages, Wait
from proxy.postgres.judge import Judge
from proxy.postgres.lanes.group import Lanes
from proxy.postgres.leftovers import take_leftovers
from proxy.postgres.notifications import Notifications
from proxy.postgres.portals import Portals
from proxy.postgres.prepared import Prepared, PreparedStatements
from proxy.postgres.recorder import Recorder
from proxy.postgres.relay import ReplyRelay
from proxy.postgres.reserved_names import FAILING_QUERY
from proxy.postgres.result_limit import APPROVAL
from proxy.postgres.search_path import PATH
from proxy.postgres.settings import SessionSettings, Settings, setting_statements
from proxy.postgres.sql_cursors import SqlCursors
from proxy.postgres.sql_prepared import SqlPrepared
from proxy.postgres.statements import SharedStatement, StatementBook
from proxy.postgres.wire import messages, replies
from proxy.postgres.wire.framing import MessageReader
from proxy.quota_ledger import UNBOUNDED, Ledger
from proxy.session import Session, Template

IDLE: Final = ord("I")
IN_TRANSACTION: Final = ord("T")
FAILED: Final = ord("E")
REFUSALS: Final = (StatementRefused, AuditUnavailable)  # of a statement; other errors end the session
SESSION_POOLING: Final = "session pooling"
SQL_PREPARED: Final = "statement prepared in SQL"
TEMPORARY_TABLE: Final = "temporary table"  # as policy/sql has it: a statement that fails has made and found none
_QUERY: Final = ord("Q")
_NO_NOTICES: Final = ("warning", "error")  # values of client_min_messages
_NOTICE_HINT: Final = "SHOW QUOTA tells how much is left."


@dataclass(frozen=True, slots=True)
class Equipment:
    """What the gateway gives a session to work with.

    lanes_for: the lanes for sessions with these settings, None for none. settled: told when a request was answered
    without the backend's bytes passing the frontend.
    """

    judge: Judge
    recorder: Recorder
    clock: Callable[[], float]
    reader: MessageReader
    max_prepared: int
    verbatim_errors: bool
    book: StatementBook
    lanes_for: Callable[[Settings], Lanes | None]
    spawn: Callable[[Coroutine[object, object, None]], None]
    client_write: Callable[[bytes], None]
    pause_client: Callable[[bool], None]
    fail: Callable[[BaseException], None]
    settled: Callable[[], None]


class Conversation:
    """`status`: the transaction status of the last ReadyForQuery. `skipping`: all up to Sync is discarded.
    `wait`: what the client's messages are held back for. `pinned`: why the backend is kept, "" when it is not; what
    the session itself did counts more than that its tenant pools by session. `begun`: the client has a transaction that
    no backend knows of yet (begin_later.py)."""

    __slots__ = (
        "_answered",
        "_client_full",
        "_copy",
        "_cursors",
        "_encoding_open",
        "_failures",
        "_for_now",
        "_held",
        "_in_request",
        "_judge",
        "_keeps",
        "_lanes",
        "_notifications",
        "_out",
        "_own_path",
        "_portals",
        "_readmitted",
        "_real_names",
        "_request",
        "_request_again",
        "_running",
        "_settle_next",
        "_spawn",
        "_sql_prepared",
        "_statements",
        "_unnamed",
        "_wrote",
        "_wrote_in",
        "altered",
        "backend",
        "begun",
        "book",
        "client_write",
        "clock",
        "ddl_pending",
        "ended",
        "fail",
        "lanes_for",
        "lease",
        "pause_client",
        "pinned",
        "queue",
        "reader",
        "recorder",
        "relay",
        "session",
        "settings",
        "settled",
        "skipping",
        "status",
        "tables_made",
        "timeout_s",
        "verbatim_errors",
        "wait",
    )

    relay: ReplyRelay

    def __init__(self, session: Session, lease: Lease, settings: SessionSettings, equipment: Equipment) -> None:
        self.session = session
        self.lease = lease
        self.settings = settings
        self.backend: BackendConnection | None = lease.backend
        self._keeps = session.tenant.pooling == "session"
        self.client_write = equipment.client_write
        self.pause_client = equipment.pause_client
        self.fail = equipment.fail  # ends the session with an error, where no caller is there to raise to
        self.settled = equipment.settled
        self.recorder = equipment.recorder
        self.clock = equipment.clock
        self.reader = equipment.reader
        self.book = equipment.book
        self.lanes_for = equipment.lanes_for
        self.verbatim_errors = equipment.verbatim_errors
        self.queue: expected.ExpectedQueue = deque()
        self.status = IDLE
        self.begun = False
        self.skipping = False
        self.wait: int = Wait.NOTHING
        self.ended = False
        self.ddl_pending = False
        self.altered = False  # the transaction, or what was sent of it, has altered something
        self._for_now: list[SharedStatement] = []  # prepared since then
        quotas = session.tenant.quotas
        limit = None if quotas.is_soft("statement_timeout") else quotas.statement_timeout_ms
        self.timeout_s = limit / 1000 if limit else 0.0
        self.tables_made = 0  # that the gateway's catalog does not know of yet
        self._judge = equipment.judge
        self._spawn = equipment.spawn
        self._statements = PreparedStatements(equipment.max_prepared)
        self._portals = Portals(equipment.max_prepared)
        self._sql_prepared = SqlPrepared()
        self._cursors = SqlCursors()
        self._notifications = Notifications(session, own_database=equipment.verbatim_errors)
        self._real_names: dict[bytes, int] = {}  # the client's own names that its backend may have: `_failures` of then
        self._failures = 0  # requests that failed: what they were to define, nobody knows
        self._wrote = False  # on the backend that the session has
        self._wrote_in = -1  # the number of the last extended request that wrote
        self._unnamed: Prepared | None = None  # the backend's unnamed statement
        self._request = 0  # Syncs sent: the number of the request that is being sent
        self._answered = 0  # Syncs answered
        self._copy: CopyIn | None = None
        self._held = HeldMessages()
        self._in_request = False  # extended messages were sent and no Sync behind them
        self._encoding_open = False  # how the client's texts are encoded may hang on answers to come
        self._settle_next = False  # what comes behind this request waits for its outcome
        self._running = 0  # statements admitted and not ended
        self._readmitted = False  # the next statement was admitted before
        self._request_again = 0  # and recorded before, under this number
        self._client_full = False  # the client does not read
        self._out: list[bytes] = []
        self._lanes: Lanes | None = None
        self._own_path = False  # the search_path is its backend's: a text may mean other tables from Parse to Parse
        self.pinned = ""
        self._unpin()

    # A backend

    def _has_backend(self, message: bytes) -> bool:
        """Whether `message` can be handled now: there is a backend and it is set as the session wants it."""
        backend = self.backend
        if backend is None:
            backend = self.backend = self.lease.take_nowait()
            if backend is None:
                self._wait_with(message, Wait.BACKEND)
                self._spawn(self._acquire())
                return False
            self._attached(backend)
        if backend.settings is not self.settings.current:
            self._bring_settings(backend)
        return True

    async def _acquire(self) -> None:
        """Wait for a backend and go on; an error is the answer to the message that waits."""
        try:
            backend = await self.lease.take()
        except TenantGateError as error:
            if self.wait == Wait.BACKEND and not self.ended:
                self.unserved(error)
            return
        if self.ended or self.wait != Wait.BACKEND:
            if backend is not self.backend:  # what waited was cancelled meanwhile
                self.lease.let_go()
            return
        self.backend = backend
        self._attached(backend)
        self.go_on()

    def _attached(self, backend: BackendConnection) -> None:
        self._unnamed = None
        if self._client_full:
            backend.pause_reading()
        if backend.left:
            self._sweep(backend)
        if self.begun:
            self._begin_there(backend)

    def _sweep(self, backend: BackendConnection) -> None:
        """Before the session's first request there, unseen: nothing is found of what others left, nor of its own, which
        it may have made elsewhere since."""
        wanted = self.settings.current
        statements = take_leftovers(backend)
        statements += setting_statements(backend.settings, wanted)
        backend.settings = wanted
        self._send_unseen("; ".join(statements), "what was left on the target could not be taken away")

    def _send_unseen(self, sql: str, failure: str) -> None:
        """Before a request of the client's; the session ends with `failure` when the target does not do it."""
        self.queue.append(Expected(expected.PREFIX, forward=False, error=LocalProtocolError(failure)))
        self._out.append(messages.encode_query(sql.encode()))

    def _bring_settings(self, backend: BackendConnection) -> None:
        """Before a request: what differs is set, unseen. Within one, the backend itself keeps what is set."""
        wanted = self.settings.current
        if self._in_request or self.queue or self.status != IDLE:
            return
        self._send_settings(backend, wanted)

    def _send_settings(self, backend: BackendConnection, wanted: Settings) -> None:
        if backend.settings != wanted:
            statements = "; ".join(setting_statements(backend.settings, wanted))
            self._send_unseen(statements, "the session's settings could not be brought to the target")
        backend.settings = wanted

    def _begin_there(self, backend: BackendConnection) -> None:
        """The BEGIN that waits; one that has failed meanwhile fails there, too."""
        self.begun = False
        self._send_settings(backend, self.settings.current)
        self._send_unseen("BEGIN", "the transaction could not be begun on the target")
        if self.status == FAILED:
            self.queue.append(expected.SWALLOW_PREFIX)
            self._out.append(FAILING_QUERY)
        backend.transaction_status = self.status

    def _is_free(self) -> bool:
        """Nothing is under way and nothing of the session is on its backend."""
        return not (
            self.pinned
            or self.status != IDLE
            or self._in_request
            or self._out
            or self.wait != Wait.NOTHING
            or self._copy is not None
            or self.skipping
        )

    def backend_leaves(self) -> bool:
        """The target ends the connection behind the last answer. Whether the session does without: then it is not
        told, and the next one is not lent it."""
        if self.backend is None or self._real_names or not self._is_free():
            return False
        self.backend.close()
        return True

    def _release_if_free(self) -> None:
        """Give the backend back when the session does without."""
        if self.backend is None or not self.relay.is_clean or not self._is_free():
            return
        if self._real_names:  # what was to drop them failed: the next session would find them
            self._pin(SQL_PREPARED)
            return
        self.backend = self._unnamed = None
        self._wrote = False
        self.lease.let_go()

    def unserved(self, error: TenantGateError) -> None:
        """No backend could be had (or the client does not want one any more): the request that waits fails."""
        tag, message = self._held.take()
        self.wait = Wait.NOTHING
        text = message[5:-1].decode("utf-8", "replace") if tag == _QUERY else ""
        try:
            self.recorder.refused(self.session, error, text, None, "simple" if tag == _QUERY else "extended")
        except TenantGateError as unavailable:
            self.fail(unavailable)
            return
        if self.begun:
            self.status = FAILED
        if tag == _QUERY:
            self.client_write(error_reply(error, codec=self._judge.codec) + replies.ready(self.status))
        else:
            self.client_write(error_reply(error, codec=self._judge.codec))
            self.skipping = True
        self.go_on()

    def move(self, book: StatementBook, lanes_for: Callable[[Settings], Lanes | None], *, keeps: bool) -> None:
        """The session's place is another one from its next request on. keeps: its tenant pools by session now."""
        self.book = book
        self.lanes_for = lanes_for
        self._keeps = keeps
        if self.pinned in ("", SESSION_POOLING):
            self._lanes = None
            self._unpin()
            self._release_if_free()

    # Waiting

    def _wait_with(self, message: bytes, wait: int) -> None:
        """Handle this message again, and those behind it, when what it waits for is there."""
        self.wait = wait
        self._held.put_back(message)

    def go_on(self) -> None:
        """Handle what was held back; stops when something must be waited for again."""
        if self.ended:
            return
        try:
            self.wait = Wait.NOTHING
            while len(self._held) and self.wait == Wait.NOTHING and not self.ended:
                self._dispatch(*self._held.take())
            self._flush()
        except Exception as error:
            self.fail(error)

    def _dispatch(self, tag: int, message: bytes) -> None:
        """Handle a message that was held back: the engine knows how."""
        raise LocalProtocolError("no engine")

    def _compile_ahead(self, text: str, message: bytes) -> bool:
        """Whether `message` has to wait for its long text to be compiled."""
        if not self._judge.compile_ahead(text, self.clock(), lambda: not self.ended, self.go_on):
            return False
        self._wait_with(message, Wait.COMPILATION)
        return True

    def _must_settle(self, text: bytes, message: bytes) -> bool:
        """Whether `message` has to wait, since nobody knows yet in which encoding it was sent. Raises
        UnsupportedStatement where that is settled only at the end of its own request."""
        if not self.queue or text.isascii():
            return False
        if self._in_request:
            raise UnsupportedStatement(
                "client_encoding may change within this request", hint="Send a Sync before this statement."
            )
        self._wait_with(message, Wait.SETTLED)
        return True

    def _flush(self) -> None:
        if self._out and self.backend is not None:
            out = self._out
            self.backend.write(out[0] if len(out) == 1 else b"".join(out))
            out.clear()

    # Statements

    def _admit(self, template: Template) -> None:
        """Audit can take it, quotas have room for it. Raises AuditUnavailable or QuotaExceeded."""
        self.recorder.check_available()
        ledger = self.session.usage.ledger
        if ledger is not None:
            self._check_ledger(ledger, template)
        if self._readmitted:
            self._readmitted = False
            self.session.usage.readmit_statement()
        else:
            self.session.usage.admit_statement(self.clock(), pipelined=self._running > 0)
        self._running += 1

    def _check_ledger(self, ledger: Ledger, template: Template) -> None:
        """Of tenants with quotas per period, or of what is measured. Raises QuotaExceeded."""
        if template.works:
            ledger.check(time.time())
        if template.grows:
            ledger.check_storage()
        if template.tables_made:
            ledger.check_tables(template.tables_made, self.tables_made)

    def take_notices(self) -> bytes:
        """What the client has not been told yet of quotas that are nearly used up. Not for who wants no notices."""
        session = self.session
        seen, alerts = session.alerts_seen, session.usage.alerts
        session.alerts_seen = alerts.count
        if self.settings.current.get("client_min_messages", "").strip(" 'E").lower() in _NO_NOTICES:
            return b""
        return b"".join(replies.notice(alert.text, _NOTICE_HINT) for alert in alerts.since(seen, time.time()))

    def _check_special(self, template: Template) -> None:
        """Refuse what is refused, check what needs the session's state."""
        denial = template.compiled.denial
        if denial is not None:
            raise denial.fresh()
        self._check_policies(template)
        wrote = self._wrote or bool(self.pinned)
        for plan in template.compiled.plans:
            if plan.session_action == ("recall",) and not wrote:
                raise UnsupportedStatement(
                    "currval and lastval are known in the transaction of the nextval only",
                    hint="Use RETURNING, ask in the same transaction, or have the tenant's `pooling` set to session.",
                )
            wrote = wrote or plan.write
            if plan.session_action:
                self._sql_prepared.admit(plan, self._statements, self.session, self._becomes_at_once)
                self._cursors.admit(plan, self.session.basis, self._becomes_at_once)
            if plan.session_action[:1] == ("listen",):
                self._notifications.listen(plan.session_action[1])

    def _check_policies(self, template: Template) -> None:
        """What policies ask of each run: an approval reference, and that a result's bytes can be counted."""
        plans = template.compiled.plans
        for plan in plans:
            if plan.byte_limit and len(plans) > 1:
                raise UnsupportedStatement(
                    "a statement whose result is limited by policy must be sent alone",
                    hint="Send the statements one by one.",
                )
            if plan.session_action[:1] == ("execute",):
                self._check_executed(plan.session_action[1].encode())
            for policy, pattern in plan.approvals:
                given = self.settings.value(APPROVAL)
                if not given or re.fullmatch(pattern, given) is None:
                    raise AccessDenied(
                        f"policy {policy} requires an approval reference",
                        hint=f"SET {APPROVAL} = 'REFERENCE', then run the statement again.",
                    )

    def _check_executed(self, name: bytes) -> None:
        """EXECUTE of SQL may name a statement of the protocol, which policies look at when it is run there."""
        prepared = self._statements.defined(name)
        first = None if prepared is None else prepared.template.first
        if first is not None and (first.byte_limit or first.approvals):
            raise UnsupportedStatement(
                "EXECUTE cannot run a statement that policies look at",
                hint="Run it through the extended protocol, as it was prepared.",
            )

    def _still_becomes(self, text: str, sent: str) -> bool:
        """Whether the client's text would be sent as it was then."""
        template, literals = self._judge.judge(text)
        return template.compiled.denial is None and template.text(literals) == sent

    def _becomes_at_once(self, text: str, sent: str) -> bool:
        """The same, of a text that may be looked at on the event loop."""
        return self._judge.is_ready(text) and self._still_becomes(text, sent)

    def _begin(
        self, kind: int, template: Template, literals: tuple[str, ...], text: str, bound: Bound | None = None
    ) -> Running:
        now = self.clock()
        running = Running(kind, template, literals, text, now, now + self.timeout_s if self.timeout_s else 0.0)
        running.bound = bound
        if self.recorder.records_requests:
            running.request, self._request_again = self._request_again, 0
            self.recorder.began(self.session, running)
        running.start_bytes = self.relay.bytes_in
        running.basis = self.session.basis
        self.queue.append(running)
        if template.writes:
            self._wrote = True
            if kind == expected.EXECUTE:
                self._wrote_in = self._request
            if template.leaves and self.backend is not None:
                self.backend.left |= template.leaves
        if not template.plain:
            self._begin_special(template, running)
            if running.plan is not None and running.plan.approvals:
                running.about = {**(running.about or {}), "approval": self.settings.value(APPROVAL)}
        ledger = self.session.usage.ledger
        if ledger is not None:
            self.tables_made += template.tables_made
        if ledger is not None or not template.plain:
            self.limit_result(running)
        return running

    def limit_result(self, running: Running) -> None:
        """What quotas and policies let the result have of rows and bytes, of the statement that runs or runs next."""
        plan, ledger = running.plan, self.session.usage.ledger
        rows, size = UNBOUNDED, UNBOUNDED
        if ledger is not None and running.template.works:
            rows, size = ledger.allowance(time.time())
        if plan is not None and plan.byte_limit:
            size = min(size, plan.byte_limit)
        self.relay.limit(running, rows, size)

    def _begin_special(self, template: Template, running: Running) -> None:
        for plan in template.compiled.plans:
            if plan.kind is StatementKind.COPY_IN:
                self.wait = Wait.COPY
            elif plan.kind is StatementKind.DDL:
                self.ddl_pending = True
                if plan.pins != TEMPORARY_TABLE:
                    self._alter()
            if plan.pins and plan.pins != TEMPORARY_TABLE:
                self._pin(plan.pins)
            if any(change.value is None for change in plan.settings):
                self._settle_next = True
            if plan.pins or any(change.name == "client_encoding" for change in plan.settings):
                self._encoding_open = True
            if plan.session_action:
                self._begin_action(plan.session_action[0])
                if plan.session_action[0] == "fetch":
                    self._name_cursor(running, plan.session_action[1])

    def _name_cursor(self, running: Running, name: str) -> None:
        """For the audit: which query it is that FETCH, MOVE and Execute go on with."""
        portal = self._portals.find(name.encode())[0]
        query = portal.text if portal is not None else self._cursors.query_of(name)
        running.about = {**(running.about or {}), "cursor": name, "query": query}

    def _alter(self) -> None:
        """What is prepared on the backend may have other results from here on, or none: it is prepared anew."""
        self.altered = True
        if self.backend is not None:
            self.backend.statements.doubt_all()

    def alterations_end(self) -> None:
        """The transaction that altered something has ended: what was prepared before or meanwhile is prepared anew."""
        self.altered = False
        self.book.retire_all()
        for statement in self._for_now:
            statement.retired = True
        self._for_now.clear()

    def _begin_action(self, action: str) -> None:
        if action in ("prepare", "execute", "show_prepared"):
            self._pin(SQL_PREPARED)
        elif action in ("deallocate_all", "discard_all") and self.backend is not None:
            self.backend.statements.doubt_all()
            if self._real_names:
                self._pin(SQL_PREPARED)  # it may fail, and they stay
                self._real_names.clear()

    def _pin(self, reason: str) -> None:
        self._lanes = None
        if self.pinned in ("", SESSION_POOLING):
            self.pinned = reason
        if reason == PATH:
            self._own_path = True

    def _unpin(self) -> None:
        """The backend is as new."""
        self._own_path = False
        self.pinned = SESSION_POOLING if self._keeps else ""
        if self.settings.has_own_path:
            self._pin(PATH)
        elif not self._keeps:
            self._lanes = self.lanes_for(self.settings.current)

    def _make_real(self, template: Template) -> None:
        """EXECUTE and DEALLOCATE name a statement as the client does, and pg_prepared_statements shows all names: give
        them to the backend, unseen."""
        for plan in template.compiled.plans:
            names: tuple[bytes, ...] = ()
            if plan.session_action[:1] == ("show_prepared",):
                names = self._statements.names
            elif plan.session_action and plan.session_action[0] in ("execute", "deallocate"):
                names = (plan.session_action[1].encode(),)
            for name in names:
                if self._statements.is_taken(name) and self._real_names.get(name) != self._failures:
                    self._send_real(name, self._statements.find(name))

    def _send_real(self, name: bytes, prepared: Prepared) -> None:
        """Whatever stands under this name, or may since nobody knows what became of the last request, is closed."""
        try:
            text = self._judge.encode(prepared.parsed)
        except InvalidStatement:
            return  # the client cannot say it now: to the backend there is none
        self._real_names[name] = self._failures
        define = messages.encode_close_statement(name) + messages.encode_parse(name, text, prepared.types)
        if self._in_request:
            self.queue.append(expected.SWALLOW_CLOSE)
            self.queue.append(Expected(expected.PARSE, forward=False))
            self._out.append(define)
        else:
            self.queue.append(expected.SWALLOW_PREFIX)
            self._out.append(define + messages.SYNC)

    def _record_refusal(self, error: TenantGateError, text: str, template: Template | None, protocol: str) -> None:
        self._request_again = 0
        if not isinstance(error, StatementRefused):
            return
        plans = template.compiled.plans if template is not None else ()
        plan = next((plan for plan in plans if plan.denial is not None), plans[0] if plans else None)
        self.recorder.refused(self.session, error, text, plan, protocol)
