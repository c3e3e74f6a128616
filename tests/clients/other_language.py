"""A client program in another language, run against the gateway; it prints `ok NAME` for each check that was right."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

from admin.demo.people import Person
from tests.harness.demo_business import DemoGateway


def run_client(
    command: Sequence[str | Path], gateway: DemoGateway, person: Person, checks: Sequence[str], *, timeout_s: float
) -> list[str]:
    """Run `command PORT DATABASE USER CA_FILE CHECK...` with the token in TOKEN; return all lines that it printed."""
    done = subprocess.run(
        [*command, str(gateway.port), person.tenant, person.name, str(gateway.ca_file), *checks],
        env={"TOKEN": gateway.tokens[person.name], "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return [line for line in (done.stdout + done.stderr).splitlines() if line.strip()]
