"""Checks of values that a plan leaves to the moment of use: the tenant column may only get the session's tenant.

A plan names no tenant, so literals and parameters that an INSERT gives for the tenant column are compared here.
Anything that does not compare equal is refused, whatever the reason.
"""

from __future__ import annotations

import struct
import uuid

from policy.sql.plan import Plan
from proxy.postgres.errors import foreign_tenant
from proxy.postgres.wire import messages

_TEXT_TYPES = frozenset({"text", "character varying", "name", "citext"})
_INTEGER_FORMATS = {"smallint": struct.Struct("!h"), "integer": struct.Struct("!i"), "bigint": struct.Struct("!q")}
# OIDs a client may declare for such a parameter: with others the same bytes could mean another value.
_UNSPECIFIED, _TEXT, _VARCHAR, _UNKNOWN, _UUID = 0, 25, 1043, 705, 2950
_DECLARABLE = {
    "text": {_TEXT, _VARCHAR, _UNKNOWN},
    "character varying": {_TEXT, _VARCHAR, _UNKNOWN},
    "smallint": {21},
    "integer": {23},
    "bigint": {20},
    "uuid": {_UUID},
}


def check_parameter_types(plan: Plan, types: bytes) -> None:
    """Declared types (count and OIDs of a Parse) of checked parameters are the column's. Raises AccessDenied."""
    if not plan.parameter_checks:
        return
    oids = struct.unpack(f"!{(len(types) - 2) // 4}I", types[2:])
    for check in plan.parameter_checks:
        declared = oids[check.number - 1] if check.number <= len(oids) else _UNSPECIFIED
        if declared != _UNSPECIFIED and declared not in _DECLARABLE.get(check.type_name, set()):
            raise foreign_tenant()


def check_parameters(plan: Plan, bind: bytes, rest: int, tenant: str) -> None:
    """Parameters for the tenant column equal the tenant's value. Raises AccessDenied."""
    for check in plan.parameter_checks:
        found = messages.bind_parameter(bind, rest, check.number)
        if found is None or found[1] is None or not _equals(found[0], found[1], check.type_name, tenant):
            raise foreign_tenant()


def _equals(format_code: int, value: bytes, type_name: str, tenant: str) -> bool:
    if format_code == 0 or type_name in _TEXT_TYPES:
        return value == tenant.encode()
    if format_code != 1:
        return False
    if type_name in _INTEGER_FORMATS:
        integer = _INTEGER_FORMATS[type_name]
        return len(value) == integer.size and str(integer.unpack(value)[0]) == tenant
    if type_name == "uuid":
        return len(value) == 16 and str(uuid.UUID(bytes=value)) == tenant.lower()
    return False
