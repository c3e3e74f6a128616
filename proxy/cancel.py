"""Cancel requests: ours to a target, and the keys that we give to our clients.

A cancel request is a connection of its own that is never answered (protocol documentation, "Canceling Requests in
Progress"); the server closes it once the signal is sent, so waiting for that end orders it before what follows.
"""

from __future__ import annotations

import asyncio
import hmac
import logging
import secrets
import struct
from typing import Generic, TypeVar, cast

from proxy.config import TargetConfig
from proxy.errors import TargetUnavailable
from proxy.postgres.backend_socket import negotiate_tls, open_socket
from proxy.postgres.wire.startup import CANCEL_REQUEST

CANCEL_TIMEOUT_S = 5.0
MAX_PID = 2**31 - 1
SEAT_BITS = 7  # of a pid that we hand out: which worker knows it

logger = logging.getLogger(__name__)

S = TypeVar("S")


class _UntilClosed(asyncio.Protocol):
    """Writes one packet, drops whatever comes, tells when the connection has ended."""

    def __init__(self, packet: bytes) -> None:
        self._packet = packet
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        cast(asyncio.WriteTransport, transport).write(self._packet)  # uvloop's transports are not its subclasses

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.ended.done():
            self.ended.set_result(None)


async def send_cancel(target: TargetConfig, pid: int, secret: bytes) -> bool:
    """Ask the target to cancel what backend `pid` runs, over TLS when the target's mode has it.

    Returns when the server has taken it (True) or after 5 s or an error (False): nothing depends on it.
    """
    packet = struct.pack("!IIi", 12 + len(secret), CANCEL_REQUEST, pid) + secret
    try:
        async with asyncio.timeout(CANCEL_TIMEOUT_S):
            await _deliver(target, packet)
    except (OSError, TargetUnavailable) as error:
        logger.warning("cancel request to target %s failed: %s", target.name, type(error).__name__)
        return False
    return True


async def _deliver(target: TargetConfig, packet: bytes) -> None:
    loop = asyncio.get_running_loop()
    sock = await open_socket(target)
    try:
        context = await negotiate_tls(sock, target)
        hostname = target.host if context is not None else None
        transport, protocol = await loop.create_connection(
            lambda: _UntilClosed(packet), sock=sock, ssl=context, server_hostname=hostname
        )
    except BaseException:
        sock.close()
        raise
    try:
        await protocol.ended
    finally:
        transport.abort()


def seat_of(pid: int) -> int:
    """The worker that has handed out this pid, if workers hand them out."""
    return pid & ((1 << SEAT_BITS) - 1)


class CancelKeys(Generic[S]):
    """The keys that clients hold: random, unique, ours; a target's own never leave the gateway.

    seat: this process's among workers, the low bits of its pids; None when there is one process only.
    """

    __slots__ = ("_entries", "_seat")

    def __init__(self, seat: int | None = None) -> None:
        self._entries: dict[int, tuple[bytes, S]] = {}
        self._seat = seat

    def __len__(self) -> int:
        return len(self._entries)

    def register(self, session: S, length: int = 4) -> tuple[int, bytes]:
        """A new (pid, key) for `session`; `length` in bytes: 4 for protocol 3.0, 32 for 3.2."""
        pid = self._draw()
        while pid in self._entries:
            pid = self._draw()
        key = secrets.token_bytes(length)
        self._entries[pid] = (key, session)
        return pid, key

    def _draw(self) -> int:
        if self._seat is None:
            return secrets.randbelow(MAX_PID) + 1
        high = secrets.randbelow(1 << 31 - SEAT_BITS)
        return high << SEAT_BITS | self._seat

    def is_elsewhere(self, pid: int) -> bool:
        """Another worker has handed it out."""
        return self._seat is not None and seat_of(pid) != self._seat

    def lookup(self, pid: int, key: bytes) -> S | None:
        """The session that holds exactly this pair. Takes the same time whichever part of the key is wrong."""
        entry = self._entries.get(pid)
        if entry is None:
            return None
        return entry[1] if hmac.compare_digest(entry[0], key) else None

    def unregister(self, pid: int) -> None:
        self._entries.pop(pid, None)
