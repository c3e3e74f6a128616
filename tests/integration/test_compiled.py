"""The compiled build (setup.py) does what the Python it was made from does: the same tests, run in a compiled copy."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.harness.missing import missing

ROOT = Path(__file__).resolve().parents[2]
TARGET = ROOT / ".build" / "compiled"
TESTS = [
    "tests/unit/wire",
    "tests/unit/plans",
    "tests/unit/test_relay.py",
    "tests/integration/test_protocol.py",
    "tests/clients/test_psycopg.py",
]


@pytest.mark.timeout(400)
def test_the_hot_path_compiled_passes_its_tests() -> None:
    if shutil.which("gcc") is None:
        missing("a C compiler", "apt-get install gcc libc6-dev python3-dev")
    built = subprocess.run(
        [ROOT / "tests" / "compile", sys.executable, TARGET], capture_output=True, text=True, timeout=300, check=False
    )
    assert built.returncode == 0, built.stderr
    code = "import proxy.postgres.engine as e; assert e.__file__.endswith('.so'), e.__file__"
    subprocess.run([sys.executable, "-c", code], cwd=TARGET, check=True)
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTEST")} | {"TENANTGATE_CORPUS": "none"}
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *TESTS],
        cwd=TARGET, env=environment, capture_output=True, text=True, timeout=200, check=False,
    )  # fmt: skip
    assert run.returncode == 0, run.stdout[-4000:]
