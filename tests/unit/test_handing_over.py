"""A connection whose login time is up while its transport is being made leaves nothing behind."""

from __future__ import annotations

import asyncio
import socket
from types import SimpleNamespace
from typing import Any, cast

import pytest

from proxy.config import LimitsConfig
from proxy.postgres.frontend import Frontend
from proxy.postgres.opening import Opened
from proxy.server import Server


class Gateway:
    """Remembers its frontends."""

    draining = False

    def __init__(self) -> None:
        self.frontends: set[Frontend] = set()
        self.gate = None

    def frontend_lost(self, frontend: Frontend) -> None:
        self.frontends.discard(frontend)


class HalfWay:
    """An event loop that is cancelled when the protocol has its transport, as uvloop's may be."""

    def __init__(self) -> None:
        self.made: Frontend | None = None

    async def connect_accepted_socket(self, factory: Any, sock: socket.socket, **_: object) -> None:
        self.made = factory()
        transport = SimpleNamespace(get_extra_info=lambda _: None, set_write_buffer_limits=lambda **_: None)
        self.made.connection_made(cast(asyncio.BaseTransport, transport))
        raise asyncio.CancelledError


async def test_a_transport_that_is_given_up_on_the_way() -> None:
    server, gateway, loop = Server.__new__(Server), Gateway(), HalfWay()
    server.gateway = cast(Any, gateway)
    server._loop = cast(Any, loop)
    server._open_session = cast(Any, None)  # the login is cancelled before it begins
    server._config = cast(Any, SimpleNamespace(limits=LimitsConfig(), auth=SimpleNamespace(login_timeout_s=1.0)))
    ours, theirs = socket.socketpair()
    with theirs, pytest.raises(asyncio.CancelledError):
        await server._hand_over(ours, Opened(None, direct=False))
    assert ours.fileno() == -1
    assert gateway.frontends == set()
    assert loop.made is not None
    assert loop.made.transport is None, "nobody shall write to it"
