"""Texts encrypted in the log: nobody reads them without the keys, shredding takes them for good, the chain stays."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from policy.audit_event import AuditEvent
from proxy.audit.chain import bounded
from proxy.audit.conceal import ERASED, key_store_path, reveal
from proxy.audit.emitter import AuditEmitter, AuditUnavailable
from proxy.audit.parameters import Bound
from proxy.audit.statement import StatementEvent, StatementFrame
from proxy.audit.text_keys import TextKeys
from proxy.audit.verify import verify_file
from proxy.config import AuditConfig
from tests.unit.audit.samples import EVENT, read_lines
from tests.unit.audit.test_emitter import until

KEY = "0123456789abcdef" * 4
SECRET = "SELECT 'Rosa Silva, 4000 1234' FROM customers"


@pytest.fixture
def config(tmp_path: Path) -> AuditConfig:
    path = tmp_path / "audit" / "audit.jsonl"
    return AuditConfig(path=path, flush_interval_s=0.001, conceal="subject", text_key=KEY)


def of(subject: str, tenant: str = "acme", **members: object) -> AuditEvent:
    return EVENT._replace(subject=subject, tenant=tenant, statement=SECRET, rewritten=SECRET, **members)  # type: ignore[arg-type]


def run_of(subject: str) -> StatementEvent:
    bound = Bound(b"", b"", None)
    bound.encoded = '["Rosa Silva",null]'
    frame = StatementFrame(bounded(of(subject)))
    return StatementEvent(frame, EVENT.time, "extended", "ok", "", SECRET, SECRET, 1, 2, 3, bound)


async def write(config: AuditConfig, *events: AuditEvent | StatementEvent) -> None:
    emitter = AuditEmitter(config)
    emitter.start()
    for event in events:
        emitter.emit(event)
    await emitter.close()


def statements(config: AuditConfig) -> list[dict[str, object]]:
    keys = TextKeys(key_store_path(config), KEY)
    lines = [json.loads(line) for line in read_lines(config.path)]
    shown = [reveal(line, keys) for line in lines if line["event"] == "statement"]
    keys.close()
    return shown


@pytest.mark.parametrize("conceal", ["subject", "tenant"])
async def test_texts_are_encrypted_and_readable_with_the_keys(config: AuditConfig, conceal: str) -> None:
    config = replace(config, conceal=conceal)
    long = of("alice", parameters=('"Rosa Silva"', "null"))._replace(statement="ü" * 20_000, rewritten="")
    await write(config, of("alice"), run_of("bob"), long)
    data = config.path.read_bytes()
    for plain in (b"Rosa", b"4000 1234", b"FROM customers", "ü".encode()):
        assert plain not in data
    assert verify_file(config.path).ok
    first, second, third = statements(config)
    assert (first["statement"], first["rewritten"], first["parameters"]) == (SECRET, SECRET, ["x", None])
    assert (second["statement"], second["parameters"], second["subject"]) == (SECRET, ["Rosa Silva", None], "bob")
    assert str(third["statement"]).startswith("ü" * 5000)
    assert third["parameters"] == ["Rosa Silva", None]
    assert "statement_bytes" not in third


async def test_shredding_erases_one_user_and_the_chain_verifies(config: AuditConfig) -> None:
    await write(config, of("alice"), of("bob"), run_of("alice"), of("alice", "globex"))
    before = config.path.read_bytes()
    keys = TextKeys(key_store_path(config), KEY)
    assert len(keys.shred("acme", "alice", "art. 17")) == 1
    assert keys.shred("acme", "alice", "again") == []
    keys.close()
    assert config.path.read_bytes() == before
    assert verify_file(config.path).ok
    assert [line["statement"] for line in statements(config)] == [ERASED, SECRET, ERASED, SECRET]
    assert statements(config)[2]["parameters"] == [ERASED]


async def test_a_running_gateway_does_not_write_under_a_shredded_key(config: AuditConfig) -> None:
    emitter = AuditEmitter(config)
    emitter.start()
    for _ in range(2):
        emitter.emit(of("alice"))
        emitter.emit(run_of("alice"))
        await until(lambda: emitter.queued == 0)
        keys = TextKeys(key_store_path(config), KEY)
        assert len(keys.shred("acme", None, "all of acme")) == 1
        keys.close()
    emitter.emit(run_of("alice"))
    await emitter.close()
    assert [line["statement"] for line in statements(config)] == [ERASED] * 4 + [SECRET]


async def test_the_key_store_holds_no_key_in_plain_and_nothing_of_a_shredded_one(config: AuditConfig) -> None:
    await write(config, of("alice"))
    store = key_store_path(config)
    assert store.stat().st_mode & 0o777 == 0o600
    wrapped = store.read_bytes()
    at = wrapped.index(b"gAAAA")  # how a Fernet token begins
    token = wrapped[at : at + 100]
    keys = TextKeys(store, KEY)
    keys.shred("acme", "alice", "")
    keys.close()
    assert token not in store.read_bytes()
    journal = store.with_name(store.name + "-journal")
    assert not journal.exists() or token not in journal.read_bytes()


async def test_with_another_text_key_nothing_is_written(config: AuditConfig) -> None:
    await write(config, of("alice"))
    emitter = AuditEmitter(replace(config, text_key="another" * 10))
    with pytest.raises(AuditUnavailable):
        emitter.start()


async def test_a_text_of_another_member_is_not_taken_for_it(config: AuditConfig) -> None:
    await write(config, of("alice"))
    line = json.loads(read_lines(config.path)[1])
    keys = TextKeys(key_store_path(config), KEY)
    assert "not what was encrypted" in reveal({**line, "statement": line["rewritten"]}, keys)["statement"]
    keys.close()


async def test_a_key_store_that_fails_refuses_statements_and_loses_nothing(config: AuditConfig) -> None:
    emitter = AuditEmitter(config)
    emitter.start()
    store = TextKeys(key_store_path(config), KEY)
    store._connection.execute("PRAGMA busy_timeout = 1")
    assert emitter._concealer is not None
    emitter._concealer._keys._connection.execute("PRAGMA busy_timeout = 1")
    store._connection.execute("BEGIN EXCLUSIVE")
    emitter.emit(of("alice"))
    await until(lambda: emitter._failure is not None)
    store._connection.execute("ROLLBACK")
    store.close()
    await until(lambda: emitter.queued == 0)
    await emitter.close()
    assert [line["statement"] for line in statements(config)] == [SECRET]
