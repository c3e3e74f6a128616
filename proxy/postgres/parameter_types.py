"""Types that a client declares for its parameters (Parse): some would make the target convert guarded columns.

In `bigint_column = $1` with $1 declared as oid PostgreSQL converts the column, also of rows that the guard is about to
drop, and its error then tells of them. Drivers do not do this; whoever does is refused. So is a parameter of a user's
type that would make PostgreSQL choose an operator or cast which nobody has reviewed (policy/sql/user_code.py).
"""

from __future__ import annotations

import struct

from policy.errors import AccessDenied, UnsupportedStatement
from policy.sql.column_families import RISKY_PARAMETER_TYPES
from policy.sql.plan import Plan

_CATALOGS = ("pg_catalog.", "information_schema.")


def check_declared_types(plan: Plan, types: bytes) -> None:
    """`types`: count and OIDs as in a Parse. Raises UnsupportedStatement."""
    if len(types) <= 2:
        return
    declared = struct.unpack(f"!{(len(types) - 2) // 4}I", types[2:])
    if not plan.refused_parameter_types.isdisjoint(declared):
        raise AccessDenied(
            "a parameter's type has user-defined operators or casts, which run code",
            hint="Leave the parameter's type to the server, or declare it as text.",
        )
    if RISKY_PARAMETER_TYPES.isdisjoint(declared):
        return
    if any(not relation.startswith(_CATALOGS) for relation in plan.relations):
        raise UnsupportedStatement(
            "a parameter of an object identifier type cannot be used here",
            hint="Leave the parameter's type to the server, or declare it as bigint.",
        )
