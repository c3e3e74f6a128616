"""`tenantgate healthcheck` against the gateway's own HTTP server."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path

import pytest

from admin.cli.main import main
from proxy.observe.health import Answer
from proxy.observe.http import serve_http


@pytest.mark.parametrize(("code", "status"), [(200, 0), (503, 1)])
async def test_ready_or_not(tmp_path: Path, code: int, status: int) -> None:
    async def state() -> Answer:
        return code, "text/plain", b"state\n"

    server = await serve_http("127.0.0.1", 0, {"/readyz": state})
    port = server.sockets[0].getsockname()[1]
    config = tmp_path / "tenantgate.toml"
    config.write_text(f'[listen]\nadmin_host = "0.0.0.0"\nadmin_port = {port}\n')
    try:
        assert await asyncio.to_thread(main, ["healthcheck", "-c", str(config)]) == status
        assert await asyncio.to_thread(main, ["healthcheck", "--port", str(port)]) == status
    finally:
        server.close()
        await server.wait_closed()


def test_nobody_there() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, not listening
        assert main(["healthcheck", "--port", str(taken.getsockname()[1]), "--timeout", "1"]) == 1


def test_a_configuration_that_cannot_be_read(tmp_path: Path) -> None:
    assert main(["healthcheck", "-c", str(tmp_path / "missing.toml")]) == 2
