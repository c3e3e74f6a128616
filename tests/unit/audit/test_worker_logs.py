"""The supervisor's log leads to those of the workers, and tells when one of them is not what it was."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from proxy.audit.emitter import AuditEmitter
from proxy.audit.worker_logs import verify_with_workers
from proxy.config import AuditConfig
from tests.unit.audit.samples import numbered


async def write(path: Path, events: int) -> AuditEmitter:
    emitter = AuditEmitter(AuditConfig(path=path))
    emitter.start()
    for number in range(events):
        emitter.emit(numbered(number))
    await emitter.close()
    return emitter


def note(log: AuditEmitter, worker: AuditEmitter, name: str) -> None:
    log.note(
        {"event": "worker", "outcome": "started", "worker": 1, "file": name, "chain": worker.chain,
         "at_seq": worker.head.seq, "at_hash": worker.head.hash}
    )  # fmt: skip


@pytest.fixture
async def log(tmp_path: Path) -> Path:
    """A supervisor's log that names two workers' logs; the first was noted twice."""
    path = tmp_path / "audit.jsonl"
    log = AuditEmitter(AuditConfig(path=path))
    log.start()
    for name in ("audit-1.jsonl", "audit-2.jsonl"):
        note(log, await write(tmp_path / name, 3), name)
    note(log, await write(tmp_path / "audit-1.jsonl", 2), "audit-1.jsonl")
    await log.close()
    return path


def kinds(path: Path) -> dict[str, str | None]:
    result, workers = verify_with_workers([path], expect_last=None, expect=None)
    assert result.ok
    return {file.name: found.first_problem.kind if found.first_problem else None for file, found in workers}


def test_all_that_is_named_is_checked(log: Path) -> None:
    assert kinds(log) == {"audit-1.jsonl": None, "audit-2.jsonl": None}


def test_a_file_that_was_taken_away(log: Path) -> None:
    (log.parent / "audit-2.jsonl").unlink()
    assert kinds(log) == {"audit-1.jsonl": None, "audit-2.jsonl": "missing"}


def test_a_file_that_was_cut_below_a_noted_line(log: Path) -> None:
    file = log.parent / "audit-1.jsonl"
    lines = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(b"".join(lines[:-1]))
    assert kinds(log)["audit-1.jsonl"] == "anchor"


def test_a_file_of_another_chain(log: Path) -> None:
    shutil.copy(log.parent / "audit-2.jsonl", log.parent / "audit-1.jsonl")
    assert kinds(log)["audit-1.jsonl"] in ("anchor", "replaced")


def test_a_changed_line(log: Path) -> None:
    file = log.parent / "audit-2.jsonl"
    file.write_bytes(file.read_bytes().replace(b"SELECT 1", b"SELECT 7"))
    assert kinds(log)["audit-2.jsonl"] == "changed"


async def test_lines_that_were_rotated_away_are_not_looked_for(log: Path) -> None:
    file = log.parent / "audit-1.jsonl"
    emitter = AuditEmitter(AuditConfig(path=file))
    emitter.start()
    file.rename(log.parent / "audit-1.jsonl.1")
    emitter.reopen()
    await emitter.close()
    assert kinds(log) == {"audit-1.jsonl": None, "audit-2.jsonl": None}
