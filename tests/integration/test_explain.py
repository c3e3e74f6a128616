"""`tenantgate explain` from the command line to a real PostgreSQL's catalog and back; the statement is never run."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from admin.cli.main import main
from proxy.postgres.wire.scram import make_verifier
from tests.harness.postgres import PostgresServer

POLICY = """
tenants:
  acme: {isolation: shared, target: main}
  old: {isolation: shared, target: main, status: suspended}
  initech: {isolation: schema, target: main, schema: initech}
roles:
  reader: {permissions: ["table:orders:read"]}
  masked: {permissions: ["table:orders:read"], masks: {orders: {card: "'x' || right(card, 4)"}}}
  regional: {permissions: ["table:orders:read"], row_filters: {orders: "region = :attr_region"}}
  writer: {permissions: ["table:orders:write"]}
  boss: {inherits: [clerk, analyst], deny: ["table:orders:delete"]}
  clerk: {inherits: [regional]}
assignments:
  alice: {subject: alice, tenant: acme, roles: [boss], expires: "2099-01-01T00:00:00Z"}
  carl: {group: staff, tenant: acme, roles: [clerk]}
  past: {subject: alice, tenant: acme, roles: [writer], expires: "2020-01-01T00:00:00Z"}
tables: {main: {orders: {tenant_column: tenant_id}}}
"""
SCHEMA = """
CREATE TABLE orders (tenant_id text NOT NULL, id int, region text, card text, PRIMARY KEY (tenant_id, id));
CREATE SCHEMA initech;
CREATE TABLE initech.orders (id int PRIMARY KEY, region text, card text);
"""


@dataclass(frozen=True, slots=True)
class Outcome:
    status: int
    out: str
    err: str


class Explain:
    """Runs the command with one configuration."""

    def __init__(self, config: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.config = config
        self._capsys = capsys

    def __call__(self, *arguments: str, user: str = "ann") -> Outcome:
        status = main(["explain", "-c", str(self.config), "--user", user, *arguments])
        captured = self._capsys.readouterr()
        return Outcome(status, captured.out, captured.err)


@pytest.fixture(scope="module")
def database(postgres: PostgresServer) -> Iterator[str]:
    name = f"explain_{os.getpid()}"
    postgres.create_database(name)
    postgres.execute(SCHEMA, name)
    yield name
    postgres.drop_database(name)


@pytest.fixture
def explain(
    postgres: PostgresServer, database: str, tmp_path: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> Explain:  # fmt: skip
    monkeypatch.setenv("TARGET_PASSWORD", postgres.password)
    (tmp_path / "policy.yaml").write_text(POLICY)
    config = tmp_path / "tenantgate.toml"
    config.write_text(
        f"""
[tls]
mode = "off"
[auth.service_accounts.reporting]
verifier = "{make_verifier("x")}"
tenants = ["acme"]
roles = ["masked"]
[targets.main]
host = "{postgres.host}"
port = {postgres.port}
database = "{database}"
user = "{postgres.superuser}"
password_env = "TARGET_PASSWORD"
tls = "disable"
"""
    )
    return Explain(config, capsys)


def test_what_a_statement_becomes(explain: Explain) -> None:
    outcome = explain("--tenant", "acme", "--role", "reader", "SELECT id FROM orders WHERE id = 7")
    assert (outcome.status, outcome.err) == (0, "")
    assert "ann of tenant acme (shared), roles: reader" in outcome.out
    assert "gives table:public.orders:read: role reader (named by the credentials)" in outcome.out
    assert "statement 1: SELECT: rewritten" in outcome.out
    assert "'acme'" in outcome.out
    assert "id = 7" in outcome.out
    assert "tenant filter on tenant_id" in outcome.out
    assert "public.orders" in outcome.out


def test_json_of_filters_with_values_of_the_session(explain: Explain) -> None:
    outcome = explain(
        *("--tenant", "acme", "--role", "regional", "--role", "ghost", "--attr", "region=o'hare", "--json"),
        "SELECT id FROM orders; SELECT 1",
    )
    assert outcome.status == 0
    described = json.loads(outcome.out)
    assert (described["decision"], described["unknown_roles"]) == ("sent", ["ghost"])
    first, second = described["statements"]
    assert (first["decision"], first["relations"]) == ("rewritten", ["public.orders"])
    assert "'o''hare'" in first["sent"]
    assert any("row filter" in rule for rule in first["rules"])
    assert (second["decision"], second["sent"].strip()) == ("allowed", "SELECT 1")


def test_a_service_account_brings_its_roles(explain: Explain) -> None:
    outcome = explain("--tenant", "acme", "SELECT card FROM orders", user="reporting")
    assert outcome.status == 0
    assert "right(" in outcome.out
    assert "mask" in outcome.out


def test_a_refusal_shows_sqlstate_hint_and_place(explain: Explain) -> None:
    outcome = explain("--tenant", "acme", "--role", "reader", "SELECT 1;\nSELECT * FROM pg_authid")
    assert outcome.status == 1
    lines = outcome.out.splitlines()
    line = next(text for text in lines if text.strip().startswith("LINE 2:"))
    caret = lines[lines.index(line) + 1]
    assert line[caret.index("^") :].startswith("pg_authid")
    assert "SQLSTATE" in outcome.out
    assert "none of the query string is sent" in outcome.out


def test_a_refusal_in_json(explain: Explain) -> None:
    sql = "DELETE FROM orders"
    outcome = explain("--tenant", "acme", "--role", "reader", "--json", sql)
    assert outcome.status == 1
    described = json.loads(outcome.out)
    assert described["decision"] == "refused"
    assert described["statements"][0]["error"]["sqlstate"] == "42501"
    assert described["statements"][0]["sent"] == ""


def test_a_syntax_error(explain: Explain) -> None:
    outcome = explain("--tenant", "acme", "--role", "reader", "SELEC 1")
    assert outcome.status == 1
    assert "SQLSTATE 42601" in outcome.out


def test_without_roles_nothing_is_allowed(explain: Explain) -> None:
    outcome = explain("--tenant", "acme", "SELECT * FROM orders")
    assert outcome.status == 1
    assert "no --role" in outcome.err


def test_a_schema_of_its_own(explain: Explain) -> None:
    outcome = explain("--tenant", "initech", "--role", "writer", "INSERT INTO orders (id) VALUES (1)")
    assert outcome.status == 0, outcome.out
    assert '"initech"' in outcome.out


def test_a_suspended_tenant_is_explained_with_a_note(explain: Explain) -> None:
    outcome = explain("--tenant", "old", "--role", "reader", "SELECT 1")
    assert outcome.status == 0
    assert "suspended" in outcome.err


def test_an_unknown_tenant(explain: Explain) -> None:
    outcome = explain("--tenant", "acmee", "--role", "reader", "SELECT 1")
    assert outcome.status == 2
    assert "Did you mean acme?" in outcome.err


def test_a_target_that_is_down(explain: Explain) -> None:
    text = explain.config.read_text()
    port = next(line for line in text.splitlines() if line.startswith("port = "))
    explain.config.write_text(text.replace(port, "port = 1"))
    outcome = explain("--tenant", "acme", "--role", "reader", "SELECT 1")
    assert outcome.status == 2
    assert "Traceback" not in outcome.err
    assert outcome.err.startswith("tenantgate: ")


def test_the_statement_is_not_run(explain: Explain, postgres: PostgresServer, database: str) -> None:
    outcome = explain("--tenant", "acme", "--role", "writer", "INSERT INTO orders (id) VALUES (99)")
    assert outcome.status == 0, outcome.out
    assert postgres.execute("SELECT count(*) FROM orders WHERE id = 99", database) == [(0,)]


def test_roles_together_on_real_rows(explain: Explain, postgres: PostgresServer, database: str) -> None:
    """A mask that one role has and another has not for its own rows: what is sent runs, and shows the union."""
    rows = "('acme', 1, 'eu', '1111'), ('acme', 2, 'us', '2222'), ('globex', 1, 'eu', '3333')"
    postgres.execute(f"INSERT INTO orders VALUES {rows}", database)
    roles = ("--role", "masked", "--role", "regional", "--attr", "region=eu")
    outcome = explain("--tenant", "acme", *roles, "--json", "SELECT id, card FROM orders ORDER BY id")
    assert outcome.status == 0, outcome.out
    sent = json.loads(outcome.out)["statements"][0]["sent"]
    assert postgres.execute(sent, database) == [(1, "1111"), (2, "x2222")]


def test_which_rule_gave_what(explain: Explain) -> None:
    """The way of each role: assigned, inherited, named; what each gives and denies, also of a refused statement."""
    outcome = explain("--tenant", "acme", "--role", "ghost", "--role", "analyst", "DELETE FROM orders", user="alice")
    assert outcome.status == 1
    assert "Denied by role boss." in outcome.out
    filtered = "access     public.orders: filters rows by"
    way = "assignment alice to subject alice, until 2099-01-01T00:00:00Z"
    for line in (
        f"holds      role boss ({way})",
        f"holds      role regional through boss > clerk > regional ({way})",
        f"access     public.orders: denies table:public.orders:delete: role boss ({way})",
        f"{filtered} region = :attr_region: role regional through boss > clerk > regional ({way})",
        f"access     public.orders: gives database:*:read: role analyst through boss > analyst ({way})",
        f"{filtered} tenant_id = the tenant's value: listed in `tables`",
    ):
        assert f"  {line}\n" in outcome.out
    assert "note: role ghost is not known to the policy" in outcome.err
    assert "note: role analyst is built in: naming it in a token gives nothing, an assignment does" in outcome.err
    assert "note: assignment past expired at 2020-01-01T00:00:00Z" in outcome.err


def test_why_there_are_no_rows(explain: Explain, postgres: PostgresServer, database: str) -> None:
    postgres.execute("DELETE FROM orders; INSERT INTO orders VALUES ('acme', 1, 'eu', '1111')", database)

    def why(*arguments: str) -> str:
        outcome = explain("--tenant", "acme", "--why", "--json", *arguments)
        assert outcome.status == 0, outcome.out
        return "; ".join(json.loads(outcome.out)["statements"][0]["why"])

    query = "SELECT id FROM orders WHERE card LIKE '1%'"
    assert "own conditions leave none" in why("--role", "reader", query)
    masked = why("--role", "masked", query)
    assert "orders.card: a condition compares the masked value (role masked (named by the credentials))" in masked
    filtered = why("--group", "staff", query)
    assert "the tenant has rows in it, the row filter lets none through" in filtered
    assert "compares :attr_region, which this session does not have (NULL)" in filtered
    assert "own conditions" in why("--group", "staff", "--attr", "region=eu", query)
    assert "lets none through" in why("--group", "staff", "--attr", "region=us", query)
    postgres.execute("DELETE FROM orders", database)
    assert why("--role", "reader", query) == "orders: the tenant has no rows in it"
    assert why("--role", "reader", "SELECT 1") == "it reads no table"
