"""The limit of open files, in a process of its own: a limit that is lowered cannot be raised again."""

from __future__ import annotations

import subprocess
import sys

import pytest

SCRIPT = """
import logging, resource, sys
from pathlib import Path
from proxy.config import GatewayConfig, LimitsConfig, TargetConfig
from proxy.open_files import allow_open_files
logging.basicConfig(stream=sys.stdout, format="%(message)s %(allowed)d of %(needed)d")
soft, hard = map(int, sys.argv[1:])
resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
target = TargetConfig("main", "127.0.0.1", 5432, "shop", "shop", max_backends=100)
allow_open_files(GatewayConfig(Path("policy.yaml"), targets={"main": target}, limits=LimitsConfig(max_connections=300)))
print(*resource.getrlimit(resource.RLIMIT_NOFILE))
"""


@pytest.mark.parametrize(
    ("before", "says", "after"),
    [
        ((100, 1000), "", (464, 1000)),
        ((500, 1000), "", (500, 1000)),
        ((100, 200), "(ulimit -Hn) 200 of 464", (200, 200)),
    ],
)
def test_the_limit_is_raised_as_far_as_it_goes(before: tuple[int, int], says: str, after: tuple[int, int]) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, *map(str, before)], capture_output=True, text=True, check=True, timeout=60
    )
    *warnings, limits = done.stdout.splitlines()
    assert limits == f"{after[0]} {after[1]}"
    assert says in "".join(warnings)
    assert bool(warnings) == bool(says)
