"""Sealed logs: segments, restarts, rotation, handing over, what is not continued, and anchors."""

from __future__ import annotations

import itertools
import json
import secrets
from pathlib import Path
from typing import Any

import pytest

from proxy.audit.emitter import AuditEmitter, AuditUnavailable
from proxy.audit.parallel_verify import ParallelReader
from proxy.audit.seal_check import read_anchored
from proxy.audit.signing import Handover, PublicKey, SigningKey, UnusableKey
from proxy.audit.verify import VerifyResult, verify_file, verify_files, with_anchor
from proxy.config import AuditConfig
from tests.unit.audit.samples import numbered, read_lines, write_lines, write_log
from tests.unit.audit.sealed import KEY, OTHER_KEY, sealed_config, write_sealed
from tests.unit.audit.test_emitter import FullDisk, until


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "audit.jsonl"


def of(path: Path, event: str) -> list[dict[str, Any]]:
    return [fields for line in read_lines(path) if (fields := json.loads(line))["event"] == event]


def good(result: VerifyResult) -> VerifyResult:
    assert result.ok, result.first_problem
    assert result.seals.trusted
    return result


async def test_segments_are_sealed_by_size_and_at_the_end(path: Path) -> None:
    lines = await write_sealed(path, 35)
    seals = of(path, "seal")
    assert [seal["segment"] for seal in seals] == [1, 2, 3, 4]
    assert [seal["final"] for seal in seals] == [0, 0, 0, 1]
    assert seals[0]["first_seq"] == 1
    for before, after in itertools.pairwise(seals):
        assert after["first_seq"] == before["seq"] == before["last_seq"] + 1
    result = good(verify_file(path, trusted=KEY.public))
    assert (result.seals.segments, result.seals.until.seq, result.seals.unsealed) == (4, len(lines) - 1, 1)


async def test_a_segment_is_sealed_after_a_while(path: Path) -> None:
    config = AuditConfig(path=path, signing_key=KEY.pem(), flush_interval_s=0.001, seal_interval_s=0.02)
    emitter = AuditEmitter(config)
    emitter.start()
    emitter.emit(numbered(1))
    await until(lambda: emitter.sealed_segments == 1)
    emitter.emit(numbered(2))
    await until(lambda: emitter.sealed_segments == 2)
    await emitter.close()
    good(verify_file(path, trusted=KEY.public))


async def test_an_idle_log_gets_no_seals(path: Path) -> None:
    await write_sealed(path, 1)
    for _ in range(3):
        await write_sealed(path, 0)
    assert len(of(path, "seal")) == 1 + 3 * 2  # what is resumed is signed at once, and the end
    config = AuditConfig(path=path, signing_key=KEY.pem(), seal_interval_s=0.005)
    emitter = AuditEmitter(config)
    emitter.start()
    before = emitter.sealed_segments
    for _ in range(5):
        emitter._on_seal_timer()
    assert emitter.sealed_segments == before
    await emitter.close()


async def test_restarts_go_on_with_the_segments(path: Path) -> None:
    await write_sealed(path, 25)
    await write_sealed(path, 13)
    result = good(verify_file(path, trusted=KEY.public))
    assert result.seals.segments == of(path, "seal")[-1]["segment"]


async def test_after_a_kill_what_may_be_missing_is_signed_at_once(path: Path) -> None:
    lines = await write_sealed(path, 25)
    write_lines(path, lines[:-4])  # killed within a segment
    path.write_bytes(path.read_bytes() + lines[-4][:50])
    emitter = AuditEmitter(sealed_config(path, every=1000))
    emitter.start()
    (recovered,), seal = of(path, "recovered"), json.loads(read_lines(path)[-1])
    assert recovered["torn_bytes"] == 50
    assert seal["event"] == "seal"
    assert seal["first_seq"] < recovered["seq"] <= seal["last_seq"]
    await emitter.close()
    good(verify_file(path, trusted=KEY.public))


async def test_a_gap_is_signed_at_once(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    emitter = AuditEmitter(sealed_config(path, every=1000))
    emitter.start()
    disk = FullDisk(monkeypatch, room=0)
    emitter.emit(numbered(1))
    await until(lambda: emitter._failure is not None)
    disk.room = 10**9
    await until(lambda: emitter._failure is None)
    (gap,), seal = of(path, "gap"), json.loads(read_lines(path)[-1])
    assert seal["event"] == "seal"
    assert seal["first_seq"] < gap["seq"] <= seal["last_seq"]
    await emitter.close()
    good(verify_file(path, trusted=KEY.public))


async def test_a_disk_that_fills_at_any_byte_leaves_a_good_log(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for room in range(0, 9000, 450):
        file = path.with_name(f"{room}.jsonl")
        emitter = AuditEmitter(sealed_config(file, every=3))
        emitter.start()
        with monkeypatch.context() as full:
            FullDisk(full, room)
            for number in range(8):
                try:
                    emitter.emit(numbered(number))
                    emitter._flush()
                except AuditUnavailable:
                    break
        emitter._flush()
        await emitter.close()
        good(verify_file(file, trusted=KEY.public))


async def test_a_rotated_log_ends_with_a_seal_and_each_file_verifies(path: Path) -> None:
    emitter = AuditEmitter(sealed_config(path))
    emitter.start()
    for number in range(15):
        emitter.emit(numbered(number))
    old = path.rename(path.with_suffix(".1"))
    emitter.reopen()
    for number in range(15):
        emitter.emit(numbered(number))
    await emitter.close()
    assert json.loads(read_lines(old)[-1])["event"] == "seal"
    good(verify_files([old, path], trusted=KEY.public))
    good(verify_file(path, trusted=KEY.public))
    await write_sealed(path, 20)
    good(verify_files([old, path], trusted=KEY.public))
    write_lines(old, read_lines(old)[:-1])
    assert not verify_files([old, path], trusted=KEY.public).ok


async def test_a_file_taken_away_leaves_a_log_that_can_be_sealed(path: Path) -> None:
    emitter = AuditEmitter(sealed_config(path))
    emitter.start()
    emitter.emit(numbered(1))
    path.unlink()
    emitter.reopen()
    emitter.emit(numbered(2))
    await emitter.close()
    good(verify_file(path, trusted=KEY.public))


async def test_seals_may_begin_in_a_log_that_had_none(path: Path) -> None:
    lines = await write_log(path, 5)
    await write_sealed(path, 25)
    good(verify_file(path, trusted=KEY.public))
    assert of(path, "seal")[0]["first_seq"] == len(lines) + 1
    assert verify_file(path).ok


async def test_the_old_key_hands_over_to_the_new_one(path: Path) -> None:
    await write_sealed(path, 15)
    second = SigningKey.from_text(KEY.hand_over().pem())
    await write_sealed(path, 15, second)
    third = SigningKey.from_text(second.hand_over().pem())
    await write_sealed(path, 15, third)
    result = good(verify_file(path, trusted=KEY.public))
    assert result.seals.keys == (KEY.id, second.id, third.id)
    old = path.rename(path.with_suffix(".1"))
    await write_sealed(path, 5, third)  # a new chain: still under the key that auditors have
    good(verify_file(path, trusted=KEY.public))
    good(verify_file(old, trusted=KEY.public))
    assert not verify_file(path, trusted=OTHER_KEY.public).ok


async def test_a_log_of_another_key_is_not_continued(path: Path) -> None:
    lines = await write_sealed(path, 15)
    with pytest.raises(AuditUnavailable) as caught:
        await write_sealed(path, 5, OTHER_KEY)
    assert "not handed over" in caught.value.cause
    assert read_lines(path) == lines


@pytest.mark.parametrize("harm", ["changed", "missing"])
async def test_lines_behind_the_last_seal_are_looked_at_before_they_are_sealed(path: Path, harm: str) -> None:
    lines = await write_sealed(path, 25)
    lines = lines[: [json.loads(line)["event"] for line in lines].index("seal") + 8]
    if harm == "changed":
        lines[-3] = lines[-3].replace(b"SELECT", b"DELETE", 1)
    else:
        del lines[-3]
    write_lines(path, lines)
    with pytest.raises(AuditUnavailable):
        await write_sealed(path, 5)
    assert read_lines(path) == lines


def test_a_handover_that_the_old_key_did_not_sign_does_not_hold() -> None:
    second = KEY.hand_over()
    (handover,) = second.handovers
    assert handover.holds(KEY.public)
    assert not handover.holds(OTHER_KEY.public)
    forged = Handover(KEY.id, OTHER_KEY.id, OTHER_KEY.public.raw.hex(), handover.signature)
    assert not forged.holds(KEY.public)


def test_keys_are_read_as_they_were_written() -> None:
    second = KEY.hand_over()
    again = SigningKey.from_text(second.pem())
    assert (again.id, again.handovers) == (second.id, second.handovers)
    assert again.handovers_from(KEY.id) == second.handovers
    assert again.handovers_from("0" * 16) is None
    assert PublicKey.from_text(KEY.public.pem()).id == PublicKey.from_text(KEY.public.raw.hex()).id == KEY.id
    for text in ("", "x", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----", "handover: {}\n" + KEY.pem()):
        with pytest.raises(UnusableKey) as caught:
            SigningKey.from_text(text)
        assert "AAAA" not in str(caught.value)


async def test_an_anchor_gets_every_seal_and_finds_what_is_missing(path: Path) -> None:
    anchor = path.with_name("elsewhere.jsonl")
    shown = path.with_name("shown.jsonl")
    command = ("/bin/sh", "-c", f"cat >> {shown}")
    config = AuditConfig(path=path, signing_key=KEY.pem(), seal_events=5, anchor_file=anchor, anchor_command=command)
    emitter = AuditEmitter(config)
    emitter.start()
    for number in range(20):
        emitter.emit(numbered(number))
        emitter._flush()
    await emitter.close()
    anchored = read_anchored(anchor)
    assert shown.read_bytes() == anchor.read_bytes()
    assert [seal["signature"] for seal in anchored] == [seal["signature"] for seal in of(path, "seal")]
    assert with_anchor(verify_file(path, trusted=KEY.public), path, anchored).ok
    lines = read_lines(path)
    last_but_one = max(number for number, line in enumerate(lines[:-1]) if b'"event":"seal"' in line)
    write_lines(path, lines[: last_but_one + 1])
    assert verify_file(path, trusted=KEY.public).ok  # nothing in the log itself tells that its end was cut at a seal
    problem = with_anchor(verify_file(path, trusted=KEY.public), path, anchored).first_problem
    assert problem is not None
    assert (problem.kind, problem.line) == ("anchor", last_but_one + 1)


async def test_one_who_has_the_key_can_write_the_log_anew_and_an_anchor_tells(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await write_sealed(path, 15)
    anchored = of(path, "seal")
    lines = read_lines(path)
    path.unlink()
    monkeypatch.setattr(secrets, "token_hex", lambda _: json.loads(lines[0])["chain"])
    forger = AuditEmitter(sealed_config(path))
    forger.start()
    await forger.close()
    assert good(verify_file(path, trusted=KEY.public)).chain == anchored[0]["chain"]
    assert not with_anchor(verify_file(path, trusted=KEY.public), path, anchored).ok


async def test_an_anchor_that_fails_is_tried_again_and_stops_nobody(path: Path) -> None:
    directory = path.with_name("mount")
    anchor = directory / "seals.jsonl"
    config = AuditConfig(path=path, signing_key=KEY.pem(), seal_events=3, anchor_file=anchor)
    emitter = AuditEmitter(config)
    emitter.start()
    for number in range(9):
        emitter.emit(numbered(number))
        emitter._flush()
    await emitter._anchors.finish()
    assert not anchor.exists()
    directory.mkdir()
    await emitter.close()
    assert len(read_anchored(anchor)) == len(of(path, "seal"))


async def test_several_processes_find_what_one_finds(path: Path) -> None:
    lines = await write_sealed(path, 150)
    with ParallelReader(2, part_bytes=8000) as read:
        for harmed in (None, 0, 40, 101, len(lines) - 1):
            changed = list(lines)
            if harmed is not None:
                changed[harmed] = changed[harmed].replace(b'"seq":', b'"seq":1', 1)
            write_lines(path, changed)
            alone = verify_file(path, trusted=KEY.public)
            assert verify_files([path], trusted=KEY.public, read=read) == alone
            assert alone.ok == (harmed is None)
