"""A connection to a target: detached, it answers `query()`; attached, its bytes go straight to a receiver.

Knows nothing of sessions, pools or policy. The handshake is in `backend_login`, sockets and TLS in
`backend_socket`. Source: PostgreSQL protocol documentation, "Message Flow".
"""

from __future__ import annotations

import asyncio
import select
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, Protocol, cast

from proxy.config import TargetConfig
from proxy.errors import BackendLost, LocalProtocolError, RemoteProtocolError
from proxy.postgres.backend_errors import BackendQueryError, ServerError, target_unavailable
from proxy.postgres.backend_inbox import LOGIN_LIMIT_BYTES, QUERY_LIMIT_BYTES, Inbox
from proxy.postgres.backend_login import (
    Channel,
    log_in,
    read_parameter_status,
    read_ready_for_query,
    startup_parameters,
)
from proxy.postgres.backend_socket import is_loopback, negotiate_tls, open_socket
from proxy.postgres.statements import BackendStatements
from proxy.postgres.wire.framing import HEADER_BYTES
from proxy.postgres.wire.messages import TERMINATE, encode_query
from proxy.postgres.wire.sasl import SaslRejected
from proxy.postgres.wire.scram import tls_server_end_point

IDLE: Final = ord("I")
QUERY_TIMEOUT_S: Final = 30.0
WRITE_HIGH_BYTES: Final = 256 * 1024

_unpack_count = struct.Struct("!H").unpack_from
_unpack_int = struct.Struct("!i").unpack_from


class BackendReceiver(Protocol):
    """Who is told what an attached backend does; calls come from the event loop and must not block."""

    def backend_data(self, data: bytes) -> None: ...
    def backend_lost(self, error: Exception | None) -> None: ...
    def backend_pause_writing(self) -> None: ...
    def backend_resume_writing(self) -> None: ...


@dataclass(slots=True)
class QueryResult:
    """What one simple query gave: rows in text format, and the last command tag (`""` for an empty query)."""

    rows: list[list[str | None]] = field(default_factory=list)
    tag: str = ""
    error: BackendQueryError | None = None


class BackendConnection:
    """An `asyncio.Protocol` by its methods (a subclass could not be compiled).

    Lives from the handshake to `close()` or the server's end of it; `closed` never becomes False again.

    While attached, `transaction_status` and `parameters` are the receiver's to keep: only bytes pass here.
    opened_at: on the event loop's clock. settings: what was set since the startup packet, by name, values as SQL.
    statements: that it has prepared. left: what the sessions before may have left on it (policy/sql/plan.py).
    `on_lost` is called once when the connection has ended, after the receiver was told.
    """

    __slots__ = (
        "_busy",
        "_inbox",
        "_paused",
        "_reading_paused",
        "_receiver",
        "_transport",
        "closed",
        "database",
        "left",
        "on_lost",
        "opened_at",
        "parameters",
        "pid",
        "secret",
        "settings",
        "statements",
        "target",
        "tls",
        "transaction_status",
    )

    def __init__(self, target: TargetConfig, database: str) -> None:
        self.target = target
        self.database = database
        self.pid = 0
        self.opened_at = asyncio.get_running_loop().time()
        self.secret = b""
        self.parameters: dict[str, str] = {}
        self.transaction_status = IDLE
        self.settings: dict[str, str] = {}
        self.statements = BackendStatements()
        self.left = 0
        self.closed = False
        self.tls = False
        self.on_lost: Callable[[BackendConnection], None] | None = None
        self._inbox = Inbox()
        self._transport: asyncio.Transport | None = None
        self._receiver: BackendReceiver | None = None
        self._busy = False
        self._paused = False
        self._reading_paused = False

    def __repr__(self) -> str:
        return f"<BackendConnection target={self.target.name} database={self.database} pid={self.pid}>"

    # --- used by the owner

    @property
    def attached(self) -> bool:
        return self._receiver is not None

    def attach(self, receiver: BackendReceiver) -> None:
        """Send all further bytes to `receiver`. Raises BackendLost when the connection has ended."""
        if self.closed:
            raise BackendLost("the connection to the target was lost")
        if self._receiver is not None or self._busy or not self._inbox.empty:
            raise LocalProtocolError("attach of a backend that is in use")
        self._receiver = receiver
        if self._paused:
            receiver.backend_pause_writing()

    def detach(self) -> None:
        """Take the bytes back; the owner has read everything it asked for."""
        self._receiver = None
        self.resume_reading()

    def write(self, data: bytes) -> None:
        if self._transport is not None and not self.closed:
            self._transport.write(data)

    def pause_reading(self) -> None:
        if self._transport is not None and not self._reading_paused and not self.closed:
            self._reading_paused = True
            self._transport.pause_reading()

    def resume_reading(self) -> None:
        if self._transport is not None and self._reading_paused and not self.closed:
            self._reading_paused = False
            self._transport.resume_reading()

    def close(self) -> None:
        """End the session politely; the receiver hears nothing more. A peer that does not read is cut off."""
        transport = self._end()
        if transport is None:
            return
        if self._paused or transport.get_write_buffer_size() > 0:
            transport.abort()
        else:
            transport.write(TERMINATE)
            transport.close()

    def abort(self) -> None:
        """Cut the connection at once."""
        transport = self._end()
        if transport is not None:
            transport.abort()

    def _end(self) -> asyncio.Transport | None:
        if self.closed:
            return None
        self.closed = True
        self._receiver = None
        self._inbox.fail(BackendLost("the backend was closed"))
        return self._transport

    def input_pending(self) -> bool:
        """The socket has something to read (data or its end) that the loop has not delivered yet."""
        if self._transport is None or self.closed:
            return True
        poller = select.poll()
        poller.register(self._transport.get_extra_info("socket").fileno(), select.POLLIN)
        return bool(poller.poll(0))

    # --- simple queries while detached

    async def query(self, sql: str, *, timeout_s: float = QUERY_TIMEOUT_S) -> list[list[str | None]]:
        """Run `sql` by the simple protocol and return its rows, values in text format.

        Raises BackendQueryError for an error of the server (the connection stays usable), BackendLost otherwise.
        """
        return (await self.exchange(sql, timeout_s=timeout_s))[0].rows

    async def exchange(self, *statements: str, timeout_s: float = QUERY_TIMEOUT_S) -> list[QueryResult]:
        """Send every statement as a Query of its own in one write; one result for each. Raises as `query`.

        A time-out or cancellation closes the connection: nobody knows what the server still sends.
        """
        self._check_free()
        request = b"".join(encode_query(sql.encode()) for sql in statements)
        self._busy = True
        try:
            async with asyncio.timeout(timeout_s):
                self.write(request)
                results = [await self._result() for _ in statements]
            self._settle()
        except TimeoutError:
            self.abort()
            raise BackendLost(f'target "{self.target.name}" did not answer in {timeout_s:g} s') from None
        except RemoteProtocolError as error:
            self.abort()
            raise BackendLost(f'target "{self.target.name}" broke the protocol') from error
        except BaseException:
            self.abort()
            raise
        finally:
            self._busy = False
        for result in results:
            if result.error is not None:
                raise result.error
        return results

    def _check_free(self) -> None:
        if self.closed:
            raise BackendLost("the connection to the target was lost")
        if self._receiver is not None or self._busy:
            raise LocalProtocolError("query on a backend that is in use")

    async def _result(self) -> QueryResult:
        result = QueryResult()
        while True:
            message = await self._inbox.take()
            tag = message[0]
            if tag == 0x44:  # DataRow
                result.rows.append(_decode_row(message))
            elif tag == 0x43:  # CommandComplete
                result.tag = message[HEADER_BYTES:-1].decode("utf-8", "replace")
            elif tag == 0x45:  # ErrorResponse
                result.error = result.error or BackendQueryError.from_message(message)
            elif tag == 0x5A:  # ReadyForQuery
                self.transaction_status = read_ready_for_query(message)
                return result
            elif tag not in b"TI":  # RowDescription, EmptyQueryResponse
                self._on_asynchronous(message)

    def _on_asynchronous(self, message: bytes) -> None:
        """What a server may send at any time (protocol, "Asynchronous Operations"); anything else is an error."""
        if message[0] == 0x53:  # ParameterStatus
            name, value = read_parameter_status(message)
            self.parameters[name] = value
        elif message[0] not in b"NA":  # NoticeResponse, NotificationResponse
            raise RemoteProtocolError(f"unexpected message {chr(message[0])!r} from the server")

    # --- called by the event loop

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._transport.set_write_buffer_limits(high=WRITE_HIGH_BYTES)

    def data_received(self, data: bytes) -> None:
        if self._receiver is not None:
            self._receiver.backend_data(data)
        elif not self.closed:
            self._on_detached_data(data)

    def _on_detached_data(self, data: bytes) -> None:
        try:
            self._inbox.feed(data)
            if not self._busy:
                self._settle()
        except RemoteProtocolError:
            self.abort()

    def _settle(self) -> None:
        """Take what nobody waits for. Raises RemoteProtocolError on anything that no query of ours caused."""
        while (message := self._inbox.take_nowait()) is not None:
            self._on_asynchronous(message)

    def eof_received(self) -> None:
        """The server is done; the transport closes."""

    def pause_writing(self) -> None:
        self._paused = True
        if self._receiver is not None:
            self._receiver.backend_pause_writing()

    def resume_writing(self) -> None:
        self._paused = False
        if self._receiver is not None:
            self._receiver.backend_resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        self.closed = True
        receiver, self._receiver = self._receiver, None
        self._inbox.fail(BackendLost("the connection to the target was lost"))
        if receiver is not None:
            receiver.backend_lost(exc)
        if self.on_lost is not None:
            self.on_lost(self)

    # --- the handshake

    async def _establish(self, protocol_options: Mapping[str, str]) -> None:
        loop = asyncio.get_running_loop()
        parameters = startup_parameters(self.target, self.database, protocol_options)
        sock = await open_socket(self.target)
        try:
            context = await negotiate_tls(sock, self.target)
            local = is_loopback(sock)
            hostname = self.target.host if context is not None else None
            transport, _ = await loop.create_connection(
                lambda: cast(asyncio.Protocol, self), sock=sock, ssl=context, server_hostname=hostname
            )
        except BaseException:
            sock.close()
            raise
        self.tls = context is not None
        self._inbox.limit_bytes = LOGIN_LIMIT_BYTES
        self._busy = True
        channel = Channel(self.tls or local, _end_point(transport) if self.tls else None)
        login = await log_in(self._inbox.take, self.write, self.target, parameters, channel)
        self.pid, self.secret, self.parameters = login.pid, login.secret, login.parameters
        self._settle()
        self._inbox.limit_bytes = QUERY_LIMIT_BYTES
        self._busy = False


async def connect_backend(
    target: TargetConfig, database: str, *, protocol_options: Mapping[str, str]
) -> BackendConnection:
    """A backend that is logged in and idle. `protocol_options`: startup parameters (search_path,
    application_name …); encoding and standard_conforming_strings are always ours.

    Raises TargetUnavailable (57P03), whose message names the target and whose cause says why.
    """
    connection = BackendConnection(target, database)
    try:
        async with asyncio.timeout(target.connect_timeout_s):
            await connection._establish(protocol_options)
    except BaseException as error:
        connection.abort()
        if isinstance(error, OSError | ServerError | SaslRejected | BackendLost | RemoteProtocolError):
            raise target_unavailable(target, error) from error
        raise
    return connection


def _end_point(transport: asyncio.BaseTransport) -> bytes | None:
    """The channel binding of a TLS connection; None when the certificate's signature defines none."""
    certificate = transport.get_extra_info("ssl_object").getpeercert(binary_form=True)
    try:
        return tls_server_end_point(certificate)
    except ValueError:
        return None


def _decode_row(message: bytes) -> list[str | None]:
    """A DataRow in text format. Raises RemoteProtocolError on lengths that lie."""
    values: list[str | None] = []
    position, end = HEADER_BYTES + 2, len(message)
    try:
        for _ in range(_unpack_count(message, HEADER_BYTES)[0]):
            length: int = _unpack_int(message, position)[0]
            position += 4
            if length < 0:
                values.append(None)
                continue
            if position + length > end:
                raise RemoteProtocolError("malformed DataRow")
            values.append(message[position : position + length].decode("utf-8"))
            position += length
    except (struct.error, UnicodeDecodeError):
        raise RemoteProtocolError("malformed DataRow") from None
    return values
