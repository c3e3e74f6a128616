"""The check of the outcome: parse the rewritten text again, take the guards away, and find the client's statement.

Both trees are compared node by node. Where a rule changed something it left an `expect` in the context: a function that
recognises the guard at just that node, demands it, and takes it away. So a guard that went missing, landed elsewhere or
changed the meaning of the text around it is found. Then every relation of the rewritten tree must either come
from the gateway's own pieces or be a CTE. A statement that fails is refused and never sent.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from policy.errors import StatementRefused, UnsupportedStatement
from policy.sql.context import Context
from policy.sql.parse import ast, fields_of, is_node, parse_statements, repeats_source, scan
from policy.sql.plan import ClientText, Piece, Plan, SlotValues, StatementKind, render
from policy.sql.references import Reference, collect_references, names_of

Node = Any

_SAMPLE = SlotValues(
    tenant="'tenantgate sample'",
    schema='"tenantgate sample"',
    subject="'tenantgate sample'",
    attributes=defaultdict(lambda: "'tenantgate sample'"),
    namespace="tenantgate sample",
    lock_key="tenantgate sample",
)


def failed(what: str) -> UnsupportedStatement:
    """The error of a statement whose rewriting could not be verified."""
    return UnsupportedStatement(
        "statement could not be verified after rewriting",
        detail=f"The check stopped at: {what}.",
        hint="Write it more simply, and report this to your administrator.",
    )


def verify(pieces: tuple[Piece, ...], context: Context) -> None:
    """Check what a statement became. Raises UnsupportedStatement when it is not the client's with its guards."""
    text = _rendered(pieces)
    if not context.edits:
        _check_relations(context.references.all, [(0, len(context.text))], context)
        return
    try:
        tokens = scan(text)
        statements = parse_statements(text, tokens)
    except StatementRefused:
        raise failed("syntax") from None
    if len(statements) != 1:
        raise failed("number of statements")
    # on its own tree before `_compare` takes it apart
    references = collect_references(statements[0].node, tokens)
    _check_relations(references.all, _client_ranges(pieces), context)
    _compare(context.statement.node, statements[0].node, context)


def _rendered(pieces: tuple[Piece, ...]) -> str:
    return render(Plan(StatementKind.UTILITY, "", pieces, ""), _SAMPLE)


def _client_ranges(pieces: Sequence[Piece]) -> list[tuple[int, int]]:
    """Where the client's own characters stand in the rendered text."""
    ranges: list[tuple[int, int]] = []
    at = 0
    for piece in pieces:
        length = len(_rendered((piece,)))
        if isinstance(piece, ClientText):
            ranges.append((at, at + length))
        at += length
    return ranges


def _check_relations(found: Sequence[Reference], client: list[tuple[int, int]], context: Context) -> None:
    """In shared tables nothing but CTEs may be named by the client's own text once all guards are in place."""
    if not context.shared:
        return
    for reference in found:
        inside = any(start <= reference.node.location < end for start, end in client)
        if reference.cte is None and (inside or reference.node.location < 0):
            raise failed(f"relation {reference.written}")


def _compare(client: Node, rewritten: Node, context: Context) -> None:
    """Walk both trees; where the client's node has an `expect`, take the guard away first."""
    pending: list[tuple[Any, Any]] = [(client, rewritten)]
    used = 0
    while pending:
        a, b = pending.pop()
        if is_node(a):
            unwrap = context.expected.get(id(a))
            if unwrap is not None:
                used += 1
                b = unwrap(b)
            if a is b:
                continue
        if not _push_parts(a, b, pending):
            raise failed(type(a).__name__)
    if used != len(context.expected):
        raise failed("a guard is missing")


def _push_parts(a: Any, b: Any, pending: list[tuple[Any, Any]]) -> bool:
    """Queue what two values are made of; False when they differ themselves."""
    if type(a) is not type(b):
        return False
    if is_node(a):
        if repeats_source(a) and repeats_source(b):
            return bool((a.colno, a.ncolumns) == (b.colno, b.ncolumns))
        pending.extend((getattr(a, name), getattr(b, name)) for name in fields_of(type(a)))
        return True
    if isinstance(a, tuple):
        pending.extend(zip(a, b, strict=False))
        return len(a) == len(b)
    return bool(a == b)


def same_tree(a: Any, b: Any) -> bool:
    """Whether two trees are equal but for positions."""
    pending = [(a, b)]
    while pending:
        one, other = pending.pop()
        if not _push_parts(one, other, pending):
            return False
    return True


_HOLE = "tenantgate hole "


def in_holes(found: Node, sample: Node) -> tuple[Node, ...]:
    """The parts of `found` that stand where `sample` has columns `"tenantgate hole 0"`, `1` …, in that order.

    Raises UnsupportedStatement unless the trees are equal elsewhere.
    """
    parts: dict[int, Node] = {}
    pending = [(found, sample)]
    while pending:
        one, other = pending.pop()
        fields = getattr(other, "fields", None) if isinstance(other, ast.ColumnRef) else None
        name = str(getattr(fields[0], "sval", "")) if fields else ""
        if name.startswith(_HOLE):
            parts[int(name.removeprefix(_HOLE))] = one
        elif not _push_parts(one, other, pending):
            raise failed(type(other).__name__)
    return tuple(parts[number] for number in sorted(parts))


# -- what rules expect ------------------------------------------------------------------------------------------


def parse_sample(sql: str, pieces: tuple[Piece, ...]) -> Node:
    """The tree of `sql` with `%` replaced by rendered pieces. It is shared: nobody may change it."""
    return _parsed(sql.replace("%", _rendered(pieces)))


HOLE = '"what the client wrote"'


def client_part(found: Node, pieces: tuple[Piece, ...]) -> Node:
    """What stands in `found`, an expression, in the place of HOLE in `pieces`; all the rest must be the same."""
    query: Any = parse_sample("SELECT %", pieces)
    pending: list[tuple[Any, Any]] = [(found, query.targetList[0].val)]
    client: list[Node] = []
    while pending:
        own, sample = pending.pop()
        if isinstance(sample, ast.ColumnRef) and names_of(sample.fields) == (HOLE[1:-1],):
            client.append(own)
        elif not _push_parts(own, sample, pending):
            raise failed("a guarded value")
    if len(client) != 1:
        raise failed("a guarded value")
    return client[0]


@lru_cache(maxsize=512)
def _parsed(sql: str) -> Node:
    """The same few guards come again in every statement."""
    return parse_statements(sql)[0].node


def parse_condition(pieces: tuple[Piece, ...]) -> Node:
    """The tree of a condition made of pieces, with the sample values that `verify` renders with."""
    return parse_sample("SELECT WHERE %", pieces).whereClause


def expect_source(reference: Reference, pieces: tuple[Piece, ...], context: Context) -> None:
    """A sub-select, `pieces`, stands in a relation's place, without its TABLESAMPLE, and answers to its name."""
    replaced = reference.node if reference.sample is None else reference.sample

    def unwrap(found: Node) -> Node:
        expected = parse_sample("SELECT FROM % AS x", pieces).fromClause[0]
        if not isinstance(found, ast.RangeSubselect) or found.lateral:
            raise failed(f"guard of {reference.written}")
        if not same_tree(found.subquery, expected.subquery) or not _answers_to(reference, found.alias):
            raise failed(f"guard of {reference.written}")
        return replaced

    context.expect(replaced, unwrap)


def _answers_to(reference: Reference, alias: Node) -> bool:
    if reference.has_alias:
        return same_tree(alias, reference.node.alias)
    return alias is not None and alias.aliasname == reference.name and not alias.colnames


def expect_name(reference: Reference, name: tuple[Piece, ...], context: Context) -> None:
    """A relation is named by `name`, pieces of a schema-qualified name, and nothing else of it changed."""

    def unwrap(found: Node) -> Node:
        expected = parse_sample("SELECT FROM %", name).fromClause[0]
        if not isinstance(found, ast.RangeVar):
            raise failed(f"name of {reference.written}")
        own = (found.catalogname, found.schemaname, found.relname, found.inh)
        if own != (None, expected.schemaname, expected.relname, reference.node.inh):
            raise failed(f"name of {reference.written}")
        if not same_tree(found.alias, reference.node.alias):
            raise failed(f"name of {reference.written}")
        return reference.node

    context.expect(reference.node, unwrap)
