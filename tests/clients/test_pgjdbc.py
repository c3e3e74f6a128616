"""pgJDBC through the gateway: java/Pgjdbc.java does what an application does, and says of each part whether it was
right. `java Pgjdbc.java` compiles it on the way, so several parts run in one process."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from admin.demo.people import ALICE, BOB, CAROL, DAVE, Person
from tests.clients.other_language import run_client
from tests.clients.own_rows import orders_of
from tests.harness.demo_business import DemoGateway
from tests.harness.missing import missing

pytestmark = pytest.mark.java

PROGRAM = Path(__file__).parent / "java" / "Pgjdbc.java"
DRIVER = Path("/usr/share/java/postgresql.jar")
CHECKS = ("prepared", "cursor", "transactions", "copy", "cancel", "errors", "metadata")


def run_java(gateway: DemoGateway, person: Person, *checks: str) -> list[str]:
    java = shutil.which("java")
    if java is None or not DRIVER.exists():
        missing("a JDK or pgJDBC", "apt-get install default-jdk-headless libpostgresql-jdbc-java")
    command: list[str | Path] = [java, "-XX:TieredStopAtLevel=1", "-cp", DRIVER, PROGRAM]
    return run_client(command, gateway, person, checks, timeout_s=100)


def test_all_that_an_application_does(gateway: DemoGateway) -> None:
    assert run_java(gateway, ALICE, *CHECKS) == [f"ok {check}" for check in CHECKS]


@pytest.mark.parametrize("person", [BOB, CAROL, DAVE], ids=lambda person: person.tenant)
def test_sees_its_own_rows(gateway: DemoGateway, person: Person) -> None:
    said = run_java(gateway, person, "orders", "prepared", "errors")
    assert said == [f"orders {orders_of(gateway, person)}", "ok orders", "ok prepared", "ok errors"]
