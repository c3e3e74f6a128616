"""What becomes of statements, told to audit and metrics.

One recorder per gateway; the engine calls it once per statement. If the audit log cannot take an event the session
ends, and `check_available` refuses further statements before they are sent.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from policy.audit_event import AuditEvent
from policy.errors import QuotaExceeded, TenantGateError
from policy.sql.plan import Plan
from proxy.audit.chain import bounded
from proxy.audit.emitter import AuditEmitter
from proxy.audit.statement import StatementEvent, StatementFrame
from proxy.observe.metrics import Metrics
from proxy.postgres import expected
from proxy.postgres.expected import Running
from proxy.session import Session


class Recorder:
    """`generation()` is the gateway's policy and catalog generation; sessions with another one refresh."""

    __slots__ = ("_audit", "_clock", "_metrics", "generation")

    def __init__(
        self, audit: AuditEmitter, metrics: Metrics, clock: Callable[[], float], generation: Callable[[], int]
    ) -> None:
        self._audit = audit
        self._metrics = metrics
        self._clock = clock
        self.generation = generation

    def check_available(self) -> None:
        """Raise AuditUnavailable when an event could not be kept now."""
        self._audit.check()

    def ended(self, session: Session, running: Running, outcome: str, sqlstate: str, rows: int, size: int) -> float:
        """A statement was run to its end, or its error. outcome "": it is in another event already. Returns how long
        it took, in seconds."""
        if not outcome:
            return 0.0
        duration_s = self._clock() - running.started
        duration_us = int(duration_s * 1e6)
        if outcome != "skipped":
            self._metrics.count_statement(session.counts, outcome, duration_s)
        totals = session.totals
        totals.bytes_sent += size
        totals.query_us += duration_us
        template = running.template
        frame = template.frame if running.index == 0 else None
        if frame is None:
            frame = self._frame(session, running)
        protocol = "simple" if running.kind == expected.QUERY or running.from_query else "extended"
        self._audit.emit(
            StatementEvent(
                frame,
                time.time(),
                protocol,
                outcome,
                sqlstate,
                running.text,
                running.rewritten,
                rows,
                size,
                duration_us,
            )
        )
        return duration_s

    def _frame(self, session: Session, running: Running) -> StatementFrame:
        """What all runs of this statement share; kept with the first (most often the only) one of its query string."""
        plan = running.plan
        event = AuditEvent(
            event="statement",
            time=0.0,
            session=session.id,
            tenant=session.tenant.id,
            subject=session.principal.subject,
            client=session.client_address,
            decision="rewritten" if running.template.rewritten else "allowed",
            outcome="",
            policy_version=session.policy_version,
            command=plan.command if plan else "",
            fingerprint=plan.fingerprint if plan else "",
            relations=plan.relations if plan else (),
            application=session.application_name,
        )
        frame = StatementFrame(bounded(event))
        if running.index == 0:
            running.template.frame = frame
        return frame

    def refused(self, session: Session, error: TenantGateError, text: str, plan: Plan | None, protocol: str) -> None:
        """A statement was not sent."""
        session.counts["refused"] += 1
        self._metrics.count_denied(error.kind)
        if isinstance(error, QuotaExceeded):
            self._metrics.count_quota_refused(session.tenant.id, error.quota)
        self._audit.emit(
            AuditEvent(
                event="statement",
                time=time.time(),
                session=session.id,
                tenant=session.tenant.id,
                subject=session.principal.subject,
                client=session.client_address,
                decision="refused",
                outcome="refused",
                policy_version=session.policy_version,
                protocol=protocol,
                command=plan.command if plan else "",
                statement=text,
                fingerprint=plan.fingerprint if plan else "",
                relations=plan.relations if plan else (),
                reason=error.message,
                sqlstate=error.sqlstate,
                application=session.application_name,
            )
        )

    def login(
        self, *, session: str, tenant: str, subject: str, client: str, outcome: str, application: str, reason: str = ""
    ) -> None:
        """A login succeeded (outcome ok) or was refused; `reason` is for the log and never reached the client."""
        self._metrics.count_login(outcome)
        self._audit.emit(
            AuditEvent(
                event="login",
                time=time.time(),
                session=session,
                tenant=tenant,
                subject=subject,
                client=client,
                decision="allowed" if outcome == "ok" else "refused",
                outcome="ok" if outcome == "ok" else "refused",
                reason=reason,
                application=application,
            )
        )

    def logout(self, session: Session, reason: str) -> None:
        """A session ended."""
        self._emit_of_session(session, "logout", reason)

    def cancel(self, session: Session, reason: str) -> None:
        """What the session runs is cancelled: by its client, or because it ran too long."""
        self._emit_of_session(session, "cancel", reason)

    def _emit_of_session(self, session: Session, event: str, reason: str) -> None:
        self._audit.emit(
            AuditEvent(
                event=event,
                time=time.time(),
                session=session.id,
                tenant=session.tenant.id,
                subject=session.principal.subject,
                client=session.client_address,
                decision="allowed",
                outcome="ok",
                policy_version=session.policy_version,
                reason=reason,
                application=session.application_name,
            )
        )
