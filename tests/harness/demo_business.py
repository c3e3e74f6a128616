"""The demo's business for tests: its people with tokens, behind a gateway, with the database itself to compare."""

from __future__ import annotations

import secrets
from typing import Any

import psycopg

from admin.demo.people import PEOPLE, Person
from admin.demo.policy import TARGET, policy_text
from admin.demo.schema import GATEWAY_ROLE, SHOP, load_demo
from tests.harness.gateway import GatewayProcess
from tests.harness.postgres import PostgresServer
from tests.harness.tokens import Issuer


class DemoGateway(GatewayProcess):
    """A gateway before the demo's data on one server; loads them into it once.

    `tokens` holds each person's JWT by name; `server` is the PostgreSQL itself, past the gateway.
    """

    def __init__(self, server: PostgresServer, password: str) -> None:
        target: dict[str, object] = {
            "host": server.host, "port": server.port, "database": SHOP,
            "user": GATEWAY_ROLE, "password": password, "tls": "disable",
        }  # fmt: skip
        super().__init__(targets={TARGET: target}, policy=policy_text(), issuer=Issuer())
        self.server = server
        self.tokens = {person.name: self.token_of(person) for person in PEOPLE}

    def token_of(self, person: Person, **claims: Any) -> str:
        return self.issuer.token(
            person.name, person.tenant, person.roles, **{**dict[str, Any](person.claims), **claims}
        )

    def conninfo_of(self, person: Person, database: str | None = None, **options: str | int) -> str:
        return self.conninfo(person.name, self.tokens[person.name], database or person.tenant, **options)

    def connect(
        self, person: Person, database: str | None = None, *, autocommit: bool = False, **options: str | int
    ) -> psycopg.Connection[tuple[Any, ...]]:
        """An ordinary psycopg connection as one person."""
        return psycopg.connect(self.conninfo_of(person, database, **options), autocommit=autocommit)


def demo_gateway(server: PostgresServer) -> DemoGateway:
    """Load the demo's data into a fresh server and return a gateway (not started) before it."""
    password = secrets.token_urlsafe(12)
    load_demo(server.conninfo(), password)
    return DemoGateway(server, password)
