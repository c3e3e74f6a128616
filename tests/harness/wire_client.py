"""A client that sends any bytes: for tests of what no driver would send. Blocking, with a time-out on everything."""

from __future__ import annotations

import socket
import ssl
import struct
import time
from dataclasses import dataclass, field
from types import TracebackType

from proxy.postgres.wire import messages, replies, startup

SSL_REQUEST = struct.pack("!II", 8, startup.SSL_REQUEST)


@dataclass
class Answer:
    """What came back: (tag, whole message) in order, and whether the server closed the connection."""

    messages: list[tuple[str, bytes]] = field(default_factory=list)
    closed: bool = False

    @property
    def tags(self) -> str:
        return "".join(tag for tag, _ in self.messages)

    @property
    def errors(self) -> list[dict[str, str]]:
        """Fields of each ErrorResponse."""
        found = [replies.decode_error_fields(m) for tag, m in self.messages if tag == "E"]
        return [{code: value.decode() for code, value in fields.items()} for fields in found]

    @property
    def sqlstates(self) -> list[str]:
        return [fields["C"] for fields in self.errors]

    @property
    def rows(self) -> list[list[str | None]]:
        """DataRows as text."""
        return [_row(m) for tag, m in self.messages if tag == "D"]

    @property
    def statuses(self) -> str:
        """The status byte of each ReadyForQuery."""
        return "".join(chr(m[5]) for tag, m in self.messages if tag == "Z")


class WireClient:
    """One TCP connection. `tls()` and `log_in()` when wanted; `send` raw bytes, `receive` what comes."""

    def __init__(self, port: int, *, timeout_s: float = 10.0, host: str = "127.0.0.1") -> None:
        self.timeout_s = timeout_s
        self.sock: socket.socket = socket.create_connection((host, port), timeout=timeout_s)
        self._buffer = b""
        self.key = (0, b"")

    def __enter__(self) -> WireClient:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def tls(self, *, direct: bool = False, alpn: tuple[str, ...] = ("postgresql",), sni: str | None = None) -> None:
        """Go over to TLS, without checking the certificate."""
        if not direct:
            self.sock.sendall(SSL_REQUEST)
            assert self.sock.recv(1) == b"S"
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        if alpn:
            context.set_alpn_protocols(list(alpn))
        self.sock = context.wrap_socket(self.sock, server_hostname=sni)

    def log_in(self, user: str, database: str, token: str, minor: int = 0, **parameters: str) -> Answer:
        """Startup packet and token; returns what came up to ReadyForQuery, or the end."""
        self.send(startup.encode_startup({"user": user, "database": database, **parameters}, minor))
        first = self.receive(until="RE")
        if first.tags.endswith("R"):
            self.send(messages.encode(b"p", token.encode() + b"\0"))
            rest = self.receive()
            first.messages += rest.messages
            first.closed = rest.closed
        for tag, message in first.messages:
            if tag == "K":
                self.key = struct.unpack_from("!I", message, 5)[0], message[9:]
        return first

    def send(self, *parts: bytes) -> None:
        self.sock.sendall(b"".join(parts))

    def query(self, sql: str) -> Answer:
        self.send(messages.encode_query(sql.encode()))
        return self.receive()

    def receive(self, ready: int = 1, *, until: str = "", timeout_s: float | None = None) -> Answer:
        """Read until `ready` ReadyForQuery, a message with a tag in `until`, the end, or time is up."""
        answer, deadline = Answer(), time.monotonic() + (timeout_s or self.timeout_s)
        while True:
            while (message := self._take()) is not None:
                tag = chr(message[0])
                answer.messages.append((tag, message))
                ready -= tag == "Z"
                if ready == 0 or tag in until:
                    return answer
            self.sock.settimeout(max(0.01, deadline - time.monotonic()))
            try:
                data = self.sock.recv(65536)
            except (TimeoutError, ssl.SSLWantReadError):
                return answer
            except OSError:
                data = b""
            if not data:
                answer.closed = True
                return answer
            self._buffer += data

    def _take(self) -> bytes | None:
        if len(self._buffer) < 5:
            return None
        stop = 1 + struct.unpack_from("!I", self._buffer, 1)[0]
        if len(self._buffer) < stop:
            return None
        message, self._buffer = self._buffer[:stop], self._buffer[stop:]
        return message

    @property
    def unread(self) -> bytes:
        """What was received of a message that is not whole."""
        return self._buffer

    def close(self) -> None:
        self.sock.close()


def _row(message: bytes) -> list[str | None]:
    values: list[str | None] = []
    position = 7
    for _ in range(struct.unpack_from("!H", message, 5)[0]):
        length = struct.unpack_from("!i", message, position)[0]
        position += 4
        values.append(None if length < 0 else message[position : position + length].decode())
        position += max(length, 0)
    return values


def parse(name: str, sql: str, *oids: int) -> bytes:
    types = struct.pack(f"!H{len(oids)}I", len(oids), *oids)
    return messages.encode_parse(name.encode(), sql.encode(), types)


def bind(portal: str, statement: str, *values: str | None) -> bytes:
    """All in text format."""
    body = portal.encode() + b"\0" + statement.encode() + b"\0" + struct.pack("!HH", 0, len(values))
    for value in values:
        body += struct.pack("!i", -1) if value is None else struct.pack("!i", len(value.encode())) + value.encode()
    return messages.encode(b"B", body + b"\0\0")


def describe(kind: str, name: str = "") -> bytes:
    return messages.encode(b"D", f"{kind}{name}\0".encode())


def execute(portal: str = "", max_rows: int = 0) -> bytes:
    return messages.encode(b"E", portal.encode() + b"\0" + struct.pack("!i", max_rows))


def close(kind: str, name: str) -> bytes:
    return messages.encode(b"C", f"{kind}{name}\0".encode())


SYNC, FLUSH = messages.SYNC, messages.FLUSH
