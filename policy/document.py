"""The policy document: `policy.yaml` to a `Snapshot`, with every error of the file reported at once.

Sections: `tenants`, `roles`, `tables`, `functions`; docs/policy.md describes them. What does not fit is refused: an
unknown key, a permission word that nobody knows, two tenants that would share one place on a target.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from pathlib import Path
from types import MappingProxyType

from policy.document_functions import read_functions
from policy.document_tenants import read_tenants
from policy.errors import ConfigurationError
from policy.expressions import VALUES_HINT, check_expression
from policy.model import Permission, Role, TableClass, TableRule, Tenant
from policy.names import DEFAULT_SCHEMA, TablePattern, parse_identifier, parse_table_name
from policy.permissions import parse_permission
from policy.placement import check_places
from policy.problems import Problems, did_you_mean, join_key
from policy.snapshot import Snapshot
from policy.strict_yaml import MAX_BYTES, StrictYamlError, parse_strict_yaml
from policy.yaml_values import as_list, as_mapping, as_text

_FLAGS = {"global": TableClass.GLOBAL, "denied": TableClass.DENIED, "sequence": TableClass.SEQUENCE}
_SECTIONS = ("tenants", "roles", "tables", "functions")
_ROLE_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.:-]{0,62}")


def load_policy(
    path: Path, *, version: int, targets: Collection[str], databases: Mapping[str, str] | None = None
) -> Snapshot:
    """Read and parse a policy file; see `parse_policy`."""
    try:
        if path.stat().st_size > MAX_BYTES:
            raise StrictYamlError(f"larger than {MAX_BYTES // 1024 // 1024} MB")
        text = path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise ConfigurationError(((str(path), f"cannot be read: {reason}", "The policy is a UTF-8 text."),)) from None
    return parse_policy(text, version=version, targets=targets, databases=databases, source=path.name)


def parse_policy(
    text: str,
    *,
    version: int,
    targets: Collection[str],
    databases: Mapping[str, str] | None = None,
    source: str = "policy",
) -> Snapshot:
    """A snapshot of the document. Raises ConfigurationError with all problems.

    targets: the names that tenants may use. databases: each target's own database, so that a tenant that names it
    and one that leaves it out are known to be in the same place.
    """
    problems = Problems()
    try:
        document = parse_strict_yaml(text)
    except StrictYamlError as error:
        where = f"line {error.line}: " if error.line else ""
        problems.add(source, where + str(error), "Indent with spaces; quote words with special characters.")
        document = None
    problems.raise_if_any()
    sections = as_mapping(problems, "", document)
    if not sections and not problems.found:
        problems.add(source, "the document is empty", "See docs/policy.md for an example.")
    problems.unknown_keys("", sections, _SECTIONS)
    tenants = read_tenants(problems, sections.get("tenants"), targets)
    roles = _read_roles(problems, sections.get("roles"))
    tables = _read_tables(problems, sections.get("tables"), targets)
    functions = read_functions(problems, sections.get("functions"), targets)
    check_places(problems, tenants, tables, databases or {})
    _check_own_schemas(problems, tenants, roles)
    problems.raise_if_any()
    return Snapshot(
        version,
        MappingProxyType(tenants),
        MappingProxyType(roles),
        MappingProxyType(tables),
        MappingProxyType(functions),
    )


def _read_roles(problems: Problems, value: object) -> dict[str, Role]:
    roles: dict[str, Role] = {}
    for name, body in as_mapping(problems, "roles", value).items():
        path = join_key("roles", name)
        if _ROLE_NAME.fullmatch(name) is None:
            problems.add(path, "not a name for a role", "Letters, digits and _ . : - , at most 63.")
        fields = as_mapping(problems, path, body)
        problems.unknown_keys(path, fields, ("permissions", "row_filters", "masks", "denied_columns"))
        roles[name] = Role(
            name,
            _read_permissions(problems, f"{path}.permissions", fields.get("permissions")),
            MappingProxyType(_read_filters(problems, f"{path}.row_filters", fields.get("row_filters"))),
            MappingProxyType(_read_masks(problems, f"{path}.masks", fields.get("masks"))),
            MappingProxyType(_read_denied(problems, f"{path}.denied_columns", fields.get("denied_columns"))),
        )
    return roles


def _read_permissions(problems: Problems, path: str, value: object) -> frozenset[Permission]:
    found = set()
    for index, item in enumerate(as_list(problems, path, value)):
        text = as_text(problems, f"{path}[{index}]", item)
        if text is None:
            continue
        try:
            found.add(parse_permission(text))
        except ValueError as error:
            hint = "See docs/policy.md for the list of permissions."
            problems.add(f"{path}[{index}]", f"permission {text!r}: {error}", hint)
    return frozenset(found)


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
        columns = {_identifier(problems, here, text) for text in texts if text is not None}
        if table is not None:
            denied[table] = frozenset(column for column in columns if column is not None)
    return denied


def _read_columns(problems: Problems, path: str, value: object) -> dict[str, str]:
    columns: dict[str, str] = {}
    for key, body in as_mapping(problems, path, value).items():
        column = _identifier(problems, join_key(path, key), key)
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


def _identifier(problems: Problems, path: str, text: str) -> str | None:
    try:
        return parse_identifier(text)
    except ValueError as error:
        problems.add(path, str(error), "Names are written as in SQL.")
        return None


def _read_tables(problems: Problems, value: object, targets: Collection[str]) -> dict[str, tuple[TableRule, ...]]:
    tables: dict[str, tuple[TableRule, ...]] = {}
    for target, body in as_mapping(problems, "tables", value).items():
        path = join_key("tables", target)
        if target not in targets:
            problems.add(path, f"unknown target {target!r}", did_you_mean(target, targets))
        rules: dict[tuple[str, str], TableRule] = {}
        for key, rule_body in as_mapping(problems, path, body).items():
            rule = _read_rule(problems, path, key, rule_body)
            if rule is not None and (rule.schema, rule.name) in rules:
                problems.add(
                    join_key(path, key), "the same table stands twice", f"Without a schema it is {DEFAULT_SCHEMA}."
                )
            elif rule is not None:
                rules[rule.schema, rule.name] = rule
        tables[target] = tuple(rules.values())
    return tables


def _read_rule(problems: Problems, path: str, key: str, value: object) -> TableRule | None:
    here = join_key(path, key)
    fields = as_mapping(problems, here, value)
    problems.unknown_keys(here, fields, ("tenant_column", "trusted", *_FLAGS))
    try:
        schema, name = parse_table_name(key)
    except ValueError as error:
        problems.add(here, str(error), "List each table by its name.")
        return None
    trusted = fields.pop("trusted", False)
    if len(fields) != 1 or any(fields.get(flag, True) is not True for flag in _FLAGS):
        hint = "Write one of {tenant_column: tenant_id}, {global: true}, {denied: true}, {sequence: true}."
        problems.add(here, "must say how the table is classified", hint)
        return None
    if trusted is not False and (trusted is not True or "tenant_column" not in fields):
        hint = "Write {tenant_column: tenant_id, trusted: true} for a view whose tenant column is known to be right."
        problems.add(join_key(here, "trusted"), "only goes with tenant_column, and is true or left out", hint)
    if "tenant_column" not in fields:
        table_class = next((_FLAGS[flag] for flag in fields if flag in _FLAGS), TableClass.DENIED)
        return TableRule(schema, name, table_class)
    text = as_text(problems, f"{here}.tenant_column", fields["tenant_column"])
    column = None if text is None else _identifier(problems, f"{here}.tenant_column", text)
    return None if column is None else TableRule(schema, name, TableClass.TENANT, column, trusted is True)


def _check_own_schemas(problems: Problems, tenants: Mapping[str, Tenant], roles: Mapping[str, Role]) -> None:
    """A tenant's own schema has no name in roles; one that is named after it would not apply, silently."""
    own = {tenant.schema: tenant.id for tenant in tenants.values() if tenant.schema is not None}
    for role in roles.values():
        sections = ("row_filters", role.row_filters), ("masks", role.masks), ("denied_columns", role.denied_columns)
        for section, keys in sections:
            for key in keys:
                schema, name = parse_table_name(key)
                if schema in own and schema != DEFAULT_SCHEMA:
                    problems.add(
                        join_key(join_key("roles", role.name) + f".{section}", key),
                        f"{schema} is the own schema of tenant {own[schema]}",
                        f"Write {name} without a schema: it then holds in every tenant's own schema.",
                    )
