"""Hostile bytes: a clear error or a closed connection, in bounded time and memory, and nobody else notices."""

from __future__ import annotations

import base64
import json
import os
import socket
import ssl
import struct
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from admin.demo.people import ALICE
from proxy.postgres.wire import startup
from tests.harness.demo_business import DemoGateway
from tests.harness.wire_client import SSL_REQUEST, WireClient

MEGABYTE = 1024 * 1024
SETTLE_S = 5.0  # within which a hostile connection is dealt with


@pytest.fixture(autouse=True)
def neighbour(gateway: DemoGateway) -> Iterator[psycopg.Connection[tuple[object, ...]]]:
    """Another session, open all the while, that must go on as if nothing had happened; memory is looked at too."""
    with gateway.connect(ALICE, autocommit=True) as connection:
        expected = connection.execute("SELECT count(*) FROM orders").fetchone()
        before = resident_bytes(gateway.pid)
        yield connection
        started = time.monotonic()
        assert connection.execute("SELECT count(*) FROM orders").fetchone() == expected
        assert time.monotonic() - started < SETTLE_S
        assert resident_bytes(gateway.pid) - before < 64 * MEGABYTE


def resident_bytes(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def ends(client: WireClient) -> list[str]:
    """Wait until the server has ended the connection; the SQLSTATEs it gave."""
    answer = client.receive(ready=99, timeout_s=SETTLE_S)
    assert answer.closed, answer.tags
    return answer.sqlstates


def logged_in(gateway: DemoGateway) -> WireClient:
    client = WireClient(gateway.port)
    client.tls()
    assert client.log_in("alice", "acme", gateway.tokens["alice"]).statuses == "I"
    return client


@pytest.mark.parametrize("seed", range(8))
def test_garbage_before_the_startup_packet(gateway: DemoGateway, seed: int) -> None:
    with WireClient(gateway.port) as client:
        client.send(bytes((seed * 37 + i * 101) % 256 for i in range(4096)))
        ends(client)


@pytest.mark.parametrize("length", [0, 3, 4, 7, 10_001, 10 * MEGABYTE, 0x7FFFFFFF, 0xFFFFFFFF])
def test_startup_packet_length_that_lies(gateway: DemoGateway, length: int) -> None:
    with WireClient(gateway.port) as client:
        client.send(struct.pack("!II", length, 196608))
        assert ends(client) in ([], ["08P01"])


def test_startup_packet_of_10_mb(gateway: DemoGateway) -> None:
    with WireClient(gateway.port) as client:
        client.tls()
        try:
            client.send(struct.pack("!II", 10 * MEGABYTE, 196608), b"user\0" * (2 * MEGABYTE))
        except OSError:
            return  # closed while we were still sending
        assert ends(client) in ([], ["08P01"])


def test_plaintext_behind_an_ssl_request_is_never_read(gateway: DemoGateway) -> None:
    with WireClient(gateway.port) as client:
        client.send(SSL_REQUEST + startup.encode_startup({"user": "alice", "database": "acme"}))
        assert client.sock.recv(1) == b"S"
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        with pytest.raises((ssl.SSLError, OSError)):
            context.wrap_socket(client.sock).recv(1)


def test_gss_encryption_is_refused_politely(gateway: DemoGateway) -> None:
    with WireClient(gateway.port) as client:
        client.send(struct.pack("!II", 8, startup.GSSENC_REQUEST))
        assert client.sock.recv(1) == b"N"
        client.tls()
        assert client.log_in("alice", "acme", gateway.tokens["alice"]).statuses == "I"


def test_direct_tls_with_alpn(gateway: DemoGateway) -> None:
    with WireClient(gateway.port) as client:
        client.tls(direct=True)
        assert client.log_in("alice", "acme", gateway.tokens["alice"]).statuses == "I"


def test_direct_tls_without_alpn_is_refused(gateway: DemoGateway) -> None:
    with WireClient(gateway.port) as client:
        client.tls(direct=True, alpn=())
        client.send(startup.encode_startup({"user": "alice", "database": "acme"}))
        assert ends(client) == ["08P01"]


def test_a_password_is_not_asked_for_without_tls(gateway: DemoGateway) -> None:
    with WireClient(gateway.port) as client:
        answer = client.log_in("alice", "acme", gateway.tokens["alice"])
        assert answer.sqlstates == ["28000"]
        assert "R" not in answer.tags


def token_with(gateway: DemoGateway, header: dict[str, object], **claims: object) -> str:
    """An unsigned token, or one whose header lies."""
    payload = {"iss": gateway.issuer.issuer, "aud": gateway.issuer.audience, "sub": "alice", "tenant": "acme",
               "exp": int(time.time()) + 600, "roles": ["app"], **claims}  # fmt: skip
    return f"{encode_part(header)}.{encode_part(payload)}."


def encode_part(part: dict[str, object]) -> str:
    return base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode()


def test_bad_tokens_all_look_alike(gateway: DemoGateway) -> None:
    tokens = {
        "1 MB": "x" * MEGABYTE,
        "alg none": token_with(gateway, {"alg": "none"}),
        "HS256": token_with(gateway, {"alg": "HS256"}) + "c2ln",
        "list of tenants": gateway.issuer.token("alice", ["acme", "globex"]),
        "expired": gateway.issuer.token("alice", "acme", ttl_s=-3600),
        "another's": gateway.tokens["bob"],
        "empty": "",
    }
    seen = set()
    for name, token in tokens.items():
        with WireClient(gateway.port) as client:
            client.tls()
            try:
                answer = client.log_in("alice", "acme", token)
            except OSError:
                assert name == "1 MB"
                continue
            assert "Z" not in answer.tags, name
            if name != "1 MB":  # refused by its length alone, before it is read
                seen.add(json.dumps(answer.errors))
    assert len(seen) == 1, seen
    assert '"28P01"' in seen.pop()


@pytest.mark.parametrize(
    "message",
    [
        b"Q\0\0\0\0", b"Q\0\0\0\x03\0", b"Q\xff\xff\xff\xff", b"Q\x7f\xff\xff\xff", b"z\0\0\0\x04", b"T\0\0\0\x06\0\0",
        b"Z\0\0\0\x05I", b"p\0\0\0\x06x\0", b"S\0\0\0\x08ABCD", b"S\0\0\x4e\x24" + bytes(20_000),
        b"Q\0\0\0\x0cSELECT 1", b"P\0\0\0\x10\0SELECT 1\0\xff\xff", b"D\0\0\0\x06X\0", b"\0" * 64,
    ],
)  # fmt: skip
def test_broken_messages_after_login(gateway: DemoGateway, message: bytes) -> None:
    with logged_in(gateway) as client:
        client.send(message)
        assert ends(client) == ["08P01"]


def test_a_client_that_never_reads(gateway: DemoGateway) -> None:
    """Its results stay on the target: the gateway stops reading from there."""
    with logged_in(gateway) as client:
        client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        before = resident_bytes(gateway.pid)
        sql = b"SELECT repeat('x', 10000) FROM order_items"
        client.send(b"Q", struct.pack("!I", len(sql) + 5), sql, b"\0")
        time.sleep(1.5)
        assert resident_bytes(gateway.pid) - before < 24 * MEGABYTE


def test_half_a_message_and_silence(gateway: DemoGateway) -> None:
    with logged_in(gateway) as client:
        client.send(b"Q\0\0\x10\0SELECT")
        assert client.receive(timeout_s=1.0).messages == []


def test_a_query_string_beyond_the_limit_is_an_error_only(gateway: DemoGateway) -> None:
    with logged_in(gateway) as client:
        answer = client.query("SELECT 1 /* " + "x" * (2 * MEGABYTE) + " */")
        assert answer.sqlstates == ["54000"]
        assert answer.statuses == "I"
        assert client.query("SELECT 1").rows == [["1"]]


def test_many_connections_that_say_nothing(gateway: DemoGateway) -> None:
    silent = [socket.create_connection(("127.0.0.1", gateway.port)) for _ in range(200)]
    with logged_in(gateway) as client:
        assert client.query("SELECT 1").rows == [["1"]]
    for sock in silent:
        sock.close()


def test_cancel_requests_with_wrong_keys_are_ignored(gateway: DemoGateway) -> None:
    with logged_in(gateway) as client:
        pid, key = client.key
        for wrong in (bytes(4), bytes(4) + key, key[:-1] + bytes([key[-1] ^ 1])):
            with WireClient(gateway.port) as canceller:
                packet = struct.pack("!II", startup.CANCEL_REQUEST, pid) + wrong
                canceller.send(struct.pack("!I", len(packet) + 4), packet)
                canceller.receive(timeout_s=2.0)
        assert client.query("SELECT pg_sleep(0.2)").sqlstates == []
