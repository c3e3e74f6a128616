"""`on_failure = "spill"`: lines that the disk does not take wait encrypted elsewhere, and come into the log later."""

from __future__ import annotations

import asyncio
import errno
import json
import os
import random
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from proxy.audit.emitter import AuditEmitter, AuditUnavailable
from proxy.audit.spill import SpillFile
from proxy.audit.verify import verify_file
from proxy.config import AuditConfig
from tests.unit.audit.samples import numbered, read_lines
from tests.unit.audit.test_emitter import until

KEY = "0123456789abcdef" * 4


class FullDisk:
    """Stands in for `os.write`: files of this name have room for so many bytes more."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
        self.room = 10**9
        self._name = name
        self._write = os.write
        monkeypatch.setattr(os, "write", self.write)

    def write(self, descriptor: int, data: bytes | memoryview) -> int:
        if Path(f"/proc/self/fd/{descriptor}").readlink().name != self._name:
            return self._write(descriptor, data)
        if self.room == 0 and len(data):
            raise OSError(errno.ENOSPC, "No space left on device")
        written = self._write(descriptor, data[: self.room])
        self.room -= written
        return written


@pytest.fixture
def config(tmp_path: Path) -> AuditConfig:
    return AuditConfig(
        path=tmp_path / "audit" / "audit.jsonl",
        flush_interval_s=0.001,
        on_failure="spill",
        spill_directory=tmp_path / "spill",
        spill_key=KEY,
    )


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> FullDisk:
    monkeypatch.setattr("proxy.audit.spill._RETRY_S", 0.01)
    return FullDisk(monkeypatch, "audit.jsonl")


def started(config: AuditConfig) -> AuditEmitter:
    emitter = AuditEmitter(config)
    emitter.start()
    return emitter


async def emit(emitter: AuditEmitter, *numbers: int) -> None:
    for number in numbers:
        emitter.emit(numbered(number))
        emitter.check()
    await until(lambda: emitter.queued == 0)


def statements(path: Path) -> list[str]:
    return [line["statement"] for line in map(json.loads, read_lines(path)) if "statement" in line]


def spill_of(config: AuditConfig) -> Path:
    assert config.spill_directory is not None
    return config.spill_directory / "audit.jsonl.spill"


async def test_a_full_disk_stops_nobody_and_the_log_is_whole_afterwards(config: AuditConfig, disk: FullDisk) -> None:
    emitter = started(config)
    await emit(emitter, 0)
    disk.room = 100  # a part of a line
    for number in range(1, 20):
        await emit(emitter, number)
    assert emitter.spilled_bytes > 0
    assert b"SELECT" not in spill_of(config).read_bytes()
    disk.room = 10**9
    await until(lambda: emitter.spilled_bytes == 0)
    await emit(emitter, 20)
    await emitter.close()
    assert verify_file(config.path).ok
    assert statements(config.path) == [f"SELECT {n}" for n in range(21)]
    assert b'"event":"gap"' not in config.path.read_bytes()
    assert emitter.lost == 0


async def test_killed_at_any_point_the_next_start_has_every_line(
    config: AuditConfig, disk: FullDisk, tmp_path: Path
) -> None:
    draw = random.Random(21)
    emitter = started(config)
    for number in range(60):
        disk.room = draw.choice((0, 0, 700, 3000, 10**9))
        await emit(emitter, number)
        copied = _copy(config, tmp_path / f"killed{number}")
        disk.room = 10**9
        after = started(copied)
        await after.close()
        assert verify_file(copied.path).ok
        assert statements(copied.path) == [f"SELECT {n}" for n in range(number + 1)]
        assert after.spilled_bytes == 0
    await emitter.close()


def _copy(config: AuditConfig, to: Path) -> AuditConfig:
    """What a kill -9 would leave."""
    assert config.spill_directory is not None
    shutil.copytree(config.path.parent, to / "audit")
    shutil.copytree(config.spill_directory, to / "spill")
    return replace(config, path=to / "audit" / "audit.jsonl", spill_directory=to / "spill")


async def spilled(config: AuditConfig, disk: FullDisk, tmp_path: Path) -> AuditConfig:
    """A killed gateway's files, with three lines in the spill."""
    emitter = started(config)
    disk.room = 0
    for number in range(3):
        await emit(emitter, number)
    copied = _copy(config, tmp_path / "killed")
    disk.room = 10**9
    await emitter.close()
    return copied


async def test_a_spill_that_was_touched_is_not_taken_over(config: AuditConfig, disk: FullDisk, tmp_path: Path) -> None:
    left = await spilled(config, disk, tmp_path)
    whole = spill_of(left).read_bytes()
    frame = (len(whole) - 24) // 3
    swapped = whole[:24] + whole[24 + frame : 24 + 2 * frame] + whole[24 : 24 + frame] + whole[24 + 2 * frame :]
    flipped = whole[:100] + bytes([whole[100] ^ 1]) + whole[101:]
    for data in (swapped, flipped, b"TGSPILL1" + bytes(16) + whole[24:], b"something else that is long enough"):
        spill_of(left).write_bytes(data)
        with pytest.raises(AuditUnavailable):
            started(left)
    spill_of(left).write_bytes(whole)
    with pytest.raises(AuditUnavailable):
        started(replace(left, spill_key="another key of sixty-four characters, or of thirty-two at least"))
    await started(left).close()
    assert statements(left.path) == ["SELECT 0", "SELECT 1", "SELECT 2"]


async def test_a_frame_that_was_half_written_is_cut_off(config: AuditConfig, disk: FullDisk, tmp_path: Path) -> None:
    left = await spilled(config, disk, tmp_path)
    spill_of(left).write_bytes(spill_of(left).read_bytes()[:-20])
    await started(left).close()
    assert verify_file(left.path).ok
    assert statements(left.path) == ["SELECT 0", "SELECT 1"]


async def test_a_log_that_lost_lines_meanwhile_is_not_continued(
    config: AuditConfig, disk: FullDisk, tmp_path: Path
) -> None:
    left = await spilled(config, disk, tmp_path)
    left.path.write_bytes(left.path.read_bytes()[:-30])
    with pytest.raises(AuditUnavailable):
        started(left)


async def test_a_full_spill_refuses_statements(config: AuditConfig, disk: FullDisk) -> None:
    emitter = started(replace(config, spill_max_bytes=8_000))
    disk.room = 0
    number = 0
    while not _refuses(emitter):
        emitter.emit(numbered(number))
        number += 1
        await asyncio.sleep(0.005)
    kept = emitter.queued
    disk.room = 10**9
    await until(lambda: emitter.queued == 0 and emitter.spilled_bytes == 0)
    emitter.check()
    await emitter.close()
    assert kept > 0
    assert verify_file(config.path).ok
    assert statements(config.path) == [f"SELECT {n}" for n in range(number)]


async def test_a_file_that_somebody_changed_is_no_case_for_the_spill(config: AuditConfig, disk: FullDisk) -> None:
    emitter = started(config)
    await emit(emitter, 0)
    with config.path.open("ab") as file:
        file.write(b"mine\n")
    emitter.emit(numbered(1))
    await until(lambda: _refuses(emitter))
    assert emitter.spilled_bytes == 0
    await emitter.close()


def _refuses(emitter: AuditEmitter) -> bool:
    try:
        emitter.check()
    except AuditUnavailable:
        return True
    return False


async def test_rotation_waits_for_the_spill(config: AuditConfig, disk: FullDisk) -> None:
    emitter = started(config)
    rotated = config.path.with_name("audit.jsonl.1")
    await emit(emitter, 0)
    disk.room = 0
    await emit(emitter, 1)
    config.path.rename(rotated)
    emitter.reopen()
    assert not config.path.exists()
    disk._name = "nothing"
    await until(lambda: emitter.spilled_bytes == 0)
    emitter.reopen()
    disk._name, disk.room = "audit.jsonl", 0
    await emit(emitter, 2)
    assert emitter.spilled_bytes > 0
    disk.room = 10**9
    await emitter.close()
    assert statements(rotated) == ["SELECT 0", "SELECT 1"]
    assert statements(config.path) == ["SELECT 2"]


def test_two_gateways_do_not_share_a_spill(tmp_path: Path) -> None:
    first = SpillFile(tmp_path / "spill", KEY, 10**6)
    with pytest.raises(OSError, match=r"(?i)unavailable|busy"):
        SpillFile(tmp_path / "spill", KEY, 10**6)
    first.close()
    assert (tmp_path / "spill").stat().st_mode & 0o777 == 0o600
