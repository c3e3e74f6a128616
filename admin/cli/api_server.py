"""The process that serves the admin API: uvicorn around the application, recovery beside it, reload on SIGHUP."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket
import ssl
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import uvicorn

from admin.api.app import create_app
from admin.cli.api_parts import make_control
from admin.cli.api_reports import make_scheduled
from admin.cli.api_settings import ApiSettings
from admin.compliance.schedule import Schedule
from admin.services.errors import StoreUnavailable
from admin.services.provisioning import Provisioner
from admin.store.engine import shown
from admin.store.upgrade import open_store
from policy.errors import TenantGateError
from proxy.config import GatewayConfig
from proxy.config_file import load_config
from proxy.identity.authenticator import Authenticator
from proxy.tls import server_context

_RECOVERY_INTERVAL_S = 15.0
_MOST_AT_ONCE = 256
_HEAD_BYTES = 32 * 1024
_GRACEFUL_S = 10
logger = logging.getLogger(__name__)


def serve(
    config_path: Path, config: GatewayConfig, settings: ApiSettings, schedules: Sequence[Schedule], store: str
) -> int:
    """Serve until told to stop. 0: stopped; 2: it cannot serve."""
    try:
        asyncio.run(_Process(config_path, config, settings, schedules).serve(store))
    except (TenantGateError, OSError) as error:
        logger.error("cannot serve: %s", getattr(error, "message", error))
        return 2
    return 0


class _Process:
    """Lifetime: the process."""

    def __init__(
        self, config_path: Path, config: GatewayConfig, settings: ApiSettings, schedules: Sequence[Schedule]
    ) -> None:
        self._path = config_path
        self._schedules = schedules
        self._config = config
        self._settings = settings
        self._authenticator = Authenticator(config.auth, config.tls, time.time)
        self._tls = server_context(config.tls, alpn="http/1.1")

    async def serve(self, store_url: str) -> None:
        store = await open_store(store_url)
        settings = self._settings
        try:
            control = make_control(store, self._config, settings, self._authenticator, time.time, time.monotonic)
            app = create_app(control, max_body_bytes=settings.max_body_bytes, secure=self._tls is not None)
            listener = _bind(settings.host, settings.port)
            server = _Server(self._uvicorn(app))
            asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, self._reload)
            beside = [asyncio.create_task(_recover(control.provisioner))]
            if self._schedules:
                beside.append(asyncio.create_task(make_scheduled(store, self._config, self._schedules)))
            address = listener.getsockname()
            logger.info(
                "serving the admin API",
                extra={
                    "address": f"{address[0]}:{address[1]}",
                    "tls": self._tls is not None,
                    "store": shown(store.url),
                },
            )
            try:
                await server.serve(sockets=[listener])
            finally:
                for task in beside:
                    task.cancel()
                await asyncio.gather(*beside, return_exceptions=True)
        finally:
            await store.close()
        logger.info("stopped")

    def _uvicorn(self, app: object) -> uvicorn.Config:
        tls = self._tls
        return uvicorn.Config(
            app,  # type: ignore[arg-type]
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            lifespan="off",
            ws="none",
            http="h11",
            h11_max_incomplete_event_size=_HEAD_BYTES,
            limit_concurrency=_MOST_AT_ONCE,
            timeout_keep_alive=10,
            timeout_graceful_shutdown=_GRACEFUL_S,
            ssl_context_factory=None if tls is None else lambda _config, _default: tls,
        )

    def _reload(self) -> None:
        """SIGHUP: issuers, keys and certificates again; all or nothing. The rest takes a restart."""
        try:
            config = load_config(self._path, os.environ)
            self._authenticator.reload(config.auth, config.tls)
            if self._tls is not None and config.tls.certificate is not None and config.tls.key is not None:
                self._tls.load_cert_chain(config.tls.certificate, config.tls.key)
        except (TenantGateError, OSError, ssl.SSLError) as error:
            logger.error("reload refused, nothing changed: %s", getattr(error, "message", error))
            return
        logger.info("reloaded")


class _Server(uvicorn.Server):
    """Signals stop it, and are not sent once more when it has: the process ends with status 0."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.handle_exit, number, None)
        yield


def _bind(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(_MOST_AT_ONCE)
    except OSError:
        listener.close()
        raise
    return listener


async def _recover(provisioner: Provisioner) -> None:
    """Finish or undo what processes that are gone have left, now and again."""
    while True:
        try:
            if count := await provisioner.recover():
                logger.info("work of others finished or undone", extra={"count": count})
        except StoreUnavailable as error:
            logger.warning("no recovery: %s", error.message)
        except Exception:
            logger.exception("recovery failed")
        await asyncio.sleep(_RECOVERY_INTERVAL_S)
