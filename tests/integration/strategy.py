"""One tenant for each isolation strategy, how to be somebody of it, and what the server itself says of its data."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import psycopg
import yaml

from admin.demo.people import ALICE, CAROL, DAVE, Person
from admin.demo.schema import GATEWAY_ROLE
from tests.harness.demo_business import DemoGateway

Connection = psycopg.Connection[tuple[Any, ...]]
Rows = list[tuple[Any, ...]]


@dataclass(frozen=True, slots=True)
class Strategy:
    """One tenant. `place`: database and schema of its data; `rows`: which rows of its tables are its own."""

    name: str
    person: Person
    database: str
    schema: str
    rows: str = "true"


SHARED = Strategy("shared", ALICE, "shop", "public", "tenant_id = 'acme'")
SCHEMA = Strategy("schema", CAROL, "shop", "initech")
DATABASE = Strategy("database", DAVE, "umbrella", "public")
STRATEGIES = (SHARED, SCHEMA, DATABASE)


class Policy:
    """The gateway's policy document, to be changed; put back afterwards."""

    def __init__(self, gateway: DemoGateway) -> None:
        self.gateway = gateway
        self._text = gateway.policy_path.read_text()
        self.document: dict[str, Any] = yaml.safe_load(self._text)

    def apply(self) -> None:
        self._write(yaml.safe_dump(self.document))

    def restore(self) -> None:
        self._write(self._text)

    def _write(self, text: str) -> None:
        self.gateway.policy_path.write_text(text)
        before = self.gateway.log.count('"reloaded"')
        self.gateway.reload()
        deadline = time.monotonic() + 5
        while self.gateway.log.count('"reloaded"') == before:
            assert time.monotonic() < deadline, self.gateway.log[-2000:]
            time.sleep(0.01)


def connect(gateway: DemoGateway, strategy: Strategy, roles: tuple[str, ...], **claims: Any) -> Connection:
    person = strategy.person
    token = gateway.issuer.token(person.name, person.tenant, roles, **claims)
    return psycopg.connect(gateway.conninfo(person.name, token, person.tenant), autocommit=True)


@contextlib.contextmanager
def may_create(gateway: DemoGateway, strategy: Strategy) -> Iterator[None]:
    """The gateway's role may create in the tenant's schema while this is open."""
    what = f"CREATE ON SCHEMA {strategy.schema}"
    gateway.server.execute(f"GRANT {what} TO {GATEWAY_ROLE}", strategy.database)
    try:
        yield
    finally:
        gateway.server.execute(f"REVOKE {what} FROM {GATEWAY_ROLE}", strategy.database)


def sqlstate_of(connection: Connection, statement: str, *, prepare: bool = False) -> str | None:
    """What a statement is refused with, None when it is not."""
    try:
        connection.execute(statement.encode(), prepare=prepare)
    except psycopg.Error as error:
        return error.sqlstate
    return None


def one(connection: Connection, statement: str) -> Any:
    row = connection.execute(statement.encode()).fetchone()
    assert row is not None
    return row[0]


def own_notes(gateway: DemoGateway, strategy: Strategy, condition: str) -> int:
    """How many of the tenant's notes there are in truth."""
    query = f"SELECT count(*) FROM {strategy.schema}.notes WHERE {strategy.rows} AND {condition}"
    return int(gateway.server.execute(query, strategy.database)[0][0])


def others(gateway: DemoGateway, strategy: Strategy) -> Rows:
    """A fingerprint of everybody else's notes and orders."""
    places = {
        ("shop", "public", f"NOT ({SHARED.rows})"),
        ("shop", "public", SHARED.rows),
        ("shop", "initech", "true"),
        ("umbrella", "public", "true"),
    }
    own = (strategy.database, strategy.schema, strategy.rows)
    found: Rows = []
    for database, schema, rows in sorted(places - {own}):
        for table in ("notes", "orders"):
            query = (
                f"SELECT count(*), md5(string_agg(t::text, '|' ORDER BY t::text)) FROM {schema}.{table} t WHERE {rows}"
            )
            found += gateway.server.execute(query, database)
    return found
