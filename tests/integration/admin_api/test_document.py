"""schemathesis against the OpenAPI document: whatever fits it, or nearly, is answered as it says, and never by a 500.

TENANTGATE_SCHEMATHESIS_EXAMPLES: requests per operation (2).
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis.checks import CHECKS

from admin.cli.main import build_parser
from tests.integration.admin_api.live import live_api
from tests.integration.admin_api.stage import Api

_EXAMPLES = int(os.environ.get("TENANTGATE_SCHEMATHESIS_EXAMPLES", "2"))
# What fits the document's form may still be wrong (a tenant that is not there, two fields that contradict), and the
# services judge many forms that a schema of policy.yaml's fields would have to repeat.
_NOT_PROMISED = (
    "positive_data_acceptance",
    "negative_data_rejection",
    "use_after_free",
    "ensure_resource_availability",
)


@pytest.fixture(scope="module")
def served(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """URL, and an operator's token."""
    with live_api(tmp_path_factory.mktemp("document") / "store.db", template=template) as (url, api):
        yield url, api.token("olga")


_COMMANDS = {
    "tenants": "tenant", "tiers": "tier", "flags": "flag", "roles": "role", "users": "user", "policies": "policy",
    "targets": "target", "sessions": "session", "tokens": "token-revoke", "audit": "store", "compliance": "compliance",
    "changes": "changes",
    "explain": "explain", "health": "healthcheck", "version": "--version",
}  # fmt: skip


async def test_every_area_has_its_command(api: Api) -> None:
    document = (await api.call(None, "GET", "/openapi.json")).json()
    areas = {path.split("/")[2] for path in document["paths"]}
    assert areas == set(_COMMANDS)
    help_text = build_parser().format_help()
    for command in _COMMANDS.values():
        assert re.search(rf"^ +{command}\b", help_text, re.MULTILINE), command


def test_every_operation_keeps_to_the_document(served: tuple[str, str]) -> None:
    url, token = served
    schema = schemathesis.openapi.from_url(f"{url}/v1/openapi.json")
    excluded = [CHECKS.get_one(name) for name in _NOT_PROMISED]
    count = 0
    for result in schema.get_all_operations():
        assert hasattr(result, "ok"), result.err()
        operation = result.ok()
        count += 1

        @given(case=operation.as_strategy())
        @settings(
            max_examples=_EXAMPLES,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
            derandomize=True,
        )
        def keeps(case: Any) -> None:
            case.call_and_validate(headers={"Authorization": f"Bearer {token}"}, excluded_checks=excluded)

        keeps()
    assert count > 53
