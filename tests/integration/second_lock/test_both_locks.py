"""Through the gateway with each enforcement: what tenants see, and that either lock holds when the other is off."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from tests.harness.gateway import GatewayProcess
from tests.integration.second_lock.conftest import KEY, PASSWORD, POLICY, Shop

Connection = psycopg.Connection[tuple[Any, ...]]
ORDERS = "SELECT tenant_id, note FROM orders ORDER BY note"
OWN = [("acme", "a"), ("acme", "b")]


class LockedGateway(GatewayProcess):
    """A gateway before a shop."""

    def __init__(self, shop: Shop, enforcement: str, key: str | None = KEY) -> None:
        self.shop = shop
        super().__init__(targets={"main": self.target(enforcement, key)}, policy=POLICY.format(umbrella=shop.umbrella))

    def target(self, enforcement: str, key: str | None) -> dict[str, object]:
        target: dict[str, object] = {
            "host": "127.0.0.1", "port": self.shop.server.port, "database": self.shop.database, "tls": "disable",
            "user": self.shop.role, "password": PASSWORD, "enforcement": enforcement,
        }  # fmt: skip
        return target if key is None else {**target, "setting_key": key}

    def connect(self, tenant: str, **options: str) -> Connection:
        token = self.issuer.token("someone", tenant, ["app"])
        return psycopg.connect(self.conninfo("someone", token, tenant, **options), autocommit=True)

    def switch_to(self, enforcement: str, key: str | None = KEY) -> None:
        self._targets = {"main": self.target(enforcement, key)}
        self.write_config({})
        before = self.log.count('"reloaded"')
        self.reload()
        deadline = time.monotonic() + 10
        while self.log.count('"reloaded"') == before:
            assert time.monotonic() < deadline, self.log[-2000:]
            time.sleep(0.01)


@contextlib.contextmanager
def serving(shop: Shop, enforcement: str, key: str | None = KEY) -> Iterator[LockedGateway]:
    shop.configure(enforcement, key)
    shop.provisioned()
    gateway = LockedGateway(shop, enforcement, key)
    gateway.start()
    try:
        yield gateway
    finally:
        gateway.stop()


@pytest.mark.parametrize(("enforcement", "key"), [("rewrite", None), ("native", KEY), ("both", KEY), ("both", None)])
def test_every_tenant_sees_and_writes_its_own(shop: Shop, enforcement: str, key: str | None) -> None:
    with serving(shop, enforcement, key) as gateway:
        with gateway.connect("acme") as acme:
            assert acme.execute(ORDERS).fetchall() == OWN
            assert acme.execute(ORDERS, prepare=True).fetchall() == OWN
            acme.execute("INSERT INTO orders (note) VALUES ('new')")
            assert acme.execute("UPDATE orders SET note = note || '!'").rowcount == 3
            assert acme.execute("DELETE FROM orders WHERE note = 'new!'").rowcount == 1
            assert acme.execute("SELECT count(*) FROM events JOIN countries ON true").fetchone() == (2,)
            acme.execute(
                "INSERT INTO orders (id, note) VALUES (1, 'x') ON CONFLICT (tenant_id, id) DO UPDATE SET note = 'y'"
            )
            assert acme.execute("SELECT count(*) FROM orders WHERE note = 'y'").fetchone() == (1,)
        with gateway.connect("seven") as seven:
            assert seven.execute("SELECT value FROM meters").fetchall() == [(10,)]
        with gateway.connect("initech") as initech:
            assert initech.execute("SELECT note FROM orders").fetchall() == [("i",)]
            initech.execute("INSERT INTO orders VALUES (2, 'j')")
        with gateway.connect("umbrella") as umbrella:
            umbrella.execute("INSERT INTO stock (n) VALUES (1)")
            assert umbrella.execute("SELECT count(*) FROM stock").fetchone() == (1,)
    assert shop.superuser("SELECT note FROM orders WHERE tenant_id = 'globex'") == [("SECRET",)]
    assert shop.superuser("SELECT count(*) FROM hooli.orders") == [(1,)]


def test_with_row_level_security_off_rewriting_holds(shop: Shop) -> None:
    with serving(shop, "both") as gateway:
        shop.superuser(
            "ALTER TABLE orders DISABLE ROW LEVEL SECURITY; ALTER TABLE initech.orders DISABLE ROW LEVEL SECURITY"
        )
        with gateway.connect("acme") as acme:
            assert acme.execute(ORDERS).fetchall() == OWN
            assert acme.execute("UPDATE orders SET note = 'mine'").rowcount == 2
        with gateway.connect("hooli") as hooli, pytest.raises(psycopg.errors.InsufficientPrivilege):
            hooli.execute("SELECT * FROM initech.orders")
    assert shop.superuser("SELECT note FROM orders WHERE tenant_id = 'globex'") == [("SECRET",)]


def test_with_rewriting_off_row_level_security_holds(shop: Shop) -> None:
    """`native` sends statements without a tenant test: what keeps the others' rows away is the target alone."""
    with serving(shop, "native") as gateway:
        with gateway.connect("acme") as acme:
            assert acme.execute(ORDERS).fetchall() == OWN
            assert acme.execute("SELECT note FROM orders WHERE 1 / (id - id + 1) > 0").rowcount == 2
            assert acme.execute("UPDATE orders SET note = 'mine'").rowcount == 2
            assert acme.execute("DELETE FROM orders").rowcount == 2
        sent = [event["rewritten"] or event["statement"] for event in audited(gateway)]
        assert len(sent) >= 4
        assert not any("'acme'" in text for text in sent), sent
    assert shop.superuser("SELECT note FROM orders") == [("SECRET",)]


def test_both_test_the_tenant(shop: Shop) -> None:
    with serving(shop, "both") as gateway, gateway.connect("acme") as acme:
        acme.execute(ORDERS)
        assert "'acme'" in audited(gateway)[-1]["rewritten"]
        with shop.connect() as bare:  # the same statement from a session of the role that claims nothing
            assert bare.execute(audited(gateway)[-1]["rewritten"].encode()).fetchall() == []


def test_native_relies_on_locks_that_it_has_seen_only(shop: Shop) -> None:
    shop.configure("native", KEY)
    shop.provisioned()
    for sql in (
        "ALTER TABLE orders DISABLE ROW LEVEL SECURITY",
        "ALTER TABLE orders ENABLE ROW LEVEL SECURITY; ALTER POLICY tenantgate_tenant ON orders USING (true)",
        "DROP POLICY tenantgate_tenant ON orders; ALTER TABLE orders DISABLE ROW LEVEL SECURITY",
    ):
        shop.superuser(sql)
        gateway = LockedGateway(shop, "native")
        gateway.start()
        try:
            with gateway.connect("acme") as acme:
                assert acme.execute(ORDERS).fetchall() == OWN
        finally:
            gateway.stop()


CLIENTS_TRY = (
    "SET tenantgate.tenant = 'tenant=globex'",
    "SET LOCAL tenantgate.tenant = 'x'",
    "RESET tenantgate.tenant",
    "SELECT set_config('tenantgate.tenant', 'tenant=globex', false)",
    "SHOW tenantgate.tenant",
    "SELECT current_setting('tenantgate.tenant')",
    "SELECT tenantgate.proven('tenant')",
    "SELECT * FROM tenantgate.key",
    "SELECT * FROM tenantgate.made",
    "UPDATE pg_settings SET setting = 'tenant=globex' WHERE name = 'tenantgate.tenant'",
)


def test_clients_can_neither_set_nor_read_it(shop: Shop) -> None:
    with serving(shop, "both") as gateway:
        for tenant in ("acme", "initech"):
            with gateway.connect(tenant) as connection:
                for statement in CLIENTS_TRY:
                    with pytest.raises(psycopg.Error) as caught:
                        connection.execute(statement.encode())
                    assert caught.value.sqlstate in ("42501", "0A000", "42P01"), (statement, caught.value.sqlstate)


def test_clients_cannot_bring_it_along(shop: Shop) -> None:
    with serving(shop, "both", None) as gateway:
        with pytest.raises(psycopg.OperationalError):
            gateway.connect("acme", options="-c tenantgate.tenant=tenant=globex")
        with gateway.connect("acme") as acme:
            assert acme.execute(ORDERS).fetchall() == OWN


def test_nothing_that_resets_takes_it_away(shop: Shop) -> None:
    with serving(shop, "both") as gateway, gateway.connect("acme") as acme:
        for statement in ("RESET ALL", "DISCARD ALL", "BEGIN", "RESET ALL", "COMMIT", "BEGIN", "RESET ALL", "ROLLBACK"):
            acme.execute(statement.encode())
            assert acme.execute(ORDERS).fetchall() == OWN


def test_a_backend_is_one_tenants_for_life(shop: Shop) -> None:
    """One after the other they could have had the same backend, and have not."""
    with serving(shop, "native") as gateway:
        seen: dict[int, str] = {}
        for tenant in ("acme", "globex", "acme", "globex"):
            with gateway.connect(tenant) as connection:
                assert connection.execute("SELECT DISTINCT tenant_id FROM orders").fetchall() == [(tenant,)]
                pid = shop.superuser(
                    f"SELECT pid FROM pg_stat_activity WHERE usename = '{shop.role}' AND query LIKE '%DISTINCT%'"
                    " AND state = 'idle' ORDER BY state_change DESC LIMIT 1"
                )[0][0]
                assert seen.setdefault(pid, tenant) == tenant


def test_the_claim_stands_in_no_query_text(shop: Shop) -> None:
    with serving(shop, "both") as gateway, gateway.connect("acme") as acme:
        acme.execute(ORDERS)
        texts = shop.superuser("SELECT query FROM pg_stat_activity WHERE pid <> pg_backend_pid()")
        assert not any("tenant=acme" in (text or "") for (text,) in texts)


def test_switching_a_lock_on_ends_the_sessions_that_have_not_named_their_tenant(shop: Shop) -> None:
    with serving(shop, "rewrite", None) as gateway, gateway.connect("acme") as old:
        assert old.execute(ORDERS).fetchall() == OWN
        gateway.switch_to("both")
        with pytest.raises(psycopg.Error, match=r"second lock|closed|terminat"):
            old.execute(ORDERS)
        shop.configure("both", KEY)
        shop.provisioned()
        with gateway.connect("acme") as new:
            assert new.execute(ORDERS).fetchall() == OWN


def test_copy_from(shop: Shop) -> None:
    """PostgreSQL refuses it on tables with row-level security: it comes by way of an INSERT (copy_staged.py)."""
    with serving(shop, "both") as gateway:
        for tenant, rows in (("acme", [("a",), ("b",), ("new",)]), ("initech", [("i",), ("new",)])):
            with gateway.connect(tenant) as session:
                with session.cursor() as cursor:
                    columns = "note" if tenant == "acme" else "id, note"
                    with cursor.copy(f"COPY orders ({columns}) FROM STDIN".encode()) as copy:
                        copy.write_row(("new",) if tenant == "acme" else (2, "new"))
                    assert cursor.rowcount == 1
                assert session.execute("SELECT note FROM orders ORDER BY note").fetchall() == rows
    assert shop.superuser("SELECT tenant_id FROM orders WHERE note = 'new'") == [("acme",)]


@pytest.mark.parametrize("shop", ["embedded"], indirect=True)  # PostgreSQL has it from 17 on
def test_a_merge_by_source_reads_no_more_than_the_tenants_rows(shop: Shop) -> None:
    """Rewriting alone cannot put a test where MERGE scans its target (docs/second-lock.md)."""
    merge = "MERGE INTO orders USING (SELECT 1 AS id) s ON orders.id = s.id WHEN NOT MATCHED BY SOURCE THEN DELETE"
    with serving(shop, "both") as gateway, gateway.connect("acme") as acme:
        shop.superuser("INSERT INTO orders SELECT 'g' || n % 999, n, 'x' FROM generate_series(1, 20000) n")
        shop.superuser("ANALYZE orders")
        lines = [str(row[0]) for row in acme.execute(f"EXPLAIN (COSTS OFF) {merge}".encode())]
        assert any("Index" in line and "on orders" in line for line in lines), lines
        assert acme.execute(merge.encode()).rowcount == 1
    assert shop.superuser("SELECT count(*) FROM orders WHERE tenant_id <> 'acme'") == [(20001,)]


def audited(gateway: LockedGateway) -> list[dict[str, Any]]:
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        found = [e for e in gateway.audit_events() if e.get("event") == "statement"]
        if found:
            time.sleep(0.1)
            return [e for e in gateway.audit_events() if e.get("event") == "statement"]
        time.sleep(0.02)
    raise AssertionError(gateway.audit_events())
