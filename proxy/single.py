"""A gateway of one process: serve, reload on SIGHUP, drain on SIGTERM."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from collections.abc import Mapping
from pathlib import Path

import uvloop

from policy.errors import ConfigurationError, TenantGateError
from proxy.config import GatewayConfig
from proxy.config_file import load_config
from proxy.config_policy import check_same_source
from proxy.listeners import bind_listener
from proxy.observe.health import Answer
from proxy.observe.http import Route, serve_http
from proxy.observe.metrics import METRICS_CONTENT_TYPE
from proxy.open_files import allow_open_files
from proxy.policy_feed.first import follow
from proxy.server import Server
from proxy.snapshots import load_snapshot

logger = logging.getLogger(__name__)


def run(config_path: Path, config: GatewayConfig) -> int:
    """Serve until told to stop. Returns the process's exit code: 0 stopped, 2 it cannot serve."""
    try:
        uvloop.run(_Single(config_path, config).serve())
    except (ConfigurationError, TenantGateError, OSError) as error:
        logger.error("cannot serve: %s", error)
        return 2
    return 0


class _Single:
    """Lifetime: the process."""

    def __init__(self, config_path: Path, config: GatewayConfig) -> None:
        self._config_path = config_path
        self._config = config
        self._version = 1
        self._reloads = 0  # asked for
        self._reloading: asyncio.Task[None] | None = None

    async def serve(self) -> None:
        loop, config = asyncio.get_running_loop(), self._config
        allow_open_files(config)
        self._follower = follow(config, lambda: self._config)
        if self._follower is not None:
            snapshot = await self._follower.begin()
        else:
            snapshot = await load_snapshot(config, self._version)
        self._server = Server(config, snapshot)
        listener = bind_listener(config.listen)
        self._server.start()
        self._server.accept_from([listener])
        address = listener.getsockname()
        http = await serve_http(config.listen.admin_host, config.listen.admin_port, self._routes())
        stop = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        loop.add_signal_handler(signal.SIGHUP, self.reload)
        following = loop.create_task(self._follow())
        loop.add_signal_handler(signal.SIGUSR2, _refuse_restart)
        logger.info(
            "serving",
            extra={
                "address": f"{address[0]}:{address[1]}",
                "admin": f"{config.listen.admin_host}:{http.sockets[0].getsockname()[1]}",
                "tenants": len(snapshot.tenants),
                "tls": config.tls.mode,
            },
        )
        await stop.wait()
        following.cancel()
        self._server.accept_from([])
        listener.close()
        await self._server.shut_down()
        http.close()
        logger.info("stopped")

    async def _follow(self) -> None:
        """As long as the process lives: take what the policy's store says, if there is one."""
        if self._follower is None:
            return
        gateway = self._server.gateway
        try:
            await self._follower.run(lambda snapshot, _: self._server.take_snapshot(snapshot), gateway.take_standing)
        finally:
            await self._follower.close()

    def reload(self) -> None:
        """SIGHUP: read configuration, policy and certificates again, soon. When that is being done already, it is done
        once more after it: the files may have changed."""
        self._reloads += 1
        if self._reloads == 1:
            self._reloading = asyncio.get_running_loop().create_task(self._reload_as_asked())

    async def _reload_as_asked(self) -> None:
        try:
            while self._reloads:
                self._reloads = 1
                await self._reload()
                self._reloads -= 1
        except Exception:
            logger.exception("a reload failed")
        finally:
            self._reloads = 0

    async def _reload(self) -> None:
        """All or nothing."""
        try:
            config = load_config(self._config_path, os.environ)
            check_same_source(config.policy, self._config.policy)
            if self._follower is None:
                snapshot = await load_snapshot(config, self._version + 1, self._server.gateway.snapshot.tenants)
            else:
                snapshot = self._follower.snapshot
            self._server.take(config, snapshot)
        except TenantGateError as error:
            logger.error("reload refused, nothing changed: %s", error.message)
            return
        self._version, self._config = snapshot.version, config
        logger.info("reloaded", extra={"policy_version": self._version, "tenants": len(snapshot.tenants)})

    def _routes(self) -> Mapping[str, Route]:
        return {"/metrics": self._metrics, "/healthz": _healthz, "/readyz": self._readyz}

    async def _metrics(self) -> Answer:
        return 200, METRICS_CONTENT_TYPE, self._server.metrics().render()

    async def _readyz(self) -> Answer:
        return self._server.readiness().answer()


def _refuse_restart() -> None:
    logger.error("restart refused: it takes a supervisor, that is, workers = 2 or more")


async def _healthz() -> Answer:
    return 200, "text/plain", b"ok\n"
