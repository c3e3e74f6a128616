"""Do the books of a gateway's pools balance, with what the gateway shows and what its server says?

Asked after every fault: what was counted in must have been counted out, and a backend is somebody's or idle.
"""

from __future__ import annotations

import time
from collections import Counter

from admin.demo.people import OLGA
from admin.demo.schema import GATEWAY_ROLE
from tests.harness.demo_business import DemoGateway

Row = dict[str, str]
_BACKENDS = (
    f"SELECT pid FROM pg_stat_activity WHERE usename = '{GATEWAY_ROLE}' AND backend_type = 'client backend'"
    " AND application_name <> 'tenantgate catalog'"
)


def show(gateway: DemoGateway, *views: str) -> dict[str, list[Row]]:
    """The gateway's own account, each view (POOLS, SERVERS, …) by name, all of one moment."""
    found = {}
    with gateway.connect(OLGA, "tenantgate", autocommit=True) as console:
        for view in views:
            result = console.pgconn.exec_(f"SHOW {view}".encode())
            names = [(result.fname(column) or b"").decode() for column in range(result.nfields)]
            found[view] = [
                {name: (result.get_value(row, column) or b"").decode() for column, name in enumerate(names)}
                for row in range(result.ntuples)
            ]
    return found


def assert_balanced(gateway: DemoGateway, *, sessions: int = 0, within_s: float = 10.0) -> None:
    """Soon, nothing is under way any more and all adds up; fails with what does not.

    sessions: of tenants, that are open and idle. What clients left behind may take a moment to be cleaned up, so it is
    asked again until `within_s`.
    """
    deadline = time.monotonic() + within_s
    while wrong := _wrong(gateway, sessions):
        assert time.monotonic() < deadline, wrong
        time.sleep(0.05)


def _wrong(gateway: DemoGateway, sessions: int) -> list[str]:
    seen = show(gateway, "POOLS", "SERVERS", "TENANTS", "CLIENTS")
    pools, servers, tenants = seen["POOLS"], seen["SERVERS"], seen["TENANTS"]
    clients = [row for row in seen["CLIENTS"] if row["tenant"]]
    wrong = []
    for pool in pools:
        for column in ("cl_waiting", "sv_login", "maxwait", "maxwait_us"):
            if pool[column] != "0":
                wrong.append(f"{column} of {pool['database']}/{pool['search_path']} is {pool[column]}")
    counted = sum(int(pool["sv_active"]) + int(pool["sv_idle"]) for pool in pools)
    if counted != len(servers):
        wrong.append(f"pools count {counted} backends, of {len(servers)} it is known who has them")
    on_server = {str(pid) for (pid,) in gateway.server.execute(_BACKENDS)}
    if on_server != {row["remote_pid"] for row in servers} or len(on_server) != len(servers):
        wrong.append(f"the server has {sorted(on_server)}, the gateway {sorted(row['remote_pid'] for row in servers)}")
    held = Counter(row["link"] for row in servers if row["link"])
    if sum(int(tenant["sv_active"]) for tenant in tenants) != sum(held.values()):
        wrong.append(f"tenants are said to hold other backends than sessions do: {held}")
    if any(count > 1 for count in held.values()):
        wrong.append(f"a session holds two backends: {held}")
    if any(row["state"] not in ("idle", "lane") for row in servers):
        wrong.append(f"a backend is at work: {servers}")
    if len(clients) != sessions or sum(int(tenant["cl_active"]) for tenant in tenants) != sessions:
        wrong.append(f"{sessions} sessions are open, not {len(clients)}: {tenants}")
    wrong += [
        f"{tenant['tenant']} has {tenant['statements_active']} statements"
        for tenant in tenants
        if tenant["statements_active"] != "0"
    ]
    return wrong
