"""Where tenants stand on their targets: no two may share a place that the isolation takes to be one tenant's own."""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping
from decimal import Context, Decimal
from typing import TypeVar

from policy.model import Isolation, TableRule, Tenant
from policy.problems import Problems, join_key

_K = TypeVar("_K")
_Place = tuple[str, str]
_LONGEST_NUMBER = 100  # digits; longer ones are compared as they are written


def check_places(
    problems: Problems,
    tenants: Mapping[str, Tenant],
    tables: Mapping[str, tuple[TableRule, ...]],
    databases: Mapping[str, str],
) -> None:
    """Note tenants that would see each other's rows. `databases`: each target's own, used when a tenant names none."""
    owners: dict[_Place, Tenant] = {}
    sharers: dict[_Place, Tenant] = {}
    schemas: dict[tuple[_Place, str], Tenant] = {}
    values: dict[tuple[_Place, str], Tenant] = {}
    for tenant in tenants.values():
        place = (tenant.target, tenant.database or databases.get(tenant.target, ""))
        if tenant.isolation is Isolation.DATABASE:
            _claim(problems, owners, place, tenant, "database", "has this database, too")
        elif tenant.isolation is Isolation.SCHEMA:
            sharers.setdefault(place, tenant)
            if tenant.schema is not None:
                _claim(problems, schemas, (place, tenant.schema), tenant, "schema", "has this schema, too")
        else:
            sharers.setdefault(place, tenant)
            key = (place, canonical_value(tenant.value))
            _claim(problems, values, key, tenant, "value", "has this value in the tenant column, too")
    _check_owners(problems, owners, sharers)
    _check_shared_schemas(problems, schemas, values, tables)


def canonical_value(value: str) -> str:
    """Equal for texts that a number's, uuid, bytea or character column would take to be the same value."""
    text = value.strip()
    if re.fullmatch(r"\\x([0-9a-fA-F]{2})+", text):
        return bytes.fromhex(text[2:]).decode("utf-8", "backslashreplace")
    try:
        return str(uuid.UUID(text))
    except ValueError:
        return _as_number(text)


def _as_number(text: str) -> str:
    """A number in one spelling: `1`, `+01`, `1.0`, `1e0`, `0x1` and `1_0` for 10 are read by PostgreSQL's types."""
    plain = text.replace("_", "")
    if len(plain) < _LONGEST_NUMBER and re.fullmatch(r"[+-]?0([xX][0-9a-fA-F]+|[oO][0-7]+|[bB][01]+)", plain):
        plain = str(int(plain, 0))
    if not re.fullmatch(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,4})?", plain, re.ASCII):
        return text
    if len(plain) > _LONGEST_NUMBER:
        return plain.lstrip("+0")
    number = Decimal(plain).normalize(Context(prec=_LONGEST_NUMBER))
    return str(number or 0)


def _claim(problems: Problems, taken: dict[_K, Tenant], key: _K, tenant: Tenant, field: str, message: str) -> None:
    other = taken.setdefault(key, tenant)
    if other is not tenant:
        hint = f"Give each tenant a {field} of its own."
        problems.add(f"{join_key('tenants', tenant.id)}.{field}", f"tenant {other.id} {message}", hint)


def _check_owners(problems: Problems, owners: Mapping[_Place, Tenant], sharers: Mapping[_Place, Tenant]) -> None:
    for place, owner in owners.items():
        if place in sharers:
            problems.add(
                f"{join_key('tenants', owner.id)}.database",
                f"tenant {sharers[place].id} keeps its rows in the same database",
                "Isolation by database gives all of it to one tenant: name another database.",
            )


def _check_shared_schemas(
    problems: Problems,
    schemas: Mapping[tuple[_Place, str], Tenant],
    values: Mapping[tuple[_Place, str], Tenant],
    tables: Mapping[str, tuple[TableRule, ...]],
) -> None:
    """A tenant's own schema must not be one that holds shared tables: it would see all their rows."""
    shared_places = {place for place, _ in values}
    for (place, schema), tenant in schemas.items():
        if place in shared_places and any(rule.schema == schema for rule in tables.get(place[0], ())):
            problems.add(
                f"{join_key('tenants', tenant.id)}.schema",
                f"schema {schema} holds tables that other tenants share",
                "Give the tenant a schema of its own.",
            )
