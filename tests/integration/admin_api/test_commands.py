"""`tenantgate tenant create|delete` do on the target what the API does."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from admin.cli.main import main
from tests.fix_places import ROLE
from tests.harness.postgres import PostgresServer
from tests.integration.admin_api.stage import HOME, TARGET
from tests.integration.places.conftest import traces


@pytest.fixture
def config(server: PostgresServer, template: Path, tmp_path: Path) -> Path:
    shutil.copy(template, tmp_path / "store.db")
    path = tmp_path / "tenantgate.toml"
    path.write_text(f"""
[policy]
store = "store.db"
[tls]
mode = "off"
[auth]
plaintext_loopback = true
[[auth.issuers]]
issuer = "i"
audience = "a"
hs256_secret = "00000000000000000000000000000000"
[targets.{TARGET}]
host = "{server.host}"
port = {server.port}
database = "{HOME}"
user = "{ROLE}"
tls = "disable"
[api.targets.{TARGET}]
admin_user = "{server.superuser}"
admin_password = "{server.password}"
[audit]
path = "audit.jsonl"
""")
    return path


def run(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    capsys.readouterr()
    status = main(words)
    told = capsys.readouterr()
    return status, told.out, told.err


def test_a_tenant_with_its_place_and_without_it(
    config: Path, server: PostgresServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before, conf = traces(server), ("-c", str(config))
    for kind, name in (("schema", "cli_s"), ("database", "cli_d")):
        create = ("tenant", "create", "cli", "--target", TARGET, "--isolation", kind, f"--{kind}", name)
        status, _, err = run(capsys, *create, "--store", str(tmp_path / "store.db"))
        assert status == 1
        assert "api.targets" in err
        status, out, err = run(capsys, *create, *conf, "--json")
        assert status == 0, err
        assert any(name in step for step in json.loads(out)["provisioned"])
        assert f"{kind} {name}" in traces(server)
        status, _, err = run(capsys, *create, *conf)
        assert (status, "exists already" in err) == (1, True)
        schema, database = (name, HOME) if kind == "schema" else ("public", name)
        server.execute(f"CREATE TABLE {schema}.t AS SELECT generate_series(1, 3) AS n", database)
        status, _, err = run(capsys, "tenant", "delete", "cli", "--data", "export", *conf)
        assert (status, "api.export_dir" in err) == (1, True)
        status, _, err = run(capsys, "tenant", "delete", "cli", "--data", "destroy", "--yes-delete", "no", *conf)
        assert (status, "its id as the word" in err) == (1, True)
        exports = tmp_path / f"exports-{kind}"
        status, out, err = run(
            capsys, "tenant", "delete", "cli", "--data", "export", "--export-dir", str(exports), *conf
        )
        assert status == 0, err
        (directory,) = exports.iterdir()
        assert out == f"tenant cli is gone, its 3 rows are in {directory}\n"
        assert traces(server) == before


def test_a_name_that_is_taken_and_one_that_is_adopted(
    config: Path, server: PostgresServer, capsys: pytest.CaptureFixture[str]
) -> None:
    server.execute("CREATE SCHEMA cli_s", HOME)
    try:
        before, conf = traces(server), ("-c", str(config))
        create = ("tenant", "create", "cli", "--target", TARGET, "--isolation", "schema", "--schema", "cli_s", *conf)
        status, _, err = run(capsys, *create)
        assert (status, "already exists" in err) == (1, True)
        assert run(capsys, "tenant", "show", "cli", *conf)[0] == 1
        assert run(capsys, *create, "--adopt")[0] == 0
        status, out, _ = run(capsys, "tenant", "delete", "cli", "--data", "keep", "--yes-delete", "cli", *conf)
        assert (status, out) == (0, "tenant cli is gone, its data is where it was\n")
        assert traces(server) == before
    finally:
        server.execute("DROP SCHEMA cli_s", HOME)


def test_rows_of_shared_tables(config: Path, server: PostgresServer, capsys: pytest.CaptureFixture[str]) -> None:
    server.execute("CREATE TABLE orders (tenant_id text); INSERT INTO orders VALUES ('globex'), ('acme')", HOME)
    try:
        delete = ("tenant", "delete", "globex", "--data", "destroy", "--yes-delete", "globex", "-c", str(config))
        status, out, err = run(capsys, *delete, "--json")
        assert status == 0, err
        assert len(json.loads(out)["removed"]) == 1
        assert server.execute("SELECT tenant_id FROM orders", HOME) == [("acme",)]
    finally:
        server.execute("DROP TABLE orders", HOME)
