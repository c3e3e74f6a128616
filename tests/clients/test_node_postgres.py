"""node-postgres through the gateway: node/client.mjs does what an application does."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from admin.demo.people import ALICE, BOB, CAROL, DAVE, Person
from tests.clients.other_language import run_client
from tests.clients.own_rows import orders_of
from tests.harness.demo_business import DemoGateway
from tests.harness.missing import missing

pytestmark = pytest.mark.node

DIRECTORY = Path(__file__).parent / "node"
CHECKS = ("prepared", "transactions", "copy", "cancel", "errors")


def run_node(gateway: DemoGateway, person: Person, *checks: str) -> list[str]:
    node = shutil.which("node")
    if node is None or not (DIRECTORY / "node_modules" / "pg").is_dir():
        missing("Node.js or its package pg", f"apt-get install nodejs npm && (cd {DIRECTORY} && npm ci)")
    command: list[str | Path] = [node, "--no-deprecation", DIRECTORY / "client.mjs"]
    return run_client(command, gateway, person, checks, timeout_s=60)


@pytest.mark.parametrize("check", CHECKS)
def test_what_an_application_does(gateway: DemoGateway, check: str) -> None:
    assert run_node(gateway, ALICE, check) == [f"ok {check}"]


@pytest.mark.parametrize("person", [BOB, CAROL, DAVE], ids=lambda person: person.tenant)
def test_sees_its_own_rows(gateway: DemoGateway, person: Person) -> None:
    said = run_node(gateway, person, "orders", "prepared", "errors")
    assert said == [f"orders {orders_of(gateway, person)}", "ok orders", "ok prepared", "ok errors"]
