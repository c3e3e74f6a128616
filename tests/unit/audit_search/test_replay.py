"""`audit search` and `audit replay` as their users meet them."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from admin.cli.audit import add_parser
from policy.audit_event import AuditEvent
from tests.unit.audit_search.samples import Log, at, log_of

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
def log(tmp_path: Path) -> Log:
    def said(second: float, command: str, text: str, outcome: str = "ok") -> AuditEvent:
        return at(second, command=command, statement=text, outcome=outcome)

    return log_of(
        tmp_path / "audit.jsonl",
        [
            at(0, event="login", statement="", command=""),
            said(0.5, "SELECT", "SELECT 1"),
            said(1, "BEGIN", "begin"),
            said(1.25, "UPDATE", "UPDATE orders SET paid = true"),
            said(1.5, "ROLLBACK", "ROLLBACK TO SAVEPOINT a"),
            at(1.6, session="s2", statement="SELECT 'another'"),
            said(2, "SELECT", "SELECT 1/0", "error"),
            said(2.5, "COMMIT", "COMMIT AND CHAIN"),
            said(2.6, "SELECT", "SELECT 2"),
            said(3, "COMMIT", "COMMIT"),
            said(3.5, "SELECT", "SELECT\n\x1b[31m3"),
            at(4, event="logout", statement="", command="", reason="client left"),
        ],
    )


def test_replay_shows_a_session_with_its_transactions(run: Run, log: Log) -> None:
    status, out, _ = run("replay", "s1", "--log", log.path)
    assert status == 0
    lines = out.splitlines()
    assert [line[13:17].strip()[:1] for line in lines] == ["l", "S", "┌", "│", "│", "│", "└", "│", "└", "S", "l"]
    assert "login ok alice@acme from 10.0.0.1:5000" in lines[0]
    assert "UPDATE orders SET paid = true  → ok, 1 row(s), 0.5 ms" in lines[3]
    assert "another" not in out
    assert "\x1b" not in out


def test_replay_as_json_tells_the_borders(run: Run, log: Log) -> None:
    _, out, _ = run("replay", "s1", "--json", "--log", log.path)
    steps = [json.loads(line) for line in out.splitlines()]
    assert [step["transaction"] for step in steps] == [None, None, 1, 1, 1, 1, 1, 2, 2, None, None]
    assert [step["after_s"] for step in steps][:4] == [0, 0.5, 1, 1.25]
    assert all(step["at"]["intact"] for step in steps)


def test_replay_of_a_session_of_others_is_not_there(run: Run, log: Log) -> None:
    status, out, err = run("replay", "s1", "--scope", "globex", "--log", log.path)
    assert (status, out) == (1, "")
    assert "no session" in err


def test_search_prints_places_and_the_next_page(run: Run, log: Log) -> None:
    status, out, err = run("search", "--log", log.path, "--user", "alice", "--limit", "2")
    assert status == 0
    assert "audit.jsonl seq 13 hash" in out
    cursor = err.split("--cursor ")[1].strip()
    status, out, _ = run("search", "--log", log.path, "--user", "alice", "--limit", "2", "--cursor", cursor, "--json")
    page = json.loads(out)
    assert [event["at"]["seq"] for event in page["events"]] == [11, 10]


def test_search_that_finds_nothing_is_one(run: Run, log: Log) -> None:
    assert run("search", "--log", log.path, "--tenant", "nobody")[0] == 1


def test_a_log_that_is_not_there_is_an_error_with_a_hint(run: Run, tmp_path: Path) -> None:
    from admin.cli.main import main

    assert main(["audit", "search", "--log", str(tmp_path / "no" / "audit.jsonl")]) == 2
    assert main(["audit", "search", "--log", str(tmp_path / "audit.jsonl")]) == 2


def test_the_log_is_found_by_the_configuration(run: Run, log: Log, tmp_path: Path) -> None:
    config = tmp_path / "tenantgate.toml"
    config.write_text('[audit]\npath = "audit.jsonl"\n[targets.broken]\n')
    assert run("search", "-c", config, "--text", "paid")[0] == 0
