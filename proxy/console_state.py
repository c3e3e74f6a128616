"""What the admin database shows, gathered from the gateway when it is asked, and the end of a session."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator

from policy.admission import console_admission
from policy.model import Principal
from policy.rbac import may_end_sessions
from proxy.errors import ShuttingDown
from proxy.gateway import Gateway, database_of
from proxy.postgres.admin_console import ClientRow, PolicyRow, PoolRow, QuotaRow, ServerRow, StatsRow, TenantRow
from proxy.postgres.backend import BackendConnection
from proxy.postgres.engine import Engine
from proxy.postgres.frontend import Frontend
from proxy.quota_view import quota_lines

logger = logging.getLogger(__name__)


class GatewayConsoleState:
    """Implements `ConsoleState` over a gateway; holds nothing."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    def pool_rows(self) -> Iterator[PoolRow]:
        for (target, database, path, claim), pool in self._gateway.pools.items():
            counts = pool.counts
            maxwait = pool.longest_wait_s(self._gateway.loop.time())
            yield PoolRow(
                target=target,
                database=database,
                search_path=path,
                claim=claim,
                user=pool.target.user,
                cl_active=counts.in_use,
                cl_waiting=counts.waiting,
                sv_active=counts.in_use,
                sv_idle=counts.idle,
                sv_login=counts.connecting,
                maxwait=int(maxwait),
                maxwait_us=int(maxwait % 1 * 1e6),
                pool_size=pool.target.max_backends,
            )

    def tenant_rows(self) -> Iterator[TenantRow]:
        for tenant in self._gateway.snapshot.tenants.values():
            usage = self._gateway.quotas.usage.get(tenant.id)
            target = self._gateway.config.targets.get(tenant.target)
            yield TenantRow(
                tenant=tenant.id,
                isolation=tenant.isolation.value,
                target=tenant.target,
                database=database_of(tenant, target) if target else "",
                schema=tenant.schema,
                status=tenant.status.value,
                tier=tenant.tier,
                cl_active=usage.connections if usage else 0,
                max_connections=tenant.quotas.connections,
                statements_active=usage.statements if usage else 0,
                max_statements=tenant.quotas.concurrent_statements,
                sv_active=usage.backends if usage else 0,
                max_backends=tenant.quotas.backends,
            )

    def client_rows(self) -> Iterator[ClientRow]:
        for frontend in self._gateway.frontends:
            yield self._client_row(frontend)

    def _client_row(self, frontend: Frontend) -> ClientRow:
        engine = frontend.handler if isinstance(frontend.handler, Engine) else None
        session = engine.session if engine else None
        address, _, port = frontend.address.rpartition(":")
        wait = frontend.lease.waits_for_s(self._gateway.loop.time()) if frontend.lease else 0.0
        active = engine is not None and engine.is_active
        return ClientRow(
            session=session.id if session else "",
            user=session.principal.subject if session else "",
            tenant=session.tenant.id if session else None,
            database=frontend.lease.pool.database if frontend.lease else "tenantgate" if frontend.handler else "",
            state="login" if frontend.handler is None else "waiting" if wait else "active" if active else "idle",
            addr=address,
            port=int(port) if port.isdigit() else 0,
            connect_time=self._wall(frontend.opened_at),
            request_time=self._wall(frontend.last_data),
            wait=int(wait),
            wait_us=int(wait % 1 * 1e6),
            link=frontend.lease.backend.pid if frontend.lease and frontend.lease.backend else 0,
            tls="TLS" if frontend.is_tls else "",
            application_name=session.application_name if session else "",
        )

    def server_rows(self) -> Iterator[ServerRow]:
        for frontend in self._gateway.frontends:
            if frontend.lease is not None and frontend.lease.backend is not None:
                engine = frontend.handler if isinstance(frontend.handler, Engine) else None
                state = "active" if engine and engine.queue else "idle"
                session = engine.session.id if engine else ""
                yield self._server_row(frontend.lease.backend, state, session, frontend)
        for place in self._gateway.places:
            for backend in place.lane_backends():
                yield self._server_row(backend, "lane")
        for pool in self._gateway.pools.values():
            for backend in pool.idle_backends():
                yield self._server_row(backend, "idle")

    def stats_rows(self) -> Iterator[StatsRow]:
        for tenant_id, counts in self._gateway.metrics.by_tenant().items():
            tenant = self._gateway.snapshot.tenants.get(tenant_id)
            total = sum(counts.values()) - counts["refused"]
            totals = self._gateway.tenant_totals(tenant_id)
            yield StatsRow(
                tenant=tenant_id,
                database=tenant.database or tenant.target if tenant else "",
                total_query_count=total,
                total_error_count=counts["error"] + counts["cancelled"] + counts["lost"],
                total_refused_count=counts["refused"],
                total_received=totals.bytes_received,
                total_sent=totals.bytes_sent,
                total_query_time=totals.query_us,
                avg_query_time=totals.query_us // total if total else 0,
            )

    def quota_rows(self) -> Iterator[QuotaRow]:
        """Of tenants that have logged in since the gateway started."""
        for usage in self._gateway.quotas.usage.values():
            for line in quota_lines(usage, time.time(), self._gateway.clock()):
                yield QuotaRow(usage.tenant, *line)

    def may_kill(self, principal: Principal) -> bool:
        held = console_admission(self._gateway.snapshot, principal, time.time())
        return may_end_sessions(self._gateway.snapshot, held.roles)

    def kill(self, session: str) -> int:
        """End the session of a tenant with this name, in whatever it does; how many there were: 0 or 1."""
        for frontend in tuple(self._gateway.frontends):
            engine = frontend.handler
            if isinstance(engine, Engine) and engine.session.id == session and not frontend.closing:
                logger.info("session ended by KILL", extra={"session": session, "tenant": engine.session.tenant.id})
                frontend.fatal(ShuttingDown("the session was ended by an administrator"))
                return 1
        return 0

    def policy_rows(self) -> Iterator[PolicyRow]:
        gateway = self._gateway
        standing, most = gateway.standing, gateway.config.policy.max_age_s
        yield PolicyRow(
            worker=0 if gateway.peers is None else gateway.peers.seat,
            source="document" if gateway.config.policy.store is None else "store",
            version=gateway.snapshot.version,
            state="current" if standing is None else standing.state,
            age_ms=round(gateway.policy_age_s * 1000),
            max_age_ms=None if most is None else round(most * 1000),
            serving=not gateway.outdated,
            problem="" if standing is None else standing.problem[:500],
        )

    def _wall(self, loop_time: float) -> float:
        return time.time() - self._gateway.loop.time() + loop_time

    def _server_row(
        self, backend: BackendConnection, state: str, session: str = "", frontend: Frontend | None = None
    ) -> ServerRow:
        return ServerRow(
            target=backend.target.name,
            database=backend.database,
            user=backend.target.user,
            state=state,
            addr=backend.target.host,
            port=backend.target.port,
            connect_time=self._wall(backend.opened_at),
            request_time=self._wall(frontend.last_data) if frontend is not None else None,
            remote_pid=backend.pid,
            link=session,
            tls="TLS" if backend.tls else "",
        )
