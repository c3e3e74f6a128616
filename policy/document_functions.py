"""The section `functions` of the policy document: functions of a target's owner that sessions may call."""

from __future__ import annotations

from collections.abc import Collection

from policy.model import FunctionRule
from policy.names import parse_table_name
from policy.problems import Problems, did_you_mean, join_key
from policy.yaml_values import as_mapping

_HINT = "Write `safe`, or {tenant_argument: 1} for a function that is given the tenant."
_MOST_ARGUMENTS = 100


def read_functions(problems: Problems, value: object, targets: Collection[str]) -> dict[str, tuple[FunctionRule, ...]]:
    """The functions by target."""
    bodies = as_mapping(problems, "functions", value)
    return {t: read_functions_body(problems, join_key("functions", t), t, b, targets) for t, b in bodies.items()}


def read_functions_body(
    problems: Problems, path: str, target: str, body: object, targets: Collection[str]
) -> tuple[FunctionRule, ...]:
    """The functions of one target. Problems are noted below `path`."""
    if target not in targets:
        problems.add(path, f"unknown target {target!r}", did_you_mean(target, targets))
    rules: dict[tuple[str, str], FunctionRule] = {}
    for key, rule_body in as_mapping(problems, path, body).items():
        rule = _read_rule(problems, join_key(path, key), key, rule_body)
        if rule is not None and (rule.schema, rule.name) in rules:
            problems.add(join_key(path, key), "the same function stands twice", "Without a schema it is public.")
        elif rule is not None:
            rules[rule.schema, rule.name] = rule
    return tuple(rules.values())


def _read_rule(problems: Problems, here: str, key: str, value: object) -> FunctionRule | None:
    try:
        schema, name = parse_table_name(key)
    except ValueError as error:
        problems.add(here, str(error), "List each function by its name, without arguments.")
        return None
    if value == "safe":
        return FunctionRule(schema, name)
    argument = value.get("tenant_argument") if isinstance(value, dict) and len(value) == 1 else None
    if not isinstance(argument, int) or isinstance(argument, bool) or not 1 <= argument <= _MOST_ARGUMENTS:
        problems.add(here, "must say how the function is classified", _HINT)
        return None
    return FunctionRule(schema, name, argument)
