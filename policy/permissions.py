"""The words of permissions: `table:orders:read`, `database:*`, `column:orders.card:read`, `tenant:children:use` …

Text to `Permission` and back. What a permission grants on the data plane is decided in `policy/rbac.py`, on the control
plane by the API.
"""

from __future__ import annotations

from policy.model import Permission
from policy.names import TablePattern, parse_identifier, parse_table_name, parse_table_pattern, write_identifier
from policy.problems import did_you_mean

_OF_TABLES = ("read", "select", "insert", "update", "delete", "write", "admin", "copy")
_CONTROL = ("read", "write", "*")
SCOPES = ("own", "children", "*")

DATA_ACTIONS: dict[str, tuple[str, ...]] = {
    "database": (*_OF_TABLES, "explain", "call", "*"),
    "schema": ("ddl",),
    "table": (*_OF_TABLES, "*"),
    "column": ("read",),
    "function": ("call",),
    "gateway": ("read", "admin"),
}
CONTROL_ACTIONS: dict[str, tuple[str, ...]] = {
    "tenant": ("read", "write", "use", "*"),  # use: sessions of the data plane, in children
    "user": _CONTROL,  # assignments
    "role": _CONTROL,
    "policy": _CONTROL,
    "quota": _CONTROL,
    "flag": _CONTROL,
    "session": _CONTROL,
    "token": _CONTROL,
    "target": _CONTROL,
    "audit": _CONTROL,
    "compliance": _CONTROL,
}
ACTIONS: dict[str, tuple[str, ...]] = DATA_ACTIONS | CONTROL_ACTIONS

_EXAMPLES = {
    "database": "database:*:read",
    "schema": "schema:*:ddl",
    "table": "table:orders:read",
    "column": "column:orders.total:read",
    "function": "function:format_money:call",
    "gateway": "gateway:*:read",
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
    return Permission(kind, _name(kind, name), action)


def write_permission(permission: Permission) -> str:
    """The text that `parse_permission` reads as this permission."""
    if permission == Permission("database", "*", "*"):
        return "database:*"
    return f"{permission.kind}:{permission.name}:{permission.action}"


def parse_column(name: str) -> tuple[str, str, str]:
    """(schema, table, column) of `orders.total` or `sales.orders.total`. Raises ValueError."""
    cut = _last_dot(name)
    if cut <= 0:
        raise ValueError(f"{name!r} is not the name of a column; write table.column or schema.table.column")
    return *parse_table_name(name[:cut]), parse_identifier(name[cut + 1 :])


def _name(kind: str, name: str) -> str:
    if kind == "table":
        return str(parse_table_pattern(name))
    if kind == "column":
        schema, table, column = parse_column(name)
        return f"{TablePattern(schema, table)}.{write_identifier(column)}"
    if kind == "function":
        return str(parse_table_pattern(name))
    if kind in CONTROL_ACTIONS:
        if name not in SCOPES:
            raise ValueError(f"unknown scope {name!r}. {did_you_mean(name, SCOPES)}")
    elif name != "*":
        raise ValueError(f"{kind} permissions are given for all: write {_example(kind)}")
    return name


def _last_dot(name: str) -> int:
    """Of the dots outside of double quotes; -1 when there is none."""
    quoted, found = False, -1
    for at, character in enumerate(name):
        quoted ^= character == '"'
        if character == "." and not quoted:
            found = at
    return found


def _example(kind: str) -> str:
    return _EXAMPLES.get(kind, f"{kind}:own:{ACTIONS[kind][0]}")
