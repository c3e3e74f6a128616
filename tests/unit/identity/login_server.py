"""A server that does nothing but log clients in: real sockets and TLS, so that libpq itself can be the client."""

from __future__ import annotations

import asyncio
import ssl
import struct
from collections.abc import Mapping

from policy.errors import AuthenticationError, TenantGateError
from policy.model import Tenant
from proxy.errors import RemoteProtocolError
from proxy.identity.authenticator import Authenticator
from proxy.postgres.login import LoginResult, Peer, log_in
from proxy.postgres.wire import replies
from proxy.postgres.wire.startup import SSL_REQUEST, decode_startup


class StreamConversation:
    """A Conversation over asyncio streams."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    def write(self, data: bytes) -> None:
        self.writer.write(data)

    async def read_message(self, limit: int) -> tuple[int, bytes]:
        tag, length = struct.unpack("!BI", await self.reader.readexactly(5))
        if not 4 <= length <= limit + 4:
            raise RemoteProtocolError("invalid message length")
        return tag, await self.reader.readexactly(length - 4)


class LoginServer:
    """Use as an async context manager. `results` are the logins that succeeded, `failures` the others."""

    def __init__(
        self,
        authenticator: Authenticator,
        tenants: Mapping[str, Tenant],
        tls: ssl.SSLContext | None = None,
        end_point: bytes | None = None,
    ) -> None:
        self.authenticator = authenticator
        self.tenants = tenants
        self.tls = tls
        self.end_point = end_point
        self.results: list[LoginResult] = []
        self.failures: list[Exception] = []
        self.port = 0

    async def __aenter__(self) -> LoginServer:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await self._log_in(reader, writer)
            await reader.read()
        except (asyncio.IncompleteReadError, ConnectionError) as error:
            self.failures.append(error)
        finally:
            writer.close()

    async def _log_in(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        body = await self._packet(reader)
        secure = body == struct.pack("!I", SSL_REQUEST)
        if secure:
            writer.write(b"S" if self.tls else b"N")
            if self.tls:
                await writer.start_tls(self.tls)
            secure = self.tls is not None
            body = await self._packet(reader)
        startup = decode_startup(body)
        peer = Peer("127.0.0.1", True, secure, server_end_point=self.end_point if secure else None)
        conversation = StreamConversation(reader, writer)
        try:
            result = await log_in(conversation, startup, peer, self.authenticator, self.tenants)
        except TenantGateError as error:
            self.failures.append(error)
            told = "login failed" if isinstance(error, AuthenticationError) else error.message
            writer.write(replies.error_response("FATAL", error.sqlstate, told, None, error.hint, 0))
        else:
            self.results.append(result)
            writer.write(replies.authentication_ok() + replies.parameter_status("server_version", "18.0"))
            writer.write(replies.ready_for_query(b"I"))
        await writer.drain()

    async def _packet(self, reader: asyncio.StreamReader) -> bytes:
        length = struct.unpack("!I", await reader.readexactly(4))[0]
        return await reader.readexactly(length - 4)
