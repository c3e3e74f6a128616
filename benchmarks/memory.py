"""`make memory`: what idle clients cost a gateway, in bytes of its resident memory over that of the empty process.

Each client has logged in with a JWT of its own, run one statement against a real PostgreSQL and waits, TLS off.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import time

import uvloop

from benchmarks.idle_clients import connect_all, resident_bytes
from benchmarks.stage import POLICY, Stage
from proxy.postgres import engine

SQL = "SELECT abalance FROM pgbench_accounts WHERE aid = {};"
BYTES_EACH = 15_000  # 150 MB for 10,000
_SETTLE_S = 12.0


def main() -> int:
    """Exit code 0: the mark is met, 1: it is missed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.memory", description=__doc__)
    parser.add_argument("--clients", type=int, default=10_000)
    parser.add_argument("--tenants", type=int, default=100, help="that the clients belong to (default 100)")
    arguments = parser.parse_args()
    clients = arguments.clients
    policy = policy_of(arguments.tenants, connections=clients)
    with Stage(1, pgbouncer=False, policy=policy, limits={"max_connections": clients + 100}) as stage:
        empty, after, seconds = asyncio.run(_measure(stage, clients, arguments.tenants))
    each = (after - empty) / clients
    met = each <= BYTES_EACH
    compiled = "compiled" if not str(engine.__file__).endswith(".py") else "in pure Python"
    print(f"{clients:,} clients of {arguments.tenants} tenants, logged in within {seconds:.0f} s, hot path {compiled}")
    print(f"resident memory: {empty / 1e6:.1f} MB empty, {after / 1e6:.1f} MB with the clients")
    print(f"{'met   ' if met else 'MISSED'} an idle client: {each / 1000:.1f} KB (at most {BYTES_EACH / 1000:g})")
    return 0 if met else 1


def policy_of(tenants: int, connections: int) -> str:
    """The benchmark's policy with so many tenants in shared tables."""
    line = "  t{}: {{isolation: shared, target: main, quotas: {{connections: {}}}}}"
    head, _, rest = POLICY.partition("roles:")
    assert head.startswith("\ntenants:")
    return "tenants:\n" + "\n".join(line.format(n, connections) for n in range(tenants)) + "\nroles:" + rest


async def _measure(stage: Stage, clients: int, tenants: int) -> tuple[int, int, float]:
    gateway = stage.gateway
    assert gateway is not None
    issuer = gateway.issuer
    logins = []
    for number in range(clients):
        tenant, user = f"t{number % tenants}", f"user{number}@example.com"
        logins.append((user, tenant, issuer.token(user, tenant, ttl_s=3600)))
    empty, begin = resident_bytes(gateway.pid), time.perf_counter()
    connected = await connect_all(gateway.port, logins, SQL)
    seconds = time.perf_counter() - begin
    await asyncio.sleep(_SETTLE_S)
    after = resident_bytes(gateway.pid)
    for client in connected:
        client.close()
    return empty, after, seconds


if __name__ == "__main__":
    uvloop.install()
    sys.exit(main())
