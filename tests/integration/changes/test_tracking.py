"""What is written down of changes, on every path that a client can take; and whose they are."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

from tests.integration.changes.stage import Shop

ORDER_1 = {"tenant_id": "acme", "id": "1", "note": "a", "total": "1.50"}


def brief(shop: Shop, database: str | None = None) -> list[tuple[str, str, str]]:
    return [(table.partition(".")[2], operation, key) for table, operation, key, *_ in shop.changes(database)]


def without_card(image: dict[str, Any] | None) -> dict[str, Any] | None:
    return None if image is None else {name: value for name, value in image.items() if name != "card"}


def test_insert_update_delete_have_their_images(shop: Shop) -> None:
    with shop.connect() as acme:
        acme.execute("INSERT INTO orders (id, note, total) VALUES (7, 'new', 10)")
        acme.execute("UPDATE orders SET note = 'x' WHERE id = 1")
        acme.execute("DELETE FROM orders WHERE id = 2")
    found = shop.changes()
    assert brief(shop) == [("orders", "INSERT", "7"), ("orders", "UPDATE", "1"), ("orders", "DELETE", "2")]
    assert [row[5:] for row in found] == [("acme", "ann")] * 3
    assert (found[0][3], without_card(found[0][4])) == (
        None, {"tenant_id": "acme", "id": "7", "note": "new", "total": "10.00"},
    )  # fmt: skip
    assert (without_card(found[1][3]), without_card(found[1][4])) == (ORDER_1, {**ORDER_1, "note": "x"})
    assert found[2][4] is None


@pytest.mark.parametrize("prepare", [False, True])
def test_extended_and_prepared_statements(shop: Shop, prepare: bool) -> None:
    with shop.connect() as acme, shop.connect("globex", "bob") as globex:
        for number in range(3):
            acme.execute("UPDATE orders SET total = %s WHERE id = %s", (number, 1), prepare=prepare)
            globex.execute("UPDATE orders SET total = %s WHERE id = %s", (number, 1), prepare=prepare)
    assert [row[5:] for row in shop.changes()] == [("acme", "ann"), ("globex", "bob")] * 3


def test_a_pipeline(shop: Shop) -> None:
    with shop.connect() as acme, acme.pipeline():
        for number in range(5):
            acme.execute("INSERT INTO orders (id, note) VALUES (%s, %s)", (100 + number, "p"))
        acme.execute("SELECT count(*) FROM orders")
    assert brief(shop) == [("orders", "INSERT", str(100 + number)) for number in range(5)]


def test_several_statements_in_one_text(shop: Shop) -> None:
    with shop.connect() as acme:
        acme.execute(
            "SELECT 1; UPDATE plain SET note = 'x'; UPDATE orders SET note = 'y' WHERE id = 1;"
            "DELETE FROM orders WHERE id = 2"
        )
    assert brief(shop) == [("orders", "UPDATE", "1"), ("orders", "DELETE", "2")]


def test_writes_that_carry_queries(shop: Shop) -> None:
    with shop.connect() as acme:
        acme.execute("INSERT INTO boxes VALUES ('acme', 1, 'from box')")
        acme.execute("UPDATE orders o SET note = b.note FROM boxes b WHERE b.id = o.id")
        acme.execute("DELETE FROM orders o USING boxes b WHERE b.id + 1 = o.id")
        acme.execute("INSERT INTO orders (id, note) SELECT id + 10, note FROM boxes")
        acme.execute("WITH gone AS (DELETE FROM orders WHERE id = 11 RETURNING note) SELECT * FROM gone")
    operations = [("UPDATE", "1"), ("DELETE", "2"), ("INSERT", "11"), ("DELETE", "11")]
    assert [row[1:] for row in brief(shop)] == operations


def test_on_conflict(shop: Shop) -> None:
    with shop.connect() as acme:
        acme.execute(
            "INSERT INTO orders (id, note) VALUES (1, 'again'), (3, 'c')"
            " ON CONFLICT (tenant_id, id) DO UPDATE SET note = excluded.note"
        )
        acme.execute("INSERT INTO orders (id, note) VALUES (1, 'no') ON CONFLICT DO NOTHING")
    assert brief(shop) == [("orders", "UPDATE", "1"), ("orders", "INSERT", "3")]


def test_merge(shop: Shop) -> None:
    with shop.connect() as acme:
        acme.execute(
            "MERGE INTO orders o USING (VALUES (1), (2), (5)) v(id) ON o.id = v.id"
            " WHEN MATCHED AND v.id = 1 THEN UPDATE SET note = 'merged' WHEN MATCHED THEN DELETE"
            " WHEN NOT MATCHED THEN INSERT (id, note) VALUES (v.id, 'm')"
        )
    assert sorted(brief(shop)) == [("orders", "DELETE", "2"), ("orders", "INSERT", "5"), ("orders", "UPDATE", "1")]


def test_copy_from(shop: Shop) -> None:
    with shop.connect() as acme, acme.cursor() as cursor, cursor.copy("COPY orders (id, note) FROM STDIN") as copy:
        for number in range(50, 53):
            copy.write_row((number, "copied"))
    assert brief(shop) == [("orders", "INSERT", str(number)) for number in range(50, 53)]
    assert {row[5:] for row in shop.changes()} == {("acme", "ann")}


def test_cascades(shop: Shop) -> None:
    """A delete of a tracked table reaches another, and one that is not tracked in between says whose it is, too."""
    with shop.connect() as acme:
        acme.execute("INSERT INTO parcels (id, order_id) VALUES (9, 2)")
        acme.execute("DELETE FROM orders WHERE id = 2")
    assert brief(shop) == [("parcels", "INSERT", "9"), ("orders", "DELETE", "2"), ("parcels", "DELETE", "9")]
    assert {row[5:] for row in shop.changes()} == {("acme", "ann")}


def test_partitions(shop: Shop) -> None:
    with shop.connect() as acme:
        acme.execute("INSERT INTO events (at, what) VALUES ('2024-01-01', 'a'), ('2026-01-01', 'b')")
        acme.execute("UPDATE events SET at = '2027-01-01' WHERE what = 'a'")
    assert [row[:2] for row in brief(shop)] == [
        ("events", "INSERT"), ("events", "INSERT"), ("events", "DELETE"), ("events", "INSERT"),
    ]  # fmt: skip


def test_rollback_and_savepoints_leave_nothing(shop: Shop) -> None:
    with shop.connect() as acme:
        acme.execute("BEGIN")
        acme.execute("DELETE FROM orders")
        acme.execute("ROLLBACK")
        acme.execute("BEGIN")
        acme.execute("UPDATE orders SET note = 'kept' WHERE id = 1")
        acme.execute("SAVEPOINT s")
        acme.execute("DELETE FROM orders")
        acme.execute("ROLLBACK TO s")
        acme.execute("UPDATE orders SET note = 'kept, too' WHERE id = 2")
        acme.execute("COMMIT")
        with pytest.raises(psycopg.Error):
            acme.execute("UPDATE orders SET total = 1 / 0")
    assert brief(shop) == [("orders", "UPDATE", "1"), ("orders", "UPDATE", "2")]


def test_what_changes_nothing_is_no_change(shop: Shop) -> None:
    with shop.connect() as acme:
        acme.execute("UPDATE orders SET note = note")
        acme.execute("DELETE FROM orders WHERE id = 99")
        acme.execute("INSERT INTO plain (id) VALUES (1)")
    assert brief(shop) == []


def test_a_key_that_changes(shop: Shop) -> None:
    with shop.connect() as acme:
        acme.execute("UPDATE orders SET id = 20 WHERE id = 1")
    assert shop.superuser("SELECT key, old_key FROM tenantgate.changes") == [("20", "1")]


def test_values_do_not_depend_on_the_clients_settings(shop: Shop) -> None:
    with shop.connect(options="-c extra_float_digits=-15 -c TimeZone=Asia/Tokyo -c DateStyle=German") as acme:
        acme.execute("INSERT INTO events (at, what) VALUES ('2024-12-31', 'x')")
    assert shop.changes()[0][4]["at"] == "2024-12-31"


def test_hashed_columns_are_hashed(shop: Shop) -> None:
    with shop.connect() as acme:
        acme.execute("UPDATE orders SET card = '4000 1111' WHERE id = 2")
        acme.execute("UPDATE orders SET card = '4000 1111' WHERE id = 1")
    (first_before, first), (second_before, second) = [(row[3]["card"], row[4]["card"]) for row in shop.changes()]
    assert first == second != second_before
    assert first.startswith("hmac:")
    with shop.connect() as acme:
        acme.execute("INSERT INTO parcels (id, order_id) VALUES (9, 2)")  # the policy tags order_id
    parcel = shop.changes()[-1][4]
    assert (parcel["id"], parcel["order_id"][:5]) == ("9", "hmac:")
    assert first_before is None
    assert "4000" not in str(shop.superuser("SELECT before, after FROM tenantgate.changes"))


def test_a_schema_and_a_database_of_ones_own(shop: Shop) -> None:
    with shop.connect("initech", "ivy") as initech, shop.connect("umbrella", "uma") as umbrella:
        initech.execute("UPDATE orders SET note = 'j'")
        initech.execute("TRUNCATE orders")
        umbrella.execute("INSERT INTO stock VALUES (1, 5)")
        umbrella.execute("DO $$ BEGIN UPDATE stock SET n = 6; END $$")
        umbrella.execute("PREPARE p AS DELETE FROM stock")
        umbrella.execute("EXECUTE p")
    assert brief(shop) == [("orders", "UPDATE", "1"), ("orders", "TRUNCATE", "1")]
    assert {row[0:1] + row[5:] for row in shop.changes()} == {("initech.orders", "initech", "ivy")}
    assert brief(shop, shop.umbrella) == [("stock", "INSERT", "1"), ("stock", "UPDATE", "1"), ("stock", "DELETE", "1")]
    assert {row[5:] for row in shop.changes(shop.umbrella)} == {("umbrella", "uma")}


def test_who_writes_past_the_gateway_is_named_by_role(shop: Shop) -> None:
    shop.superuser("UPDATE orders SET note = 'dba' WHERE tenant_id = 'acme' AND id = 1")
    shop.superuser("UPDATE orders SET tenant_id = 'globex', id = 77 WHERE tenant_id = 'acme' AND id = 2")
    assert shop.superuser("SELECT role, subject, operation, tenant_value FROM tenantgate.changes ORDER BY id") == [
        ("postgres", None, "UPDATE", "acme"), ("postgres", None, "DELETE", "acme"),
        ("postgres", None, "INSERT", "globex"),
    ]  # fmt: skip
