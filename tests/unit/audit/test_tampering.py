"""Random tampering with a sealed log by one who can write it and has not its key: all is found and named by position.

TENANTGATE_TAMPERINGS says how many (10,000 in full; few by default).
"""

from __future__ import annotations

import itertools
import json
import os
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest

from proxy.audit.chain import chain_fields
from proxy.audit.lines import line_hash, parse_line
from proxy.audit.sealing import signed_fields
from proxy.audit.signing import SEAL, SigningKey
from proxy.audit.verify import Problem, verify_file, with_anchor
from tests.unit.audit.samples import write_lines
from tests.unit.audit.sealed import KEY, OTHER_KEY, write_sealed

COUNT = int(os.environ.get("TENANTGATE_TAMPERINGS", "300"))
Lines = list[bytes]
Tampering = Callable[[Lines, Random], tuple[Lines, int]]
"""Gives the lines as they are then, and the number of the line, from 1, that must be named."""


def seals_in(lines: Lines) -> list[int]:
    return [number for number, line in enumerate(lines) if b'"event":"seal"' in line]


def seal_behind(lines: Lines, at: int) -> int:
    """The line number of the seal that covers line index `at`."""
    return next(number for number in seals_in(lines) if number > at) + 1


def rechained(lines: Lines, at: int) -> Lines:
    """Hashes computed anew from line index `at` on, as everybody can."""
    changed = lines[:at]
    for line in lines[at:]:
        prev = parse_line(changed[-1])[2] if changed else parse_line(line)[1]
        _, old_prev, old_hash, _ = parse_line(line)
        line = line.replace(b'"prev":"' + old_prev, b'"prev":"' + prev)
        body = parse_line(line)[3]
        changed.append(line.replace(b'"hash":"' + old_hash, b'"hash":"' + line_hash(prev, body)))
    return changed


def flip_a_bit(lines: Lines, random: Random) -> tuple[Lines, int]:
    data = bytearray(b"".join(line + b"\n" for line in lines))
    at = random.randrange(len(data))
    number = data.count(b"\n", 0, at) + 1
    data[at] ^= 1 << random.randrange(8)
    return bytes(data).split(b"\n"), number


def remove(lines: Lines, random: Random) -> tuple[Lines, int]:
    start = random.randrange(len(lines) - 1)
    count = random.randint(1, min(5, len(lines) - 1 - start))
    return lines[:start] + lines[start + count :], start + 1


def double(lines: Lines, random: Random) -> tuple[Lines, int]:
    at = random.randrange(len(lines))
    return [*lines[: at + 1], lines[at], *lines[at + 1 :]], at + 2


def swap(lines: Lines, random: Random) -> tuple[Lines, int]:
    first, second = sorted(random.sample(range(len(lines)), 2))
    changed = list(lines)
    changed[first], changed[second] = changed[second], changed[first]
    return changed, first + 1


def cut_tail(lines: Lines, random: Random) -> tuple[Lines, int]:
    kept = random.randrange(1, len(lines))
    return lines[:kept], kept


def swap_segments(lines: Lines, random: Random) -> tuple[Lines, int]:
    ends = [0, *(at + 1 for at in seals_in(lines))]
    first, second = sorted(random.sample(range(len(ends) - 1), 2))
    parts = [lines[start:end] for start, end in itertools.pairwise(ends)]
    parts[first], parts[second] = parts[second], parts[first]
    return [line for part in parts for line in part], ends[first] + 1


def change_and_rechain(lines: Lines, random: Random) -> tuple[Lines, int]:
    """An event says something else, and every hash behind it fits."""
    events = [number for number, line in enumerate(lines) if b'"event":"statement"' in line]
    at = random.choice(events)
    changed = list(lines)
    changed[at] = changed[at].replace(b'"rows":2', b'"rows":3')
    return rechained(changed, at), seal_behind(lines, at)


def remove_and_rechain(lines: Lines, random: Random) -> tuple[Lines, int]:
    """An event is gone, and numbers and hashes behind it fit."""
    events = [number for number, line in enumerate(lines) if b'"event":"statement"' in line]
    at = random.choice(events)
    changed = lines[:at] + [
        line.replace(b'"seq":%d,' % number, b'"seq":%d,' % (number - 1)).replace(
            b'"seq":%d}' % number, b'"seq":%d}' % (number - 1)
        )
        for number, line in enumerate(lines[at + 1 :], at + 2)
    ]
    return rechained(changed, at), seal_behind(lines, at) - 1


def move_a_hash(lines: Lines, random: Random) -> tuple[Lines, int]:
    """The one member that is not hashed, to another place in its line."""
    at = random.randrange(len(lines))
    line = lines[at]
    start = line.rindex(b',"hash":"')
    member, rest = line[start : start + 74], line[:start] + line[start + 74 :]
    places = [place for place in range(1, len(rest)) if rest[place : place + 2] in (b',"', b'"}') and place != start]
    place = random.choice(places)
    place += rest[place : place + 1] == b'"'
    return [*lines[:at], rest[:place] + member + rest[place:], *lines[at + 1 :]], at + 1


def resealed(lines: Lines, at: int, change: Callable[[dict[str, Any]], None]) -> Lines:
    fields = signed_fields(json.loads(lines[at]))
    change(fields)
    seq, prev, _, _ = parse_line(lines[at])
    line, _ = chain_fields(fields, seq, prev.decode())
    return rechained([*lines[:at], line[:-1], *lines[at + 1 :]], at + 1)


def seal_with_another_key(lines: Lines, random: Random) -> tuple[Lines, int]:
    at = random.choice(seals_in(lines))

    def forge(fields: dict[str, Any]) -> None:
        fields["key"] = OTHER_KEY.id
        fields["signature"] = OTHER_KEY.sign(SEAL, fields)

    return resealed(lines, at, forge), at + 1


def seal_with_another_key_under_our_name(lines: Lines, random: Random) -> tuple[Lines, int]:
    at = random.choice(seals_in(lines))
    return resealed(lines, at, lambda fields: fields.update(signature=OTHER_KEY.sign(SEAL, fields))), at + 1


def replace_a_seal(lines: Lines, random: Random) -> tuple[Lines, int]:
    """By another one of the same key."""
    first, second = random.sample(seals_in(lines), 2)
    other = signed_fields(json.loads(lines[second]))
    return resealed(lines, first, lambda fields: fields.update(other)), first + 1


def take_a_seal_out(lines: Lines, random: Random) -> tuple[Lines, int]:
    """And chain the rest anew: the next seal does not fit."""
    at = random.choice(seals_in(lines)[:-1])
    changed = lines[:at] + [
        line.replace(b'"seq":%d,' % number, b'"seq":%d,' % (number - 1)).replace(
            b'"seq":%d}' % number, b'"seq":%d}' % (number - 1)
        )
        for number, line in enumerate(lines[at + 1 :], at + 2)
    ]
    return rechained(changed, at), seal_behind(lines, at) - 1


def hand_over_to_oneself(lines: Lines, random: Random) -> tuple[Lines, int]:
    """A handover that our key never signed, and seals of that key behind it."""
    at = seals_in(lines)[0]
    seq, prev, _, _ = parse_line(lines[at])
    thief = SigningKey.generate()
    fields = {
        "old": KEY.id,
        "new": thief.id,
        "new_public": thief.public.raw.hex(),
        "signature": random.randbytes(64).hex(),
    }
    line, _ = chain_fields({"event": "handover", "time": 1.0, **fields}, seq, prev.decode())
    return [*lines[:at], line[:-1]], at + 1


TAMPERINGS: tuple[Tampering, ...] = (
    flip_a_bit, move_a_hash, remove, double, swap, cut_tail, swap_segments, change_and_rechain, remove_and_rechain,
    seal_with_another_key, seal_with_another_key_under_our_name, replace_a_seal, take_a_seal_out, hand_over_to_oneself,
)  # fmt: skip


@pytest.fixture
async def lines(tmp_path: Path) -> Lines:
    return await write_sealed(tmp_path / "audit.jsonl", 60, every=8)


def problem_in(path: Path, changed: Lines, anchored: list[dict[str, Any]]) -> Problem | None:
    write_lines(path, changed)
    return with_anchor(verify_file(path, trusted=KEY.public), path, anchored).first_problem


def test_every_tampering_is_found_and_named_by_position(tmp_path: Path, lines: Lines) -> None:
    path = tmp_path / "changed.jsonl"
    anchored = [signed_fields(json.loads(lines[at])) for at in seals_in(lines)]
    assert problem_in(path, lines, anchored) is None
    random = Random(os.environ.get("TENANTGATE_SEED", "seals"))
    for number in range(COUNT):
        tampering = TAMPERINGS[number % len(TAMPERINGS)]
        changed, line = tampering(list(lines), random)
        if tampering is flip_a_bit:
            path.write_bytes(b"\n".join(changed))
            problem = with_anchor(verify_file(path, trusted=KEY.public), path, anchored).first_problem
        else:
            problem = problem_in(path, changed, anchored)
        assert problem is not None, (number, tampering)
        assert problem.line == line, (number, tampering, line, problem)
