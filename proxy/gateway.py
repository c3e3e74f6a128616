"""The gateway of one process: configuration, policy in force, pools, catalogs, plans, sessions.

Everything here runs on one event loop. `generation` grows whenever policy or a catalog changes; a session whose
generation is older is judged anew before its next statement (`refresh`).
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Coroutine

from policy.abac.decide import Decider, decider_of
from policy.abac.facts import Asker
from policy.abac.masks import KEY_SETTING
from policy.access import Access
from policy.admission import admission_of, console_admission, reach_child
from policy.errors import TenantGateError, TenantRefused
from policy.model import Isolation, Principal, Tenant
from policy.rbac import may_read_gateway, resolve_access
from policy.revocations import find_revocation
from policy.second_lock import SETTING, claim_of, setting_value
from policy.snapshot import Snapshot
from policy.sql.catalog import Catalog
from policy.sql.plan import AFTER_PATH
from policy.standing import next_of
from proxy.audit.emitter import AuditEmitter
from proxy.audit_block import AuditBlock
from proxy.cancel import CancelKeys
from proxy.catalogs import Catalogs
from proxy.config import GatewayConfig, TargetConfig
from proxy.console import ConsoleSession
from proxy.errors import BackendLost, PolicyTooOld, ShuttingDown
from proxy.identity.authenticator import Authenticator
from proxy.observe.metrics import Metrics
from proxy.plans.ahead import CompileAhead
from proxy.plans.cache import PlanCache
from proxy.policy_feed.standing import Standing
from proxy.pool.pool import Pool
from proxy.pool.slots import TargetSlots
from proxy.postgres.engine import Engine
from proxy.postgres.frontend import PAUSE_CATALOG, Frontend
from proxy.postgres.lanes.place import Place, no_lanes
from proxy.postgres.recorder import Recorder
from proxy.quota_care import QuotaCare
from proxy.quotas import TenantUsage
from proxy.session import Session, TenantTotals
from proxy.tls import server_end_point
from proxy.workers.peers import Peers

logger = logging.getLogger(__name__)

PoolKey = tuple[str, str, str, str]  # target name, database, search_path, the second lock's claim


class Gateway:
    """Lifetime: the process. Make it inside the running loop."""

    def __init__(self, config: GatewayConfig, snapshot: Snapshot, peers: Peers | None = None) -> None:
        """peers: the other workers, when this is one of several."""
        self.peers = peers
        self.loop = asyncio.get_running_loop()
        self.config = config
        self.snapshot = snapshot
        self.generation = 1
        self.metrics = Metrics()
        self.audit = AuditEmitter(config.audit)
        self.authenticator = Authenticator(config.auth, config.tls, time.time)
        self.server_end_point = server_end_point(config.tls)
        self.clock = time.monotonic  # the loop's own time stands still within a callback
        self.recorder = Recorder(self.audit, self.metrics, self.clock, lambda: self.generation, snapshot)
        self.catalogs = Catalogs(self._bump)
        self.plans = PlanCache(config.limits.plan_cache_bytes)
        self.ahead = CompileAhead() if peers is None else CompileAhead(workers=1)
        self.pools: dict[PoolKey, Pool] = {}
        self._places: dict[PoolKey, Place] = {}
        self._slots: dict[tuple[str, str, int], TargetSlots] = {}  # by target: what its pools may have together
        self.quotas = QuotaCare(self)
        self.totals: dict[str, TenantTotals] = {}
        self.frontends: set[Frontend] = set()
        self.audit_block = AuditBlock(self.loop, lambda: self.frontends, config.audit.block_s)
        if config.audit.on_failure == "block":
            self.audit.on_trouble = self.audit_block.on_trouble
        self._unswept: list[Frontend] = []
        self.cancel_keys: CancelKeys[Frontend] = CancelKeys(peers.seat if peers else None)
        self.draining = False
        self._accesses: dict[tuple[str, frozenset[str], str], Access] = {}
        self.standing: Standing | None = None  # of the policy's store; None: there is none
        self.outdated = False  # the snapshot is older than is allowed: no statement is judged by it
        self._due: float | None = None  # when an assignment or a trial of some session ends, in seconds of time.time()
        self.wall_clock = time.time  # of policies that look at the time
        self._minute = 0  # the last that policies have seen
        self._decided: dict[tuple[str, object], Access] = {}  # by what roles give, and what policies look at
        self._decider = decider_of(snapshot)
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def gate(self) -> AuditEmitter | None:
        """What replies wait for."""
        return self.audit if self.audit.acknowledges else None

    # Policy

    def _bump(self) -> None:
        """Something that plans depend on is another now; plans that no session goes by any more are forgotten."""
        self.generation += 1
        for each in self.places:
            each.book.retire_all()
        self.plans.prune({id(f.handler.session.scope) for f in self.frontends if isinstance(f.handler, Engine)})

    def take_policy(self, config: GatewayConfig, snapshot: Snapshot) -> None:
        """Put another configuration and snapshot in force; listeners and audit path stay as they are."""
        decider = decider_of(snapshot, self._decider)
        self.authenticator.reload(config.auth, config.tls)
        self.server_end_point = server_end_point(config.tls)
        self.config = config
        self._put_in_force(snapshot, decider)
        self.spawn(self.catalogs.refresh(dict(config.targets)))

    def take_snapshot(self, snapshot: Snapshot) -> None:
        """Put another snapshot in force. Sessions that it would not let in end, the others go on under it. Raises
        TenantGateError, and nothing has changed then."""
        self._put_in_force(snapshot, decider_of(snapshot, self._decider))

    def _put_in_force(self, snapshot: Snapshot, decider: Decider | None) -> None:
        before, self.snapshot = self.snapshot.tenants, snapshot
        self._accesses.clear()
        self._decided.clear()
        self._decider = decider
        now = self.clock()
        self.recorder.take_policy(snapshot)
        self.quotas.take_policy(snapshot, before, now)
        self._bump()
        for frontend in tuple(self.frontends):
            self._end_if_not_allowed(frontend)
            self._follow_target(frontend)
        for pool in self.pools.values():
            pool.fill()  # a tenant may have more backends now

    def take_standing(self, standing: Standing) -> None:
        """How the policy's store is followed."""
        self.standing = standing
        self.check_age()

    def check_age(self) -> None:
        """Stop judging statements by a snapshot that is too old, and begin again when it is not. Sessions stay."""
        if self.standing is None:
            return
        most = self.config.policy.max_age_s
        outdated = most is not None and self.policy_age_s > most
        if outdated != self.outdated:
            self.outdated = outdated
            self.generation += 1
            if outdated:
                logger.error("the policy is too old, statements are refused", extra={"age_s": self.policy_age_s})
            else:
                logger.info("the policy is current again, statements are served")

    @property
    def policy_age_s(self) -> float:
        """For how long nobody has been able to say that the snapshot is the newest."""
        return 0.0 if self.standing is None else max(0.0, time.monotonic() - self.standing.confirmed_at)

    def _follow_target(self, frontend: Frontend) -> None:
        """A session goes on with the pool of its target as that is configured now; a tenant that was moved does not."""
        engine, lease = frontend.handler, frontend.lease
        if not isinstance(engine, Engine) or lease is None or frontend.closing:
            return
        old = engine.session.tenant
        tenant = self.snapshot.tenants.get(old.id)
        if tenant is None or tenant.target != old.target or tenant.target not in self.config.targets:
            return
        target = self.target(tenant)
        if place(tenant, target) == place(old, target) and database_of(tenant, target) == lease.pool.database:
            new = self.place(tenant)
            lease.pool = new.pool
            keeps = tenant.pooling == "session"
            engine.move(new.book, new.lanes_for if tenant.lanes else no_lanes, keeps=keeps)

    def _end_if_not_allowed(self, frontend: Frontend) -> None:
        """A session that the policy of now would not let in ends at once, not with its next statement."""
        handler = frontend.handler
        if isinstance(handler, Engine):
            principal = handler.session.principal
            try:
                admission = admission_of(self.snapshot, principal, handler.session.tenant.id, time.time())
            except TenantRefused as error:
                frontend.fatal(error)
                return
            self._look_again(admission.until)
        elif isinstance(handler, ConsoleSession):
            principal = handler.principal
            if not self.may_read(principal):
                frontend.fatal(TenantRefused("the admin database may no longer be used", sqlstate="57P01"))
                return
        else:
            return
        if self.is_revoked(principal, handler.session.tenant.id if isinstance(handler, Engine) else None):
            frontend.fatal(_revoked())
        elif (
            isinstance(handler, Engine)
            and frontend.lease is not None
            and self._lock_changed(frontend.lease.pool.target)
        ):
            frontend.fatal(ShuttingDown("the target's second lock was changed", hint="Connect again."))
        elif not self.authenticator.still_stands(principal):
            frontend.fatal(TenantRefused("the account was changed", sqlstate="57P01", hint="Connect again."))

    def is_revoked(self, principal: Principal, tenant: str | None) -> bool:
        """Whether the credentials of a session of this tenant (None: of the admin console) do not count any more."""
        return find_revocation(self.snapshot.revocations, principal, tenant, time.time()) is not None

    def _lock_changed(self, old: TargetConfig) -> bool:
        """The session's backend says of its tenant what the target may not take any more, or says nothing."""
        new = self.config.targets.get(old.name)
        return new is not None and (new.native, new.setting_key) != (old.native, old.setting_key)

    def may_read(self, principal: Principal) -> bool:
        """Whether the admin database is open to a principal."""
        admission = console_admission(self.snapshot, principal, time.time())
        self._look_again(admission.until)
        return may_read_gateway(self.snapshot, admission.roles)

    def reach(self, principal: Principal, name: str) -> Tenant | None:
        """The tenant with this id, if it is below the principal's own and may be used by it."""
        return reach_child(self.snapshot, principal, name, time.time())

    def _look_again(self, at: float | None) -> None:
        """Sessions are to be judged anew from a time on: what they hold ends then."""
        self._due = next_of(self._due, at)

    def _end_what_is_over(self, wall: float) -> None:
        """Assignments that expired and trials that ended work on open sessions as a reload does."""
        if self._due is None or wall < self._due:
            return
        self._due = None
        self._bump()
        for frontend in tuple(self.frontends):
            self._end_if_not_allowed(frontend)

    def access(self, tenant: Tenant, roles: frozenset[str], read_only: str = "") -> Access:
        """The permission set of these roles for this tenant, resolved once per snapshot."""
        key = (tenant.id, roles, read_only)
        access = self._accesses.get(key)
        if access is None:
            if len(self._accesses) > _MAX_ACCESSES:
                self._accesses.clear()
            access = self._accesses[key] = resolve_access(self.snapshot, tenant, roles, read_only=read_only)
        return access

    def _under_policies(self, access: Access, tenant: Tenant, session: Session, roles: frozenset[str]) -> Access:
        """What is left of, and added to, what the roles give."""
        decider = self._decider
        if decider is None:
            return access
        asker = Asker(session.principal, tenant, session.surroundings, self.wall_clock(), roles)
        key = (access.id, decider.key(asker))
        decided = self._decided.get(key)
        if decided is None:
            if len(self._decided) > _MAX_ACCESSES:
                self._decided.clear()
            decided = self._decided[key] = decider.decide(access, asker)
        return decided

    def follow_clock(self) -> None:
        """Policies that look at the time are asked again when another minute has begun."""
        if self._decider is not None and self._decider.book.uses_time:
            minute = int(self.wall_clock() // 60)
            if minute != self._minute:
                self._minute = minute
                self.generation += 1

    def refresh(self, session: Session) -> None:
        """Judge `session` by the policy of now. Raises TenantRefused or ShuttingDown when it may not go on, and
        PolicyTooOld."""
        generation, snapshot = self.generation, self.snapshot
        if self.outdated:
            raise PolicyTooOld(self.policy_age_s)
        if self.is_revoked(session.principal, session.tenant.id):
            raise _revoked()
        admission = admission_of(snapshot, session.principal, session.tenant.id, time.time())
        self._look_again(admission.until)
        tenant = snapshot.tenants[session.tenant.id]
        if place(tenant, self.target(tenant)) != place(session.tenant, self.target(session.tenant)):
            raise ShuttingDown("the tenant was moved", hint="Connect again.")
        catalog = self.catalogs[(tenant.target, database_of(tenant, self.target(tenant)))]
        access = self.access(tenant, admission.roles, admission.read_only)
        access = self._under_policies(access, tenant, session, admission.roles)
        scope = self.plans.scope(access, catalog, tenant.schema or "")
        session.enter(scope, tenant, generation, snapshot.version, self.target(tenant).setting_key)

    def target(self, tenant: Tenant) -> TargetConfig:
        """The tenant's target. Raises TenantRefused when the configuration has lost it."""
        target = self.config.targets.get(tenant.target)
        if target is None:
            raise TenantRefused(f'the target of tenant "{tenant.id}" is not configured', sqlstate="57P01")
        return target

    def tenant_usage(self, tenant: Tenant) -> TenantUsage:
        return self.quotas.of(tenant)

    def tenant_totals(self, tenant_id: str) -> TenantTotals:
        return self.totals.setdefault(tenant_id, TenantTotals())

    # Pools

    def place(self, tenant: Tenant) -> Place:
        """The tenant's place on its target: a pool, and what its sessions share."""
        target = self.target(tenant)
        key = place(tenant, target)
        pool = self.pools.get(key)
        if pool is None or pool.target != target:
            if pool is not None:
                self._places[key].close_lanes()
                self.spawn(pool.close())
            # jit: the planner overrates what guards of the catalogs cost, and compiling them takes seconds
            options = {"application_name": "tenantgate", "search_path": key[2], "jit": "off"}
            if key[3]:
                options[SETTING] = setting_value(key[3], target.setting_key)
            if target.mask_key:
                options[KEY_SETTING] = target.mask_key
            slots = self._slots.setdefault((target.name, target.host, target.port), TargetSlots(target.max_backends))
            slots.limit = target.max_backends
            pool = self.pools[key] = Pool(target, key[1], protocol_options=options, slots=slots)
            self._places[key] = Place(pool, self.clock, self.spawn)
        return self._places[key]

    @property
    def places(self) -> tuple[Place, ...]:
        return tuple(self._places.values())

    # Frontends

    def frontend_lost(self, frontend: Frontend) -> None:
        """The client's connection is gone: give back what it had."""
        self.frontends.discard(frontend)
        self.end_session(frontend, "client disconnected")

    def end_session(self, frontend: Frontend, reason: str) -> None:
        """Return the session's backend, close its books. May be called more than once."""
        engine, lease = frontend.handler, frontend.lease
        frontend.lease = None
        if lease is None:
            return
        reusable = False
        try:
            if isinstance(engine, Engine):
                lost = lease.backend is not None and lease.backend.closed
                reusable = engine.is_reusable and not lost
                self._abandon(engine, "lost" if lost else "cancelled")
                if engine.ddl_pending:
                    self.spawn(self._reload_catalog(engine.session.tenant))
                self.recorder.logout(engine.session, reason)
        except TenantGateError as error:
            logger.error("audit: %s", error.message)
        finally:
            lease.end(reusable=reusable)

    def _abandon(self, engine: Engine, outcome: str) -> None:
        """Close the books of what was under way, all of them: while audit fails, each may raise."""
        while True:
            try:
                engine.abandon(outcome)
                return
            except TenantGateError as error:
                logger.error("audit: %s", error.message)

    def backend_done(self, frontend: Frontend) -> None:
        """A chunk of the backend was handled. After DDL the session goes on when its outcome is known here, which is
        after its transaction; a draining gateway lets go of sessions that are idle now."""
        engine = frontend.handler
        if not isinstance(engine, Engine):
            return
        if engine.ddl_pending and engine.is_idle:
            engine.ddl_pending = False
            if engine.altered:
                engine.alterations_end()
            frontend.pause_client(True, PAUSE_CATALOG)
            self.spawn(self._show_changes(frontend, engine.session.tenant))
        if self.draining and engine.is_idle:
            frontend.fatal(ShuttingDown("the gateway is shutting down", hint="Connect again."))

    async def _show_changes(self, frontend: Frontend, tenant: Tenant) -> None:
        try:
            await self._reload_catalog(tenant)
            if isinstance(frontend.handler, Engine):
                frontend.handler.tables_made = 0
        finally:
            frontend.pause_client(False, PAUSE_CATALOG)

    def catalog_of(self, tenant: Tenant) -> Catalog | None:
        """What is known of the database that has the tenant's data."""
        return self.catalogs.known(tenant.target, database_of(tenant, self.target(tenant)))

    async def _reload_catalog(self, tenant: Tenant) -> None:
        try:
            target = self.target(tenant)
            await self.catalogs.reload_changed(target, database_of(tenant, target))
            self.quotas.count_tables(tenant, after_ddl=True)
        except TenantGateError as error:
            logger.warning("catalog not reloaded: %s", error.message)

    async def cancel(self, pid: int, key: bytes) -> None:
        """A CancelRequest. Whether the key is known cannot be told from outside. It has been acted on when this
        returns, so that what the client sends after seeing its end cannot be hit by it."""
        if self.peers is not None and self.cancel_keys.is_elsewhere(pid):
            await self.peers.cancel(pid, key)
        else:
            self.cancel_here(pid, key)

    def cancel_here(self, pid: int, key: bytes) -> None:
        """A CancelRequest for a session of this process."""
        frontend = self.cancel_keys.lookup(pid, key)
        if frontend is not None:
            self.cancel_statement(frontend, "cancel request")

    def cancel_statement(self, frontend: Frontend, reason: str) -> None:
        """Ask the target to cancel what the session runs, if it runs anything."""
        engine, lease = frontend.handler, frontend.lease
        if not isinstance(engine, Engine) or lease is None or not engine.is_active:
            return
        if not engine.queue:
            self.recorder.cancel(engine.session, reason)
            engine.cancel_locally()
        elif lease.backend is not None and lease.cancels_pending < _MAX_CANCELS:
            self.recorder.cancel(engine.session, reason)
            self.spawn(lease.cancel())

    def sweep(self) -> None:
        """Once in a while: statement timeouts, expired tokens, half messages; of some sessions each time when there are
        many, since the event loop serves nobody meanwhile."""
        self.follow_clock()
        self.check_age()
        if not self._unswept:
            self._unswept = list(self.frontends)
        now, wall = self.clock(), time.time()
        self._end_what_is_over(wall)
        stalled = self.loop.time() - self.config.limits.stalled_message_s
        for frontend in self._unswept[-_SWEPT_AT_ONCE:]:
            try:
                self._look_at(frontend, now, wall, stalled)
            except Exception as error:  # of one session, never of the others' limits
                frontend.fatal(error)
        del self._unswept[-_SWEPT_AT_ONCE:]

    def _look_at(self, frontend: Frontend, now: float, wall: float, stalled: float) -> None:
        handler = frontend.handler
        if isinstance(handler, ConsoleSession):
            if _expired(handler.principal.expires_at, wall):
                frontend.fatal(_token_expired())
        elif isinstance(handler, Engine):
            if _expired(handler.session.expires_at, wall):
                frontend.fatal(_token_expired())
            elif handler.reader.pending_bytes and frontend.last_data < stalled and not frontend.paused:
                frontend.fatal(BackendLost("no data for an incomplete message", sqlstate="08P01"))
            elif handler.overdue(now) and frontend.lease is not None and not frontend.lease.cancels_pending:
                self.cancel_statement(frontend, "statement timeout")
            elif frontend.last_data < self.loop.time() - _REST_S and handler.is_idle:
                handler.rest()

    def spawn(self, work: Coroutine[object, object, None]) -> None:
        """Run a coroutine in the background and log what it raises."""
        task: asyncio.Task[None] = self.loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._on_task_done)

    def _on_task_done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.error("background task failed", exc_info=error)

    # Stopping

    def start_draining(self) -> None:
        """No new sessions; idle ones are told to go, busy ones may finish their transaction."""
        self.draining = True
        for frontend in tuple(self.frontends):
            engine = frontend.handler
            if not isinstance(engine, Engine) or engine.is_idle:
                frontend.fatal(ShuttingDown("the gateway is shutting down", hint="Connect again."))

    async def drain(self, deadline_s: float) -> None:
        """Wait until all sessions are gone, at most `deadline_s`; then end the rest."""
        end = self.loop.time() + deadline_s
        while self.frontends and self.loop.time() < end:
            await asyncio.sleep(0.02)
        for frontend in tuple(self.frontends):
            frontend.fatal(ShuttingDown("the gateway is shutting down"))
        end = self.loop.time() + 1.0
        while self.frontends and self.loop.time() < end:
            await asyncio.sleep(0.02)

    async def close(self) -> None:
        for each in self.places:
            each.close_lanes()
        for pool in self.pools.values():
            await pool.close()
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.ahead.close()
        await self.quotas.close()
        await self.audit.close()


_MAX_ACCESSES = 10_000
_MAX_CANCELS = 8  # of one session at a time
_SWEPT_AT_ONCE = 1_000  # sessions; some two milliseconds
_REST_S = 10.0


def _expired(expires_at: float | None, wall: float) -> bool:
    return expires_at is not None and wall >= expires_at


def _token_expired() -> TenantRefused:
    return TenantRefused("the token has expired", hint="Connect again with a new token.")


def _revoked() -> TenantRefused:
    return TenantRefused(
        "the login of this session was revoked", sqlstate="57P01", hint="Connect again with a new token, if you may."
    )


def database_of(tenant: Tenant, target: TargetConfig) -> str:
    """The database on the target that holds the tenant's data."""
    return tenant.database or target.database


def place(tenant: Tenant, target: TargetConfig) -> PoolKey:
    """Where the tenant's sessions run: what must be equal for two sessions to share a pool.

    Under the second lock a backend is one tenant's for life (docs/decisions/0018): its claim is a startup parameter.
    """
    search_path = f'"{tenant.schema}"' if tenant.isolation is Isolation.SCHEMA and tenant.schema else "public"
    if tenant.isolation is not Isolation.DATABASE:
        search_path += AFTER_PATH
    return target.name, database_of(tenant, target), search_path, claim_of(tenant) if target.native else ""
