"""The one place that knows cedarpy: text to a checked policy, policies and facts to the ids that apply.

cedarpy is imported when the first policy is read, so that a gateway without policies does not load it. Its parser does
not say where an error is; the shortest beginning of the text that has the same error ends there.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from policy.abac.schema import CEDAR_SCHEMA, CONTEXT
from policy.names import TablePattern, parse_identifier, parse_table_name

MAX_CEDAR_CHARS = 20_000
_UNFINISHED = ("unexpected end of input", "invalid token")
_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|//[^\n]*|[A-Za-z_][A-Za-z0-9_]*|[0-9]+|::|&&|\|\||[=!<>]=|\S')
_UNEXPECTED = re.compile(r"unexpected token `(.+)`")
_OF_POLICY = re.compile(r"for policy `[^`]*`, ")
_FAILED_POLICY = re.compile(r"evaluating policy `([^`]*)`")

ALL_CLAIMS = "claims"
SUBJECT = "subject"
TENANT = "tenant"

Json = Any


class CedarError(ValueError):
    """Cedar text that cannot be used. `line` and `column` count from 1; 0 is unknown."""

    def __init__(self, message: str, line: int = 0, column: int = 0) -> None:
        super().__init__(message)
        self.line = line
        self.column = column


@dataclass(frozen=True, slots=True)
class CedarPolicy:
    """One checked policy. est: Cedar's JSON form, names of tables and columns in canonical spelling.

    facts: what it asks of a session: names in `context`, "roles", "subject", "method", "tenant", "claim NAME",
    "claims" for all of them. tables, columns, schemas: what it names.
    """

    forbids: bool
    est: Json
    facts: frozenset[str]
    tables: frozenset[str]
    columns: frozenset[str]
    schemas: frozenset[str]


@lru_cache(maxsize=4096)
def parse_cedar(text: str) -> CedarPolicy:
    """Parse and validate one policy. Raises CedarError."""
    import cedarpy

    if len(text) > MAX_CEDAR_CHARS:
        raise CedarError(f"longer than {MAX_CEDAR_CHARS} characters")
    try:
        whole = json.loads(cedarpy.policies_to_json_str(text))
    except ValueError as error:
        raise CedarError(str(error), *_place_of(text, str(error))) from None
    if whole["templates"]:
        raise CedarError("templates (?principal, ?resource) are not used here")
    policies = list(whole["staticPolicies"].values())
    if len(policies) != 1:
        raise CedarError(f"holds {len(policies)} policies; write one permit or forbid, and another policy beside it")
    _validate(text)
    est = policies[0]
    return _named(est, _facts_of(est))


def _validate(text: str) -> None:
    import cedarpy

    found = cedarpy.validate_policies(text, CEDAR_SCHEMA)
    if not found.validation_passed:
        message = "; ".join(sorted({_OF_POLICY.sub("", each.error) for each in found.errors}))
        raise CedarError(message, *_place_of_name(text, message))


def _place_of(text: str, message: str) -> tuple[int, int]:
    """Line and column of a syntax error: where the shortest beginning with this very error ends."""
    import cedarpy

    if "found literal" in message:
        return _place_of_name(text, message)
    starts = [found.start() for found in _TOKEN.finditer(text)]
    ends = [found.end() for found in _TOKEN.finditer(text)]
    if message in _UNFINISHED or not starts:
        return _line_and_column(text, starts[-1] if message != _UNFINISHED[0] and starts else len(text.rstrip()))

    def has_it(count: int) -> bool:
        try:
            cedarpy.policies_to_json_str(text[: ends[count - 1]])
        except ValueError as error:
            return str(error) == message
        return False

    low, high = 1, len(ends)
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if has_it(middle) else (middle + 1, high)
    named = _UNEXPECTED.fullmatch(message)
    if named and low > 1 and text[starts[low - 2] : ends[low - 2]] == named[1]:
        low -= 1  # Cedar names a token when it has seen the next
    return _line_and_column(text, starts[low - 1])


def _place_of_name(text: str, message: str) -> tuple[int, int]:
    """Where the first name that a validation error quotes stands."""
    for quoted in re.findall(r"`([^`]+)`", message):
        at = text.find(quoted)
        if at >= 0:
            return _line_and_column(text, at)
    return 0, 0


def _line_and_column(text: str, at: int) -> tuple[int, int]:
    return text.count("\n", 0, at) + 1, at - (text.rfind("\n", 0, at) + 1) + 1


# -- what a policy asks -------------------------------------------------------------------------------------------


def _facts_of(est: Json) -> frozenset[str]:
    facts: set[str] = set()
    if est["principal"]["op"] not in ("All", "is"):
        facts.add(SUBJECT)
    for condition in est.get("conditions", ()):
        _collect(condition["body"], facts)
    return frozenset(facts)


def _collect(node: Json, facts: set[str]) -> None:
    """Facts that an expression names. What is not a plain access to one counts as all of them."""
    if isinstance(node, list):
        for each in node:
            _collect(each, facts)
        return
    if not isinstance(node, dict):
        return
    for operator, operand in node.items():
        if operator == "Var":
            _add_whole(operand, facts)
        elif operator in (".", "has") and _variable(operand["left"]) in ("context", "principal"):
            facts.add(operand["attr"])
        elif operator in ("hasTag", "getTag") and _variable(operand["left"]) == "principal":
            name = operand["right"].get("Value")
            facts.add(f"claim {name}" if isinstance(name, str) else ALL_CLAIMS)
            _collect(operand["right"], facts)
        elif operator == "is" and isinstance(operand, dict) and _variable(operand["left"]) == "principal":
            _collect(operand.get("in"), facts)
        else:
            _collect(operand, facts)


def _variable(node: Json) -> str | None:
    return node.get("Var") if isinstance(node, dict) else None


def _add_whole(variable: str, facts: set[str]) -> None:
    if variable == "context":
        facts |= CONTEXT
    elif variable == "principal":
        facts |= {SUBJECT, "roles", "method", TENANT, ALL_CLAIMS}


def _named(est: Json, facts: frozenset[str]) -> CedarPolicy:
    """The policy with canonical names. Raises CedarError for a name that no table or column has."""
    found: dict[str, set[str]] = {"Table": set(), "Column": set(), "Schema": set()}
    for entity in _entities(est):
        kind, name = entity["type"], entity["id"]
        try:
            if kind == "Table":
                entity["id"] = table_id(*parse_table_name(name))
            elif kind == "Column":
                entity["id"] = _column_id(name)
            elif kind == "Schema":
                parse_identifier(name)
        except ValueError as error:
            raise CedarError(f'{kind}::"{name}": {error}') from None
        if kind in found:
            found[kind].add(entity["id"])
    tables, columns, schemas = (frozenset(found[kind]) for kind in ("Table", "Column", "Schema"))
    return CedarPolicy(est["effect"] == "forbid", est, facts, tables, columns, schemas)


def _entities(node: Json) -> Iterator[dict[str, str]]:
    if isinstance(node, list):
        for each in node:
            yield from _entities(each)
    elif isinstance(node, dict):
        if node.keys() == {"type", "id"}:
            yield node
        else:
            for each in node.values():
                yield from _entities(each)


@lru_cache(maxsize=16_384)
def table_id(schema: str, name: str) -> str:
    """The Cedar id of a table: `public.orders`."""
    return str(TablePattern(schema, name))


def column_id(schema: str, name: str, column: str) -> str:
    """`public.orders.email`; the column as the catalog has it."""
    return f"{table_id(schema, name)}.{column}"


def _column_id(text: str) -> str:
    table, dot, column = text.rpartition(".")
    if not dot:
        raise ValueError("write table.column")
    return column_id(*parse_table_name(table), parse_identifier(column))


# -- which of them apply --------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Matches:
    """Of one request: the policies that apply, and those that could not be evaluated."""

    applied: frozenset[str]
    failed: frozenset[str]


class CedarSet:
    """Policies by id, ready to be asked. All are asked as permits: what applies is wanted, not one decision."""

    __slots__ = ("_handle",)

    def __init__(self, policies: Mapping[str, CedarPolicy]) -> None:
        import cedarpy

        permits = {name: {**policy.est, "effect": "permit"} for name, policy in policies.items()}
        whole = {"staticPolicies": permits, "templates": {}, "templateLinks": []}
        self._handle = cedarpy.PolicySet.from_json_str(json.dumps(whole))

    def ask(self, requests: Sequence[Mapping[str, Json]], entities: Iterable[Json]) -> list[Matches]:
        """What applies to each request. Cedar leaves out a policy whose evaluation fails: told in `failed`."""
        import cedarpy

        handle = cedarpy.Entities.from_json_str(json.dumps(list(entities)))
        answers = cedarpy.is_authorized_batch([dict(request) for request in requests], self._handle, handle)
        return [Matches(frozenset(a.diagnostics.reasons), frozenset(_failed(a.diagnostics.errors))) for a in answers]


def _failed(errors: Iterable[str]) -> Iterator[str]:
    for error in errors:
        found = _FAILED_POLICY.search(error)
        if found is None:
            raise RuntimeError(f"Cedar answered {error!r}")  # refused: nothing is decided on half an answer
        yield found[1]
