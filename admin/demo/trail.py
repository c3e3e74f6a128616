"""The audit events of one tour: found in the log by the tour's application name, compared with what was asked, and
verified with `tenantgate audit verify`, as anyone who has the file can."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from admin.demo.tour import Outcome
from proxy.audit.sealing import SEAL_MARK

PATIENCE_S = 5.0  # the gateway writes its events in batches, a few milliseconds later
SEAL_PATIENCE_S = 60.0  # a seal comes after two seconds

Event = dict[str, Any]


def collect(log: Path, application: str, expected: int) -> list[Event]:
    """Return the events of this application, waiting a little until `expected` statements are there."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        events = _of_application(_read(log), application)
        found = sum(event["event"] == "statement" for event in events)
        if found >= expected or time.monotonic() > deadline:
            return events
        time.sleep(0.05)


def _of_application(events: Sequence[Event], application: str) -> list[Event]:
    """Return the events of its sessions; the session is what a login has in common with its statements."""
    sessions = {event["session"] for event in events if event.get("application") == application}
    return [event for event in events if event.get("session") in sessions]


def compare(events: Sequence[Event], outcomes: Sequence[Outcome]) -> str | None:
    """Say in which way the events are not exactly those of these outcomes, None when they are."""
    asked = [(o.person.name, o.person.tenant, o.statement, bool(o.error)) for o in outcomes if o.statement]
    kept = [
        (event["subject"], event["tenant"], event["statement"], event["outcome"] != "ok")
        for event in events
        if event["event"] == "statement"
    ]
    for number, (want, got) in enumerate(zip(asked, kept, strict=False), start=1):
        if want != got:
            return f"statement {number}: asked {want}, audited {got}"
    if len(asked) != len(kept):
        return f"{len(asked)} statements were asked and {len(kept)} audited"
    return None


def verify(log: Path, public_key: Path) -> tuple[bool, str]:
    """Run `tenantgate audit verify` on a copy of the file (the gateway goes on writing it): (fits, what it says).

    First waits for a seal behind what is there.
    """
    before, deadline = len(_whole_lines(log)), time.monotonic() + SEAL_PATIENCE_S
    while not any(SEAL_MARK in line for line in _whole_lines(log)[before - 1 :]) and time.monotonic() < deadline:
        time.sleep(0.05)
    with tempfile.TemporaryDirectory() as directory:
        return _verify(_whole_lines(log), Path(directory) / log.name, "--public-key", str(public_key))


def verify_without_one(log: Path) -> tuple[bool, str]:
    """The same with one line taken out of the middle, which must be noticed."""
    lines = _whole_lines(log)
    with tempfile.TemporaryDirectory() as directory:
        return _verify([*lines[: len(lines) // 2], *lines[len(lines) // 2 + 1 :]], Path(directory) / log.name)


def _verify(lines: list[bytes], path: Path, *options: str) -> tuple[bool, str]:
    path.write_bytes(b"".join(lines))
    command = [sys.executable, "-m", "admin.cli.main", "audit", "verify", *options, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    said = (done.stdout.strip() or done.stderr.strip() or "nothing").replace(f"{path.parent}/", "")
    return done.returncode == 0, said.splitlines()[0]


def _whole_lines(log: Path) -> list[bytes]:
    return [line for line in log.read_bytes().splitlines(keepends=True) if line.endswith(b"\n")]


def _read(log: Path) -> list[Event]:
    if not log.exists():
        return []
    return [json.loads(line) for line in _whole_lines(log)]
