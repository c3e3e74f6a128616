"""What `tenantgate provision` makes for tracked tables and takes away; without it nobody writes, and doctor tells."""

from __future__ import annotations

import json

import psycopg
import pytest

from tests.integration.changes.stage import Shop

Capture = pytest.CaptureFixture[str]
STATE = (
    "SELECT c.oid::regclass::text, t.tgname FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid"
    " WHERE NOT t.tgisinternal UNION ALL SELECT 'schema', nspname FROM pg_namespace WHERE nspname = 'tenantgate'"
    " UNION ALL SELECT 'event', evtname FROM pg_event_trigger ORDER BY 1, 2"
)


def checks(shop: Shop, capsys: Capture) -> dict[str, set[str]]:
    capsys.readouterr()
    shop.command("doctor", "--json")
    found: dict[str, set[str]] = {}
    for finding in json.loads(capsys.readouterr().out)["findings"]:
        found.setdefault(finding["check"], set()).add(finding["object"])
    return found


def test_a_dry_run_changes_nothing_and_a_second_run_has_nothing_to_do(bare: Shop, capsys: Capture) -> None:
    before = bare.superuser(STATE)
    assert bare.provision("--dry-run") == 0
    assert "tenantgate.arm('\"public\".\"orders\"'::regclass, 'tenant_id', ARRAY['card']" in capsys.readouterr().out
    assert bare.superuser(STATE) == before
    assert bare.provision() == 0
    made = bare.superuser(STATE)
    assert ("event", "tenantgate_definitions") in made
    assert {name for name, trigger in made if trigger == "tenantgate_changes_truncate"} == {
        "orders", "parcels", "events", "events_1", "events_2", "initech.orders",
    }  # fmt: skip
    capsys.readouterr()
    assert bare.provision() == 0
    assert capsys.readouterr().out.count("nothing to do") == 2
    assert bare.superuser(STATE) == made


def test_what_was_taken_off_is_put_back(bare: Shop, capsys: Capture) -> None:
    assert bare.provision() == 0
    made = bare.superuser(STATE)
    bare.superuser("ALTER EVENT TRIGGER tenantgate_definitions DISABLE; DROP TRIGGER tenantgate_changes ON orders")
    bare.superuser("ALTER TABLE events_1 DISABLE TRIGGER tenantgate_changes_truncate")
    assert {"public.orders"} <= checks(bare, capsys)["changes-untracked"]
    assert bare.provision() == 0
    assert bare.superuser(STATE) == made
    assert "changes-untracked" not in checks(bare, capsys)


def test_revert_leaves_nothing_and_drops_no_record_unasked(bare: Shop, capsys: Capture) -> None:
    before = bare.superuser(STATE)
    assert bare.provision() == 0
    bare.superuser("UPDATE orders SET note = 'x' WHERE id = 1 AND tenant_id = 'acme'")
    made = bare.superuser(STATE)
    assert bare.provision("--revert") == 2
    assert "--forget-changes" in capsys.readouterr().err
    assert bare.superuser(STATE) == made
    assert bare.provision("--revert", "--forget-changes") == 0
    assert bare.superuser(STATE) == before
    assert bare.superuser(STATE, bare.umbrella) == []


def test_a_table_that_is_not_tracked_any_more(bare: Shop) -> None:
    assert bare.provision() == 0
    policy = bare.directory / "policy.yaml"
    before = policy.read_text()
    policy.write_text(
        before.replace("parcels: {tenant_column: tenant_id, track: true,", "parcels: {tenant_column: tenant_id,")
    )
    assert policy.read_text() != before
    assert bare.provision() == 0
    assert {name for name, _ in bare.superuser(STATE)} & {"parcels", "orders"} == {"orders"}


def test_unprovisioned_tables_cannot_be_written(bare: Shop, capsys: Capture) -> None:
    assert bare.provision() == 0
    for database in (bare.database, bare.umbrella):
        bare.superuser("SELECT tenantgate.disarm(relation) FROM tenantgate.tracked", database)
    assert checks(bare, capsys)["changes-untracked"] == {
        "public.orders", "public.parcels", "public.events", "initech.orders", "public.stock",
    }  # fmt: skip
    bare.gateway.start()
    try:
        refused = {
            "acme": (
                "UPDATE orders SET note = 'x'", "INSERT INTO orders (id) VALUES (9)", "DELETE FROM orders",
                "MERGE INTO orders o USING (VALUES (1)) v(i) ON o.id = v.i WHEN MATCHED THEN DELETE",
                "INSERT INTO events (at) VALUES ('2024-01-01')", "COPY orders (id) FROM STDIN",
                "WITH w AS (DELETE FROM orders RETURNING 1) SELECT 1", "EXPLAIN UPDATE orders SET note = 'x'",
            ),
            "initech": ("UPDATE orders SET note = 'x'", "TRUNCATE orders"),
            "umbrella": ("UPDATE stock SET n = 1", "TRUNCATE stock", "DO $$ BEGIN UPDATE stock SET n = 1; END $$"),
        }  # fmt: skip
        for tenant, statements in refused.items():
            with bare.connect(tenant) as client:
                for statement in statements:
                    with pytest.raises(psycopg.Error) as raised:
                        client.execute(statement.encode())
                    assert raised.value.sqlstate == "55000", statement
                    assert "tenantgate provision" in str(raised.value.diag.message_hint)
        with bare.connect() as acme:
            assert acme.execute("SELECT count(*) FROM orders").fetchone() == (2,)
            acme.execute("INSERT INTO plain (id) VALUES (1)")
    finally:
        bare.gateway.stop()
    assert bare.superuser("SELECT count(*) FROM orders") == [(3,)]


def test_columns_that_changed_behind_the_triggers_back(bare: Shop) -> None:
    """Where no event trigger can be, a table's columns may change unnoticed: nothing is written then."""
    assert bare.provision() == 0
    bare.superuser("ALTER EVENT TRIGGER tenantgate_definitions DISABLE; ALTER TABLE orders ADD COLUMN more text")
    with pytest.raises(psycopg.Error, match="columns of a tracked table"):
        bare.superuser("UPDATE orders SET note = 'x'")
    assert bare.provision() == 0
    bare.superuser("UPDATE orders SET more = 'm' WHERE id = 2")
    assert bare.changes()[-1][4]["more"] == "m"
