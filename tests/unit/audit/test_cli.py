"""`tenantgate audit` as its user meets it: exit status and what is printed."""

from __future__ import annotations

import argparse
import asyncio
import io
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from queue import Queue

import pytest

from admin.cli import audit
from admin.cli.audit import EventPrinter, add_parser, follow
from proxy.audit.chain import NO_HASH, chain_event
from proxy.audit.emitter import AuditEmitter
from proxy.audit.verify import read_head
from proxy.config import AuditConfig
from tests.unit.audit.samples import EVENT, numbered, read_lines, write_lines, write_log

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    def run_command(*args: str | Path) -> tuple[int, str, str]:
        parser = argparse.ArgumentParser()
        add_parser(parser.add_subparsers())
        options = parser.parse_args(["audit", *map(str, args)])
        status: int = options.run(options)
        printed = capsys.readouterr()
        return status, printed.out, printed.err

    return run_command


@pytest.fixture
async def log(tmp_path: Path) -> Path:
    path = tmp_path / "audit.jsonl"
    await write_log(path, 3)
    return path


def test_verify_of_a_good_log_is_zero(run: Run, log: Path) -> None:
    status, out, _ = run("verify", log)
    assert status == 0
    assert out.startswith("ok: 5 lines")
    assert read_head(log).hash in out


def test_verify_names_the_tampered_line(run: Run, log: Path) -> None:
    lines = read_lines(log)
    lines[2] = lines[2].replace(b"SELECT 1", b"SELECT 7")
    write_lines(log, lines)
    status, out, _ = run("verify", log)
    assert status == 1
    assert f"{log}, line 3: changed" in out
    status, out, _ = run("verify", "--json", log)
    assert status == 1
    assert json.loads(out)["first_problem"]["line"] == 3


def test_verify_of_what_cannot_be_read_is_two(run: Run, log: Path) -> None:
    for path in (log.with_name("missing"), log.parent):
        status, _, err = run("verify", path)
        assert status == 2
        assert str(path) in err


def test_a_noted_head_finds_a_cut_end(run: Run, log: Path) -> None:
    status, out, _ = run("head", log)
    assert status == 0
    seq, digest = out.split()
    assert seq == "5"
    assert run("verify", "--expect-last", digest, log)[0] == 0
    write_lines(log, read_lines(log)[:-2])
    assert run("verify", log)[0] == 0
    assert run("verify", "--expect-last", digest, log)[0] == 1
    assert run("verify", "--expect", digest, log)[0] == 1


def test_a_hash_must_look_like_one(run: Run, log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        run("verify", "--expect-last", "abc", log)
    assert caught.value.code == 2
    assert "64 hex digits" in capsys.readouterr().err


def test_head_of_what_is_no_log(run: Run, log: Path) -> None:
    log.write_bytes(b"hello\n")
    assert run("head", log)[0] == 1
    assert run("head", log.with_name("missing"))[0] == 2
    log.write_bytes(b"")
    assert run("head", log)[0] == 1


def test_tail_shows_the_last_events_for_people(run: Run, log: Path) -> None:
    status, out, _ = run("tail", "-n", "2", log)
    assert status == 0
    assert len(out.splitlines()) == 2
    assert "acme" in out
    assert "alice" in out
    assert "2 rows 0.6 ms SELECT 2" in out


def test_tail_keeps_to_a_tenant(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    path.write_bytes(
        b"".join(chain_event(numbered(n)._replace(tenant="ab"[n % 2]), n + 1, NO_HASH)[0] for n in range(1000))
    )
    out = run("tail", "-n", "3", "--tenant", "b", "--json", path)[1]
    assert [json.loads(line)["statement"] for line in out.splitlines()] == ["SELECT 995", "SELECT 997", "SELECT 999"]
    assert run("tail", "-n", "0", path)[1] == ""
    assert len(run("tail", "-n", "5000", path)[1].splitlines()) == 1000
    assert run("tail", "--tenant", "nobody", path)[1] == ""


def test_tail_leaves_an_incomplete_line_out(run: Run, log: Path) -> None:
    log.write_bytes(log.read_bytes() + b'{"event":"sta')
    assert "sta" not in run("tail", "-n", "1", log)[1].replace("stopped", "")


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("as_json", [True, False])
def test_a_statement_cannot_steer_the_terminal(monkeypatch: pytest.MonkeyPatch, as_json: bool) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("COLUMNS", "200")
    out = _Terminal()
    line, _ = chain_event(EVENT._replace(statement="SELECT '\x1b[2J\x9b31m'\n\x07", outcome="refused"), 1, NO_HASH)
    EventPrinter(out, tenant=None, as_json=as_json).line(line[:-1])
    text = out.getvalue()
    if not as_json:
        assert text.startswith("\x1b[1;31m")
        text = text.removeprefix("\x1b[1;31m").replace("\x1b[0m", "")
    assert text.count("\n") == 1
    assert all(char.isprintable() for char in text[:-1])


async def test_follow_sees_new_events_and_goes_on_after_rotation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit, "_POLL_S", 0.005)
    path = tmp_path / "audit.jsonl"
    emitter = AuditEmitter(AuditConfig(path=path))
    emitter.start()
    seen: Queue[str] = Queue()

    def watch() -> None:
        for line in follow(path, 0):
            event = json.loads(line)
            seen.put(event.get("statement") or event["event"])
            if event["event"] == "stopped":
                return

    watcher = threading.Thread(target=watch)
    watcher.start()
    while seen.empty():
        await asyncio.sleep(0.005)
    emitter.emit(numbered(1))
    path.rename(tmp_path / "audit.1")
    emitter.emit(numbered(2))
    emitter.reopen()
    emitter.emit(numbered(3))
    await emitter.close()
    watcher.join(5)
    assert not watcher.is_alive()
    assert list(seen.queue) == ["header", "SELECT 1", "SELECT 2", "header", "SELECT 3", "stopped"]


def test_tail_into_a_closed_pipe_is_quiet(log: Path) -> None:
    script = (
        "import argparse, sys; from admin.cli.audit import add_parser; p = argparse.ArgumentParser();"
        " add_parser(p.add_subparsers()); a = p.parse_args(sys.argv[1:]); sys.exit(a.run(a))"
    )
    read, write = os.pipe()
    os.close(read)
    command = [sys.executable, "-c", script, "audit", "tail", "-f", str(log)]
    try:
        done = subprocess.run(command, stdout=write, stderr=subprocess.PIPE, timeout=20, check=False)
    finally:
        os.close(write)
    assert done.returncode == 0
    assert done.stderr == b""


@pytest.mark.parametrize("command", ["verify", "tail", "head"])
def test_help_has_an_example(run: Run, command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        run(command, "--help")
    assert caught.value.code == 0
    assert f"  tenantgate audit {command}" in capsys.readouterr().out
