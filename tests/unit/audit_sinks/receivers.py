"""Receivers of audit events that behave as the real ones do, and can be told to misbehave."""

from __future__ import annotations

import asyncio
import json
import re
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

Answer = tuple[int, dict[str, str], bytes]

_MESSAGE = re.compile(
    rb"<(?P<pri>\d{1,3})>1 (?P<time>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z) (?P<host>[\x21-\x7e]{1,255})"
    rb" (?P<app>[\x21-\x7e]{1,48}) (?P<proc>[\x21-\x7e]{1,128}) (?P<msgid>[\x21-\x7e]{1,32})"
    rb" \[(?P<sd>[^ =\]\"]{1,32}(?: [^ =\]\"]{1,32}=\"(?:[^\"\\\]]|\\.)*\")*)\] (?P<msg>.*)",
    re.DOTALL,
)


@dataclass
class Syslog:
    """One parsed RFC 5424 message."""

    priority: int
    msgid: str
    data: dict[str, str]
    text: bytes


def parse_syslog(message: bytes) -> Syslog:
    """Raises AssertionError for what the RFC does not allow."""
    found = _MESSAGE.fullmatch(message)
    assert found is not None, message
    pairs = re.findall(rb' ([^ =]+)="((?:[^"\\]|\\.)*)"', found["sd"])
    data = {name.decode(): re.sub(r"\\(.)", r"\1", value.decode()) for name, value in pairs}
    return Syslog(int(found["pri"]), found["msgid"].decode(), data, found["msg"])


class SyslogServer:
    """Takes octet-counted messages; `break_after` aborts the connection when so many have come."""

    def __init__(self, context: ssl.SSLContext | None = None) -> None:
        self.messages: list[Syslog] = []
        self.connections = 0
        self.break_after: int | None = None
        self.port = 0
        self._context = context
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port, ssl=self._context)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
            for writer in self._writers:
                writer.transport.abort()
            await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._writers.add(writer)
        try:
            while True:
                if self.break_after is not None and len(self.messages) >= self.break_after:
                    self.break_after = None
                    writer.transport.abort()
                    return
                length = await reader.readuntil(b" ")
                self.messages.append(parse_syslog(await reader.readexactly(int(length))))
        except (asyncio.IncompleteReadError, OSError):
            writer.close()


@dataclass
class HttpReceiver:
    """An HTTP server in threads: `answer` says what to answer to (path, headers, body)."""

    answer: Callable[[str, dict[str, str], bytes], Answer]
    url: str = ""
    requests: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)


@contextmanager
def http_receiver(answer: Callable[[str, dict[str, str], bytes], Answer]) -> Iterator[HttpReceiver]:
    """Serve until the end of the block."""
    receiver = HttpReceiver(answer)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            headers = {name.lower(): value for name, value in self.headers.items()}
            receiver.requests.append((self.path, headers, body))
            status, more, data = receiver.answer(self.path, headers, body)
            self.send_response(status)
            for name, value in more.items():
                self.send_header(name, value)
            self.send_header("content-length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    receiver.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield receiver
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class Bulk:
    """What an Elasticsearch index holds, by its _bulk API: create only, 409 for what is there, errors item by item."""

    def __init__(self) -> None:
        self.documents: dict[str, dict[str, object]] = {}
        self.created = 0
        self.busy: set[int] = set()  # numbers of items that are answered 429, once each
        self.broken: set[str] = set()  # statements that do not fit the mapping
        self.down = 0  # requests to answer 503
        self.most = 10**9  # items of a request; more is 413
        self._items = 0

    def answer(self, path: str, headers: dict[str, str], body: bytes) -> Answer:
        assert path == "/_bulk"
        assert headers["content-type"] == "application/x-ndjson"
        assert body.endswith(b"\n")
        if self.down:
            self.down -= 1
            return 503, {}, b"no living node"
        lines = body[:-1].split(b"\n")
        if len(lines) // 2 > self.most:
            return 413, {}, b"too large"
        items = [self._take(json.loads(a), json.loads(b)) for a, b in zip(lines[::2], lines[1::2], strict=True)]
        errors = any(item["create"]["status"] >= 300 for item in items)  # type: ignore[operator]
        return 200, {}, json.dumps({"took": 1, "errors": errors, "items": items}).encode()

    def _take(self, action: dict[str, dict[str, str]], document: dict[str, object]) -> dict[str, dict[str, object]]:
        key = action["create"]["_id"]
        self._items += 1
        if self._items in self.busy:
            return {"create": {"_id": key, "status": 429, "error": {"type": "es_rejected_execution_exception"}}}
        if document.get("statement") in self.broken:
            return {"create": {"_id": key, "status": 400, "error": {"type": "mapper_parsing_exception"}}}
        if key in self.documents:
            return {"create": {"_id": key, "status": 409, "error": {"type": "version_conflict_engine_exception"}}}
        self.documents[key] = document
        self.created += 1
        return {"create": {"_id": key, "status": 201}}
