"""Whatever is done to a log, verification finds it and names the line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from proxy.audit.chain import MAX_LINE_BYTES, chain_event, chain_fields
from proxy.audit.verify import VerifyResult, read_head, verify_file, verify_files
from tests.unit.audit.samples import numbered, read_lines, write_lines, write_log

_EVENTS = 8
_LINES = _EVENTS + 2
_tampering = settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
_index = st.integers(min_value=0, max_value=_LINES - 1)


@pytest.fixture
async def log(tmp_path: Path) -> Path:
    path = tmp_path / "audit.jsonl"
    assert len(await write_log(path, _EVENTS)) == _LINES
    return path


def verify_changed(log: Path, change: Callable[[list[bytes]], None]) -> VerifyResult:
    lines = read_lines(log)
    change(lines)
    copy = log.with_name("changed.jsonl")
    write_lines(copy, lines)
    return verify_file(copy)


def problem_of(result: VerifyResult) -> tuple[int, str]:
    assert not result.ok
    assert result.first_problem is not None
    assert result.events == result.first_problem.line - 1
    return result.first_problem.line, result.first_problem.kind


def test_an_untouched_log_is_good(log: Path) -> None:
    result = verify_file(log)
    assert result.ok
    assert result.events == _LINES
    assert result.head == read_head(log)
    assert result.head.seq == _LINES


@_tampering
@given(data=st.data())
def test_any_changed_byte_is_found(log: Path, data: st.DataObject) -> None:
    original = log.read_bytes()
    at = data.draw(st.integers(min_value=0, max_value=len(original) - 1))
    byte = data.draw(st.integers(min_value=1, max_value=255))
    changed = log.with_name("changed.jsonl")
    changed.write_bytes(original[:at] + bytes([original[at] ^ byte]) + original[at + 1 :])
    line, _ = problem_of(verify_file(changed))
    assert line == original.count(b"\n", 0, at) + 1


@_tampering
@given(start=_index, count=st.integers(min_value=1, max_value=4))
def test_missing_lines_are_found(log: Path, start: int, count: int) -> None:
    if start + count >= _LINES:  # the end is cut off: the next test's matter
        return
    result = verify_changed(log, lambda lines: lines.__delitem__(slice(start, start + count)))
    assert problem_of(result) == (start + 1, "missing" if start else "header")


@pytest.mark.parametrize("kept", range(1, _LINES))
def test_a_cut_end_is_found_by_a_noted_head_only(log: Path, kept: int) -> None:
    head = read_head(log).hash
    write_lines(log, read_lines(log)[:kept])
    assert verify_file(log).ok
    for result in (verify_file(log, expect_last=head), verify_file(log, expect=head)):
        assert not result.ok
        assert result.first_problem is not None
        assert result.first_problem.kind == "anchor"
    assert verify_file(log, expect_last=read_head(log).hash, expect=read_head(log).hash).ok


def test_a_noted_head_stays_good_while_the_log_grows(log: Path) -> None:
    head = read_head(log)
    line, _ = chain_event(numbered(99), head.seq + 1, head.hash)
    log.write_bytes(log.read_bytes() + line)
    assert verify_file(log, expect=head.hash).ok
    assert not verify_file(log, expect_last=head.hash).ok


@_tampering
@given(first=_index, second=_index)
def test_swapped_lines_are_found(log: Path, first: int, second: int) -> None:
    first, second = sorted((first, second))
    if first == second:
        return

    def swap(lines: list[bytes]) -> None:
        lines[first], lines[second] = lines[second], lines[first]

    assert problem_of(verify_changed(log, swap))[0] == first + 1


@_tampering
@given(source=_index, target=st.integers(min_value=0, max_value=_LINES))
def test_doubled_lines_are_found(log: Path, source: int, target: int) -> None:
    line, kind = problem_of(verify_changed(log, lambda lines: lines.insert(target, lines[source])))
    assert line == (target + 1 if target != source else target + 2)  # either twin is right where it stood
    if target in (source, source + 1):
        assert kind == "doubled"


@_tampering
@given(target=_index, text=st.binary(max_size=60).filter(lambda text: b"\n" not in text))
def test_inserted_lines_are_found(log: Path, target: int, text: bytes) -> None:
    assert problem_of(verify_changed(log, lambda lines: lines.insert(target, text))) == (target + 1, "malformed")


@_tampering
@given(target=st.integers(min_value=1, max_value=_LINES - 2))
def test_a_line_forged_with_a_right_hash_breaks_the_chain_behind_it(log: Path, target: int) -> None:
    def forge(lines: list[bytes]) -> None:
        before = read_head_of(log, lines[:target])
        lines[target] = chain_event(numbered(1_000_000), *before)[0][:-1]

    assert problem_of(verify_changed(log, forge)) == (target + 2, "replaced")


@pytest.mark.parametrize(("offset", "kind"), [(1, "missing"), (-1, "reordered")])
def test_a_wrong_seq_is_found_even_with_right_hashes(log: Path, offset: int, kind: str) -> None:
    head = read_head(log)
    line, _ = chain_event(numbered(99), head.seq + 1 + offset, head.hash)
    log.write_bytes(log.read_bytes() + line)
    assert problem_of(verify_file(log)) == (_LINES + 1, kind)


def read_head_of(log: Path, lines: list[bytes]) -> tuple[int, str]:
    scratch = log.with_name("prefix.jsonl")
    write_lines(scratch, lines)
    head = read_head(scratch)
    return head.seq + 1, head.hash


def test_an_incomplete_last_line_is_told(log: Path) -> None:
    log.write_bytes(log.read_bytes()[:-20])
    assert problem_of(verify_file(log)) == (_LINES, "torn")


def test_an_empty_file_and_one_without_header_are_no_logs(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    path.touch()
    assert problem_of(verify_file(path)) == (1, "header")
    write_lines(path, [chain_event(numbered(1), 1, "0" * 64)[0][:-1]])
    assert problem_of(verify_file(path)) == (1, "header")


def test_an_endless_line_takes_bounded_memory(log: Path) -> None:
    log.write_bytes(log.read_bytes() + b"x" * (3 * MAX_LINE_BYTES))
    assert problem_of(verify_file(log)) == (_LINES + 1, "malformed")


def test_a_second_header_must_continue_the_first_file(log: Path, tmp_path: Path) -> None:
    head = read_head(log)
    other = tmp_path / "second.jsonl"
    chain = verify_file(log).chain
    good, _ = chain_fields(
        {"event": "header", "chain": chain, "format": 1, "version": "1", "time": 1.0}, head.seq + 1, head.hash
    )
    other.write_bytes(good)
    assert verify_files([log, other]).ok
    assert verify_file(other).ok
    write_lines(log, read_lines(log)[:-1])
    result = verify_files([log, other])
    assert result.first_problem is not None
    assert (result.first_problem.path, result.first_problem.line) == (other, 1)


async def test_files_of_two_chains_do_not_verify_together(log: Path, tmp_path: Path) -> None:
    other = tmp_path / "second.jsonl"
    await write_log(other, 1)
    result = verify_files([log, other])
    assert result.first_problem is not None
    assert (result.first_problem.path, result.first_problem.kind) == (other, "header")


def test_progress_ends_at_the_size(log: Path) -> None:
    seen: list[tuple[int, int]] = []
    verify_file(log, lambda done, total: seen.append((done, total)))
    assert seen[-1] == (log.stat().st_size, log.stat().st_size)
