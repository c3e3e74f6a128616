"""The admin HTTP server, spoken to in bytes: right answers, and bounds that hold."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import pytest

from proxy.observe import http
from proxy.observe.health import Answer
from proxy.observe.http import Route, serve_http

Port = int


async def failing() -> Answer:
    raise RuntimeError("secret detail")


def always(status: int, body: bytes) -> Route:
    async def route() -> Answer:
        return status, "text/plain", body

    return route


ROUTES = {
    "/healthz": always(200, b"ok\n"),
    "/readyz": always(503, b"no target\n"),
    "/fails": failing,
}


@pytest.fixture
async def port() -> AsyncIterator[Port]:
    server = await serve_http("127.0.0.1", 0, ROUTES, timeout_s=0.3)
    async with server:
        yield server.sockets[0].getsockname()[1]


async def exchange(port: Port, request: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(request)
        return await reader.read()
    except ConnectionResetError:
        return b""
    finally:
        writer.close()


async def get(port: Port, path: str, method: str = "GET") -> tuple[bytes, bytes]:
    reply = await exchange(port, f"{method} {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    head, _, body = reply.partition(b"\r\n\r\n")
    return head, body


async def test_a_route_is_answered_and_the_connection_closed(port: Port) -> None:
    head, body = await get(port, "/healthz?verbose")
    assert head.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"\r\nContent-Length: 3\r\n" in head
    assert b"\r\nConnection: close" in head
    assert body == b"ok\n"


async def test_status_of_the_route_is_kept(port: Port) -> None:
    head, body = await get(port, "/readyz")
    assert head.startswith(b"HTTP/1.1 503 Service Unavailable\r\n")
    assert body == b"no target\n"


async def test_head_has_the_length_but_no_body(port: Port) -> None:
    head, body = await get(port, "/healthz", "HEAD")
    assert b"Content-Length: 3" in head
    assert body == b""


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"GET /nothing HTTP/1.1\r\n\r\n", b"404"),
        (b"POST /healthz HTTP/1.1\r\nContent-Length: 2\r\n\r\nhi", b"405"),
        (b"GET /fails HTTP/1.1\r\n\r\n", b"500"),
        (b"GET healthz HTTP/1.1\r\n\r\n", b"400"),
        (b"GET /healthz\r\n\r\n", b"400"),
        (b"\x16\x03\x01\x02\x00 garbage\r\n\r\n", b"400"),
        (b"GET /healthz HTTP/1.1\r\nX: " + b"x" * 9000 + b"\r\n\r\n", b"431"),
    ],
)
async def test_bad_requests_get_the_right_status(port: Port, request_bytes: bytes, status: bytes) -> None:
    reply = await exchange(port, request_bytes)
    assert reply.split(b" ")[1] == status
    assert b"secret" not in reply
    assert (await get(port, "/healthz"))[1] == b"ok\n"


async def test_an_endless_head_is_cut_off(port: Port) -> None:
    begin = time.monotonic()
    reply = await exchange(port, b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 200_000)
    assert reply == b"" or reply.startswith(b"HTTP/1.1 431")
    assert time.monotonic() - begin < 5


async def test_a_slow_client_is_cut_off(port: Port) -> None:
    begin = time.monotonic()
    assert await exchange(port, b"GET /healthz HT") == b""
    assert time.monotonic() - begin < 3


async def test_too_many_connections_are_refused(port: Port, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "_MAX_CONNECTIONS", 2)
    idle = [await asyncio.open_connection("127.0.0.1", port) for _ in range(2)]
    await asyncio.sleep(0.02)
    assert await get(port, "/healthz") == (b"", b"")
    for _, writer in idle:
        writer.close()
    await asyncio.sleep(0.05)
    assert (await get(port, "/healthz"))[1] == b"ok\n"
