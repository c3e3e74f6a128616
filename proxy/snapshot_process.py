"""A process that reads one policy document for its gateway: `python -m proxy.snapshot_process` (proxy/snapshots.py).

A request comes on standard input. The answer is what is wrong with the document, or its snapshot without tenants and
then the tenants, some in each frame, and an empty one at the end.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

from policy.document import load_policy
from policy.errors import ConfigurationError
from proxy.plans.transport import HEADER, decode, encode

AT_A_TIME = 250  # tenants; one to two milliseconds for who takes them


@dataclass(frozen=True, slots=True)
class Request:
    """Where the document is, and what `load_policy` has to know."""

    path: str
    version: int
    targets: frozenset[str]


def main() -> None:
    """Answer one request."""
    requests, answers = sys.stdin.buffer, sys.stdout.buffer
    request: Request = decode(requests.read(HEADER.unpack(requests.read(HEADER.size))[0]))
    try:
        snapshot = load_policy(Path(request.path), version=request.version, targets=request.targets)
    except ConfigurationError as error:
        _answer(error.problems, answers)
        return
    _answer(replace(snapshot, tenants={}), answers)
    tenants = list(snapshot.tenants.values())
    for start in range(0, len(tenants), AT_A_TIME):
        _answer(tenants[start : start + AT_A_TIME], answers)
    _answer([], answers)


def _answer(message: object, answers: BinaryIO) -> None:
    answers.write(encode(message))
    answers.flush()


if __name__ == "__main__":
    main()
