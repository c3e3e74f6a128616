"""The command line as a whole: help, version, exit status."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from admin.cli.main import main
from tests.unit.cli.conftest import Run

COMMANDS = ["serve", "check-config", "token", "explain", "demo", "audit", "healthcheck"]


def test_help_names_every_command(run: Run) -> None:
    outcome = run("--help")
    assert outcome.status == 0
    assert all(command in outcome.out for command in COMMANDS)


@pytest.mark.parametrize("command", [*COMMANDS, "audit verify", "audit tail", "audit head"])
def test_the_help_of_each_command_has_an_example_and_its_exit_status(run: Run, command: str) -> None:
    outcome = run(*command.split(), "--help")
    assert outcome.status == 0
    assert f"tenantgate {command}" in outcome.out.partition("example")[2]
    assert "exit status" in outcome.out or command == "audit"  # which has none of its own


def test_version(run: Run) -> None:
    outcome = run("--version")
    assert outcome.status == 0
    assert outcome.out.startswith("tenantgate ")


@pytest.mark.parametrize("arguments", [[], ["nonsense"], ["explain"], ["token", "--ttl", "soon"]])
def test_wrong_usage_is_2(run: Run, arguments: list[str]) -> None:
    outcome = run(*arguments)
    assert outcome.status == 2
    assert "usage: tenantgate" in outcome.err


def test_serve_without_a_usable_configuration_is_2_and_says_all(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "tenantgate.toml"
    path.write_text("[listen]\nport = 99999\n[limits]\ndrain = 'x'\n")
    outcome = run("serve", "-c", path)
    assert outcome.status == 2
    assert all(key in outcome.err for key in ("listen.port", "limits.drain", "tls.certificate", "policy"))


def test_help_imports_neither_the_data_plane_nor_parsers() -> None:
    """So that it is quick; a fresh interpreter shows what main imports."""
    code = (
        "import sys; from admin.cli.main import main; main(['--help']);"
        "print([m for m in ('pglast', 'sqlglot', 'uvloop', 'jwt', 'cryptography', 'proxy.server') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_a_reader_that_is_gone_is_no_traceback() -> None:
    command = f"{sys.executable} -m admin.cli.main --help | true"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=60, check=False)
    assert "Traceback" not in done.stderr


def test_main_returns_what_the_command_returns(tmp_path: Path) -> None:
    assert main(["check-config", "-c", str(tmp_path / "missing.toml")]) == 2
