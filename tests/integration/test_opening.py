"""What comes before a session at a running gateway: packets that lie, handshakes that fail, time that runs out."""

from __future__ import annotations

import ssl
import time

import psycopg
import pytest

from proxy.postgres.wire import startup
from tests.harness.demo_business import DemoGateway
from tests.harness.gateway import GatewayProcess
from tests.harness.wire_client import WireClient
from tests.integration.doors import POLICY, Doors, connect, rs256, who


def test_a_second_startup_packet_ends_the_login_at_once(doors: Doors) -> None:
    with doors.wire() as client:
        client.send(startup.encode_startup({"user": "etl", "database": "acme"}))
        client.receive(until="R")
        client.send(startup.encode_startup({"user": "alice", "database": "acme"}))
        answer = client.receive(until="E", timeout_s=2)
        assert answer.sqlstates == ["08P01"]


@pytest.mark.parametrize("packet", ["00000007000300", "00000000", "00000004", "7fffffff", "ffffffff"])
def test_a_startup_packet_with_an_impossible_length_is_refused_at_once(doors: Doors, packet: str) -> None:
    with WireClient(doors.port) as client:
        client.send(bytes.fromhex(packet))
        answer = client.receive(timeout_s=2)
        assert answer.sqlstates == ["08P01"]
        assert answer.closed


def test_plaintext_behind_an_ssl_request_is_never_read(doors: Doors) -> None:
    with WireClient(doors.port) as client:
        client.send(bytes.fromhex("0000000804d2162f"), startup.encode_startup({"user": "alice", "database": "acme"}))
        assert client.sock.recv(1) == b"S"
        assert client.receive(timeout_s=2).closed


def test_failed_handshakes_do_not_use_up_the_connections(gateway: DemoGateway) -> None:
    few = GatewayProcess(targets=gateway._targets, policy=POLICY, settings={"limits": {"max_connections": 4}})
    few.start()
    for _ in range(8):
        with WireClient(few.port) as client:
            client.send(bytes.fromhex("0000000804d2162f"))
            assert client.sock.recv(1) == b"S"
            client.send(b"this is no ClientHello")
            client.receive(timeout_s=2)
    with psycopg.connect(few.conninfo("alice", few.issuer.token(), "acme")) as connection:
        assert who(connection) > 0
    started = time.monotonic()
    few.stop()
    assert time.monotonic() - started < 1.9, "a drain waits for no connection that is not there"


def test_a_setting_that_the_target_refuses_is_told(doors: Doors) -> None:
    with doors.wire() as client:
        answer = client.log_in("alice", "acme", rs256(doors), TimeZone="Nowhere/Land")
        assert answer.sqlstates == ["22023"]
        assert answer.errors[0]["M"] == "invalid value for parameter TimeZone"
    with doors.wire() as client:
        assert client.log_in("alice", "acme", rs256(doors)).statuses == "I"
        assert client.query("SHOW TimeZone").rows != [["Nowhere/Land"]]


def test_what_a_session_set_is_gone_for_the_next_one(doors: Doors) -> None:
    changes = ("TimeZone", "DateStyle", "application_name")
    with doors.wire() as client:
        own = {"DateStyle": "German", "application_name": "first"}
        client.log_in("alice", "acme", rs256(doors), 0, TimeZone="Europe/Berlin", **own)
        client.query("SET extra_float_digits = -3; PREPARE p AS SELECT 1; DECLARE c CURSOR WITH HOLD FOR SELECT 1")
        before = [client.query(f"SHOW {name}").rows for name in (*changes, "extra_float_digits")]
    with doors.wire() as client:
        client.log_in("alice", "acme", rs256(doors))
        after = [client.query(f"SHOW {name}").rows for name in (*changes, "extra_float_digits")]
        assert all(one != other for one, other in zip(before, after, strict=True)), (before, after)
        assert client.query("EXECUTE p").sqlstates == ["26000"]
        assert client.query("FETCH c").sqlstates == ["34000"]


def test_an_operators_console_ends_with_the_token(doors: Doors) -> None:
    soon = doors.issuer.token("olga", "acme", ("operator",), ttl_s=1.2)
    with psycopg.connect(doors.conninfo("olga", soon, "tenantgate"), autocommit=True) as console:
        assert console.pgconn.exec_(b"SHOW VERSION").ntuples == 1
        time.sleep(1.5)
        result = console.pgconn.exec_(b"SHOW VERSION")
        assert result.status == psycopg.pq.ExecStatus.FATAL_ERROR, result.error_message
    events = [e for e in doors.audit_events() if e["event"] == "login" and e["subject"] == "olga"]
    assert events[0]["outcome"] == "ok"
    with pytest.raises(psycopg.OperationalError, match="gateway:\\*:read"):
        connect(doors, "alice", rs256(doors), "tenantgate")
    deadline = time.monotonic() + 2
    while not any("gateway:*:read" in event.get("reason", "") for event in doors.audit_events()):
        assert time.monotonic() < deadline, "a login that was refused after the token was good is not in the audit log"
        time.sleep(0.02)


def test_old_tls_is_refused(doors: Doors) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
    with WireClient(doors.port) as client:
        client.send(bytes.fromhex("0000000804d2162f"))
        assert client.sock.recv(1) == b"S"
        with pytest.raises((ssl.SSLError, ConnectionError)):
            context.wrap_socket(client.sock)
