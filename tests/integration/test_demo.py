"""`tenantgate demo` as a user starts it: the tour checked, data kept or made anew, everything stopped at the end."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from admin.demo.embedded import EmbeddedError, free_port
from admin.demo.home import Home
from admin.demo.stage import Stage, Wishes, staged

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("demo") / ".demo"


def command(directory: Path, *options: str) -> list[str]:
    ports = ["--port", str(free_port()), "--admin-port", str(free_port()), "--api-port", str(free_port())]
    return [sys.executable, "-m", "admin.cli.main", "demo", "--dir", str(directory), *ports, *options]


def check(directory: Path) -> str:
    done = subprocess.run(
        command(directory, "--check"), cwd=ROOT, capture_output=True, text=True, timeout=110, check=False
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr
    return done.stdout


def processes_of(directory: Path) -> list[str]:
    """Processes with the directory in their command line."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if str(directory) in line and int(entry.name) != os.getpid():
            found.append(line)
    return found


def wait_until_gone(directory: Path) -> list[str]:
    deadline = time.monotonic() + 20
    while (left := processes_of(directory)) and time.monotonic() < deadline:
        time.sleep(0.1)
    return left


def test_the_tour_is_right_and_a_second_start_reuses_the_data(tmp_path: Path) -> None:
    directory = tmp_path / ".demo"
    first = check(directory)
    assert "rows loaded for four tenants" in first
    assert "every step is right" in first
    assert "with the data of last time" in check(directory)
    assert processes_of(directory) == []


def test_secrets_are_private(directory: Path) -> None:
    if not (directory / "keys").exists():
        check(directory)
    secrets = ["keys/signing.pem", "keys/server.key", "keys/target.password", "state.json", "tokens/alice.jwt"]
    assert {(directory / name).stat().st_mode & 0o777 for name in secrets} == {0o600}
    assert directory.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("kill", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_nothing_is_left_when_it_is_told_to_stop(directory: Path, kill: signal.Signals) -> None:
    process = subprocess.Popen(command(directory), cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    seen = ""
    while "Ctrl-C stops all of it." not in seen:
        line = process.stdout.readline()
        assert line, f"the demo ended by itself: {seen}"
        seen += line
    assert "PGPASSWORD=" in seen
    process.send_signal(kill)
    process.communicate(timeout=60)
    assert process.returncode == (-signal.SIGKILL if kill is signal.SIGKILL else 0)
    assert wait_until_gone(directory) == []


@pytest.fixture
def without_gateway(monkeypatch: pytest.MonkeyPatch) -> None:
    """The gateway is not what the tests of the data directory are about."""
    monkeypatch.setattr("admin.demo.child.Child.start", lambda self: None)


def orders_on(stage: Stage) -> int:
    count: int = stage.facts.turnover["acme"][0]
    return count


@pytest.mark.usefixtures("without_gateway")
def test_broken_data_are_made_anew(tmp_path: Path) -> None:
    home = Home(tmp_path / "d")
    said: list[str] = []
    with staged(Wishes(home.root), said.append) as stage:
        orders = orders_on(stage)
    (home.cluster / "global" / "pg_control").write_bytes(b"")
    said.clear()
    with staged(Wishes(home.root), said.append) as stage:
        assert orders_on(stage) == orders
    assert any("made anew: they cannot be used" in line for line in said)

    (home.root / "state.json").unlink()  # as after an interrupted load
    said.clear()
    with staged(Wishes(home.root), said.append) as stage:
        assert orders_on(stage) == orders
    assert any("the last load did not finish" in line for line in said)


@pytest.mark.usefixtures("without_gateway")
def test_two_demos_do_not_share_a_directory(tmp_path: Path) -> None:
    with Home(tmp_path / "one").locked():
        second = staged(Wishes(tmp_path / "one"), print)
        with pytest.raises(EmbeddedError, match="another demo is running"):
            second.__enter__()


@pytest.mark.usefixtures("without_gateway")
def test_a_taken_port_is_told_and_the_next_one_used(tmp_path: Path) -> None:
    said: list[str] = []
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with staged(Wishes(tmp_path / "one", port=port), said.append) as stage:
            assert stage.port > port
    assert f"port {port} is taken: using {stage.port}" in said
