"""A gateway that accepts connections: what the one process does, and what each of several workers does."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import socket
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import cast

from policy.errors import TenantGateError
from policy.snapshot import Snapshot
from policy.sql.crosscheck import COUNTS
from proxy.config import GatewayConfig
from proxy.errors import LoginTimedOut
from proxy.gateway import Gateway
from proxy.login_steps import open_session
from proxy.observe.health import Readiness
from proxy.observe.metrics import Gauges, Metrics, PoolGauge
from proxy.pool.pool import PoolCounts
from proxy.postgres.errors import error_reply
from proxy.postgres.frontend import Frontend
from proxy.postgres.opening import Opened, negotiate
from proxy.postgres.wire import replies
from proxy.tls import server_context
from proxy.workers.door import Door
from proxy.workers.peers import Peers

logger = logging.getLogger(__name__)

_SWEEP_INTERVAL_S = 0.1
_CATALOG_INTERVAL_S = 60.0
_QUOTA_INTERVAL_S = 0.5
_ACCEPT_BATCH = 64
_GC_THRESHOLDS = (50_000, 20, 20)
_RESUME_ACCEPT_S = 0.1


def _settle_memory() -> None:
    """What is there now stays: the garbage collector need not look at it again, and need not look so often.

    The hot path makes no cycles; what a session leaves behind is collected all the same, only later.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_GC_THRESHOLDS)


class Server:
    """A `Gateway` and the listeners that it accepts from: of the one process, or of one worker."""

    def __init__(self, config: GatewayConfig, snapshot: Snapshot, peers: Peers | None = None) -> None:
        """Make it inside the running loop. peers: the other workers, if there are any. Raises TenantGateError."""
        self._loop = asyncio.get_running_loop()
        self._config = config
        self._opening = 0
        self._tls = server_context(config.tls)
        self._listeners: tuple[socket.socket, ...] = ()
        self._tasks: set[asyncio.Task[None]] = set()
        self._draining = False
        self.gateway = Gateway(config, snapshot, peers)
        self._open_session = partial(open_session, self.gateway)
        self._door = Door(peers.table) if peers is not None else None

    def start(self) -> None:
        """Open the audit log; all is ready then to accept. Raises AuditUnavailable."""
        self.gateway.audit.start()
        self._set_gauges()
        self._spawn(self._every(_SWEEP_INTERVAL_S, self._sweep))
        self._spawn(self._every(_CATALOG_INTERVAL_S, self._refresh_catalogs))
        self._spawn(self._every(_QUOTA_INTERVAL_S, self.gateway.quotas.look))
        _settle_memory()

    def take(self, config: GatewayConfig, snapshot: Snapshot) -> None:
        """Another configuration and policy from now on. Raises TenantGateError, and nothing has changed then."""
        tls = server_context(config.tls)
        self.gateway.take_policy(config, snapshot)
        self._config, self._tls = config, tls
        try:
            self.gateway.audit.reopen()
        except TenantGateError as error:
            logger.error("audit log not reopened: %s", error.message)

    def take_snapshot(self, snapshot: Snapshot) -> None:
        """Another policy from now on, under the same configuration."""
        self.gateway.take_snapshot(snapshot)

    def accept_from(self, listeners: Sequence[socket.socket]) -> None:
        """Accept what comes to these listeners, which do not block, and to no others that were named before."""
        for listener in self._listeners:
            self._loop.remove_reader(listener)
        self._listeners = () if self._draining else tuple(listeners)
        for listener in self._listeners:
            self._loop.add_reader(listener, self._on_acceptable, listener)

    @property
    def is_empty(self) -> bool:
        """No client is connected."""
        return not self.gateway.frontends and not self._opening

    async def shut_down(self) -> None:
        """Accept no more, let transactions finish, stop. The listeners are the caller's to close, before."""
        self._draining = True
        self.accept_from([])
        logger.info("draining", extra={"sessions": len(self.gateway.frontends)})
        self.gateway.start_draining()
        await self.gateway.drain(self._config.limits.drain_s)
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.gateway.close()

    # Accepting

    def _on_acceptable(self, listener: socket.socket) -> None:
        for _ in range(_ACCEPT_BATCH):
            try:
                sock, _address = listener.accept()
            except BlockingIOError:
                return
            except OSError as error:
                logger.error("cannot accept: %s", error)
                self._loop.remove_reader(listener)
                self._loop.call_later(_RESUME_ACCEPT_S, self._resume_accepting, listener)
                return
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            self._spawn(self._open(sock))

    def _resume_accepting(self, listener: socket.socket) -> None:
        if listener in self._listeners:
            self._loop.add_reader(listener, self._on_acceptable, listener)

    def _is_full(self) -> bool:
        """max_connections are there, of all workers together."""
        own, limit = len(self.gateway.frontends) + self._opening, self._config.limits.max_connections
        return own >= limit if self._door is None else not self._door.enter(own, limit)

    async def _open(self, sock: socket.socket) -> None:
        """Negotiate encryption and hand the connection to a frontend."""
        gateway = self.gateway
        if self._is_full():
            with contextlib.suppress(OSError):
                sock.send(replies.error_response("FATAL", "53300", "too many connections", hint="Try again later."))
            sock.close()
            return
        self._opening += 1
        handed_over = False
        try:
            async with asyncio.timeout(self._config.auth.login_timeout_s):
                opened = await negotiate(sock, self._tls)
                if isinstance(opened, Opened):
                    handed_over = True
                    await self._hand_over(sock, opened)
                elif opened is not None:
                    await gateway.cancel(opened.pid, opened.key)
        except TenantGateError as error:
            with contextlib.suppress(OSError):
                sock.send(error_reply(error, "FATAL"))
        except TimeoutError:
            if not handed_over:
                with contextlib.suppress(OSError):
                    sock.send(error_reply(LoginTimedOut("the login took too long"), "FATAL"))
        except OSError:
            pass  # the peer is gone, or no TLS client: there is nobody to tell
        finally:
            self._opening -= 1
            if not handed_over:
                sock.close()

    async def _hand_over(self, sock: socket.socket, opened: Opened) -> None:
        """Do the TLS handshake, if any, and let a frontend take over. One whose handshake fails never counts."""
        frontend = Frontend(
            self.gateway,
            self._open_session,
            direct_tls=opened.direct,
            write_high_bytes=self._config.limits.write_high_bytes,
        )
        self.gateway.frontends.add(frontend)
        try:
            await self._loop.connect_accepted_socket(
                lambda: cast(asyncio.Protocol, frontend),
                sock,
                ssl=opened.tls,
                ssl_handshake_timeout=self._config.auth.login_timeout_s if opened.tls else None,
            )
        except BaseException as error:
            frontend.connection_lost(None)  # uvloop does not say so of a transport that it gave up on the way
            sock.close()
            if not isinstance(error, OSError):  # TimeoutError is one, too
                raise

    # Running

    def _sweep(self) -> None:
        self.gateway.sweep()
        if self._door is not None:
            self._door.publish(len(self.gateway.frontends) + self._opening)

    def _refresh_catalogs(self) -> None:
        self.gateway.spawn(self.gateway.catalogs.refresh(dict(self.gateway.config.targets)))

    async def _every(self, interval_s: float, act: Callable[[], None]) -> None:
        """Act again and again; one failure does not end it."""
        while True:
            await asyncio.sleep(interval_s)
            try:
                act()
            except Exception:
                logger.exception("a periodic task failed")

    def _spawn(self, work: Awaitable[None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._on_task_done)

    def _on_task_done(self, task: asyncio.Future[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.error("unexpected error", exc_info=error)

    # Observing

    def _set_gauges(self) -> None:
        gateway = self.gateway
        gateway.metrics.gauges = Gauges(
            frontends=lambda: len(gateway.frontends),
            pools=lambda: _pool_gauges(gateway),
            lanes=lambda: sum(len(place.lane_backends()) for place in gateway.places),
            lane_requests=lambda: sum(place.lane_requests for place in gateway.places),
            plan_cache_entries=lambda: len(gateway.plans.room),
            plan_cache_bytes=lambda: gateway.plans.room.bytes,
            policy_version=lambda: gateway.snapshot.version,
            policy_age_s=lambda: gateway.policy_age_s,
            quota_shares_up=lambda: gateway.quotas.shares_up,
            audit_events=lambda: gateway.audit.events,
            audit_queue=lambda: gateway.audit.queued,
            audit_lost=lambda: gateway.audit.lost,
            audit_spilled=lambda: gateway.audit.spilled_bytes,
            audit_blocked=lambda: gateway.audit_block.blocked,
        )

    def metrics(self) -> Metrics:
        """The gateway's metrics, with what is not counted there."""
        metrics = self.gateway.metrics
        metrics.plan_cache_hits = self.gateway.plans.hits
        metrics.plan_cache_misses = self.gateway.plans.misses
        metrics.plan_cache_evicted = self.gateway.plans.room.evicted
        metrics.sqlglot_unparsed = COUNTS.unparsed
        metrics.bytes_in = sum(totals.bytes_received for totals in self.gateway.totals.values())
        metrics.bytes_out = sum(totals.bytes_sent for totals in self.gateway.totals.values())
        return metrics

    def readiness(self) -> Readiness:
        """Ready: it takes sessions and can record them. Targets that fail are listed, they do not make it unready."""
        problems = []
        if self._draining:
            problems.append("draining")
        try:
            self.gateway.audit.check()
        except TenantGateError as error:
            problems.append(error.message)
        if self.gateway.outdated:
            problems.append("the policy is too old")
        failing = sorted({key[0] for key, pool in self.gateway.pools.items() if pool.failing})
        degraded = filter(None, [self.gateway.quotas.problem])
        return Readiness(tuple(problems), tuple(failing), tuple(degraded))


def _pool_gauges(gateway: Gateway) -> list[PoolGauge]:
    """One for each database of a target, however many pools it has."""
    found: dict[tuple[str, str], list[PoolCounts]] = {}
    for key, pool in gateway.pools.items():
        found.setdefault(key[:2], []).append(pool.counts)
    return [
        PoolGauge(
            *place,
            idle=sum(c.idle for c in counts),
            in_use=sum(c.in_use for c in counts),
            connecting=sum(c.connecting for c in counts),
            waiting=sum(c.waiting for c in counts),
        )
        for place, counts in found.items()
    ]
