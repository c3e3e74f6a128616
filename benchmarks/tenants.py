"""`make memory`, second part: what tenants cost that are only there, a hundred thousand of them.

Bytes of the gateway's resident memory for each, how long others wait while the policy is loaded again, and CPU per
transaction beside a gateway of ten tenants, in turn.
"""

from __future__ import annotations

import argparse
import sys
import threading
import time
import urllib.request
from statistics import median

import psycopg

from benchmarks.idle_clients import resident_bytes
from benchmarks.measure import SELECT_ONLY, run_pgbench, way_environment
from benchmarks.memory import policy_of
from benchmarks.stage import Stage, Way, way_to
from tests.harness.gateway import GatewayProcess

FEW = 10
BYTES_EACH, CPU_RATIO = 1024, 1.05
_PING = "SELECT abalance FROM pgbench_accounts WHERE aid = 1"
_LOAD_TIMEOUT_S = 900


def main() -> int:
    """Exit code 0: the marks are met, 1: one is missed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.tenants", description=__doc__)
    parser.add_argument("--tenants", type=int, default=100_000)
    parser.add_argument("--seconds", type=int, default=4, help="of each pgbench run (default 4)")
    parser.add_argument("--rounds", type=int, default=5, help="of pgbench along both ways (default 5)")
    arguments = parser.parse_args()
    few, many = policy_of(FEW, connections=100), policy_of(arguments.tenants, connections=100)
    with Stage(1, pgbouncer=False, policy=few) as stage:
        crowded = stage.new_gateway(few)
        crowded.start()
        try:
            each = _load(crowded, many, 2, arguments.tenants)
            _load(crowded, many.replace("connections: 100}", "connections: 101}", 1), 3, arguments.tenants)
            assert stage.gateway is not None
            ways = [way_to("few", stage.gateway, "t5"), way_to("many", crowded, "t5")]
            ratio = _cpu_ratio(stage, ways, arguments.seconds, arguments.rounds)
        finally:
            crowded.stop()
    marks = [
        ("bytes of a tenant", each, BYTES_EACH),
        (f"CPU per transaction by that with {FEW} tenants", ratio, CPU_RATIO),
    ]
    for name, value, most in marks:
        print(f"{'met   ' if value <= most else 'MISSED'} {name}: {value:,.2f} (at most {most:g})")
    return 0 if all(value <= most for _, value, most in marks) else 1


def _load(gateway: GatewayProcess, policy: str, version: int, tenants: int) -> float:
    """Have the policy loaded while a client asks again and again. Returns bytes of memory that it took, per tenant."""
    way = way_to("", gateway, "t5")
    _ask_until(way, 100, threading.Event(), [])  # what a first client takes is not the tenants'
    before = resident_bytes(gateway.pid)
    gateway.policy_path.write_text(policy, encoding="utf-8")
    done = threading.Event()
    waits: list[float] = []
    client = threading.Thread(target=_ask_until, args=(way, None, done, waits))
    client.start()
    try:
        begin = time.perf_counter()
        gateway.reload()
        _wait_for_version(gateway.admin_port, version)
        seconds = time.perf_counter() - begin
    finally:
        done.set()
        client.join()
    took = resident_bytes(gateway.pid) - before
    print(
        f"policy of {tenants:,} tenants loaded in {seconds:.1f} s; meanwhile {len(waits):,} statements, the slowest "
        f"{max(waits) * 1e3:.0f} ms (median {median(waits) * 1e3:.2f}); resident memory {took / 1e6:+.1f} MB"
    )
    return took / tenants


def _ask_until(way: Way, most: int | None, done: threading.Event, waits: list[float]) -> None:
    """Ask until it is `done`, but at `most` so many times."""
    password = way_environment(way)["PGPASSWORD"]
    with psycopg.connect(
        host="127.0.0.1", port=way.port, user=way.user, dbname=way.database, password=password, sslmode="disable",
        autocommit=True,
    ) as connection:  # fmt: skip
        while not done.is_set() and (most is None or len(waits) < most):
            begin = time.perf_counter()
            connection.execute(_PING).fetchall()
            waits.append(time.perf_counter() - begin)
            time.sleep(0.002)


def _wait_for_version(admin_port: int, version: int) -> None:
    wanted = f"tenantgate_policy_version {version}.0".encode()
    deadline = time.monotonic() + _LOAD_TIMEOUT_S
    while time.monotonic() < deadline:
        with urllib.request.urlopen(f"http://127.0.0.1:{admin_port}/metrics", timeout=60) as answer:
            if wanted in answer.read():
                return
        time.sleep(0.5)
    raise RuntimeError("the policy was not loaded")


def _cpu_ratio(stage: Stage, ways: list[Way], seconds: int, rounds: int) -> float:
    """CPU per transaction of the second way by that of the first: the median of rounds, ways in turn."""
    ratios = []
    for _ in range(rounds):
        used = [run_pgbench(stage, way, SELECT_ONLY, "simple", 8, seconds).proxy_us for way in ways]
        assert used[0] is not None
        assert used[1] is not None
        ratios.append(used[1] / used[0])
    return median(ratios)


if __name__ == "__main__":
    sys.exit(main())
