"""Large objects by FunctionCall, as libpq and pgJDBC read and write them, in a database of the tenant's own."""

from __future__ import annotations

import struct
from collections.abc import Iterator

import psycopg
import pytest

from proxy.postgres.function_calls import LARGE_OBJECTS, statement_of
from proxy.postgres.wire.messages import encode
from tests.compat.stage import Way, stage
from tests.harness.wire_client import WireClient

OIDS = {name: oid for oid, (name, _) in LARGE_OBJECTS.items()}
READ_WRITE = 0x60000


@pytest.fixture(scope="module")
def ways() -> Iterator[tuple[Way, Way]]:
    with stage(max_backends=2) as both:
        yield both


@pytest.fixture
def wire(ways: tuple[Way, Way]) -> Iterator[WireClient]:
    way = ways[1]
    with WireClient(way.port) as client:
        client.log_in(way.user, way.database, way.password)
        yield client


def call(oid: int, *arguments: int | bytes) -> bytes:
    """A FunctionCall with binary arguments and result."""
    values = [a if isinstance(a, bytes) else struct.pack("!i", a) for a in arguments]
    body = struct.pack("!IHHH", oid, 1, 1, len(values))
    return encode(b"F", body + b"".join(struct.pack("!I", len(v)) + v for v in values) + struct.pack("!H", 1))


def result(wire: WireClient, name: str, *arguments: int | bytes) -> bytes:
    wire.send(call(OIDS[name], *arguments))
    answer = wire.receive()
    assert (answer.sqlstates, answer.tags) == ([], "VZ")
    return next(message for tag, message in answer.messages if tag == "V")[9:]


def number(value: bytes) -> int:
    return int(struct.unpack("!i", value)[0])


def test_an_object_is_written_and_read_in_one_transaction(wire: WireClient) -> None:
    oid = number(result(wire, "lo_create", 0))
    wire.query("BEGIN")
    handle = number(result(wire, "lo_open", oid, READ_WRITE))
    assert number(result(wire, "lowrite", handle, b"hello, object")) == 13
    assert number(result(wire, "lo_lseek", handle, 7, 0)) == 7
    assert result(wire, "loread", handle, 100) == b"object"
    assert number(result(wire, "lo_close", handle)) == 0
    wire.query("COMMIT")
    assert wire.query(f"SELECT convert_from(lo_get({oid}), 'UTF8')").rows == [["hello, object"]]
    assert number(result(wire, "lo_unlink", oid)) == 1


def test_errors_are_the_servers_and_the_session_goes_on(wire: WireClient) -> None:
    wire.send(call(OIDS["lo_unlink"], 4_000_000))
    assert wire.receive().sqlstates == ["42704"]
    wire.query("BEGIN")
    wire.send(call(OIDS["loread"], 77, 1))
    assert wire.receive().sqlstates == ["42704"]
    assert wire.query("SELECT 1").sqlstates == ["25P02"]
    wire.query("ROLLBACK")
    assert wire.query("SELECT 1").rows == [["1"]]


@pytest.mark.parametrize("oid", [2096, 764, 765, 0])  # pg_terminate_backend, lo_import, lo_export, none
def test_other_functions_have_no_number(wire: WireClient, oid: int) -> None:
    wire.send(call(oid, 1))
    assert wire.receive().sqlstates == ["0A000"]
    assert statement_of(b"F\0\0\0\6\0\0") is None


def test_numbers_are_those_of_the_server(ways: tuple[Way, Way]) -> None:
    with psycopg.connect(ways[0].dsn) as direct:
        for oid, (name, arguments) in LARGE_OBJECTS.items():
            found = direct.execute("SELECT proname, pronargs FROM pg_proc WHERE oid = %s", (oid,)).fetchone()
            assert found == (name, arguments)
