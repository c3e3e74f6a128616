"""Is it on a lane? Which statement rides is decided by how fast it ran, so tests run it until it does."""

from __future__ import annotations

import re
import time
import urllib.request
from collections.abc import Callable
from typing import TypeVar

import pytest

from tests.harness.demo_business import DemoGateway
from tests.harness.gateway import lanes_are_off

Result = TypeVar("Result")


def metrics_of(gateway: DemoGateway) -> str:
    """What /metrics says."""
    with urllib.request.urlopen(f"http://127.0.0.1:{gateway.admin_port}/metrics") as answer:
        text: str = answer.read().decode()
    return text


def lane_requests(gateway: DemoGateway) -> int:
    """Statements that lanes took since the gateway's start."""
    found = re.search(r"^tenantgate_lane_requests_total ([\d.]+)", metrics_of(gateway), re.MULTILINE)
    assert found is not None
    return int(float(found[1]))


def until_on_a_lane(gateway: DemoGateway, run: Callable[[], Result], within_s: float = 40.0) -> Result:
    """Run a statement until lanes took it, and give its last result.

    It may take seconds: a pool that has lacked backends opens no lane for a while, and a busy machine is slow.
    """
    if lanes_are_off():
        pytest.skip("lanes are off")
    deadline = time.monotonic() + within_s
    while True:
        before = lane_requests(gateway)
        result = run()
        if lane_requests(gateway) > before:
            return result
        assert time.monotonic() < deadline, "it rides on no lane"
        time.sleep(0.02)
