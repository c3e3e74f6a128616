"""Any sequence of messages, in any chunks, is answered as PostgreSQL itself answers it.

Random pipelines over a handful of names, in a tenant's own database, where errors come verbatim: once to the gateway,
once to the server. Left out is what the gateway refuses by choice (several statements in one Parse, names that SQL's
PREPARE and the protocol share).
"""

from __future__ import annotations

import random
import struct

import pytest

from proxy.postgres.wire import messages, replies, startup
from proxy.postgres.wire.scram import ClientScram
from tests.harness.demo_business import DemoGateway
from tests.harness.wire_client import FLUSH, SYNC, Answer, WireClient, bind, close, describe, execute, parse

RUNS = 12
STATEMENTS = (
    "SELECT 1", "SELECT 2, 3", "SELECT 1/0", "BEGIN", "COMMIT", "ROLLBACK", "SAVEPOINT a", "ROLLBACK TO a", "",
    "SELECT g FROM generate_series(1, 5) g", "SELECT nonsense", "DECLARE p CURSOR FOR SELECT 4 UNION ALL SELECT 5",
    "FETCH 1 FROM p", "CLOSE p", "INSERT INTO notes (id, body) VALUES (1, 'exists')", "COPY (SELECT 1) TO STDOUT",
    "COPY notes (id, body) FROM STDIN",
)  # fmt: skip
WEIGHTS = {
    "parse": 22, "bind": 20, "describe": 8, "execute": 18, "close": 6, "sync": 16, "flush": 2, "query": 5, "copy": 3,
}  # fmt: skip
END = messages.encode_copy_fail("the end") + SYNC + messages.encode_query(b"ROLLBACK")
LAST = "the last answer"
MISPLACED, LOST = ("E", b"ERROR", b"08P01"), ("E", b"FATAL", b"08P01")


def random_message(chance: random.Random) -> bytes:
    statement, portal = chance.choice(("", "s", "t")), chance.choice(("", "p", "q"))
    sql = chance.choice(STATEMENTS)
    kind, value = chance.choices(*zip(*WEIGHTS.items(), strict=True))[0], chance.random()
    if kind == "bind":
        return bind(portal, statement, *(["1"] if value < 0.05 else []))
    return {
        "parse": parse(statement, sql),
        "describe": describe("S", statement) if value < 0.5 else describe("P", portal),
        "execute": execute(portal, 2 if value < 0.25 else 0),
        "close": close("S", statement) if value < 0.5 else close("P", portal),
        "sync": SYNC,
        "flush": FLUSH,
        "query": messages.encode_query(sql.encode()),
        "copy": messages.encode_copy_data(b"x\n") if value < 0.5 else messages.COPY_DONE,
    }[kind]


def random_chunks(chance: random.Random) -> list[bytes]:
    chunks = [b""]
    for _ in range(chance.randint(3, 22)):
        chunks[-1] += random_message(chance)
        if chance.random() < 0.3:
            chunks.append(b"")
    return [*filter(None, chunks), END + messages.encode_query(f"SELECT '{LAST}'".encode())]


def conversation(client: WireClient, chunks: list[bytes]) -> list[tuple[object, ...]]:
    """What the server says, up to the last answer or the end of the connection."""
    answer = Answer()
    try:
        for chunk in chunks:
            client.send(chunk)
    except ConnectionError:
        pass  # it has ended the session; what it said is still to be read
    while not answer.closed and [LAST] not in answer.rows:
        more = client.receive(timeout_s=10)
        assert more.messages or more.closed, "it says no more"
        answer.messages += more.messages
        answer.closed = more.closed
    told = [what for tag, message in answer.messages if (what := essence(tag, message))]
    if told[-1:] == [LOST]:  # PostgreSQL tells of a message out of place first as an error, then as the end
        told = [what for what in told if what != MISPLACED]
    return told


def essence(tag: str, message: bytes) -> tuple[object, ...]:
    """What must be the same of a message."""
    if tag in "NSK":
        return ()
    if tag == "E":
        fields = replies.decode_error_fields(message)
        return tag, fields["S"], fields["C"]
    return (tag, message) if tag in "DCZt" else (tag,)


def to_the_server(gateway: DemoGateway) -> WireClient:
    """The server itself, by its own SCRAM."""
    server = gateway.server
    client = WireClient(server.port)
    client.send(startup.encode_startup({"user": server.superuser, "database": "umbrella"}))
    client.receive(until="R")
    scram = ClientScram(server.password, ["SCRAM-SHA-256"], end_point=None)
    first = scram.first()
    client.send(messages.encode(b"p", b"SCRAM-SHA-256\0" + struct.pack("!I", len(first)) + first))
    client.send(messages.encode(b"p", scram.final(client.receive(until="R").messages[-1][1][9:])))
    assert client.receive().statuses == "I"
    return client


def to_the_gateway(gateway: DemoGateway) -> WireClient:
    client = WireClient(gateway.port)
    client.tls()
    assert client.log_in("dave", "umbrella", gateway.tokens["dave"]).statuses == "I"
    return client


@pytest.mark.parametrize("seed", range(10))
def test_the_gateway_answers_as_the_server(gateway: DemoGateway, seed: int) -> None:
    for run in range(RUNS):
        chunks = random_chunks(random.Random(seed * 1000 + run))
        with to_the_server(gateway) as server, to_the_gateway(gateway) as through:
            expected = conversation(server, chunks)
            assert conversation(through, chunks) == expected, chunks
