"""The words of permissions: `table:orders:read`, `database:*`, `schema:*:ddl`, `gateway:*:read`.

Text to `Permission` and back; what a permission grants is decided in `policy/rbac.py`.
"""

from __future__ import annotations

from policy.model import Permission
from policy.names import parse_table_pattern
from policy.problems import did_you_mean

ACTIONS: dict[str, tuple[str, ...]] = {
    "database": ("read", "write", "admin", "*"),
    "schema": ("ddl",),
    "table": ("read", "write", "admin", "copy", "*"),
    "gateway": ("read", "admin"),
}


def parse_permission(text: str) -> Permission:
    """A permission in its canonical form. Raises ValueError with what is wrong and how to write it."""
    kind, colon, rest = text.partition(":")
    if kind not in ACTIONS:
        raise ValueError(f"unknown kind {kind!r}. {did_you_mean(kind, ACTIONS)}")
    if (kind, rest) == ("database", "*"):
        return Permission("database", "*", "*")
    name, middle, action = rest.rpartition(":")
    if not colon or not middle or not name:
        raise ValueError(f"write it as {kind}:NAME:ACTION, for example {_example(kind)}")
    if action not in ACTIONS[kind]:
        raise ValueError(f"unknown action {action!r} for {kind}. {did_you_mean(action, ACTIONS[kind])}")
    if kind == "table":
        return Permission(kind, str(parse_table_pattern(name)), action)
    if name != "*":
        raise ValueError(f"{kind} permissions are given for all: write {_example(kind)}")
    return Permission(kind, "*", action)


def _example(kind: str) -> str:
    return "table:orders:read" if kind == "table" else f"{kind}:*:{ACTIONS[kind][0]}"
