"""psql through the gateway: scripts on its standard input, backslash commands, \\copy, Ctrl-C, SQLSTATEs."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from functools import cache
from pathlib import Path

import pytest

from admin.demo.people import ALICE, BOB, CAROL, DAVE, OLGA, Person
from tests.clients.own_rows import orders_of
from tests.harness.demo_business import DemoGateway
from tests.harness.missing import missing


@cache
def psql_path() -> str | None:
    """psql's path. Debian's wrapper may be there without any psql behind it."""
    found = shutil.which("psql")
    works = found is not None and subprocess.run([found, "--version"], capture_output=True, check=False).returncode == 0
    return found if works else None


def start_psql(gateway: DemoGateway, person: Person, database: str, *options: str) -> subprocess.Popen[str]:
    psql = psql_path()
    if psql is None:
        missing("psql", "apt-get install postgresql-client")
    target = (
        f"host=localhost port={gateway.port} user={person.name} dbname={database} "
        f"sslmode=verify-full sslrootcert={gateway.ca_file} application_name=psql"
    )
    return subprocess.Popen(
        [psql, "-X", "-A", "-t", "-v", "VERBOSITY=verbose", *options, target],
        env={**os.environ, "PGPASSWORD": gateway.tokens[person.name]},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def psql(
    gateway: DemoGateway, person: Person, script: str, *options: str, database: str | None = None
) -> tuple[list[str], list[str]]:
    """Run a script; return the lines of its output and of its errors."""
    process = start_psql(gateway, person, database or person.tenant, *options)
    out, errors = process.communicate(script, timeout=60)
    return out.splitlines(), errors.splitlines()


def test_prepared_statements(gateway: DemoGateway) -> None:
    script = """
        PREPARE one (int) AS SELECT id, customer_id > 0 FROM orders WHERE id = $1;
        EXECUTE one(7);
        EXECUTE one(8);
        DEALLOCATE one;
        EXECUTE one(9);
    """
    out, errors = psql(gateway, ALICE, script)
    assert out == ["PREPARE", "7|t", "8|t", "DEALLOCATE"]
    assert "ERROR:  26000" in errors[0]


def test_commit_and_rollback(gateway: DemoGateway) -> None:
    insert = "INSERT INTO notes (customer_id, author, body) VALUES (1, 'psql-tx', 'x');\n"
    count = "SELECT count(*) FROM notes WHERE author = 'psql-tx';\n"
    script = f"""
        BEGIN;\n{insert}{count}ROLLBACK;\n{count}
        BEGIN;\n{insert}COMMIT;\n{count}
        DELETE FROM notes WHERE author = 'psql-tx';
    """
    out, errors = psql(gateway, ALICE, script, "-q")
    assert errors == []
    assert out == ["1", "0", "1"]


def test_several_statements_in_one_message_are_one_transaction(gateway: DemoGateway) -> None:
    insert = "INSERT INTO notes (customer_id, author, body) VALUES (1, 'psql-multi', 'x')"
    both = f"{insert}\\; SELECT 1/0;\nSELECT count(*) FROM notes WHERE author = 'psql-multi';\n"
    out, errors = psql(gateway, ALICE, both, "-q")
    assert out == ["0"]
    assert "ERROR:  22012" in errors[0]


def test_copy_both_ways(gateway: DemoGateway, tmp_path: Path) -> None:
    products = tmp_path / "products.csv"
    notes = tmp_path / "notes.csv"
    notes.write_text("".join(f'{n},psql-copy,"line {n}, quoted"\n' for n in range(1, 201)))
    script = f"""
        \\copy (SELECT id, name FROM products ORDER BY id) TO '{products}' (FORMAT csv)
        SELECT count(*) FROM products;
        BEGIN;
        \\copy notes (customer_id, author, body) FROM '{notes}' (FORMAT csv)
        SELECT count(*), min(tenant_id), max(tenant_id) FROM notes WHERE author = 'psql-copy';
        ROLLBACK;
        SELECT count(*) FROM notes WHERE author = 'psql-copy';
    """
    out, errors = psql(gateway, ALICE, script, "-q")
    assert errors == []
    assert out == [str(len(products.read_text().splitlines())), "200|acme|acme", "0"]


def test_copy_of_another_tenants_rows_is_refused(gateway: DemoGateway, tmp_path: Path) -> None:
    notes = tmp_path / "notes.csv"
    notes.write_text("globex,1,psql-foreign,hello\n")
    script = f"\\copy notes (tenant_id, customer_id, author, body) FROM '{notes}' (FORMAT csv)\n"
    _, errors = psql(gateway, ALICE, script)
    assert "ERROR:  42501" in errors[0]
    assert gateway.server.execute("SELECT count(*) FROM notes WHERE author = 'psql-foreign'", "shop") == [(0,)]


def wait_until_it_sleeps(gateway: DemoGateway) -> None:
    running = """SELECT count(*) FROM pg_stat_activity
        WHERE state = 'active' AND query LIKE '%pg_sleep(20)%' AND pid <> pg_backend_pid()"""
    deadline = time.monotonic() + 10
    while gateway.server.execute(running) == [(0,)]:
        assert time.monotonic() < deadline, "psql's statement did not arrive"
        time.sleep(0.02)


def test_ctrl_c_cancels_the_statement_and_nothing_else(gateway: DemoGateway) -> None:
    process = start_psql(gateway, ALICE, "acme", "-q")
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write("SELECT 'begun';\nSELECT pg_sleep(20);\nSELECT 'still here';\n")
    process.stdin.flush()
    assert process.stdout.readline() == "begun\n"
    wait_until_it_sleeps(gateway)
    began = time.monotonic()
    process.send_signal(signal.SIGINT)
    out, errors = process.communicate(timeout=30)
    assert time.monotonic() - began < 10
    assert "ERROR:  57014" in errors
    # psql drops the rest of a script that is interrupted, but not the connection: it says so if it is lost.
    assert "connection" not in errors.lower()
    assert out in ("", "still here\n")


@pytest.mark.parametrize(
    ("statement", "sqlstate"),
    [
        ("SELECT 1/0", "22012"),
        ("SELEC 1", "42601"),
        ("SELECT nothing FROM orders", "42703"),
        ("SELECT * FROM no_such_table", "42P01"),
        ("UPDATE orders SET tenant_id = 'globex' WHERE id = 1", "42501"),
        ("INSERT INTO products (id, sku, name, category, price) VALUES (1, 'x', 'x', 'x', 1)", "23505"),
    ],
)
def test_errors_have_their_sqlstate(gateway: DemoGateway, statement: str, sqlstate: str) -> None:
    out, errors = psql(gateway, ALICE, f"{statement};\nSELECT 'still here';\n")
    assert f"ERROR:  {sqlstate}" in errors[0]
    assert out == ["still here"]


def test_backslash_commands_show_the_tenants_tables(gateway: DemoGateway) -> None:
    out, errors = psql(gateway, ALICE, "\\dt\n\\d orders\n\\conninfo\n")
    assert errors == []
    text = "\n".join(out)
    assert "|orders|table|" in text
    assert "total|numeric(12,2)" in text


@pytest.mark.parametrize("person", [BOB, CAROL, DAVE], ids=lambda person: person.tenant)
def test_sees_its_own_rows(gateway: DemoGateway, person: Person) -> None:
    out, errors = psql(gateway, person, "SELECT count(*) FROM orders;\nSELECT 1/0;\nSELECT 2;\n")
    assert out == [str(orders_of(gateway, person)), "2"]
    assert "ERROR:  22012" in errors[0]


def test_the_operator_asks_the_admin_console(gateway: DemoGateway) -> None:
    out, errors = psql(gateway, OLGA, "SHOW POOLS;\nSHOW TENANTS;\n", database="tenantgate")
    assert errors == []
    assert any(line.startswith("acme|") for line in out)


def test_others_may_not_ask_it(gateway: DemoGateway) -> None:
    out, errors = psql(gateway, ALICE, "SHOW POOLS;\n", database="tenantgate")
    assert out == []
    assert errors
