"""The emitter on real files: batches, restarts, kills, rotation, and files that fail."""

from __future__ import annotations

import asyncio
import errno
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from proxy.audit.emitter import AuditEmitter, AuditUnavailable
from proxy.audit.verify import verify_file, verify_files
from proxy.config import AuditConfig
from tests.unit.audit.samples import numbered, read_lines, write_log

FAST_S = 0.001


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "audit" / "audit.jsonl"


def started(path: Path, *, max_queue: int = 100, fsync: bool = False) -> AuditEmitter:
    emitter = AuditEmitter(AuditConfig(path=path, max_queue=max_queue, fsync=fsync, flush_interval_s=FAST_S))
    emitter.start()
    return emitter


def events_of(path: Path) -> list[str]:
    return [json.loads(line)["event"] for line in read_lines(path)]


async def until(condition: object, limit_s: float = 5.0) -> None:
    assert callable(condition)
    deadline = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.005)


async def test_events_are_on_the_file_after_the_flush_interval(path: Path) -> None:
    emitter = started(path)
    for number in range(3):
        emitter.emit(numbered(number))
    assert emitter.queued == 3
    await until(lambda: emitter.queued == 0)
    assert emitter.events == 3
    assert [json.loads(line).get("statement") for line in read_lines(path)] == [
        None, "SELECT 0", "SELECT 1", "SELECT 2",
    ]  # fmt: skip
    await emitter.close()
    assert verify_file(path).ok
    assert events_of(path) == ["header", "statement", "statement", "statement", "stopped"]


async def test_a_large_batch_is_written_at_once(path: Path) -> None:
    emitter = started(path, max_queue=10)
    for number in range(25):
        emitter.emit(numbered(number))
    assert emitter.queued == 5
    await emitter.close()
    assert verify_file(path).events == 27


async def test_only_the_owner_can_read_the_log(path: Path) -> None:
    await started(path).close()
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700


async def test_a_restart_continues_the_chain(path: Path) -> None:
    await write_log(path, 2)
    await write_log(path, 2)
    assert verify_file(path).ok
    assert events_of(path) == [
        "header", "statement", "statement", "stopped", "resumed", "statement", "statement", "stopped",
    ]  # fmt: skip


@pytest.mark.parametrize("cut", [1, 30, 10_000])
async def test_a_torn_last_line_is_recorded_and_the_chain_goes_on(path: Path, cut: int) -> None:
    lines = await write_log(path, 2)
    whole = b"".join(line + b"\n" for line in lines[:-1])
    torn = lines[-1][: max(len(lines[-1]) - cut, 1)]
    path.write_bytes(whole + torn)
    await started(path).close()
    assert path.read_bytes().startswith(whole)
    assert verify_file(path).ok
    recovered = json.loads(read_lines(path)[len(lines) - 1])
    assert recovered["event"] == "recovered"
    assert recovered["torn"] == torn.decode()
    assert recovered["torn_bytes"] == len(torn)


async def test_a_torn_header_begins_a_new_chain_and_says_so(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b'{"chain":"ab')
    await started(path).close()
    assert events_of(path) == ["header", "recovered", "stopped"]
    assert verify_file(path).ok


async def test_a_tampered_end_is_not_continued(path: Path) -> None:
    lines = await write_log(path, 2)
    before = path.read_bytes().replace(lines[-1], lines[-1].replace(b"stopped", b"stooped"))
    path.write_bytes(before)
    with pytest.raises(AuditUnavailable):
        started(path)
    assert path.read_bytes() == before


async def test_a_file_that_is_no_audit_log_is_left_alone(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b"my diary\n")
    with pytest.raises(AuditUnavailable) as caught:
        started(path)
    assert caught.value.sqlstate == "58030"
    assert str(path) not in caught.value.message
    assert path.read_bytes() == b"my diary\n"


async def test_two_gateways_cannot_share_a_file(path: Path) -> None:
    emitter = started(path)
    with pytest.raises(AuditUnavailable):
        started(path)
    emitter.emit(numbered(1))
    await emitter.close()
    assert verify_file(path).ok


async def test_nothing_is_kept_before_start_and_after_close(path: Path) -> None:
    emitter = AuditEmitter(AuditConfig(path=path))
    with pytest.raises(AuditUnavailable):
        emitter.emit(numbered(1))
    emitter.start()
    emitter.check()
    await emitter.close()
    with pytest.raises(AuditUnavailable):
        emitter.check()
    with pytest.raises(AuditUnavailable):
        emitter.emit(numbered(1))


KILLED = """
import asyncio, sys
from pathlib import Path
from proxy.audit.emitter import AuditEmitter
from proxy.config import AuditConfig
from tests.unit.audit.samples import numbered

async def main():
    emitter = AuditEmitter(AuditConfig(path=Path(sys.argv[1]), flush_interval_s=0.001))
    emitter.start()
    number = 0
    while True:
        for _ in range(100):
            emitter.emit(numbered(number))
            number += 1
        if number == 1000:
            print("going", flush=True)
        await asyncio.sleep(0)

asyncio.run(main())
"""


async def test_after_kill_minus_nine_the_log_verifies_and_tells(path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", KILLED, str(path)], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"going\n"
        process.send_signal(signal.SIGKILL)
    await write_log(path, 1)
    assert verify_file(path).ok
    assert events_of(path)[-3:] == ["recovered", "statement", "stopped"]


async def test_rotation_continues_the_chain_in_the_new_file(path: Path) -> None:
    emitter = started(path)
    emitter.emit(numbered(1))
    old = path.rename(path.with_suffix(".1"))
    emitter.emit(numbered(2))
    emitter.reopen()
    emitter.emit(numbered(3))
    await emitter.close()
    assert events_of(old) == ["header", "statement", "statement"]
    assert events_of(path) == ["header", "statement", "stopped"]
    assert verify_files([old, path]).ok
    assert verify_file(path).ok
    await write_log(path, 1)
    assert verify_files([old, path]).ok


async def test_reopen_without_rotation_changes_nothing(path: Path) -> None:
    emitter = started(path)
    emitter.reopen()
    emitter.emit(numbered(1))
    await emitter.close()
    assert events_of(path) == ["header", "statement", "stopped"]


async def test_a_bad_new_file_leaves_the_old_one_in_use(path: Path) -> None:
    emitter = started(path)
    old = path.rename(path.with_suffix(".1"))
    path.write_bytes(b"something else\n")
    with pytest.raises(AuditUnavailable):
        emitter.reopen()
    emitter.emit(numbered(1))
    await emitter.close()
    assert events_of(old) == ["header", "statement", "stopped"]
    assert path.read_bytes() == b"something else\n"


class FullDisk:
    """Stands in for `os.write` of the sink: a disk with room for so many bytes."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, room: int) -> None:
        self.room = room
        self._write = os.write
        monkeypatch.setattr(os, "write", self.write)

    def write(self, descriptor: int, data: memoryview) -> int:
        if self.room == 0 and len(data):
            raise OSError(errno.ENOSPC, "No space left on device")
        written = self._write(descriptor, data[: self.room])
        self.room -= written
        return written


async def test_a_full_disk_refuses_and_loses_nothing_that_fits_the_queue(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    emitter = started(path, max_queue=5)
    disk = FullDisk(monkeypatch, room=100)
    emitter.emit(numbered(0))
    await until(lambda: disk.room == 0)
    with pytest.raises(AuditUnavailable) as caught:
        emitter.check()
    assert caught.value.sqlstate == "58030"
    for number in range(1, 8):  # statements that were under way
        with pytest.raises(AuditUnavailable):
            emitter.emit(numbered(number))
    assert (emitter.queued, emitter.lost) == (5, 3)
    assert len(read_lines(path)) == 1  # the part of a line was taken back
    disk.room = 1_000_000
    await until(lambda: emitter.queued == 0)
    emitter.check()
    emitter.emit(numbered(8))
    await emitter.close()
    assert verify_file(path).ok
    lines = [json.loads(line) for line in read_lines(path)]
    assert [line.get("statement", line["event"]) for line in lines] == [
        "header", "SELECT 0", "SELECT 1", "SELECT 2", "SELECT 3", "SELECT 4", "gap", "SELECT 8", "stopped",
    ]  # fmt: skip
    assert lines[6]["lost"] == 3
    assert lines[6]["reason"] == "No space left on device"


async def test_a_burst_that_meets_a_full_disk_raises_in_emit(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    emitter = started(path, max_queue=3)
    FullDisk(monkeypatch, room=0)
    emitter.emit(numbered(0))
    emitter.emit(numbered(1))
    with pytest.raises(AuditUnavailable):
        emitter.emit(numbered(2))
    monkeypatch.undo()
    await emitter.close()
    assert [json.loads(line).get("statement") for line in read_lines(path)][1:4] == ["SELECT 0", "SELECT 1", "SELECT 2"]


@pytest.mark.parametrize("harm", ["delete", "truncate", "append"])
async def test_a_file_that_somebody_touches_is_noticed(path: Path, harm: str) -> None:
    emitter = started(path)
    emitter.emit(numbered(0))
    await until(lambda: emitter.queued == 0)
    if harm == "delete":
        path.unlink()
    elif harm == "truncate":
        os.truncate(path, 10)
    else:
        with path.open("ab") as file:
            file.write(b"forged\n")
    emitter.emit(numbered(1))
    await asyncio.sleep(10 * FAST_S)
    with pytest.raises(AuditUnavailable):
        emitter.check()
    await emitter.close()


async def test_deleting_the_file_is_healed_by_reopen(path: Path) -> None:
    emitter = started(path)
    path.unlink()
    emitter.emit(numbered(0))
    await asyncio.sleep(10 * FAST_S)
    emitter.reopen()
    emitter.check()
    emitter.emit(numbered(1))
    await emitter.close()
    assert events_of(path) == ["header", "statement", "gap", "statement", "stopped"]
    assert json.loads(read_lines(path)[0])["seq"] == 2  # the first file is missing, and that shows


async def test_events_of_every_batch_are_synced(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[int] = []
    fsync = os.fsync

    def record(descriptor: int) -> None:
        fsync(descriptor)
        synced.append(path.stat().st_size)

    emitter = started(path, fsync=True)
    monkeypatch.setattr(os, "fsync", record)
    for number in range(3):
        emitter.emit(numbered(number))
        await until(lambda: emitter.queued == 0 and path.stat().st_size in synced)
    await emitter.close()
    assert synced[-1] == path.stat().st_size


async def test_a_failed_sync_is_not_forgotten(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: int) -> None:
        time.sleep(0.02)
        raise OSError(errno.EIO, "Input/output error")

    def refused() -> bool:
        try:
            emitter.check()
        except AuditUnavailable:
            return True
        return False

    emitter = AuditEmitter(AuditConfig(path=path, fsync=True, flush_interval_s=0.1))
    emitter.start()
    with monkeypatch.context() as broken:
        broken.setattr(os, "fsync", fail)
        emitter.emit(numbered(0))
        await until(lambda: emitter.queued == 0)
        emitter.emit(numbered(1))  # its flush comes after the failure, when the disk is well again
        await until(refused)
    await asyncio.sleep(0.2)
    assert refused()
    path.rename(path.with_suffix(".1"))
    emitter.reopen()
    assert not refused()
    await emitter.close()
    assert verify_files([path.with_suffix(".1"), path]).ok
    assert "SELECT 1" in path.read_text()
