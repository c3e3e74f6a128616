"""A client's connection: bytes between the transport and, first, the login conversation, then the engine.

Lifetime: from an accepted (and, with TLS, encrypted) connection to its loss. Until the login is done messages are
read by `read_message`, bounded in size; afterwards everything goes to the engine in the callback that brought it.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Final, Protocol, cast

from policy.errors import TenantGateError
from proxy.errors import BackendLost, LoginTimedOut, RemoteProtocolError
from proxy.postgres.errors import error_reply
from proxy.postgres.wire.startup import check_packet_length, unpack_int
from proxy.tls import ALPN_PROTOCOL, PeerIdentity, peer_identity

if TYPE_CHECKING:
    from proxy.audit.emitter import AuditEmitter
    from proxy.lease import Lease

logger = logging.getLogger(__name__)
_MAX_UNREAD_BYTES: Final = 64 * 1024
_AUTHENTICATION_RESPONSE: Final = ord("p")

# Why a client is not read from, as bits: it is read again when every reason is gone.
PAUSE_HELD: Final = 1
PAUSE_BACKEND: Final = 2
PAUSE_CATALOG: Final = 4
PAUSE_AUDIT: Final = 8


class ClientHandler(Protocol):
    """What takes over after login: the engine of a session, or the admin console."""

    ended: bool
    ddl_pending: bool  # the owner has something to do once the session is idle

    @property
    def mid_message(self) -> bool:
        """The client has got a part of a message."""
        ...

    @property
    def farewell(self) -> bool:
        """The client was told why its backend is lost."""
        ...

    def client_data(self, data: bytes) -> None: ...
    def backend_data(self, data: bytes) -> None: ...
    def client_reads(self, reads: bool) -> None: ...

    def discard(self) -> None:
        """It is over: hold on to nothing that holds on to this, so that its memory is free at once."""
        ...


class FrontendOwner(Protocol):
    """The gateway, as its frontends see it."""

    draining: bool

    @property
    def gate(self) -> AuditEmitter | None:
        """What replies wait for: that their events are kept. None: for nothing."""
        ...

    def frontend_lost(self, frontend: Frontend) -> None: ...
    def backend_done(self, frontend: Frontend) -> None: ...


OpenSession = Callable[["Frontend"], Awaitable[None]]


class Frontend:
    """An `asyncio.Protocol` by its methods (a subclass could not be compiled), and the receiver of its backend's bytes.

    `last_data`: loop time of the client's last bytes.
    """

    __slots__ = (
        "_gate",
        "_held",
        "_held_bytes",
        "_inbox",
        "_open_session",
        "_owner",
        "_pauses",
        "_task",
        "_wakeup",
        "_write_paused",
        "address",
        "closing",
        "direct_tls",
        "handler",
        "last_data",
        "lease",
        "loop",
        "opened_at",
        "transport",
        "write_high_bytes",
    )

    def __init__(
        self, owner: FrontendOwner, open_session: OpenSession, *, direct_tls: bool, write_high_bytes: int
    ) -> None:
        self._owner = owner
        self._open_session = open_session
        self.direct_tls = direct_tls
        self.write_high_bytes = write_high_bytes
        self.loop = asyncio.get_running_loop()
        self.opened_at = self.last_data = self.loop.time()
        self.transport: asyncio.Transport | None = None
        self.address = ""
        self.handler: ClientHandler | None = None
        self.lease: Lease | None = None
        self.closing = False
        self._pauses = 0
        self._gate = owner.gate
        self._held: list[tuple[int, bytes]] = []  # to be written when so many events are kept
        self._held_bytes = 0
        self._write_paused = False
        self._inbox = bytearray()
        self._wakeup: asyncio.Future[None] | None = None
        self._task: asyncio.Task[None] | None = None

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's transports are not its subclasses
        peer = transport.get_extra_info("peername")
        self.address = f"{peer[0]}:{peer[1]}" if isinstance(peer, tuple) else "local"
        self.transport.set_write_buffer_limits(high=self.write_high_bytes)
        self._task = self.loop.create_task(self._open())

    def data_received(self, data: bytes) -> None:
        self.last_data = self.loop.time()
        handler = self.handler
        if handler is None:
            self._inbox += data
            if len(self._inbox) > _MAX_UNREAD_BYTES and self.transport is not None:
                self.transport.pause_reading()
            self._wake()
            return
        try:
            handler.client_data(data)
            if handler.ended:
                self.close()
        except Exception as error:
            self.fatal(error)

    def pause_writing(self) -> None:
        self._write_paused = True
        if self.handler is not None:
            self.handler.client_reads(False)

    def resume_writing(self) -> None:
        self._write_paused = False
        if self.handler is not None and self._held_bytes <= self.write_high_bytes:
            self.handler.client_reads(True)

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self.closing = True
        self.transport = None
        self._drop_held()
        self._wake()
        if self._task is not None and self.handler is None:
            self._task.cancel()
        self._owner.frontend_lost(self)
        handler, self.handler = self.handler, None
        if handler is not None:
            handler.discard()

    # Receiver of the backend

    def backend_data(self, data: bytes) -> None:
        handler = self.handler
        if handler is None:
            return
        try:
            handler.backend_data(data)
            if handler.ddl_pending or self._owner.draining:
                self._owner.backend_done(self)
        except Exception as error:
            self.fatal(error)

    def settled(self) -> None:
        """A request was answered without bytes of a backend of its own."""
        if self._owner.draining:
            self._owner.backend_done(self)

    def backend_lost(self, error: Exception | None) -> None:
        if self.handler is not None and self.handler.farewell:
            self.close()
            return
        self.fatal(BackendLost("the connection to the database was lost", hint="Try again."))

    def backend_pause_writing(self) -> None:
        self.pause_client(True, PAUSE_BACKEND)

    def backend_resume_writing(self) -> None:
        self.pause_client(False, PAUSE_BACKEND)

    # Login

    async def _open(self) -> None:
        try:
            await self._open_session(self)
        except asyncio.CancelledError:
            raise
        except TimeoutError:
            self.fatal(LoginTimedOut("the login took too long"))
        except Exception as error:
            self.fatal(error)

    @property
    def is_tls(self) -> bool:
        return self.transport is not None and self.transport.get_extra_info("ssl_object") is not None

    def tls_identity(self) -> PeerIdentity | None:
        """What the TLS handshake told, None without TLS. Raises RemoteProtocolError for direct TLS without ALPN."""
        connection = self.transport.get_extra_info("ssl_object") if self.transport is not None else None
        if not isinstance(connection, (ssl.SSLObject, ssl.SSLSocket)):
            return None
        identity = peer_identity(connection)  # type: ignore[arg-type]
        if self.direct_tls and identity.alpn != ALPN_PROTOCOL:
            raise RemoteProtocolError("direct TLS needs ALPN protocol `postgresql`")
        return identity

    async def read_startup(self) -> bytes:
        """The body of the startup packet (what follows its length)."""
        head = await self._take(4)
        return await self._take(check_packet_length(unpack_int(head, 0)[0]) - 4)

    async def read_message(self, limit: int) -> tuple[int, bytes]:
        """Tag and body of the next message. Raises RemoteProtocolError when its body is longer than `limit` bytes, or
        at once when it is no authentication response: a second startup packet must not be waited for to its end."""
        head = await self._take(5)
        length = unpack_int(head, 1)[0]
        if head[0] != _AUTHENTICATION_RESPONSE:
            raise RemoteProtocolError(f"expected an authentication response, got message type {head[0]}")
        if length < 4 or length - 4 > limit:
            raise RemoteProtocolError(f"invalid message length {length} during login")
        return head[0], await self._take(length - 4)

    async def _take(self, size: int) -> bytes:
        while len(self._inbox) < size:
            if self.closing or self.transport is None:
                raise ConnectionResetError("client went away during login")
            self.transport.resume_reading()
            self._wakeup = self.loop.create_future()
            await self._wakeup
        taken = bytes(self._inbox[:size])
        del self._inbox[:size]
        return taken

    def _wake(self) -> None:
        if self._wakeup is not None and not self._wakeup.done():
            self._wakeup.set_result(None)

    def begin(self, handler: ClientHandler) -> None:
        """Login is done: what the client has sent meanwhile goes to `handler`, and all from now on.

        What only the login needed is let go: a session may be idle for days.
        """
        self.handler = handler
        rest = bytes(self._inbox)
        self._inbox = bytearray()
        self._task = self._wakeup = None
        if self.transport is not None:
            self.transport.resume_reading()
        if rest:
            self.data_received(rest)

    # To the client

    def write(self, data: bytes) -> None:
        """Send to the client; after the connection is gone, nothing."""
        if self.transport is None or self.closing:
            return
        if self._gate is not None and (self._held or self._gate.acknowledged < self._gate.emitted):
            self._hold(data, self._gate)
        else:
            self.transport.write(data)

    def _hold(self, data: bytes, gate: AuditEmitter) -> None:
        """Keep it back until all events up to now are kept: those that it is the answer to are among them."""
        before = self._held_bytes
        self._held.append((gate.emitted, data))
        self._held_bytes += len(data)
        gate.waiting[self] = None
        if before <= self.write_high_bytes < self._held_bytes and self.handler is not None:
            self.handler.client_reads(False)

    def release(self, acknowledged: int) -> None:
        """So many events are kept: write what waited for them."""
        ready = 0
        while ready < len(self._held) and self._held[ready][0] <= acknowledged:
            ready += 1
        out = b"".join([data for _, data in self._held[:ready]])
        del self._held[:ready]
        before = self._held_bytes
        self._held_bytes -= len(out)
        if self.transport is None:
            return
        if out:
            self.transport.write(out)
        if not self._held:
            self._drop_held()
            if self.closing:
                self.transport.close()
        if self._held_bytes <= self.write_high_bytes < before and self.handler is not None and not self._write_paused:
            self.handler.client_reads(True)

    def refuse(self) -> None:
        """What waits for its events will never be told: the client must not take it for done."""
        self._drop_held()
        self.closing = True
        if self.transport is not None:
            self.transport.abort()

    def _drop_held(self) -> None:
        self._held.clear()
        self._held_bytes = 0
        if self._gate is not None:
            self._gate.waiting.pop(self, None)

    def pause_client(self, paused: bool, reason: int = PAUSE_HELD) -> None:
        """Stop reading what the client sends for `reason`, or end that reason and go on when it was the last."""
        before = self._pauses
        self._pauses = before | reason if paused else before & ~reason
        if self.transport is None or self.closing or bool(before) == bool(self._pauses):
            return
        if self._pauses:
            self.transport.pause_reading()
        else:
            self.last_data = self.loop.time()  # nothing could come meanwhile
            self.transport.resume_reading()

    @property
    def paused(self) -> bool:
        """The client is not read from: its silence is our doing."""
        return self._pauses != 0

    def fatal(self, error: BaseException) -> None:
        """Tell the client why, and close. In the middle of a message nothing can be told: it would be data."""
        if isinstance(error, ConnectionError):
            self.close()
            return
        if not self.closing:
            if not isinstance(error, TenantGateError) or error.kind in ("protocol", "bug"):
                logger.info("connection ended: %s", error, extra={"client": self.address})
            if self.handler is None or not self.handler.mid_message:
                self.write(error_reply(error, "FATAL"))
        self.close()

    def close(self) -> None:
        """Close after what is written has been sent."""
        if self.transport is not None and not self.closing:
            self.closing = True
            if not self._held:
                self.transport.close()
            self.loop.call_later(_LINGER_S, self._abort)

    def _abort(self) -> None:
        """A client that does not read must not hold the connection for ever."""
        if self.transport is not None:
            self.transport.abort()


_LINGER_S: Final = 10.0
