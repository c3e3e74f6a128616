"""A gateway whose tenants have quotas, before the demo's data: one tenant for each thing that a test asks, so that no
test finds what another has used."""

from __future__ import annotations

from typing import Any

import psycopg
import yaml

from admin.demo.people import Person
from admin.demo.policy import TARGET
from tests.harness.demo_business import DemoGateway


def policy_with(policy: str, quotas: dict[str, dict[str, Any]]) -> str:
    """The policy with these quotas: of tenants that it has, or of further ones in its shared tables."""
    document = yaml.safe_load(policy)
    for tenant, limits in quotas.items():
        body = document["tenants"].setdefault(tenant, {"isolation": "shared", "target": TARGET})
        body["quotas"] = limits
    return yaml.safe_dump(document)


class MeteredGateway(DemoGateway):
    """Besides the demo's people, somebody of each tenant: `someone("tenant")`."""

    def __init__(
        self, demo: DemoGateway, quotas: dict[str, dict[str, Any]], settings: dict[str, dict[str, Any]] | None = None
    ) -> None:
        target = demo._targets[TARGET]
        super().__init__(demo.server, str(target["password"]))
        self.policy_path.write_text(policy_with(self.policy_path.read_text(), quotas))
        self.write_config(settings or {})

    def someone(self, tenant: str, name: str = "someone") -> Person:
        person = Person(name, tenant, ("app",), "a user of a tenant with quotas")
        self.tokens[name] = self.token_of(person)
        return person

    def session(self, tenant: str, name: str = "someone", **options: str | int) -> psycopg.Connection[tuple[Any, ...]]:
        """An ordinary psycopg connection, each statement a transaction of its own, whose notices are in `.notices`."""
        connection = psycopg.connect(self.conninfo_of(self.someone(tenant, name), None, **options), autocommit=True)
        notices: list[str] = []
        connection.add_notice_handler(lambda told: notices.append(told.message_primary or ""))
        connection.notices = notices  # type: ignore[attr-defined]
        return connection
