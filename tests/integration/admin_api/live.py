"""The API on a port of this machine, in a thread with a loop of its own: for clients that speak HTTP themselves."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import uvicorn

from tests.integration.admin_api.stage import Api, serve_api


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@contextlib.contextmanager
def live_api(store: Path, **more: Any) -> Iterator[tuple[str, Api]]:
    """Its URL and the API. `more` as for `serve_api`."""
    listener = socket.create_server(("127.0.0.1", 0))
    started: list[tuple[_Server, Api]] = []
    ready = threading.Event()

    async def main() -> None:
        async with serve_api(str(store), **more) as api:
            config = uvicorn.Config(api.app, log_config=None, access_log=False, lifespan="off", ws="none")
            server = _Server(config)
            started.append((server, api))
            ready.set()
            await server.serve(sockets=[listener])

    thread = threading.Thread(target=lambda: asyncio.run(main()))
    thread.start()
    try:
        assert ready.wait(60)
        server, api = started[0]
        yield f"http://127.0.0.1:{listener.getsockname()[1]}", api
    finally:
        for server, _ in started:
            server.should_exit = True
        thread.join(60)
        listener.close()
        assert not thread.is_alive()
