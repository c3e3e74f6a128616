"""Each sink against a receiver that parses what its standard says, and that fails as the real ones do."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import socket
import sqlite3
import ssl
import time
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest
import trustme

from admin.audit_sinks.table import TableSink
from proxy.audit.forward.forwarder import Forwarder
from proxy.audit.forward.log_reader import LogReader
from proxy.audit.sinks.elasticsearch import ElasticsearchSink
from proxy.audit.sinks.kafka import KafkaSink
from proxy.audit.sinks.otlp import OtlpSink
from proxy.audit.sinks.sink import Record, Sink, SinkUnavailable
from proxy.audit.sinks.stdout import StdoutSink
from proxy.audit.sinks.syslog import SyslogDatagramSink, SyslogStreamSink
from proxy.audit.sinks.syslog_format import MAX_DATAGRAM_BYTES, encode_message
from proxy.audit.sinks.webhook import WebhookSink
from proxy.config_sinks import SinkConfig
from tests.harness.postgres import PostgresServer
from tests.unit.audit_search.samples import Log, at
from tests.unit.audit_sinks.receivers import Answer, Bulk, SyslogServer, http_receiver, parse_syslog


@pytest.fixture
def log(tmp_path: Path) -> Log:
    log = Log(tmp_path / "audit.jsonl")
    log.add(*(at(n, fingerprint=f"n{n}", statement=f"SELECT {n}") for n in range(20)))
    return log


def records(log: Log) -> list[Record]:
    return [record for batch in LogReader(log.path).batches({}, 1000) for record in batch.records]


def config(kind: str, url: str, **more: object) -> SinkConfig:
    return SinkConfig("sink", kind, url=url, batch=6, timeout_s=5, **more)  # type: ignore[arg-type]


async def forward(make: Callable[[SinkConfig], Sink], settings: SinkConfig, log: Log) -> Forwarder:
    """As cron would: until all has arrived."""
    for _ in range(30):
        forwarder = Forwarder(settings, make(settings), log.path, pause_s=0.001)
        if await forwarder.run_once():
            return forwarder
    raise AssertionError(forwarder.status.last_error)


async def test_stdout_has_the_lines_of_the_log(log: Log, tmp_path: Path) -> None:
    with (tmp_path / "out").open("wb") as out:
        await StdoutSink(out).send(records(log))
    assert (tmp_path / "out").read_bytes() == log.path.read_bytes()


# -- syslog


async def test_syslog_over_tls_survives_a_receiver_that_breaks_and_restarts(
    log: Log, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("proxy.audit.sinks.syslog._KEPT_S", 1e9)  # on a slow machine ten seconds are soon over
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    server = SyslogServer(context)
    server.break_after = 9
    await server.start()
    settings = config("syslog", f"tls://127.0.0.1:{server.port}", ca_file=tmp_path / "ca.pem")
    sink = SyslogStreamSink(settings)
    try:
        await forward(lambda _: sink, settings, log)
        await server.stop()
        log.add(at(30))
        assert not await Forwarder(settings, sink, log.path).run_once()
        await server.start()
        await forward(lambda _: sink, settings, log)
    finally:
        await sink.close()
        await server.stop()
    assert {int(message.data["seq"]) for message in server.messages} == set(range(1, 23))
    assert server.connections >= 3
    assert all(len({m.text for m in server.messages if m.data["id"] == one.data["id"]}) == 1 for one in server.messages)


async def test_syslog_over_plain_tcp(log: Log) -> None:
    server = SyslogServer()
    await server.start()
    sent = records(log)
    sink = SyslogStreamSink(config("syslog", f"tcp://127.0.0.1:{server.port}"))
    try:
        await sink.send(sent)
        async with asyncio.timeout(20):
            while len(server.messages) < len(sent):
                await asyncio.sleep(0.01)
    finally:
        await sink.close()
        await server.stop()
    assert [int(message.data["seq"]) for message in server.messages] == [record.seq for record in sent]


async def test_syslog_refuses_a_receiver_that_it_cannot_verify(log: Log) -> None:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)
    server = SyslogServer(context)
    await server.start()
    sink = SyslogStreamSink(config("syslog", f"tls://127.0.0.1:{server.port}"))
    with pytest.raises(SinkUnavailable, match=r"(?i)certificate"):
        await sink.send(records(log))
    await server.stop()
    assert server.messages == []


def test_a_syslog_message_is_as_rfc_5424_has_it(log: Log) -> None:
    log.add(at(40, tenant='a"]\\b', subject="ünï\nx", outcome="refused", event="log in"))
    record = records(log)[-1]
    message = parse_syslog(encode_message(record, "gate way"))
    assert message.priority == 13 * 8 + 4
    assert message.msgid == "log_in"
    assert (message.data["tenant"], message.data["subject"]) == ('a"]\\b', "ünï x")
    assert json.loads(message.text) == record.event


async def test_syslog_over_udp_cuts_what_does_not_fit(log: Log) -> None:
    log.add(at(50, statement="ü" * 7000))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind(("127.0.0.1", 0))
        receiver.settimeout(10)
        sink = SyslogDatagramSink(config("syslog", f"udp://127.0.0.1:{receiver.getsockname()[1]}"))
        await sink.send(records(log)[-2:])
        await sink.close()
        whole, cut = (parse_syslog(receiver.recv(65_536)) for _ in range(2))
    assert json.loads(whole.text)["fingerprint"] == "n19"
    assert int(cut.data["cut"]) == len(records(log)[-1].line)
    assert MAX_DATAGRAM_BYTES - 2 <= len(encode_message(records(log)[-1], "h", limit_bytes=8192)) <= MAX_DATAGRAM_BYTES


# -- Elasticsearch


async def test_elasticsearch_gets_each_event_once_whatever_the_cluster_answers(log: Log) -> None:
    bulk = Bulk()
    bulk.down, bulk.busy, bulk.broken, bulk.most = 1, {2, 5, 13}, {"SELECT 4"}, 4
    with http_receiver(bulk.answer) as receiver:
        settings = config("elasticsearch", receiver.url, secret="key", topic="logs-audit")
        await forward(ElasticsearchSink, settings, log)
        bulk.down = 1
        (log.path.parent / "forward" / "sink.json").unlink()
        await forward(ElasticsearchSink, settings, log)  # all of it again: nothing is created twice
    assert sorted(int(str(document["seq"])) for document in bulk.documents.values()) == [
        n for n in range(1, 22) if n != 6
    ]
    assert bulk.created == 20
    _, headers, body = receiver.requests[0]
    assert headers["authorization"] == "ApiKey key"
    assert json.loads(body.split(b"\n")[0])["create"]["_index"] == "logs-audit"
    assert next(iter(bulk.documents.values()))["@timestamp"] == "2025-11-24T15:59:59.000000Z"
    rejected = (log.path.parent / "forward" / "sink.rejected.jsonl").read_text()
    assert "mapper_parsing_exception" in rejected


@pytest.mark.parametrize("answer", [b"<html>", b'{"items":[]}', b'{"items":[{}]}', b"[]"])
async def test_an_answer_that_is_none_of_elasticsearch_counts_for_nothing(log: Log, answer: bytes) -> None:
    with http_receiver(lambda *_: (200, {}, answer)) as receiver:
        sink = ElasticsearchSink(config("elasticsearch", receiver.url))
        with pytest.raises(SinkUnavailable):
            await sink.send(records(log)[:1])
        await sink.close()


# -- webhook and OTLP


async def test_a_webhook_is_signed_and_its_receiver_may_be_down(log: Log) -> None:
    key = base64.b64encode(b"0123456789abcdef0123456789abcdef").decode()
    seen: list[dict[str, object]] = []
    troubles: list[Answer] = [(503, {"retry-after": "0"}, b"later"), (401, {}, b"who?"), (302, {"location": "/"}, b"")]

    def answer(path: str, headers: dict[str, str], body: bytes) -> Answer:
        signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
        mac = hmac.new(base64.b64decode(key), signed, hashlib.sha256).digest()
        assert headers["webhook-signature"] == "v1," + base64.b64encode(mac).decode()
        assert abs(time.time() - int(headers["webhook-timestamp"])) < 300
        if troubles:
            return troubles.pop()
        events = json.loads(body)["events"]
        if any(event.get("statement") == "SELECT 7" for event in events):
            return 422, {}, b"I do not take sevens"
        seen.extend(events)
        return 204, {}, b""

    with http_receiver(answer) as receiver:
        await forward(WebhookSink, config("webhook", receiver.url + "/hook", secret=f"whsec_{key}"), log)
    assert [event["seq"] for event in seen] == [n for n in range(1, 22) if n != 9]
    assert len({event["id"] for event in seen}) == 20


async def test_otlp_is_what_a_collector_takes(log: Log) -> None:
    log.add(at(60, outcome="refused", sqlstate="42501"))
    with http_receiver(lambda *_: (200, {}, b'{"partialSuccess":{}}')) as receiver:
        await forward(OtlpSink, config("otlp", receiver.url + "/v1/logs", secret="token"), log)
    bodies = [json.loads(body) for _, _, body in receiver.requests]
    logs = [record for body in bodies for record in body["resourceLogs"][0]["scopeLogs"][0]["logRecords"]]
    assert [json.loads(record["body"]["stringValue"])["seq"] for record in logs] == list(range(1, 23))
    last = logs[-1]
    assert (last["severityNumber"], last["severityText"]) == (13, "WARNING")
    assert last["timeUnixNano"] == "1764000060000000000"
    attributes = {each["key"]: each["value"] for each in last["attributes"]}
    assert attributes["db.response.status_code"] == {"stringValue": "42501"}
    assert attributes["tenantgate.seq"] == {"intValue": "22"}
    resource = bodies[0]["resourceLogs"][0]["resource"]["attributes"]
    assert {"key": "service.name", "value": {"stringValue": "tenantgate"}} in resource
    assert receiver.requests[0][1]["authorization"] == "Bearer token"


# -- table and Kafka


async def test_the_table_holds_each_event_once(log: Log, tmp_path: Path) -> None:
    log.add(at(70, statement="nul \x00 and half \ud800"))
    settings = config("table", f"sqlite:///{tmp_path}/events.sqlite", topic="audit_events")
    await forward(TableSink, settings, log)
    (log.path.parent / "forward" / "sink.json").unlink()
    await forward(TableSink, settings, log)
    connection = sqlite3.connect(tmp_path / "events.sqlite")
    rows = connection.execute("SELECT seq, tenant, line FROM audit_events ORDER BY seq").fetchall()
    connection.close()
    assert [row[0] for row in rows] == list(range(1, 23))
    assert rows[3][1:] == ("acme", log.path.read_text().splitlines()[3])


async def test_the_table_may_be_in_postgresql(log: Log, postgres: PostgresServer) -> None:
    log.add(at(70, statement="nul \x00 and half \ud800"))
    name = postgres.create_database("audit_sink")
    url = f"postgresql://postgres@127.0.0.1:{postgres.port}/{name}"
    settings = config("table", url, secret=postgres.password, topic="audit_events")
    await forward(TableSink, settings, log)
    (log.path.parent / "forward" / "sink.json").unlink()
    await forward(TableSink, settings, log)
    with psycopg.connect(postgres.conninfo(name)) as connection:
        assert connection.execute("SELECT count(*), max(seq) FROM audit_events").fetchone() == (22, 22)


async def test_a_table_that_cannot_be_reached_is_tried_again(log: Log, tmp_path: Path) -> None:
    sink = TableSink(config("table", f"sqlite:///{tmp_path}/not/there/events.sqlite", topic="audit_events"))
    with pytest.raises(SinkUnavailable):
        await sink.send(records(log))
    (tmp_path / "not" / "there").mkdir(parents=True)
    assert await sink.send(records(log)) is not None
    await sink.close()


async def test_kafka_without_a_broker_is_tried_again(log: Log) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and does not listen
        sink = KafkaSink(config("kafka", f"kafka://127.0.0.1:{taken.getsockname()[1]}"))
        with pytest.raises(SinkUnavailable):
            await sink.send(records(log)[:2])
        await sink.close()
