"""A gateway killed under load at random points: its log verifies under its key, and what clients were told is in it.

TENANTGATE_CRASHES says how often (200 for `make audit-crash`; a few times by default).
"""

from __future__ import annotations

import itertools
import os
import re
import signal
import threading
import time
from collections.abc import Iterator
from random import Random

import psycopg
import pytest

from admin.demo.people import ALICE, BOB
from proxy.audit.signing import SigningKey
from proxy.audit.verify import verify_file
from tests.harness.demo_business import DemoGateway

CRASHES = int(os.environ.get("TENANTGATE_CRASHES", "2"))
CLIENTS = 4
NUMBER = re.compile(rb"9\d{9}")


@pytest.fixture
def key() -> SigningKey:
    return SigningKey.generate()


@pytest.fixture(params=["written", "synced"])
def fragile(gateway: DemoGateway, key: SigningKey, request: pytest.FixtureRequest) -> Iterator[DemoGateway]:
    """A gateway of its own, before the same data, whose replies wait for their events."""
    password = next(iter(gateway._targets.values()))["password"]
    process = DemoGateway(gateway.server, str(password))
    seal_key = process.directory / "seal.key"
    seal_key.touch(0o600)
    seal_key.write_text(key.pem())
    audit = {"signing_key_file": str(seal_key), "acknowledge": request.param, "seal_events": 300}
    process.write_config({"audit": audit})
    process.start()
    yield process
    process.stop()


class Load:
    """Clients that ask for numbers, each once, by text and by parameters, and note those that were answered."""

    def __init__(self, gateway: DemoGateway, numbers: Iterator[int]) -> None:
        self.answered: list[int] = []
        self.errors: list[Exception] = []
        self._numbers = numbers
        self._threads = [
            threading.Thread(target=self._run, args=(gateway, person))
            for person, _ in zip(itertools.cycle((ALICE, BOB)), range(CLIENTS), strict=False)
        ]
        for thread in self._threads:
            thread.start()

    def _run(self, gateway: DemoGateway, person: object) -> None:
        try:
            with gateway.connect(person, autocommit=True) as connection:  # type: ignore[arg-type]
                while True:
                    number = next(self._numbers)
                    if number % 2:
                        connection.execute(f"SELECT count(*) FROM notes WHERE id > {number}".encode())
                    else:
                        connection.execute("SELECT count(*) FROM notes WHERE id > %s", (number,))
                    self.answered.append(number)
        except psycopg.Error as error:
            self.errors.append(error)

    def end(self) -> None:
        for thread in self._threads:
            thread.join(30)
            assert not thread.is_alive()


def kill(gateway: DemoGateway) -> None:
    process = gateway._child.process
    assert process is not None
    os.kill(gateway.pid, signal.SIGKILL)
    process.wait(30)


def test_what_clients_were_told_is_in_the_log_of_a_killed_gateway(fragile: DemoGateway, key: SigningKey) -> None:
    random = Random()
    numbers = itertools.count(9_000_000_001)
    answered: list[int] = []
    for _ in range(CRASHES):
        load = Load(fragile, numbers)
        deadline = time.monotonic() + 60
        while len(load.answered) < CLIENTS:
            assert time.monotonic() < deadline, load.errors
            time.sleep(0.01)
        time.sleep(random.uniform(0, 0.3))  # somewhere
        kill(fragile)
        load.end()
        answered += load.answered
        fragile.start()
        result = verify_file(fragile.audit_path, trusted=key.public)
        assert result.ok, result.first_problem
        assert result.seals.unsealed == 1, "what may be missing is not signed"
    log = fragile.audit_path.read_bytes()
    assert log.count(b'"event":"recovered"') == CRASHES
    found = {int(number) for number in NUMBER.findall(log)}
    assert len(answered) >= CLIENTS * CRASHES
    assert not set(answered) - found
