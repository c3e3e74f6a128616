"""A run in several processes: each has databases and a gateway of its own, and every so many-th case."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

_EXIT_CODES = (0, 1)  # of a part that ran, see `tenantgate prove --help`


def run_parts(command: Sequence[str], jobs: int, statements: int, state: Path) -> list[Path] | None:
    """Run `tenantgate prove` with the given command line in so many processes. Return their state files; None when one
    could not run, which then says why. SIGINT and SIGTERM are handed on."""
    files = [state.with_name(f"{state.name}.{index}") for index in range(jobs)]
    shares = [statements // jobs + (index < statements % jobs) for index in range(jobs)]
    processes = [
        subprocess.Popen(
            [
                *(sys.executable, "-m", "admin.cli.main", *command, "--jobs", "1", "--part", f"{index}/{jobs}"),
                *("--statements", str(share), "--state", str(file)),
            ],
            stdout=subprocess.DEVNULL,
        )
        for index, (share, file) in enumerate(zip(shares, files, strict=True))
    ]

    def hand_on(number: int, _frame: FrameType | None) -> None:
        for process in processes:
            process.send_signal(number)

    before = {number: signal.signal(number, hand_on) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        codes = [process.wait() for process in processes]
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    ran = all(code in _EXIT_CODES or file.exists() for code, file in zip(codes, files, strict=True))
    return files if ran else None
