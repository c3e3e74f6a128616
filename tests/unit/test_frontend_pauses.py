"""A client is read again when every reason to pause it is gone, and its silence meanwhile is not held against it."""

from __future__ import annotations

import asyncio

from proxy.postgres.frontend import PAUSE_BACKEND, PAUSE_CATALOG, PAUSE_HELD, Frontend


class Owner:
    draining = False
    gate = None

    def frontend_lost(self, frontend: Frontend) -> None: ...
    def backend_done(self, frontend: Frontend) -> None: ...


class Socket(asyncio.Transport):
    """Counts like a transport that takes offence at being paused twice."""

    def __init__(self) -> None:
        super().__init__({"peername": ("127.0.0.1", 1)})
        self.reading = True

    def pause_reading(self) -> None:
        assert self.reading
        self.reading = False

    def resume_reading(self) -> None:
        assert not self.reading
        self.reading = True

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None: ...


async def never(_: Frontend) -> None:
    await asyncio.Event().wait()


async def opened() -> tuple[Frontend, Socket]:
    frontend, socket = Frontend(Owner(), never, direct_tls=False, write_high_bytes=1024), Socket()
    frontend.connection_made(socket)
    await asyncio.sleep(0)
    return frontend, socket


async def test_every_reason_must_be_gone() -> None:
    frontend, socket = await opened()
    frontend.pause_client(True)
    frontend.backend_pause_writing()
    frontend.pause_client(True, PAUSE_CATALOG)
    for reason in (PAUSE_HELD, PAUSE_CATALOG):
        frontend.pause_client(False, reason)
        assert frontend.paused
        assert not socket.reading
    frontend.pause_client(False, PAUSE_BACKEND)
    assert not frontend.paused
    assert socket.reading
    frontend.connection_lost(None)


async def test_a_reason_given_twice_is_one_reason() -> None:
    frontend, socket = await opened()
    frontend.pause_client(True)
    frontend.pause_client(True)
    frontend.pause_client(False)
    frontend.pause_client(False)
    assert socket.reading
    frontend.connection_lost(None)


async def test_time_begins_anew_when_the_client_is_read_again() -> None:
    frontend, _ = await opened()
    frontend.last_data = 0.0
    frontend.pause_client(True)
    frontend.pause_client(False)
    assert frontend.last_data > 0.0
    frontend.connection_lost(None)
