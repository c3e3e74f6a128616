"""What becomes of statements, told to audit and metrics.

One recorder per gateway; the engine calls it once per statement. If the audit log cannot take an event the session
ends, and `check_available` refuses further statements before they are sent.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from typing import Final

from policy.audit_event import NO_DETAILS, AuditEvent
from policy.errors import QuotaExceeded, TenantGateError
from policy.snapshot import Snapshot
from policy.sql.plan import Plan
from policy.sql.policies import TRIAL
from proxy.audit.chain import bounded
from proxy.audit.emitter import AuditEmitter
from proxy.audit.parameters import Bound
from proxy.audit.private import Private, blanked
from proxy.audit.statement import StatementEvent, StatementFrame
from proxy.observe.metrics import Metrics
from proxy.postgres import expected
from proxy.postgres.expected import Running
from proxy.postgres.prepared import Prepared
from proxy.quota_ledger import Ledger
from proxy.session import Session, Template

_VALUES: Final = 0
_HASHED: Final = 1
_OFF: Final = 2
_PARAMETERS: Final[dict[str, int]] = {"values": _VALUES, "hashed": _HASHED, "off": _OFF}

logger = logging.getLogger(__name__)


class Recorder:
    """`generation()` is the gateway's policy and catalog generation; sessions with another one refresh.

    records_requests: statements are recorded as they begin, too (`began`).
    """

    __slots__ = (
        "_audit",
        "_clock",
        "_hash_key",
        "_metrics",
        "_parameters",
        "_private",
        "generation",
        "records_requests",
    )

    def __init__(
        self,
        audit: AuditEmitter,
        metrics: Metrics,
        clock: Callable[[], float],
        generation: Callable[[], int],
        snapshot: Snapshot,
    ) -> None:
        self._audit = audit
        self._metrics = metrics
        self._clock = clock
        self.generation = generation
        config = audit.config
        self.records_requests = config.level == "request+response"
        self._parameters = _PARAMETERS[config.parameters]
        self._private = Private(config.hashed_columns, config.hashed_tags, snapshot)
        self._hash_key = audit.parameter_key

    def take_policy(self, snapshot: Snapshot) -> None:
        """Another policy is in force: its tags count."""
        config = self._audit.config
        self._private = Private(config.hashed_columns, config.hashed_tags, snapshot)

    def bound(self, bind: bytes, prepared: Prepared) -> Bound | None:
        """What is recorded of the parameters that a Bind message brings for this statement."""
        if self._parameters == _VALUES:
            if not self._private.any or not self._is_private(prepared.template):
                return Bound(bind, prepared.types, None)
        elif self._parameters == _OFF:
            return None
        return Bound(bind, prepared.types, self._hash_key)

    def _is_private(self, template: Template) -> bool:
        """Whether one of its statements reaches what the log keeps no values of."""
        if template.private_by is not self._private:
            template.private = any(self._private.reached_by(plan) for plan in template.compiled.plans)
            template.private_by = self._private
        return template.private

    def began(self, session: Session, running: Running) -> None:
        """A request is about to be sent. Raises AuditUnavailable; then it must not be."""
        if running.request:
            return  # it was begun before, on a lane, and had no effect
        session.requests += 1
        running.request = session.requests
        event = self._shared(session, running, "request")._replace(rules=(), details=NO_DETAILS)
        protocol = "simple" if running.kind == expected.QUERY else "extended"
        frame, text = StatementFrame(bounded(event)), running.text
        if self._private.any and self._is_private(running.template):
            text = blanked(text)
        self._audit.emit(
            StatementEvent(frame, time.time(), protocol, "begun", "", text, "", 0, 0, 0, running.bound, running.request)
        )

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
        wall = time.time()
        ledger = session.usage.ledger
        if ledger is not None and outcome != "skipped" and running.template.works:
            self._spend(ledger, session, running, rows, size, duration_s, wall)
        if outcome != "skipped":
            self._metrics.count_statement(session.counts, outcome, duration_s)
        totals = session.totals
        totals.bytes_sent += size
        totals.query_us += duration_us
        template = running.template
        frame = template.frame if running.index == 0 else None
        if frame is None or running.about is not None:
            frame = self._frame(session, running)
        protocol = "simple" if running.kind == expected.QUERY or running.from_query else "extended"
        text, rewritten = running.text, running.rewritten
        if self._private.any and self._is_private(template):
            text, rewritten = blanked(text), blanked(rewritten)
        self._audit.emit(
            StatementEvent(
                frame,
                wall,
                protocol,
                outcome,
                sqlstate,
                text,
                rewritten,
                rows,
                size,
                duration_us,
                running.bound,
                running.request,
            )
        )
        return duration_s

    def _spend(
        self,
        ledger: Ledger,
        session: Session,
        running: Running,
        rows: int,
        size: int,
        duration_s: float,
        wall: float,
    ) -> None:
        """Count it for the quotas per period. A backend works for one statement at a time: what is pipelined behind
        another begins when that has ended; on a lane it is the statement's own turn that counts."""
        worked_s = running.turn_s
        if worked_s < 0.0:
            now = running.started + duration_s
            worked_s = now - max(running.started, session.busy_until)
            session.busy_until = now
        ledger.spend(rows, size, max(0, int(worked_s * 1e6)), wall)
        if rows > ledger.soft_rows or size > ledger.soft_bytes:
            ledger.was_large(rows, size, wall)
        if duration_s > ledger.slow_s:
            ledger.was_slow(duration_s, wall)

    def quota(self, tenant: str, quota: str, level: int, text: str) -> None:
        """A quota is used up by so many percent: 80 or 100."""
        self._metrics.count_quota_reached(tenant, quota, level)
        logger.warning("quota reached: %s", text, extra={"tenant": tenant, "quota": quota, "level": level})
        self._audit.emit(
            AuditEvent(
                event="quota",
                time=time.time(),
                session="",
                tenant=tenant,
                subject="",
                client="",
                decision="allowed",
                outcome="ok",
                reason=text,
            )
        )

    def _frame(self, session: Session, running: Running) -> StatementFrame:
        """What all runs of this statement share; kept with the first (most often the only) one of its query string."""
        frame = StatementFrame(bounded(self._shared(session, running, "statement")))
        if running.index == 0 and running.about is None:
            running.template.frame = frame
        return frame

    def _shared(self, session: Session, running: Running, event: str) -> AuditEvent:
        plan = running.plan
        return AuditEvent(
            event=event,
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
            action=plan.kind.value if plan else "",
            resource=_resource(session, plan),
            details=NO_DETAILS if running.about is None else self._details(running.about),
            columns=plan.columns if plan else (),
            rules=plan.rules if plan else (),
            reason=trials_of(plan),
        )

    def _details(self, about: dict[str, str]) -> dict[str, str]:
        """A cursor's query may be about anything."""
        if not self._private.any or "query" not in about:
            return about
        return {**about, "query": blanked(about["query"])}

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
                statement=blanked(text) if self._private.reached_by(plan) else text,
                fingerprint=plan.fingerprint if plan else "",
                relations=plan.relations if plan else (),
                reason=error.message,
                sqlstate=error.sqlstate,
                application=session.application_name,
                action=plan.kind.value if plan else "",
                resource=_resource(session, plan),
                details={"hint": error.hint} if error.hint else NO_DETAILS,
                columns=plan.columns if plan else (),
            )
        )

    def login(
        self,
        *,
        session: str,
        tenant: str,
        subject: str,
        client: str,
        outcome: str,
        application: str,
        reason: str = "",
        details: Mapping[str, str] = NO_DETAILS,
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
                action="login",
                resource=f"database:{tenant}" if tenant else "gateway",
                details=details,
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
                action=event,
                resource=f"database:{session.tenant.id}",
            )
        )


def _resource(session: Session, plan: Plan | None) -> str:
    """What a statement is done to, as in permissions; its first relation stands for all."""
    if plan is not None and plan.relations:
        return f"table:{plan.relations[0]}"
    return f"database:{session.tenant.id}"


def trials_of(plan: Plan | None) -> str:
    """What policies on trial would have done to a statement, "" for nothing."""
    if plan is None or not plan.rules:
        return ""
    return "; ".join(rule for rule in plan.rules if rule.startswith(TRIAL))
