"""What becomes of files whose time is over, legal holds, and erasure, as commands."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from admin.cli.main import main
from admin.retention import days_of
from admin.retention_ledger import ledger_path
from proxy.audit.emitter import AuditEmitter
from proxy.audit.verify import verify_file, verify_files
from proxy.config import AuditConfig
from tests.unit.audit_search.samples import Log, at

DAY_S = 86_400


@pytest.fixture
def log(tmp_path: Path) -> Log:
    """Three files: of 2025-11-24 with acme, with acme and globex, and the one of now."""
    log = Log(tmp_path / "audit.jsonl")
    log.add(at(1), at(2))
    log.rotate("audit.jsonl.2")
    log.add(at(3), at(4, tenant="globex"))
    log.rotate("audit.jsonl.1")
    log.add(at(5))
    return log


@pytest.fixture
def config(log: Log, tmp_path: Path) -> Path:
    return write_config(tmp_path, "retention_days = 1")


def write_config(directory: Path, *lines: str) -> Path:
    path = directory / "tenantgate.toml"
    path.write_text("\n".join(["[audit]", 'path = "audit.jsonl"', *lines]) + "\n")
    return path


def verdicts(config: Path, capsys: pytest.CaptureFixture[str], *more: str) -> dict[str, str]:
    capsys.readouterr()
    assert main(["audit", "retention", "-c", str(config), "--json", *more]) == 0
    told = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    return {each["file"]: f"{each['state']}: {each['why']}" for each in told}


def test_files_go_when_their_time_is_over_and_the_ledger_tells(
    log: Log, config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = verdicts(config, capsys)
    assert before == {
        "audit.jsonl.2": "to remove: its time is over",
        "audit.jsonl.1": "to remove: its time is over",
        "audit.jsonl": "kept: it is the file of now",
    }
    assert log.path.with_name("audit.jsonl.2").exists()
    last = json.loads(log.path.with_name("audit.jsonl.2").read_bytes().splitlines()[-1])
    verdicts(config, capsys, "--apply")
    assert not log.path.with_name("audit.jsonl.2").exists()
    assert verify_files([log.path]).ok
    ledger = ledger_path(AuditConfig(path=log.path))
    assert verify_file(ledger).ok
    removed = [entry for entry in map(json.loads, ledger.read_bytes().splitlines()) if entry["event"] == "removed"]
    assert [entry["file"] for entry in removed] == ["audit.jsonl.2", "audit.jsonl.1"]
    assert (removed[0]["last_seq"], removed[0]["last_hash"]) == (last["seq"], last["hash"])


def test_tenants_and_frameworks_keep_longer(log: Log, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = write_config(tmp_path, "retention_days = 1", "[audit.retention_tenants]", "globex = 36500")
    found = verdicts(config, capsys)
    assert found["audit.jsonl.2"].startswith("to remove")
    assert found["audit.jsonl.1"].startswith("kept: kept until 21")
    config = write_config(tmp_path, "retention_days = 1", 'retention_frameworks = ["hipaa", "soc2"]')
    assert all(each.startswith("kept") for each in verdicts(config, capsys).values())
    assert all("no end is set" in each for each in verdicts(write_config(tmp_path), capsys).values())
    asked = AuditConfig(retention_days=30, retention_frameworks=("hipaa",), retention_tenants={"acme": 4000})
    assert (days_of(asked, "acme"), days_of(asked, "globex")) == (4000, 2192)


def test_a_hold_keeps_files_until_it_is_released(log: Log, config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["audit", "hold", "-c", str(config), "--tenant", "globex", "--reason", "case 17"]) == 0
    name = capsys.readouterr().out.strip()
    assert main(["audit", "hold", "-c", str(config), "--list"]) == 0
    assert "case 17" in capsys.readouterr().out
    found = verdicts(config, capsys, "--apply")
    assert found["audit.jsonl.2"].startswith("removed")
    assert found["audit.jsonl.1"] == f"kept: legal hold {name}: case 17"
    assert main(["audit", "hold", "-c", str(config), "--release", "nothing"]) == 1
    assert main(["audit", "hold", "-c", str(config), "--release", name]) == 0
    assert verdicts(config, capsys, "--apply")["audit.jsonl.1"].startswith("removed")


def test_a_file_that_does_not_verify_stays_and_so_do_newer_ones(
    log: Log, config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    old = log.path.with_name("audit.jsonl.2")
    old.write_bytes(old.read_bytes().replace(b'"rows":1', b'"rows":2', 1))
    found = verdicts(config, capsys, "--apply")
    assert "does not verify" in found["audit.jsonl.2"]
    assert found["audit.jsonl.1"] == "kept: an older file of its chain is kept"
    assert old.exists()


def test_a_file_that_a_sink_does_not_have_stays(log: Log, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = write_config(tmp_path, "retention_days = 1", "[audit.sinks.out]", 'type = "stdout"')
    assert "sink out does not have all of it" in verdicts(config, capsys)["audit.jsonl.2"]
    assert main(["audit", "forward", "-c", str(config), "--once"]) == 0
    assert verdicts(config, capsys)["audit.jsonl.1"].startswith("to remove")


async def _write(config: AuditConfig) -> None:
    emitter = AuditEmitter(config)
    emitter.start()
    for subject in ("alice", "bob"):
        emitter.emit(at(1, subject=subject, session=subject, statement=f"SELECT 'secret of {subject}'"))
    await emitter.close()


@pytest.fixture
def concealed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    import asyncio

    monkeypatch.setenv("TEXT_KEY", "t" * 40)
    config = AuditConfig(path=tmp_path / "audit.jsonl", conceal="subject", text_key="t" * 40)
    asyncio.run(_write(config))
    return write_config(tmp_path, 'conceal = "subject"', 'text_key_env = "TEXT_KEY"')


def test_erasure_takes_a_users_texts_from_search_and_replay(
    concealed: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shred = ["audit", "shred", "-c", str(concealed), "--tenant", "acme", "--subject", "alice", "--reason", "art. 17"]
    assert main(["audit", "replay", "-c", str(concealed), "alice"]) == 0
    assert "secret of alice" in capsys.readouterr().out
    assert main(shred) == 2  # --yes is wanted
    assert main(["audit", "hold", "-c", str(concealed), "--tenant", "acme", "--subject", "alice", "--reason", "x"]) == 0
    name = capsys.readouterr().out.strip()
    assert main([*shred, "--yes"]) == 1
    assert "legal hold" in capsys.readouterr().err
    assert main(["audit", "hold", "-c", str(concealed), "--release", name]) == 0
    assert main([*shred, "--yes"]) == 0
    assert main([*shred, "--yes"]) == 1
    capsys.readouterr()
    assert main(["audit", "search", "-c", str(concealed), "--tenant", "acme"]) == 0
    out = capsys.readouterr().out
    assert "secret of alice" not in out
    assert "erased" in out
    assert "secret of bob" in out
    assert main(["audit", "search", "-c", str(concealed), "--text", "secret"]) == 1
    assert verify_file(concealed.parent / "audit.jsonl").ok
    assert b"secret" not in (concealed.parent / "search" / "audit.sqlite").read_bytes()
    ledger = (concealed.parent / "retention.jsonl").read_text()
    assert '"event":"shredded"' in ledger


def test_without_encryption_there_is_nothing_to_shred(
    log: Log, config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["audit", "shred", "-c", str(config), "--tenant", "acme", "--all", "--reason", "x", "--yes"]
    assert main(command) == 2
    assert "not encrypted" in capsys.readouterr().err
