"""The section `tables` of the policy document: which relations of a target's shared database are whose."""

from __future__ import annotations

from collections.abc import Collection

from policy.document_roles import read_identifier
from policy.document_tags import take_tags
from policy.model import TableClass, TableRule
from policy.names import DEFAULT_SCHEMA, parse_table_name
from policy.problems import Problems, did_you_mean, join_key
from policy.yaml_values import as_list, as_mapping, as_text

_KEYS = ("tenant_column", "trusted", "default_only", "tags", "columns", "track")
_FLAGS = {"global": TableClass.GLOBAL, "denied": TableClass.DENIED, "sequence": TableClass.SEQUENCE}


def read_tables(problems: Problems, value: object, targets: Collection[str]) -> dict[str, tuple[TableRule, ...]]:
    """The classified relations, by target."""
    bodies = as_mapping(problems, "tables", value)
    return {t: read_tables_body(problems, join_key("tables", t), t, body, targets) for t, body in bodies.items()}


def read_tables_body(
    problems: Problems, path: str, target: str, body: object, targets: Collection[str]
) -> tuple[TableRule, ...]:
    """The classified relations of one target. Problems are noted below `path`."""
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
    return tuple(rules.values())


def _read_rule(problems: Problems, path: str, key: str, value: object) -> TableRule | None:
    here = join_key(path, key)
    fields = as_mapping(problems, here, value)
    problems.unknown_keys(
        here, fields, ("tenant_column", "trusted", "default_only", "tags", "columns", "track", *_FLAGS)
    )
    tags, column_tags = take_tags(problems, here, fields)
    track = _take_track(problems, here, fields)
    try:
        schema, name = parse_table_name(key)
    except ValueError as error:
        problems.add(here, str(error), "List each table by its name.")
        return None
    if not fields and (tags or column_tags or track):  # of tenants with schemas or databases of their own
        return TableRule(schema, name, TableClass.DENIED, None, False, tags, column_tags, track=track)
    trusted = fields.pop("trusted", False)
    default_only = _read_columns(problems, join_key(here, "default_only"), fields.pop("default_only", None))
    if len(fields) != 1 or any(fields.get(flag, True) is not True for flag in _FLAGS):
        hint = "Write one of {tenant_column: tenant_id}, {global: true}, {denied: true}, {sequence: true}."
        problems.add(here, "must say how the table is classified", hint)
        return None
    if trusted is not False and (trusted is not True or "tenant_column" not in fields):
        hint = "Write {tenant_column: tenant_id, trusted: true} for a view whose tenant column is known to be right."
        problems.add(join_key(here, "trusted"), "only goes with tenant_column, and is true or left out", hint)
    if default_only and "tenant_column" not in fields:
        hint = "Write {tenant_column: tenant_id, default_only: [id]}."
        problems.add(join_key(here, "default_only"), "only goes with tenant_column", hint)
        return None
    if "tenant_column" not in fields:
        table_class = next((_FLAGS[flag] for flag in fields if flag in _FLAGS), TableClass.DENIED)
        return TableRule(schema, name, table_class, None, False, tags, column_tags, track=track)
    text = as_text(problems, f"{here}.tenant_column", fields["tenant_column"])
    column = None if text is None else read_identifier(problems, f"{here}.tenant_column", text)
    if column is None:
        return None
    if column in default_only:
        problems.add(join_key(here, "default_only"), "holds the tenant column, which the gateway fills in")
    return TableRule(schema, name, TableClass.TENANT, column, trusted is True, tags, column_tags, default_only, track)


def _read_columns(problems: Problems, path: str, value: object) -> frozenset[str]:
    names = (as_text(problems, path, item) for item in as_list(problems, path, value))
    columns = (read_identifier(problems, path, name) for name in names if name is not None)
    return frozenset(column for column in columns if column is not None)


def _take_track(problems: Problems, path: str, fields: dict[str, object]) -> bool:
    track = fields.pop("track", False)
    if not isinstance(track, bool):
        problems.add(join_key(path, "track"), "is true or left out", "With true its changes are written down.")
    elif track and ("sequence" in fields or "trusted" in fields):
        problems.add(join_key(path, "track"), "is for tables", "Sequences and views have no rows to be tracked.")
    return track is True
