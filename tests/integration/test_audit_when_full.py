"""A disk that takes no more, before a real gateway: with `spill` statements go on, with `block` they wait."""

from __future__ import annotations

import json
import resource
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from admin.cli.main import main
from admin.demo.people import ALICE
from tests.harness.demo_business import DemoGateway

Start = Callable[..., DemoGateway]


@pytest.fixture
def start(gateway: DemoGateway) -> Iterator[Start]:
    """A gateway of its own before the same data, with more in [audit]."""
    started: list[DemoGateway] = []

    def start_one(**audit: object) -> DemoGateway:
        password = next(iter(gateway._targets.values()))["password"]
        process = DemoGateway(gateway.server, str(password))
        more = {name: str(process.directory / "spill") if value is Path else value for name, value in audit.items()}
        process.write_config({"audit": {"path": str(process.audit_path), **more}})
        process.start()
        started.append(process)
        return process

    yield start_one
    for process in started:
        process.stop()


def fill(process: DemoGateway, connection: psycopg.Connection[Any]) -> None:
    """No file of the gateway may grow beyond where its audit log is now, and no other one is near that."""
    number = 0
    while process.audit_path.stat().st_size < len(process.log) + 65_536:
        number += 1
        connection.execute(f"SELECT {number} -- {'x' * 8000}".encode())
        assert number < 200
    time.sleep(0.1)
    _, hard = resource.prlimit(process.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (process.audit_path.stat().st_size, hard))


def empty(process: DemoGateway) -> None:
    _, hard = resource.prlimit(process.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (hard, hard))


def statements(process: DemoGateway) -> list[str]:
    return [event["statement"] for event in process.audit_events() if event["event"] == "statement"]


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_with_spill_statements_go_on_and_every_one_is_in_the_log(start: Start) -> None:
    process = start(on_failure="spill", spill_directory=Path, spill_key="k" * 40)
    with process.connect(ALICE, autocommit=True) as connection:
        fill(process, connection)
        asked = [f"SELECT 'while full', {number}" for number in range(30)]
        for statement in asked:
            connection.execute(statement.encode())
        size = process.audit_path.stat().st_size
        spill = process.directory / "spill" / "audit.jsonl.spill"
        until(lambda: spill.stat().st_size > 30 * 200)
        assert b"while full" not in spill.read_bytes()
        empty(process)
        until(lambda: process.audit_path.stat().st_size > size and spill.stat().st_size < 100)
        connection.execute(b"SELECT 'afterwards'")
        until(lambda: "SELECT 'afterwards'" in statements(process))
    found = statements(process)
    assert found[found.index(asked[0]) :][:31] == [*asked, "SELECT 'afterwards'"]
    assert main(["audit", "verify", str(process.audit_path)]) == 0
    assert not any(event["event"] == "gap" for event in process.audit_events())


def test_with_block_statements_wait_until_the_log_is_well(start: Start) -> None:
    process = start(on_failure="block", block_s=60)
    answered: list[str] = []
    with process.connect(ALICE, autocommit=True) as connection, process.connect(ALICE, autocommit=True) as waiting:
        fill(process, connection)
        connection.execute(b"SELECT 'meets the full disk'")
        until(lambda: "clients wait for the audit log" in process.log)

        def ask() -> None:
            row = waiting.execute(b"SELECT 'it waited'").fetchone()
            answered.append(json.dumps(row))

        thread = threading.Thread(target=ask)
        thread.start()
        thread.join(0.5)
        assert thread.is_alive()
        assert answered == []
        empty(process)
        thread.join(30)
        assert answered == ['["it waited"]']
        until(lambda: "SELECT 'it waited'" in statements(process))
    assert "SELECT 'meets the full disk'" in statements(process)
    assert main(["audit", "verify", str(process.audit_path)]) == 0


def test_block_gives_up_after_its_time_and_refuses(start: Start) -> None:
    process = start(on_failure="block", block_s=0.3)
    with process.connect(ALICE, autocommit=True) as connection, process.connect(ALICE, autocommit=True) as waiting:
        fill(process, connection)
        connection.execute(b"SELECT 'meets the full disk'")
        until(lambda: "clients wait for the audit log" in process.log)
        with pytest.raises(psycopg.Error) as raised:
            waiting.execute(b"SELECT 1")
        assert raised.value.sqlstate == "58030"
        empty(process)
        until(lambda: "can be written again" in process.log)
        waiting.execute(b"SELECT 1")
