"""Types that a client may not declare for its parameters."""

from __future__ import annotations

import struct

import pytest

from policy.errors import AccessDenied, UnsupportedStatement
from policy.sql.plan import Plan, StatementKind
from proxy.postgres.parameter_types import check_declared_types


def plan(*refused: int, relation: str = "public.orders") -> Plan:
    return Plan(StatementKind.READ, "SELECT", (), "", relations=(relation,), refused_parameter_types=frozenset(refused))


def types(*oids: int) -> bytes:
    return struct.pack(f"!H{len(oids)}I", len(oids), *oids)


def test_undeclared_and_plain_types_are_fine() -> None:
    for declared in (b"\0\0", types(), types(0), types(23, 25, 16400)):
        check_declared_types(plan(16500), declared)


def test_types_with_unreviewed_code() -> None:
    with pytest.raises(AccessDenied) as caught:
        check_declared_types(plan(16500), types(23, 16500))
    assert caught.value.sqlstate == "42501"


def test_object_identifiers_over_tables() -> None:
    with pytest.raises(UnsupportedStatement):
        check_declared_types(plan(), types(26))
    check_declared_types(plan(relation="pg_catalog.pg_class"), types(26))
