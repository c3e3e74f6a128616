"""Syslog over TLS (RFC 5425), TCP (RFC 6587, octet counting) or UDP (RFC 5426).

Syslog has no acknowledgement. On a stream a batch counts when the receiver's TCP has acknowledged all of it (SIOCOUTQ
is 0) and the connection still stands; what a receiver that goes down then loses is what it had taken and not kept, so
after a broken connection the last seconds are sent again: their ids make that harmless. UDP loses what it loses.
"""

from __future__ import annotations

import asyncio
import collections
import contextlib
import fcntl
import socket
import ssl
import struct
import time
from collections.abc import Sequence
from typing import Final
from urllib.parse import urlsplit

from proxy.audit.sinks.sink import Outcome, Record, SinkUnavailable
from proxy.audit.sinks.syslog_format import MAX_DATAGRAM_BYTES, encode_message, frame
from proxy.audit.sinks.transport import tls_context
from proxy.config_sinks import SinkConfig

_SIOCOUTQ: Final = 0x5411
_KEPT_S: Final = 10.0
_KEPT_RECORDS: Final = 5000
_PORTS: Final = {"udp": 514, "tcp": 601, "tls": 6514}


class SyslogStreamSink:
    """One connection at a time, made again after a failure."""

    def __init__(self, config: SinkConfig) -> None:
        parts = urlsplit(config.url)
        self._address = parts.hostname or "", parts.port or _PORTS[parts.scheme]
        self._tls = tls_context(config) if parts.scheme == "tls" else None
        self._timeout_s = config.timeout_s
        self._hostname = socket.gethostname()
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        self._sent: collections.deque[tuple[float, bytes]] = collections.deque(maxlen=_KEPT_RECORDS)

    async def send(self, records: Sequence[Record]) -> Outcome:
        try:
            async with asyncio.timeout(self._timeout_s):
                await self._send([frame(encode_message(record, self._hostname)) for record in records])
        except (OSError, TimeoutError, ssl.SSLError) as error:
            await self.close()
            raise SinkUnavailable(f"{self._address[0]}:{self._address[1]}: {error or 'no answer in time'}") from error
        return Outcome()

    async def _send(self, frames: list[bytes]) -> None:
        if self._streams is None:
            host, port = self._address
            name = host if self._tls is not None else None
            self._streams = await asyncio.open_connection(host, port, ssl=self._tls, server_hostname=name)
            frames = [*(kept for at, kept in self._sent if time.monotonic() - at < _KEPT_S), *frames]
        reader, writer = self._streams
        for each in frames:
            if reader.at_eof():
                raise ConnectionResetError("the receiver closed the connection")
            writer.write(each)
            await writer.drain()
        await _acknowledged(reader, writer)
        now = time.monotonic()
        self._sent.extend((now, each) for each in frames)

    async def close(self) -> None:
        streams, self._streams = self._streams, None
        if streams is not None:
            streams[1].close()
            with contextlib.suppress(OSError, TimeoutError, ssl.SSLError):
                async with asyncio.timeout(1):
                    await streams[1].wait_closed()


async def _acknowledged(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Wait until the peer's TCP has everything; raises when the connection breaks before."""
    raw = writer.get_extra_info("socket")
    while True:
        if reader.at_eof() or writer.is_closing():
            raise ConnectionResetError("the receiver closed the connection")
        waiting = struct.unpack("i", fcntl.ioctl(raw.fileno(), _SIOCOUTQ, b"\0" * 4))[0]
        if waiting == 0 and writer.transport.get_write_buffer_size() == 0:
            break
        await asyncio.sleep(0.002)
    await asyncio.sleep(0)
    if reader.at_eof():
        raise ConnectionResetError("the receiver closed the connection")


class SyslogDatagramSink:
    """UDP: one message a datagram, cut at 8 KiB."""

    def __init__(self, config: SinkConfig) -> None:
        parts = urlsplit(config.url)
        self._address = parts.hostname or "", parts.port or _PORTS["udp"]
        self._hostname = socket.gethostname()
        self._socket: socket.socket | None = None

    async def send(self, records: Sequence[Record]) -> Outcome:
        loop = asyncio.get_running_loop()
        try:
            if self._socket is None:
                self._socket = await self._connect(loop)
            for record in records:
                message = encode_message(record, self._hostname, limit_bytes=MAX_DATAGRAM_BYTES)
                await loop.sock_sendall(self._socket, message)
        except OSError as error:
            await self.close()
            raise SinkUnavailable(f"{self._address[0]}:{self._address[1]}: {error}") from error
        return Outcome()

    async def _connect(self, loop: asyncio.AbstractEventLoop) -> socket.socket:
        found = await loop.getaddrinfo(*self._address, type=socket.SOCK_DGRAM)
        family, kind, protocol, _, address = found[0]
        made = socket.socket(family, kind, protocol)
        made.setblocking(False)
        await loop.sock_connect(made, address)
        return made

    async def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None
