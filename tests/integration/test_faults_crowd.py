"""Thousands of connections at once: each is served or told why not, none hangs, and what they took is given back.

200 of them; with TENANTGATE_FAULTS_FULL=1 it is 5,000.
"""

from __future__ import annotations

import asyncio
import os
import resource
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from admin.demo.people import ALICE, BOB, CAROL, DAVE, Person
from proxy.postgres.wire import messages, replies, startup
from tests.harness.balance import assert_balanced
from tests.harness.demo_business import DemoGateway
from tests.harness.traces import assert_no_traces

FULL = "TENANTGATE_FAULTS_FULL" in os.environ
CONNECTIONS = 5000 if FULL else 200
BACKENDS = 6
ORDERS = {"alice": b"1900", "bob": b"1500", "carol": b"1300", "dave": b"1200"}
TYPED = {"53300", "57P03", "57014"}  # no backend, no connection to the target, or no login, in time
PATIENCE_S = 120
COUNT = messages.encode_query(b"SELECT count(*) FROM orders")


@pytest.fixture(autouse=True)
def _many_files() -> Iterator[None]:
    """Ours to open; the gateway has inherited the hard limit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@dataclass
class Crowd:
    """What became of each: `ok`, an SQLSTATE, or what went wrong."""

    gateway: DemoGateway
    outcomes: Counter[str] = field(default_factory=Counter)

    async def come(self, count: int, *, stay: bool) -> None:
        """Connect, log in, ask once; say goodbye, or stay until all have been served and then vanish."""
        people = (ALICE, BOB, CAROL, DAVE)
        everybody = asyncio.Event()
        waiting = [count]
        self.outcomes.update(
            await asyncio.gather(
                *(self._one(people[n % 4], waiting, everybody if stay else None) for n in range(count))
            )
        )

    async def _one(self, person: Person, waiting: list[int], everybody: asyncio.Event | None) -> str:
        writer = None
        try:
            async with asyncio.timeout(PATIENCE_S):
                reader, writer = await asyncio.open_connection("127.0.0.1", self.gateway.port)
                hello = startup.encode_startup({"user": person.name, "database": person.tenant}, 0)
                writer.write(hello)
                await _until(reader, b"R")
                writer.write(messages.encode(b"p", self.gateway.tokens[person.name].encode() + b"\0"))
                await _until(reader, b"Z")
                writer.write(COUNT)
                row = await _until(reader, b"D")
                await _until(reader, b"Z")
            if not row.endswith(ORDERS[person.name]):
                return f"{person.name} was told {row!r}"
            if everybody is not None:
                waiting[0] -= 1
                if not waiting[0]:
                    everybody.set()
                async with asyncio.timeout(PATIENCE_S):
                    await everybody.wait()
            else:
                writer.write(messages.TERMINATE)
            return "ok"
        except _Refused as refused:
            waiting[0] -= 1
            if not waiting[0] and everybody is not None:
                everybody.set()
            return str(refused)
        except (OSError, EOFError, TimeoutError) as error:
            return repr(error)
        finally:
            if writer is not None:
                writer.close()


class _Refused(Exception):
    """The gateway said no, with this SQLSTATE."""


async def _until(reader: asyncio.StreamReader, tag: bytes) -> bytes:
    """The next message with this tag."""
    while True:
        head = await reader.readexactly(5)
        body = await reader.readexactly(int.from_bytes(head[1:], "big") - 4)
        if head[:1] == tag:
            return body
        if head[:1] == b"E":
            raise _Refused(replies.decode_error_fields(head + body)["C"].decode())


def descriptors(gateway: DemoGateway) -> int:
    return sum(1 for _ in Path(f"/proc/{gateway.pid}/fd").iterdir())


def resident_mb(gateway: DemoGateway) -> float:
    pages = int(Path(f"/proc/{gateway.pid}/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20


@pytest.mark.timeout(400 if FULL else 120)
@pytest.mark.parametrize("stay", [False, True])
def test_connections_that_come_at_once(faulty: DemoGateway, stay: bool) -> None:
    asyncio.run(Crowd(faulty).come(20, stay=stay))  # what is kept for good is there
    assert_balanced(faulty)
    before = descriptors(faulty)
    crowd = Crowd(faulty)
    asyncio.run(crowd.come(CONNECTIONS, stay=stay))
    assert crowd.outcomes.total() == CONNECTIONS
    assert set(crowd.outcomes) <= {"ok", *TYPED}, crowd.outcomes
    if not FULL:  # what so many get depends on how busy the machine is
        assert crowd.outcomes["ok"] > CONNECTIONS / 2, crowd.outcomes
    assert_balanced(faulty, within_s=30)
    until = time.monotonic() + 10
    while descriptors(faulty) > before + BACKENDS:
        assert time.monotonic() < until, (before, descriptors(faulty))
        time.sleep(0.05)
    assert_no_traces(faulty, BACKENDS)


@pytest.mark.skipif(not FULL, reason="set TENANTGATE_FAULTS_FULL=1")
def test_memory_of_a_crowd_is_used_again(faulty: DemoGateway) -> None:
    """What one crowd needed is enough for the next ones."""
    sizes = []
    for _ in range(6):
        crowd = Crowd(faulty)
        asyncio.run(crowd.come(CONNECTIONS // 5, stay=True))
        assert set(crowd.outcomes) <= {"ok", *TYPED}, crowd.outcomes
        assert_balanced(faulty, within_s=30)
        sizes.append(resident_mb(faulty))
    assert sizes[-1] < sizes[1] * 1.1, sizes
