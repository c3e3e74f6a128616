"""What a test does when the machine lacks something it needs: skip with the install line, but fail in CI."""

from __future__ import annotations

import os
from typing import NoReturn

import pytest


def in_ci() -> bool:
    return os.environ.get("CI", "").lower() in {"1", "true", "yes"}


def missing(what: str, install: str) -> NoReturn:
    """End the test: a skip on a developer's machine, a failure in CI."""
    reason = f"{what} is missing; install it with: {install}"
    if in_ci():
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)
