"""The SET list of UPDATE, of ON CONFLICT DO UPDATE and of MERGE: a row stays with its tenant."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any

from policy.errors import AccessDenied, UnsupportedStatement
from policy.sql import parse
from policy.sql.catalog import Column
from policy.sql.context import Context, Unwrap
from policy.sql.parse import Node
from policy.sql.references import Reference
from policy.sql.resolve import Resolved
from policy.sql.rules.default_only import check_not_given
from policy.sql.rules.insert_layout import is_star, nth_item
from policy.sql.rules.referential import check_update
from policy.sql.rules.row_check import Assignment, check_assigned
from policy.sql.rules.stamp import foreign_value, stamp_value
from policy.sql.rules.target import check_defaults, generated_columns
from policy.sql.verify import failed

ast: Any = parse.ast

_OPEN, _COMMA, _EQUALS = "ASCII_40", "ASCII_44", "ASCII_61"


@dataclass(frozen=True, slots=True)
class _Item:
    """One target of the list. row: the `(…)` that its value is item `number` of, None for `column = value`. query: the
    sub-select whose column `number` is its value."""

    target: Node
    value: Node
    row: Node = None
    number: int = 0
    query: Node = None


def check_assignments(
    targets: tuple[Node, ...], ends: Collection[str], reference: Reference, resolved: Resolved, context: Context
) -> None:
    """Check the items of a SET list that ends at one of the keywords `ends`; pin the tenant column to the tenant."""
    columns = {} if resolved.relation is None else {column.name: column for column in resolved.relation.all_columns}
    tenant = resolved.tenant_column
    items = list(_items(targets))
    given = (i.target.name for i in items if not isinstance(i.value, ast.SetToDefault))
    check_not_given(given, reference, resolved)
    to_default = [i.target.name for i in items if isinstance(i.value, ast.SetToDefault) and i.target.name in columns]
    check_defaults([columns[n] for n in to_default if columns[n] is not tenant], reference, resolved, context)
    check_defaults(generated_columns(resolved), reference, resolved, context)
    check_update([target.name for target in targets], reference, resolved, context)
    check_assigned([_assignment(item, ends, context) for item in items], reference, resolved, context)
    for item in items:
        if tenant is not None and item.target.name == tenant.name:
            _stamp(item, tenant, ends, context)


def _items(targets: tuple[Node, ...]) -> Iterator[_Item]:
    source: Node = None
    for target in targets:
        value = target.val
        if not isinstance(value, ast.MultiAssignRef):
            yield _Item(target, value)
            continue
        if value.colno == 1:
            source = value.source
        # a star stands for any number of columns, also none: then no item is where it seems to be
        plain = isinstance(source, ast.RowExpr) and not any(is_star(each) for each in source.args or ())
        if plain and len(source.args or ()) == value.ncolumns:
            yield _Item(target, source.args[value.colno - 1], source, value.colno - 1)
        else:
            query = source if isinstance(source, ast.SubLink) else None
            yield _Item(target, value, number=value.colno - 1, query=query)


def _assignment(item: _Item, ends: Collection[str], context: Context) -> Assignment:
    return Assignment(
        item.target,
        item.value,
        lambda: _span(item, ends, context),
        lambda unwrap: _expect(item, unwrap, context),
        item.query,
        item.number,
    )


def _stamp(item: _Item, tenant: Column, ends: Collection[str], context: Context) -> None:
    if item.target.indirection:
        raise foreign_value(tenant, item.target.location)
    if isinstance(item.value, ast.MultiAssignRef):
        raise AccessDenied(
            f"column {tenant.name} can only hold your own tenant",
            hint=f"Leave {tenant.name} out of the columns that the sub-select sets.",
            position=item.target.location + 1,
        )
    _expect(item, stamp_value(item.value, *_span(item, ends, context), tenant, context), context)


def _expect(item: _Item, unwrap_value: Unwrap, context: Context) -> None:
    """Tell the check what became of an item's value."""
    number = item.number

    def of_target(found: Node) -> Node:
        found.val = unwrap_value(found.val)
        return found

    def of_row(found: Node) -> Node:
        values = found.args if isinstance(found, ast.RowExpr) else ()
        if len(values) <= number:
            raise failed("SET")
        found.args = (*values[:number], unwrap_value(values[number]), *values[number + 1 :])
        return found

    if item.query is not None:
        context.expect(item.query, unwrap_value)
    elif item.row is None:
        context.expect(item.target, of_target)
    else:
        context.expect_also(item.row, of_row)


def _span(item: _Item, ends: Collection[str], context: Context) -> tuple[int, int]:
    """Offsets of an item's value in the text; of a sub-select's column, those of the sub-select in its brackets."""
    tokens = context.tokens
    if item.query is not None:
        bracket = tokens.find((), tokens.index_at(item.target.location)) + 2
        if tokens.name(bracket - 1) != _EQUALS or tokens.name(bracket) != _OPEN:
            raise _not_understood(item)
        first, last = bracket, tokens.closing(bracket) + 1
    elif item.row is None:
        equals = tokens.qualified_name_end(tokens.index_at(item.target.location))
        if tokens.name(equals) != _EQUALS:
            raise _not_understood(item)
        first, last = equals + 1, _end_of_value(equals + 1, ends, context)
    else:
        listed = tokens.find((), tokens.index_at(item.target.location))  # the bracket that closes the columns
        bracket = listed + (3 if tokens.name(listed + 2) == "ROW" else 2)
        if tokens.name(listed + 1) != _EQUALS or tokens.name(bracket) != _OPEN:
            raise _not_understood(item)
        first, last = nth_item(bracket + 1, tokens.closing(bracket), item.number, context)
    return tokens.items[first].start, tokens.end_before(last)


def _not_understood(item: _Item) -> UnsupportedStatement:
    return UnsupportedStatement(
        "assignment is not understood", hint="Write column = value.", position=item.target.location + 1
    )


def _end_of_value(index: int, ends: Collection[str], context: Context) -> int:
    """Index of the token after an expression: a comma or a keyword, but not the FROM of IS DISTINCT FROM."""
    tokens = context.tokens
    names = {_COMMA, *ends}
    end = tokens.find_past_case(names, index)
    while tokens.name(end) == "FROM" and tokens.name(end - 1) == "DISTINCT":
        end = tokens.find_past_case(names, end + 1)
    return end
