"""The section `roles` of the policy document: permissions, denials, inheritance, row filters, masks, denied columns."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from types import MappingProxyType

from policy.builtin_roles import BUILTIN_ROLES
from policy.expressions import VALUES_HINT, check_expression
from policy.model import Permission, Role
from policy.names import TablePattern, parse_identifier, parse_table_name
from policy.permissions import CONTROL_ACTIONS, parse_permission, write_permission
from policy.problems import Problems, join_key
from policy.yaml_values import as_flag, as_list, as_mapping, as_text

ROLE_FIELDS = (
    "permissions", "deny", "inherits", "row_filters", "masks", "denied_columns", "description", "replaces_builtin",
)  # fmt: skip
ROLE_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.:-]{0,62}")
MAX_TEXT_CHARS = 1000


def read_roles(problems: Problems, value: object) -> dict[str, Role]:
    """Every role, by name; what is wrong with them goes to `problems`."""
    bodies = as_mapping(problems, "roles", value)
    return {name: read_role_body(problems, join_key("roles", name), name, body) for name, body in bodies.items()}


def read_role_body(problems: Problems, path: str, name: str, body: object) -> Role:
    """One role. name: `analyst`, or `acme/analyst` for a tenant's own. Problems are noted below `path`."""
    fields = as_mapping(problems, path, body)
    problems.unknown_keys(path, fields, ROLE_FIELDS)
    role = Role(
        name,
        read_permissions(problems, f"{path}.permissions", fields.get("permissions")),
        MappingProxyType(_read_filters(problems, f"{path}.row_filters", fields.get("row_filters"))),
        MappingProxyType(_read_masks(problems, f"{path}.masks", fields.get("masks"))),
        MappingProxyType(_read_denied(problems, f"{path}.denied_columns", fields.get("denied_columns"))),
        inherits=read_names(problems, f"{path}.inherits", fields.get("inherits")),
        deny=read_permissions(problems, f"{path}.deny", fields.get("deny"), denied=True),
        description=_description(problems, f"{path}.description", fields.get("description", "")),
        replaces_builtin=_replaces(problems, path, name, fields),
    )
    _check_name(problems, path, role)
    return role


def read_names(problems: Problems, path: str, value: object) -> tuple[str, ...]:
    """A list of role names, each once; whether there are such roles is asked when they are put in force."""
    items = enumerate(as_list(problems, path, value))
    names = [as_text(problems, f"{path}[{index}]", item) for index, item in items]
    return tuple(dict.fromkeys(name for name in names if name is not None))


def read_permissions(problems: Problems, path: str, value: object, *, denied: bool = False) -> frozenset[Permission]:
    """A list of permissions, or of what is denied."""
    found = set()
    for index, item in enumerate(as_list(problems, path, value)):
        text = as_text(problems, f"{path}[{index}]", item)
        if text is None:
            continue
        try:
            permission = parse_permission(text)
        except ValueError as error:
            hint = "See docs/policy.md for the list of permissions."
            problems.add(f"{path}[{index}]", f"permission {text!r}: {error}", hint)
            continue
        if denied and permission.action == "admin" and permission.kind != "gateway":
            hint = "Deny write or *: nothing depends on admin alone."
            problems.add(f"{path}[{index}]", f"denying {text!r} would change nothing", hint)
        found.add(permission)
    return frozenset(found)


def _check_name(problems: Problems, path: str, role: Role) -> None:
    """A tenant's own role gives nothing beyond its tenant."""
    owner, slash, name = role.name.rpartition("/")
    if ROLE_NAME.fullmatch(name) is None or (slash and not owner):
        hint = "Letters, digits and _ . : - , at most 63; TENANT/NAME for a role of one tenant's own."
        problems.add(path, "not a name for a role", hint)
    if not slash:
        return
    for permission in role.permissions:
        if permission.kind in ("gateway", "target") or (permission.kind in CONTROL_ACTIONS and permission.name == "*"):
            text = write_permission(permission)
            hint = "Only roles of nobody's own reach beyond one tenant; write the scope own or children."
            problems.add(f"{path}.permissions", f"{text} is not for a tenant's own role", hint)


def _replaces(problems: Problems, path: str, name: str, fields: Mapping[str, object]) -> bool:
    """A built-in role is not redefined by accident."""
    replaces = as_flag(problems, f"{path}.replaces_builtin", fields.get("replaces_builtin", False))
    if name in BUILTIN_ROLES and not replaces:
        hint = "Say so with `replaces_builtin: true`, or choose another name."
        problems.warn(path, f"{name} replaces the built-in role of this name", hint)
    if replaces and name not in BUILTIN_ROLES:
        problems.add(f"{path}.replaces_builtin", f"there is no built-in role {name}", "Leave it out.")
    return replaces


def _description(problems: Problems, path: str, value: object) -> str:
    if value == "":
        return ""
    text = as_text(problems, path, value) or ""
    if len(text) > MAX_TEXT_CHARS:
        problems.add(path, f"longer than {MAX_TEXT_CHARS} characters", "Say it in a sentence.")
    return text


def _read_filters(problems: Problems, path: str, value: object) -> dict[str, str]:
    filters: dict[str, str] = {}
    for key, body in as_mapping(problems, path, value).items():
        table = _table_key(problems, path, key, filters)
        expression = _expression(problems, join_key(path, key), body)
        if table is not None and expression is not None:
            filters[table] = expression
    return filters


def _read_masks(problems: Problems, path: str, value: object) -> dict[str, Mapping[str, str]]:
    masks: dict[str, Mapping[str, str]] = {}
    for key, body in as_mapping(problems, path, value).items():
        table = _table_key(problems, path, key, masks)
        columns = _read_columns(problems, join_key(path, key), body)
        if table is not None:
            masks[table] = MappingProxyType(columns)
    return masks


def _read_denied(problems: Problems, path: str, value: object) -> dict[str, frozenset[str]]:
    denied: dict[str, frozenset[str]] = {}
    for key, body in as_mapping(problems, path, value).items():
        table = _table_key(problems, path, key, denied)
        here = join_key(path, key)
        texts = [as_text(problems, f"{here}[{i}]", item) for i, item in enumerate(as_list(problems, here, body))]
        columns = {read_identifier(problems, here, text) for text in texts if text is not None}
        if table is not None:
            denied[table] = frozenset(column for column in columns if column is not None)
    return denied


def _read_columns(problems: Problems, path: str, value: object) -> dict[str, str]:
    columns: dict[str, str] = {}
    for key, body in as_mapping(problems, path, value).items():
        column = read_identifier(problems, join_key(path, key), key)
        expression = _expression(problems, join_key(path, key), body)
        if column in columns:
            problems.add(join_key(path, key), f"column {column} stands twice", "Write each column once.")
        if column is not None and expression is not None:
            columns[column] = expression
    return columns


def _table_key(problems: Problems, path: str, key: str, taken: Collection[str]) -> str | None:
    try:
        table = str(TablePattern(*parse_table_name(key)))
    except ValueError as error:
        problems.add(join_key(path, key), str(error), "Filters, masks and the like are written for one table each.")
        return None
    if table in taken:
        problems.add(join_key(path, key), f"{table} stands twice", f"{key} and {table} are the same table.")
    return table


def _expression(problems: Problems, path: str, value: object) -> str | None:
    hint = f"An SQL expression over the table's own columns. {VALUES_HINT}"
    if value is None:
        problems.add(path, "an expression is missing", 'To show NULL instead of a value write "NULL" in quotes.')
        return None
    text = as_text(problems, path, value, hint)
    if text is None:
        return None
    try:
        check_expression(text)
    except ValueError as error:
        problems.add(path, str(error), hint)
        return None
    return text.strip()


def read_identifier(problems: Problems, path: str, text: str) -> str | None:
    try:
        return parse_identifier(text)
    except ValueError as error:
        problems.add(path, str(error), "Names are written as in SQL.")
        return None
