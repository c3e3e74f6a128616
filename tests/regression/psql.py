"""Run the pieces of a script through psql, as pg_regress does; a mark behind each tells whose answer it is."""

from __future__ import annotations

import os
import secrets
import select
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tests.regression.script import Piece

SILENCE_S = 300.0  # the longest statement takes a few seconds
# What a session gets in the place of a statement that the other one was refused: an error, which ends a transaction.
FAILS = "refused_by_the_gateway;"


@dataclass(frozen=True, slots=True)
class Answer:
    """What psql printed for one piece, and the SQLSTATE that it ended with."""

    text: str
    sqlstate: str

    @property
    def failed(self) -> bool:
        return self.sqlstate not in ("00000", "02000")


class Hung(Exception):
    """psql has said nothing for long."""


def run_pieces(
    pieces: Sequence[Piece], conninfo: str, environment: Mapping[str, str], left_out: frozenset[int] = frozenset()
) -> list[Answer | None]:
    """One answer for each piece, None where psql came to no mark (in a branch of \\if that it did not take)."""
    mark = f"@@{secrets.token_hex(6)}"
    lines = []
    for number, piece in enumerate(pieces):
        lines.append(FAILS if number in left_out or piece.ambiguous else f"{piece.text}\n{piece.data}".rstrip("\n"))
        lines.append(f"\\r\n\\echo {mark} {number} :SQLSTATE")
    output = _run_psql("\n".join(lines) + "\n", conninfo, environment)
    return _answers(output, mark, len(pieces))


def _run_psql(text: str, conninfo: str, environment: Mapping[str, str]) -> str:
    command = ["psql", "-X", "-q", "-v", "HIDE_TABLEAM=on", "-v", "HIDE_TOAST_COMPRESSION=on", "-d", conninfo]
    with tempfile.TemporaryFile() as script:
        script.write(text.encode())
        script.seek(0)
        process = subprocess.Popen(
            command, stdin=script, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            env={**os.environ, **environment},
        )  # fmt: skip
    assert process.stdout is not None
    output = bytearray()
    while select.select([process.stdout], [], [], SILENCE_S)[0]:
        read = os.read(process.stdout.fileno(), 65_536)
        if not read:
            process.wait()
            return output.decode(errors="replace")
        output += read
    process.kill()
    process.wait()
    raise Hung(output.decode(errors="replace")[-2000:])


def _answers(output: str, mark: str, count: int) -> list[Answer | None]:
    answers: list[Answer | None] = [None] * count
    rest = output
    while True:
        before, found, rest = rest.partition(mark)
        if not found:
            return answers
        line, _, rest = rest.partition("\n")
        number, sqlstate = line.split()
        answers[int(number)] = Answer(before.strip("\n"), sqlstate)
