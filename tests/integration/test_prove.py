"""`tenantgate prove` against the demo's business: nothing is found, and planted holes are.

A hole is planted in the policy, or in the gateway's code by a sitecustomize module that its processes import first.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import secrets
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest

from admin.demo.policy import TARGET, policy_text
from admin.demo.schema import GATEWAY_ROLE, SHOP, load_demo
from admin.prove import copying
from admin.prove.copying import CopyError
from proxy.config import TargetConfig
from tests.fix_postgres import serve_postgres
from tests.harness.postgres import PostgresServer

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Site:
    """A configuration before the demo's data; `directory` takes findings."""

    server: PostgresServer
    directory: Path

    @property
    def admin_url(self) -> str:
        server = self.server
        return f"postgresql://{server.superuser}:{server.password}@{server.host}:{server.port}"

    def prove(self, *options: str, tenant: str = "acme", role: str = "app", **environment: str) -> tuple[int, Any]:
        """The exit status and the report."""
        findings = str(self.directory / "findings")
        done = subprocess.run(
            [*self.command("prove"), "--tenant", tenant, "--role", role, "--findings", findings, "--json", *options],
            cwd=ROOT,
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
            timeout=110,
            check=False,
        )
        assert done.returncode in (0, 1), done.stderr[-4000:]
        return done.returncode, json.loads(done.stdout)

    def command(self, name: str) -> list[str]:
        config = str(self.directory / "tenantgate.toml")
        return [sys.executable, "-m", "admin.cli.main", name, "-c", config, "--admin-url", self.admin_url]

    def databases(self) -> list[str]:
        rows = self.server.execute("SELECT datname FROM pg_database WHERE datname LIKE 'tenantgate_prove%'")
        return [str(row[0]) for row in rows]


@pytest.fixture(scope="module")
def business() -> Iterator[tuple[PostgresServer, str]]:
    with serve_postgres("embedded") as server:
        password = secrets.token_urlsafe(12)
        load_demo(server.conninfo(), password)
        yield server, password


@pytest.fixture
def site(business: tuple[PostgresServer, str], tmp_path: Path) -> Site:
    server, password = business
    target = {
        "host": server.host, "port": server.port, "database": SHOP,
        "user": GATEWAY_ROLE, "password": password, "tls": "disable",
    }  # fmt: skip
    lines = ['policy = "policy.yaml"', "[tls]", 'mode = "off"', f"[targets.{TARGET}]"]
    lines += [f"{key} = {json.dumps(value)}" for key, value in target.items()]
    (tmp_path / "tenantgate.toml").write_text("\n".join(lines) + "\n")
    (tmp_path / "policy.yaml").write_text(policy_text())
    return Site(server, tmp_path)


def test_nothing_is_found(site: Site) -> None:
    status, report = site.prove("--statements", "300", "--seed", "11", "--jobs", "2")
    assert report["differences"] == []
    assert status == 0
    assert report["statements"] >= 300
    assert report["accepted"] > 0.9 * report["statements"]
    assert report["refused_share"] < 0.03, report["refused"]
    assert report["rows"] > 1000
    assert site.databases() == []


@pytest.mark.parametrize(
    ("tenant", "role", "options"),
    [("acme", "analyst", ()), ("acme", "sales", ("--attr", "region=EMEA")), ("initech", "app", ())],
)
def test_nothing_is_found_behind_masks_and_filters_and_in_a_schema(
    site: Site, tenant: str, role: str, options: tuple[str, ...]
) -> None:
    status, report = site.prove("--statements", "80", *options, tenant=tenant, role=role)
    assert (status, report["differences"]) == (0, [])
    assert report["accepted"] > 60


def test_nothing_is_found_where_columns_are_denied(site: Site) -> None:
    policy = site.directory / "policy.yaml"
    policy.write_text(policy.read_text().replace("  analyst:", DENYING + "  analyst:"))
    status, report = site.prove("--statements", "60", role="clerk")
    assert (status, report["differences"]) == (0, [])
    assert report["accepted"] > 50


def test_policies_of_attributes_are_left_out_where_it_is_told_to(site: Site) -> None:
    policy = site.directory / "policy.yaml"
    policy.write_text(
        policy.read_text()
        + """
policies:
  no-orders: {cedar: 'forbid (principal, action, resource == Table::"orders");'}
"""
    )
    options = ("--tenant", "acme", "--role", "app", "--statements", "30")
    done = subprocess.run([*site.command("prove"), *options], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "no-orders" in done.stderr
    assert "--without-policies" in done.stderr
    status, report = site.prove("--statements", "30", "--seed", "5", "--without-policies")
    assert (status, report["differences"]) == (0, [])
    assert report["refused"] == {}


def test_the_second_lock_is_no_obstacle(site: Site) -> None:
    config = site.directory / "tenantgate.toml"
    config.write_text(config.read_text() + f'enforcement = "both"\nsetting_key = "{secrets.token_hex(32)}"\n')
    subprocess.run(site.command("provision"), cwd=ROOT, check=True, timeout=60, capture_output=True)
    try:
        status, report = site.prove("--statements", "100")
    finally:
        subprocess.run([*site.command("provision"), "--revert"], cwd=ROOT, check=True, timeout=60, capture_output=True)
    assert (status, [found["reason"] for found in report["differences"]]) == (0, [])
    assert report["accepted"] > 60


def test_a_table_of_tenants_that_the_policy_calls_global_is_found(site: Site) -> None:
    policy = site.directory / "policy.yaml"
    policy.write_text(policy.read_text().replace("notes: {tenant_column: tenant_id}", "notes: {global: true}"))
    status, report = site.prove("--statements", "150", "--reads")
    assert status == 1
    assert any("notes" in "".join(found["sql"]) for found in report["differences"])
    assert any("public.notes is global" in note for note in report["notes"])


WORKERS_TOO = """
import os
import proxy.plans.workers as workers
workers._environment = lambda: dict(os.environ)
"""
DENYING = """\
  clerk:
    permissions: ["table:*:read", "table:*:write"]
    denied_columns:
      customers: [card, phone]
"""
HOLES = {
    # every guard lets every row through
    "reads": """
import policy.sql.guard as guard
guard.tenant_test = lambda column, qualifier: ((qualifier + "." if qualifier else "") + '"tenant_id" IS NOT NULL ',)
""",
    # UPDATE and DELETE reach every row
    "writes": """
import policy.sql.rules.target as target
target.target_tests = lambda reference, resolved, context: [("true",)]
""",
}


@pytest.mark.parametrize("kind", HOLES)
def test_a_hole_in_the_gateway_is_found(site: Site, kind: str) -> None:
    (site.directory / "sitecustomize.py").write_text(HOLES[kind] + WORKERS_TOO)
    path = os.pathsep.join((str(site.directory), str(ROOT)))
    status, report = site.prove("--statements", "60", f"--{kind}", PYTHONPATH=path)
    assert status == 1
    found = report["differences"]
    assert found
    assert any(re.search("rows|tag|changed", each["reason"]) for each in found)
    smallest = min(len("".join(each["sql"])) for each in found)
    assert smallest < 400, "a reproduction is small"
    reproduction = Path(found[0]["file"]).read_text()
    assert f"--seed 1 --case {found[0]['case']}" in reproduction


def test_a_case_alone_shows_the_same_again(site: Site) -> None:
    (site.directory / "sitecustomize.py").write_text(HOLES["reads"] + WORKERS_TOO)
    path = os.pathsep.join((str(site.directory), str(ROOT)))
    _, report = site.prove("--statements", "40", "--reads", PYTHONPATH=path)
    number = report["differences"][0]["case"]
    status, again = site.prove("--reads", "--case", str(number), PYTHONPATH=path)
    assert status == 1
    assert again["differences"][0]["sql"] == report["differences"][0]["sql"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--tenant", "nobody"), "no tenant"),
        (("--tenant", "umbrella"), "of its own"),
        (("--tenant", "acme", "--admin-url", "http://x"), "URL"),
        (("--tenant", "acme", "--admin-url", "postgresql://nobody:x@127.0.0.1:1"), "cannot be reached"),
    ],
)
def test_what_cannot_run_says_why(site: Site, options: tuple[str, ...], said: str) -> None:
    done = subprocess.run(
        [*site.command("prove"), "--role", "app", *options],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2
    assert said in done.stderr
    assert site.databases() == []


def test_a_database_that_is_in_use_is_dumped(site: Site) -> None:
    with psycopg.connect(site.server.conninfo(SHOP)):
        status, report = site.prove("--statements", "40")
    assert (status, report["differences"]) == (0, [])
    assert report["accepted"] > 25
    assert site.databases() == []


@pytest.mark.parametrize(("number", "said"), [(signal.SIGTERM, "copying"), (signal.SIGINT, "statements,")])
def test_it_cleans_up_when_it_is_told_to_stop(site: Site, number: signal.Signals, said: str) -> None:
    command = [*site.command("prove"), "--tenant", "acme", "--role", "app", "--json", "--statements", "100000"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        seen = [line := process.stderr.readline()]
        while said not in line:
            assert line, "".join(seen)
            seen.append(line := process.stderr.readline())
        process.send_signal(number)
        out, _ = process.communicate(timeout=60)
    assert process.returncode == 2
    assert site.databases() == []
    if said == "statements,":
        report = json.loads(out)
        assert report["interrupted"]
        assert report["statements"] > 0


def test_a_dump_that_fails_says_why(tmp_path: Path) -> None:
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in ("pg_dump", "pg_restore"):
        (programs / name).write_text('#!/bin/sh\necho "$0: no such luck" >&2\nexit 1\n')
        (programs / name).chmod(0o755)
    target = TargetConfig("x", "127.0.0.1", 1, "postgres", "postgres", "secret")
    with pytest.raises(CopyError, match=r"is in use, and pg_dump failed: .*no such luck"):
        asyncio.run(copying._dump_and_restore(programs, target, "shop", "scratch"))
