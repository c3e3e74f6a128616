"""Policies for a tenant with a schema of its own: tags hold there, too, and DDL does not get around them."""

from __future__ import annotations

import psycopg
import pytest

from tests.integration.abac.stage import People


def test_tags_hold_in_a_schema_of_its_own(people: People) -> None:
    with people.connect("owner", tenant="initech") as session:
        row = session.execute("SELECT email, card FROM customers WHERE id = 7").fetchone()
        assert row is not None
        assert row[0] == "u***@initech.example"
        assert row[1] != "4111-1111-1111-1007"
        assert session.execute("SELECT email FROM own_view WHERE id = 7").fetchone() == ("u***@initech.example",)
        session.execute("CREATE TABLE copied AS SELECT id, card FROM customers")  # of what it sees
        assert session.execute("SELECT card FROM copied WHERE id = 7").fetchone() == (row[1],)
        session.execute("DROP TABLE copied")


@pytest.mark.parametrize(
    "sql",
    [
        "ALTER TABLE customers RENAME TO others",
        "ALTER TABLE customers RENAME COLUMN card TO number",
        "ALTER TABLE customers ADD COLUMN more text",
        "DROP TABLE customers",
        "TRUNCATE customers",
        "CREATE VIEW leak AS SELECT card FROM customers",
        "CREATE MATERIALIZED VIEW leak AS SELECT card FROM customers",
        "ALTER SCHEMA initech RENAME TO other",
    ],
)
def test_ddl_does_not_get_around_a_policy(people: People, sql: str) -> None:
    with people.connect("owner", tenant="initech") as session, pytest.raises(psycopg.Error) as told:
        session.execute(sql)
    assert told.value.sqlstate in ("42501", "0A000")
