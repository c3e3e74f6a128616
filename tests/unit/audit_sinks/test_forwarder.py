"""Forwarding a real log to receivers that fail: nothing is lost, and what comes twice has the same id."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from proxy.audit.forward.forwarder import Forwarder, state_directory
from proxy.audit.forward.metrics import render
from proxy.audit.forward.positions import PositionInUse
from proxy.audit.sinks.sink import Outcome, Record, SinkUnavailable
from proxy.config_sinks import SinkConfig
from tests.unit.audit_search.samples import Log, at

CONFIG = SinkConfig("memory", "stdout", batch=7)


class Memory:
    """Keeps what it is sent, and does before what `fault` does."""

    def __init__(self, fault: Callable[[Sequence[Record]], Outcome | None] = lambda _: None) -> None:
        self.records: list[Record] = []
        self.fault = fault

    async def send(self, records: Sequence[Record]) -> Outcome:
        outcome = self.fault(records) or Outcome()
        left_out = {r.id for r in outcome.retry} | {r.id for r, _ in outcome.rejected}
        self.records += [record for record in records if record.id not in left_out]
        return outcome

    async def close(self) -> None:
        pass

    @property
    def seqs(self) -> list[int]:
        return [record.seq for record in self.records]


@pytest.fixture
def log(tmp_path: Path) -> Log:
    log = Log(tmp_path / "audit.jsonl")
    log.add(*(at(n, fingerprint=f"n{n}") for n in range(20)))
    return log


async def once(sink: Memory, log: Log, config: SinkConfig = CONFIG) -> bool:
    return await Forwarder(config, sink, log.path, pause_s=0.001).run_once()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0.005)


async def test_all_lines_arrive_once_and_in_order_across_runs_and_rotation(log: Log) -> None:
    sink = Memory()
    assert await once(sink, log)
    log.add(at(20))
    log.rotate("audit.jsonl.1")
    log.add(at(21), at(22))
    assert await once(sink, log)
    assert await once(sink, log)
    assert sink.seqs == list(range(1, log.seq + 1))


async def test_a_new_line_arrives_while_it_runs_and_stop_ends_it(log: Log) -> None:
    sink, stop = Memory(), asyncio.Event()
    task = asyncio.create_task(Forwarder(CONFIG, sink, log.path).run(stop))
    await until(lambda: len(sink.records) == 21)
    log.add(at(30))
    await until(lambda: len(sink.records) == 22)
    stop.set()
    await task


async def test_a_sink_that_is_down_loses_nothing_and_is_told_of(log: Log) -> None:
    down = True

    def fault(_: Sequence[Record]) -> None:
        if down:
            raise SinkUnavailable("connection refused")

    sink, stop = Memory(fault), asyncio.Event()
    forwarder = Forwarder(CONFIG, sink, log.path, pause_s=0.001)
    task = asyncio.create_task(forwarder.run(stop))
    await until(lambda: forwarder.status.failures > 2)
    assert not forwarder.status.up
    assert 'tenantgate_audit_sink_up{sink="memory"} 0' in render([forwarder.status])
    assert forwarder.status.behind_bytes == log.path.stat().st_size
    log.rotate("audit.jsonl.1")
    log.add(at(21))
    down = False
    await until(lambda: len(sink.records) == 23)
    await until(lambda: forwarder.status.behind_bytes == 0)
    stop.set()
    await task
    assert sink.seqs == list(range(1, 24))
    assert forwarder.status.up


async def test_without_the_sink_once_says_that_not_all_arrived(log: Log) -> None:
    def fault(_: Sequence[Record]) -> None:
        raise SinkUnavailable("down")

    assert not await once(Memory(fault), log)


async def test_what_was_not_taken_is_sent_again_and_what_is_refused_is_kept(log: Log) -> None:
    draw = random.Random(3)
    refused = {5, 11}

    def fault(records: Sequence[Record]) -> Outcome:
        bad = [(r, "mapping") for r in records if r.seq in refused]
        return Outcome([r for r in records if r.seq not in refused and draw.random() < 0.4], bad)

    sink, stop = Memory(fault), asyncio.Event()
    forwarder = Forwarder(CONFIG, sink, log.path, pause_s=0.0001)
    task = asyncio.create_task(forwarder.run(stop))
    await until(lambda: len(sink.records) == 19)
    stop.set()
    await task
    assert sorted(sink.seqs) == [n for n in range(1, 22) if n not in refused]
    kept = (state_directory(log.path) / "memory.rejected.jsonl").read_text().splitlines()
    assert [json.loads(json.loads(line)["line"])["seq"] for line in kept] == [5, 11]
    assert forwarder.status.rejected == 2


async def test_killed_at_any_point_nothing_is_lost_and_ids_tell_what_is_double(log: Log) -> None:
    draw = random.Random(11)

    class Killed(Exception):
        pass

    class Mortal(Memory):
        async def send(self, records: Sequence[Record]) -> Outcome:
            if draw.random() < 0.3:
                raise Killed  # before anything was sent
            self.records += records
            if draw.random() < 0.3:
                raise Killed  # it arrived, and nobody knows
            return Outcome()

    sink = Mortal()
    for _ in range(200):
        try:
            if await once(sink, log):
                break
        except Killed:
            log.add(at(50))
    by_id = {record.id: record.seq for record in sink.records}
    assert sorted(by_id.values()) == list(range(1, log.seq + 1))


async def test_a_position_that_is_lost_sends_everything_again(log: Log) -> None:
    sink = Memory()
    await once(sink, log)
    (state_directory(log.path) / "memory.json").write_text("{")
    await once(sink, log)
    assert len(sink.records) == 42
    assert len({record.id for record in sink.records}) == 21


async def test_files_removed_before_they_were_forwarded_are_counted(log: Log) -> None:
    sink = Memory()
    await once(sink, log)
    log.add(at(21), at(22))
    log.rotate("audit.jsonl.1")
    log.add(at(23))
    log.path.with_name("audit.jsonl.1").unlink()
    forwarder = Forwarder(CONFIG, sink, log.path)
    assert await forwarder.run_once()
    assert forwarder.status.missing == 2
    assert sink.seqs[-1] == log.seq


async def test_a_line_that_does_not_follow_is_forwarded_and_counted(log: Log) -> None:
    lines = log.path.read_bytes().splitlines(keepends=True)
    log.path.write_bytes(b"".join(lines[:4] + lines[5:] + [b"what is this\n"]))
    sink = Memory()
    forwarder = Forwarder(CONFIG, sink, log.path)
    assert await forwarder.run_once()
    assert forwarder.status.astray == 2
    assert len(sink.records) == 21


async def test_tenants_of_a_sink_are_all_that_it_gets(log: Log) -> None:
    log.add(at(30, tenant="globex"))
    sink = Memory()
    config = SinkConfig("memory", "stdout", tenants=frozenset({"globex"}))
    assert await once(sink, log, config)
    assert [record.text("tenant") for record in sink.records] == ["globex"]


async def test_two_forwarders_of_one_sink_are_one_too_many(log: Log) -> None:
    first = Forwarder(CONFIG, Memory(), log.path)
    with pytest.raises(PositionInUse):
        Forwarder(CONFIG, Memory(), log.path)
    await first.run_once()
