"""Run a gateway: listen, serve, reload on SIGHUP, drain on SIGTERM."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import logging
import os
import signal
import socket
import ssl
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import cast

import uvloop

from policy.errors import ConfigurationError, TenantGateError
from policy.sql.crosscheck import COUNTS
from proxy.config import GatewayConfig
from proxy.config_file import load_config
from proxy.gateway import Gateway
from proxy.login_steps import open_session
from proxy.observe.http import serve_http
from proxy.observe.logs import configure_logging
from proxy.observe.metrics import METRICS_CONTENT_TYPE, Gauges, PoolGauge
from proxy.open_files import allow_open_files
from proxy.pool.pool import PoolCounts
from proxy.postgres.errors import error_reply
from proxy.postgres.frontend import Frontend
from proxy.postgres.opening import Opened, negotiate
from proxy.postgres.wire import replies
from proxy.snapshots import load_snapshot
from proxy.tls import server_context

logger = logging.getLogger(__name__)

_SWEEP_INTERVAL_S = 0.1
_CATALOG_INTERVAL_S = 60.0
_ACCEPT_BATCH = 64
_GC_THRESHOLDS = (50_000, 20, 20)
_RESUME_ACCEPT_S = 0.1


def run(config_path: Path) -> int:
    """Serve until told to stop. Returns the process's exit code: 0 stopped, 2 the configuration is unusable."""
    config = load_config(config_path, os.environ)
    configure_logging(config.log)
    server = Server(config_path, config)
    try:
        uvloop.run(server.serve())
    except (ConfigurationError, TenantGateError, OSError) as error:
        logger.error("cannot serve: %s", error)
        return 2
    return 0


def _settle_memory() -> None:
    """What is there now stays: the garbage collector need not look at it again, and need not look so often.

    The hot path makes no cycles; what a session leaves behind is collected all the same, only later.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_GC_THRESHOLDS)


class Server:
    """One process's listeners around a `Gateway`."""

    def __init__(self, config_path: Path, config: GatewayConfig) -> None:
        self._config_path = config_path
        self._config = config
        self._version = 1
        self._reloads = 0  # asked for
        self._opening = 0
        self._tls: ssl.SSLContext | None = None
        self._listener: socket.socket | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def serve(self) -> None:
        """Start, serve, stop. Raises ConfigurationError or OSError when it cannot start."""
        self._loop = asyncio.get_running_loop()
        allow_open_files(self._config)
        snapshot = await load_snapshot(self._config, self._version)
        self._tls = server_context(self._config.tls)
        self._gateway = Gateway(self._config, snapshot)
        self._open_session = partial(open_session, self._gateway)
        self._stop = asyncio.Event()
        self._gateway.audit.start()
        self._set_gauges()
        self._listen()
        listen = self._config.listen
        http = await serve_http(listen.admin_host, listen.admin_port, self._routes())
        self._spawn(self._every(_SWEEP_INTERVAL_S, self._sweep))
        for number in (signal.SIGTERM, signal.SIGINT):
            self._loop.add_signal_handler(number, self._stop.set)
        self._loop.add_signal_handler(signal.SIGHUP, self.reload)
        self._spawn(self._every(_CATALOG_INTERVAL_S, self._refresh_catalogs))
        logger.info(
            "serving",
            extra={
                "address": f"{listen.host}:{self.port}",
                "admin": f"{listen.admin_host}:{http.sockets[0].getsockname()[1]}",
                "tenants": len(snapshot.tenants),
                "tls": self._config.tls.mode,
            },
        )
        _settle_memory()
        await self._stop.wait()
        await self._shut_down()
        http.close()

    @property
    def port(self) -> int:
        assert self._listener is not None
        return int(self._listener.getsockname()[1])

    # Accepting

    def _listen(self) -> None:
        listen = self._config.listen
        family = socket.AF_INET6 if ":" in listen.host else socket.AF_INET
        listener = socket.socket(family, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((listen.host, listen.port))
        listener.listen(listen.backlog)
        listener.setblocking(False)
        self._listener = listener
        self._loop.add_reader(listener, self._on_acceptable)

    def _on_acceptable(self) -> None:
        assert self._listener is not None
        for _ in range(_ACCEPT_BATCH):
            try:
                sock, _address = self._listener.accept()
            except BlockingIOError:
                return
            except OSError as error:
                logger.error("cannot accept: %s", error)
                self._loop.remove_reader(self._listener)
                self._loop.call_later(_RESUME_ACCEPT_S, self._resume_accepting)
                return
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            self._spawn(self._open(sock))

    def _resume_accepting(self) -> None:
        if self._listener is not None and not self._stop.is_set():
            self._loop.add_reader(self._listener, self._on_acceptable)

    async def _open(self, sock: socket.socket) -> None:
        """Negotiate encryption and hand the connection to a frontend."""
        gateway, limits = self._gateway, self._config.limits
        if len(gateway.frontends) + self._opening >= limits.max_connections:
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
                    gateway.cancel(opened.pid, opened.key)
        except TenantGateError as error:
            with contextlib.suppress(OSError):
                sock.send(error_reply(error, "FATAL"))
        except (OSError, TimeoutError):
            pass  # the peer is gone, too slow, or no TLS client: there is nobody to tell
        finally:
            self._opening -= 1
            if not handed_over:
                sock.close()

    async def _hand_over(self, sock: socket.socket, opened: Opened) -> None:
        """Do the TLS handshake, if any, and let a frontend take over. One whose handshake fails never counts."""
        frontend = Frontend(
            self._gateway,
            self._open_session,
            direct_tls=opened.direct,
            write_high_bytes=self._config.limits.write_high_bytes,
        )
        self._gateway.frontends.add(frontend)
        try:
            await self._loop.connect_accepted_socket(
                lambda: cast(asyncio.Protocol, frontend),
                sock,
                ssl=opened.tls,
                ssl_handshake_timeout=self._config.auth.login_timeout_s if opened.tls else None,
            )
        except BaseException as error:
            if frontend.transport is None:
                self._gateway.frontends.discard(frontend)
            sock.close()
            if not isinstance(error, OSError):  # TimeoutError is one, too
                raise

    # Running

    def _sweep(self) -> None:
        self._gateway.sweep()

    def _refresh_catalogs(self) -> None:
        self._gateway.spawn(self._gateway.catalogs.refresh(dict(self._gateway.config.targets)))

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

    def reload(self) -> None:
        """SIGHUP: read configuration, policy and certificates again, soon. When that is being done already, it is done
        once more after it: the files may have changed."""
        self._reloads += 1
        if self._reloads == 1:
            self._spawn(self._reload_as_asked())

    async def _reload_as_asked(self) -> None:
        try:
            while self._reloads:
                self._reloads = 1
                await self._reload()
                self._reloads -= 1
        finally:
            self._reloads = 0

    async def _reload(self) -> None:
        """All or nothing."""
        try:
            config = load_config(self._config_path, os.environ)
            snapshot = await load_snapshot(config, self._version + 1, self._gateway.snapshot.tenants)
            tls = server_context(config.tls)
            self._gateway.take_policy(config, snapshot)
        except TenantGateError as error:
            logger.error("reload refused, nothing changed: %s", error.message)
            return
        self._version += 1
        self._config, self._tls = config, tls
        try:
            self._gateway.audit.reopen()
        except TenantGateError as error:
            logger.error("audit log not reopened: %s", error.message)
        logger.info("reloaded", extra={"policy_version": self._version, "tenants": len(snapshot.tenants)})

    async def _shut_down(self) -> None:
        assert self._listener is not None
        self._loop.remove_reader(self._listener)
        self._listener.close()
        logger.info("draining", extra={"sessions": len(self._gateway.frontends)})
        self._gateway.start_draining()
        await self._gateway.drain(self._config.limits.drain_s)
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._gateway.close()
        logger.info("stopped")

    # Observing

    def _set_gauges(self) -> None:
        gateway = self._gateway
        gateway.metrics.gauges = Gauges(
            frontends=lambda: len(gateway.frontends),
            pools=lambda: _pool_gauges(gateway),
            lanes=lambda: sum(len(place.lane_backends()) for place in gateway.places),
            lane_requests=lambda: sum(place.lane_requests for place in gateway.places),
            plan_cache_entries=lambda: len(gateway.plans.room),
            plan_cache_bytes=lambda: gateway.plans.room.bytes,
            policy_version=lambda: gateway.snapshot.version,
            audit_events=lambda: gateway.audit.events,
            audit_queue=lambda: gateway.audit.queued,
            audit_lost=lambda: gateway.audit.lost,
        )

    def _routes(self) -> dict[str, Callable[[], tuple[int, str, bytes]]]:
        return {"/metrics": self._metrics, "/healthz": self._healthz, "/readyz": self._readyz}

    def _metrics(self) -> tuple[int, str, bytes]:
        metrics = self._gateway.metrics
        metrics.plan_cache_hits = self._gateway.plans.hits
        metrics.plan_cache_misses = self._gateway.plans.misses
        metrics.plan_cache_evicted = self._gateway.plans.room.evicted
        metrics.sqlglot_unparsed = COUNTS.unparsed
        metrics.bytes_in = sum(totals.bytes_received for totals in self._gateway.totals.values())
        metrics.bytes_out = sum(totals.bytes_sent for totals in self._gateway.totals.values())
        return 200, METRICS_CONTENT_TYPE, metrics.render()

    def _healthz(self) -> tuple[int, str, bytes]:
        return 200, "text/plain", b"ok\n"

    def _readyz(self) -> tuple[int, str, bytes]:
        """Ready: it takes sessions and can record them. Targets that fail are listed, they do not make it unready."""
        problems = []
        if self._stop.is_set():
            problems.append("draining")
        try:
            self._gateway.audit.check()
        except TenantGateError as error:
            problems.append(error.message)
        failing = sorted({key[0] for key, pool in self._gateway.pools.items() if pool.failing})
        body = json.dumps({"ready": not problems, "problems": problems, "targets_failing": failing}).encode() + b"\n"
        return (503 if problems else 200), "application/json", body


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
