"""`make control-plane`: a policy store of ten thousand tenants and a thousand roles, changed a thousand times.

How long a gateway takes to read all of it; how soon each change is in force, from the commit to the version that the
gateway goes by; what statements notice. Load runs beside the same changes in turn: made in a store that nobody follows,
and in the one that the gateway follows, so that what the writer itself costs is in both.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import itertools
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any

import psycopg

from admin.services.actor import EVERYTHING, Actor
from admin.services.documents import apply_document
from admin.services.revocations import revoke
from admin.services.roles import put_role
from admin.services.tenants import create_tenant, patch_tenant
from admin.store.engine import Store
from admin.store.upgrade import open_store
from benchmarks.measure import SELECT_ONLY, Sample, run_pgbench
from benchmarks.stage import POLICY, Stage, Way, way_to
from policy.changes import EMPTY
from policy.strict_yaml import parse_strict_yaml
from proxy.config import PolicyConfig
from proxy.policy_feed.follower import snapshot_of
from proxy.policy_feed.source import open_source
from tests.harness.gateway import GatewayProcess

ACTOR = Actor("benchmark", permissions=EVERYTHING)
BUILD_S, FORCE_S, P99_RATIO = 2.0, 1.0, 1.1
_POLL_S = 0.005


def main() -> int:
    """Exit code 0: the marks are met, 1: one is missed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.control_plane", description=__doc__)
    parser.add_argument("--tenants", type=int, default=10_000)
    parser.add_argument("--roles", type=int, default=1_000)
    parser.add_argument("--changes", type=int, default=1_000)
    parser.add_argument("--clients", type=int, default=8, help="of pgbench (default 8)")
    parser.add_argument("--rounds", type=int, default=4, help="of load beside changes in each store (default 4)")
    arguments = parser.parse_args()
    document = _document(arguments.tenants, arguments.roles)
    with tempfile.TemporaryDirectory() as directory, Stage(1, pgbouncer=False) as stage:
        followed, other = (str(Path(directory) / name) for name in ("followed.db", "other.db"))
        for path in (followed, other):
            asyncio.run(_fill(path, document))
        builds = [asyncio.run(_build(followed)) for _ in range(3)]
        gateway = _gateway(stage, followed)
        gateway.start()
        try:
            latencies, without, with_changes = _under_load(stage, gateway, (followed, other), arguments)
        finally:
            gateway.stop()
    print(f"{arguments.tenants:,} tenants, {arguments.roles:,} roles, {len(latencies):,} changes under load")
    wall_s, build_s = (min(kind) for kind in zip(*builds, strict=True))
    print(f"read and checked in {build_s:.2f} s of CPU, {wall_s:.2f} s on the clock")
    print(
        f"a change is in force after {median(latencies) * 1000:.0f} ms (median), {max(latencies) * 1000:.0f} ms (most)"
    )
    ratio = median(b.p99_ms for b in with_changes) / median(a.p99_ms for a in without)
    _print_load("changes in another store", without)
    _print_load("changes in the followed store", with_changes)
    marks = [
        ("seconds of CPU to read all of the store", build_s, BUILD_S),
        ("seconds until the slowest change was in force", max(latencies), FORCE_S),
        ("p99 of statements by that without changes", ratio, P99_RATIO),
    ]
    for name, value, most in marks:
        print(f"{'met   ' if value <= most else 'MISSED'} {name}: {value:.2f} (at most {most:g})")
    return 0 if all(value <= most for _, value, most in marks) else 1


def _print_load(name: str, samples: list[Sample]) -> None:
    tps, middle, p99 = (median(getattr(s, key) for s in samples) for key in ("tps", "median_ms", "p99_ms"))
    print(f"{name}: {tps:,.0f} statements/s, median {middle:.2f} ms, p99 {p99:.2f} ms, no error")


def _document(tenants: int, roles: int) -> dict[str, Any]:
    document = parse_strict_yaml(POLICY)
    assert isinstance(document, dict)
    quotas = {"connections": 100, "statements_per_s": 1000}
    document["targets"] = {"main": {"database": "bench"}}
    document["tenants"] |= {
        f"t{number}": {"isolation": "shared", "target": "main", "quotas": quotas} for number in range(tenants - 1)
    }
    document["roles"]["watch"] = {"permissions": ["gateway:*:read"]}
    document["roles"] |= {
        f"r{number}": {
            "permissions": [f"table:t{number}:read", "table:pgbench_accounts:read"],
            "row_filters": {f"t{number}": "region = :attr_region AND owner = :subject"},
            "masks": {f"t{number}": {"card": "'**** ' || right(card, 4)"}},
        }
        for number in range(roles - 1)
    }
    return document


async def _fill(path: str, document: dict[str, Any]) -> None:
    store = await open_store(path)
    await apply_document(store, ACTOR, document)
    await store.close()


async def _build(path: str) -> tuple[float, float]:
    """Seconds from the first byte read to the snapshot: on the clock, and of CPU."""
    began, used = time.perf_counter(), time.process_time()
    source = open_source(PolicyConfig(path))
    snapshot = await snapshot_of(await source.read(0), EMPTY, {"main": "bench"})
    seconds = time.perf_counter() - began, time.process_time() - used
    await source.close()
    assert "acme" in snapshot.tenants
    return seconds


def _gateway(stage: Stage, path: str) -> GatewayProcess:
    gateway = stage.new_gateway(POLICY)
    settings: dict[str, dict[str, object]] = {
        "tls": {"mode": "off"}, "auth": {"plaintext_loopback": True}, "log": {"level": "warning"},
        "policy": {"store": path, "max_age": "30s"},
    }  # fmt: skip
    gateway.write_config(settings)
    return gateway


def _under_load(
    stage: Stage, gateway: GatewayProcess, stores: tuple[str, str], arguments: argparse.Namespace
) -> tuple[list[float], list[Sample], list[Sample]]:
    """Seconds until each change was in force; runs beside changes elsewhere, and beside those changes."""
    way = way_to("following", gateway, "acme")
    each = -(-arguments.changes // arguments.rounds)
    watch = _Watch(way, gateway)
    watch.start()
    run_pgbench(stage, way, SELECT_ONLY, "prepared", arguments.clients, 2)  # warm
    samples: dict[str, list[Sample]] = {store: [] for store in stores}
    committed: dict[int, float] = {}
    for number, store in itertools.product(range(arguments.rounds), reversed(stores)):
        writer = _Writer(store, number, each)
        writer.start()
        while writer.is_alive():
            samples[store].append(run_pgbench(stage, way, SELECT_ONLY, "prepared", arguments.clients, 3))
        if store == stores[0]:
            committed |= writer.committed
    watch.wait_for(max(committed))
    return watch.latencies(committed), samples[stores[1]], samples[stores[0]]


class _Writer(threading.Thread):
    """Changes by the services, one after the other. `committed`: when each version was, on the monotonic clock."""

    def __init__(self, store: str, number: int, changes: int) -> None:
        super().__init__(daemon=True)
        self._store = store
        self._number = number
        self._changes = changes
        self.committed: dict[int, float] = {}

    def run(self) -> None:
        asyncio.run(self._write())

    async def _write(self) -> None:
        store = await open_store(self._store)
        for change in itertools.islice(_changes(store, self._number), self._changes):
            entity = await change
            self.committed[entity.version] = time.monotonic()
        await store.close()


def _changes(store: Store, number: int) -> Iterator[Any]:
    """Of quotas, roles, new tenants and revocations in turn."""
    for count in itertools.count():
        limits = {"quotas": {"connections": 100 + number + count}}
        yield patch_tenant(store, ACTOR, f"t{count % 1000}", limits)
        yield put_role(store, ACTOR, f"r{count % 500}", {"permissions": [f"table:x{number}_{count}:read"]})
        yield create_tenant(store, ACTOR, f"new{number}_{count}", {"isolation": "shared", "target": "main"})
        yield revoke(store, ACTOR, {"jti": f"{number}-{count}"})


class _Watch(threading.Thread):
    """Asks the gateway again and again by which version it goes. `seen`: (when, version), each time it was another."""

    def __init__(self, way: Way, gateway: GatewayProcess) -> None:
        super().__init__(daemon=True)
        self._way = way
        self._token = gateway.issuer.token("watch", "acme", ["watch"], ttl_s=36_000)
        self.seen: list[tuple[float, int]] = []

    def _connect(self) -> psycopg.Connection[Any]:
        return psycopg.connect(
            host="127.0.0.1", port=self._way.port, user="watch", password=self._token, dbname="tenantgate",
            sslmode="disable", autocommit=True, prepare_threshold=None,
        )  # fmt: skip

    def run(self) -> None:
        version = 0
        with contextlib.suppress(psycopg.OperationalError), self._connect() as console:  # until the gateway ends
            while True:
                found = console.execute("SHOW POLICY").fetchall()[0][2]
                if found != version:
                    version = found
                    self.seen.append((time.monotonic(), version))
                time.sleep(_POLL_S)

    def wait_for(self, version: int) -> None:
        deadline = time.monotonic() + 60
        while not self.seen or self.seen[-1][1] < version:
            if time.monotonic() > deadline or not self.is_alive():
                raise RuntimeError(f"version {version} was never in force")
            time.sleep(_POLL_S)

    def latencies(self, committed: dict[int, float]) -> list[float]:
        """Seconds from each commit to the first look at which its version, or a later one, was in force."""
        looks = iter(self.seen)
        at, newest = next(looks)
        found = []
        for version in sorted(committed):
            while newest < version:
                at, newest = next(looks)
            found.append(max(0.0, at - committed[version]))
        return found


if __name__ == "__main__":
    sys.exit(main())
