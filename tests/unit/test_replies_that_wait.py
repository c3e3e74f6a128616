"""Replies that wait until their audit events are kept: order, closing, back-pressure, and syncs that fail."""

from __future__ import annotations

import asyncio
import errno
import os
import threading
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from proxy.audit.emitter import AuditEmitter
from proxy.config import AuditConfig
from proxy.postgres.frontend import Frontend
from tests.unit.audit.samples import numbered, read_lines


class Owner:
    draining = False

    def __init__(self, gate: AuditEmitter | None) -> None:
        self.gate = gate

    def frontend_lost(self, frontend: Frontend) -> None: ...
    def backend_done(self, frontend: Frontend) -> None: ...


class Socket(asyncio.Transport):
    def __init__(self) -> None:
        super().__init__({"peername": ("127.0.0.1", 1)})
        self.written = b""
        self.closed = self.aborted = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        assert not self.closed
        self.written += bytes(data)

    def close(self) -> None:
        self.closed = True

    def abort(self) -> None:
        self.aborted = True

    def resume_reading(self) -> None: ...
    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None: ...


class Handler:
    """An engine as far as a frontend needs one."""

    ended = ddl_pending = mid_message = farewell = False

    def __init__(self) -> None:
        self.reads: list[bool] = []

    def discard(self) -> None: ...
    def client_data(self, data: bytes) -> None: ...
    def backend_data(self, data: bytes) -> None: ...
    def client_reads(self, reads: bool) -> None:
        self.reads.append(reads)


class Disk:
    """Syncs end when they are told to."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.go = threading.Event()
        self.error: OSError | None = None
        monkeypatch.setattr(os, "fsync", self._sync)

    def _sync(self, _: int) -> None:
        assert self.go.wait(20)
        if self.error is not None:
            raise self.error


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    return Disk(monkeypatch)


@pytest.fixture(params=["written", "synced"])
def mode(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
async def audit(tmp_path: Path, mode: str, disk: Disk) -> AsyncIterator[AuditEmitter]:
    emitter = AuditEmitter(AuditConfig(path=tmp_path / "audit.jsonl", acknowledge=mode))
    emitter.start()
    yield emitter
    disk.go.set()
    await emitter.close()


async def opened(gate: AuditEmitter | None) -> tuple[Frontend, Socket, Handler]:
    async def never(_: Frontend) -> None:
        await asyncio.Event().wait()

    frontend, socket, handler = Frontend(Owner(gate), never, direct_tls=False, write_high_bytes=10), Socket(), Handler()
    frontend.connection_made(socket)
    frontend.begin(handler)
    return frontend, socket, handler


async def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.005)


async def test_a_reply_comes_when_its_event_is_kept(audit: AuditEmitter, mode: str, disk: Disk) -> None:
    frontend, socket, _ = await opened(audit)
    frontend.write(b"nothing to wait for ")
    audit.emit(numbered(1))
    frontend.write(b"first ")
    frontend.write(b"second ")
    assert socket.written == b"nothing to wait for "
    if mode == "synced":
        await until(lambda: audit.queued == 0)
        await asyncio.sleep(0.05)
        assert socket.written == b"nothing to wait for "
        assert b"SELECT 1" in read_lines(Path(audit.config.path))[-1]
        disk.go.set()
    await until(lambda: socket.written == b"nothing to wait for first second ")
    frontend.write(b"at once")
    assert socket.written.endswith(b"at once")


async def test_replies_keep_their_order_and_wait_for_their_own_event(audit: AuditEmitter, disk: Disk) -> None:
    frontend, socket, _ = await opened(audit)
    disk.go.set()
    for number in range(50):
        audit.emit(numbered(number))
        frontend.write(b"%d " % number)
        if number % 7 == 0:
            await asyncio.sleep(0.001)
    await until(lambda: socket.written.endswith(b"49 "))
    assert socket.written == b"".join(b"%d " % number for number in range(50))
    assert not audit.waiting


async def test_a_connection_closes_when_what_waits_is_written(audit: AuditEmitter, disk: Disk) -> None:
    frontend, socket, _ = await opened(audit)
    audit.emit(numbered(1))
    frontend.write(b"last words")
    frontend.close()
    assert not socket.closed
    disk.go.set()
    await until(lambda: socket.closed)
    assert socket.written == b"last words"


async def test_a_client_that_goes_waits_for_nothing(audit: AuditEmitter, disk: Disk) -> None:
    frontend, _, _ = await opened(audit)
    audit.emit(numbered(1))
    frontend.write(b"x")
    frontend.connection_lost(None)
    assert not audit.waiting


async def test_the_backend_is_not_read_while_much_waits(audit: AuditEmitter, disk: Disk) -> None:
    frontend, socket, handler = await opened(audit)
    audit.emit(numbered(1))
    frontend.write(b"12345678")
    assert handler.reads == []
    frontend.write(b"12345678")
    assert handler.reads == [False]
    disk.go.set()
    await until(lambda: handler.reads == [False, True])
    assert len(socket.written) == 16


async def test_a_sync_that_fails_ends_who_waits_without_a_reply(tmp_path: Path, disk: Disk) -> None:
    emitter = AuditEmitter(AuditConfig(path=tmp_path / "audit.jsonl", acknowledge="synced"))
    emitter.start()
    frontend, socket, _ = await opened(emitter)
    emitter.emit(numbered(1))
    frontend.write(b"done")
    disk.error = OSError(errno.EIO, "Input/output error")
    disk.go.set()
    await until(lambda: socket.aborted)
    assert socket.written == b""
    assert not emitter.waiting
    disk.error = None
    await emitter.close()
