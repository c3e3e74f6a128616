"""INSERT: every row gets the session's tenant, whatever its source.

The tenant column is added to the column list and its value to every VALUES row or every arm of the query; where
the client names the column, its value must be the tenant's (rules/stamp.py). The other strategies only need the
table's name qualified. The source's relations are guarded like any other (rules/select.py).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from policy.errors import InvalidStatement, UnsupportedStatement
from policy.sql import parse
from policy.sql.catalog import Column, Relation
from policy.sql.context import Context
from policy.sql.guard import Pieces, filter_expression, tenant_value
from policy.sql.parse import Node, enums
from policy.sql.plan import quote_identifier
from policy.sql.references import Reference
from policy.sql.resolve import DEFAULT_SCHEMA, Resolved
from policy.sql.rules import insert_layout as layout_of
from policy.sql.rules.default_only import check_not_given, given_in_rows
from policy.sql.rules.insert_checks import cannot_be_tested_in_place, check_rows
from policy.sql.rules.insert_layout import Arm, InsertLayout, arms_of, lay_out, leaves
from policy.sql.rules.insert_outside import enclose_query
from policy.sql.rules.on_conflict import rewrite_on_conflict
from policy.sql.rules.query_width import width_of
from policy.sql.rules.stamp import Unwrap, foreign_value, is_tenant_value, stamp_value
from policy.sql.rules.target import check_defaults, check_reads, generated_columns, resolve_target
from policy.sql.verify import failed

ast: Any = parse.ast

Undo = Callable[[Node], None]


def rewrite_insert(node: Node, context: Context) -> None:
    """Stamp an INSERT with the session's tenant. Raises a StatementRefused."""
    reference, resolved = resolve_target(node, context, "insert")
    check_reads([node.returningClause], reference, resolved)
    layout = lay_out(node, reference, context)
    columns = _columns(node, resolved, reference, context)
    if columns:
        check_not_given(_given(node.selectStmt, columns), reference, resolved)
    if resolved.relation is not None and columns is not None:
        _check_defaults(node, columns, reference, resolved, context)
    if resolved.tenant_column is not None:
        context.note(f"{resolved.name}: rows are stamped with {resolved.tenant_column.name}")
    undo = _change_rows(node, columns, layout, reference, resolved, context)
    if undo:
        context.expect(node, _unwrap(undo))
    rewrite_on_conflict(node, reference, resolved, layout.query[1], context)


def _change_rows(
    node: Node,
    columns: list[str] | None,
    layout: InsertLayout,
    reference: Reference,
    resolved: Resolved,
    context: Context,
) -> list[Undo]:
    """Stamp the rows and test them against the row filter; return what takes this away again."""
    tenant = resolved.tenant_column
    if columns is not None and node.selectStmt is not None and _must_be_enclosed(node, columns, resolved, context):
        adds = tenant is not None and tenant.name not in columns
        undo = [_add_column(node, columns, tenant, layout, context)] if tenant is not None and adds else []
        enclosed = enclose_query(node.selectStmt, columns, layout, reference, resolved, context)
        return [*undo, lambda found: _apply(enclosed, found)]
    undo = []
    if tenant is not None:
        assert columns is not None
        undo = _stamp(node, columns, tenant, layout, context)
    return undo + check_rows(node, columns, layout, reference, resolved, context)


def _must_be_enclosed(node: Node, columns: list[str], resolved: Resolved, context: Context) -> bool:
    """Whether a value of the query has to be tested and cannot be where it stands."""
    query = node.selectStmt
    if query.op == enums.SetOperation.SETOP_NONE and query.valuesLists:
        tested = resolved.tenant_column is not None or filter_expression(resolved) is not None
        return tested and any(layout_of.is_star(value) for row in query.valuesLists for value in row)
    if cannot_be_tested_in_place(node, columns, resolved, context):
        return True
    tenant = resolved.tenant_column
    if tenant is not None and width_of(query, context) is None and not node.cols:
        return True
    return (
        tenant is not None
        and tenant.name in columns
        and not _can_be_checked_in_place(query, columns.index(tenant.name))
    )


def _apply(unwrap: Unwrap, found: Node) -> None:
    unwrap(found)


def _unwrap(undo: list[Undo]) -> Unwrap:
    def unwrap(found: Node) -> Node:
        if not isinstance(found, ast.InsertStmt):
            raise failed("INSERT")
        for each in undo:
            each(found)
        return found

    return unwrap


# -- which columns --------------------------------------------------------------------------------------------


def _columns(node: Node, resolved: Resolved, reference: Reference, context: Context) -> list[str] | None:
    """The columns that the client gives values for, in order; None when they cannot be known and need not be."""
    if node.cols:
        return [target.name for target in node.cols]
    relation = resolved.relation
    if node.selectStmt is None or relation is None:
        return []
    width = width_of(node.selectStmt, context)
    if width is None:
        if resolved.tenant_column is None:
            return None
        if not _reads_temporary_tables(node.selectStmt, context):
            raise UnsupportedStatement(
                "the number of inserted columns cannot be told",
                hint=f"Name the columns: INSERT INTO {resolved.name} (…) …",
                position=reference.position,
            )
        # taken for as many as the table has: PostgreSQL counts them (insert_outside.py)
        return [column.name for column in relation.columns]
    if width > len(relation.columns):
        raise InvalidStatement("INSERT has more expressions than target columns", position=reference.position)
    return [column.name for column in relation.columns[:width]]


def _given(query: Node, columns: list[str]) -> set[str]:
    """The columns that some row gets another value for than DEFAULT, which only VALUES of its own can say."""
    if query is None or query.op != enums.SetOperation.SETOP_NONE or not query.valuesLists:
        return set(columns)
    return given_in_rows(columns, query.valuesLists)


def _reads_temporary_tables(query: Node, context: Context) -> bool:
    """Whether a query names a table that the database does not have."""
    named = {id(found) for found in parse.walk(query) if isinstance(found, ast.RangeVar)}
    known = context.catalog.relations
    return any(
        id(r.node) in named and r.cte is None and (r.schema or DEFAULT_SCHEMA, r.name) not in known
        for r in context.references.all
    )


def _check_defaults(node: Node, columns: list[str], reference: Reference, resolved: Resolved, context: Context) -> None:
    """Of columns without a value, with DEFAULT for a value in any row, and of generated ones."""
    relation: Relation | None = resolved.relation
    assert relation is not None
    given = set(columns)
    for leaf in leaves(node.selectStmt) if node.selectStmt is not None else ():
        for row in leaf.valuesLists or ():
            if any(layout_of.is_star(value) for value in row):
                given.clear()  # no item is where it seems to be
            defaults = (name for name, value in zip(columns, row, strict=False) if isinstance(value, ast.SetToDefault))
            given.difference_update(defaults)
    tenant = resolved.tenant_column
    filled = [c for c in relation.all_columns if c.name not in given and c is not tenant]
    check_defaults([*filled, *generated_columns(resolved)], reference, resolved, context)


# -- the tenant column ----------------------------------------------------------------------------------------


def _stamp(node: Node, columns: list[str], tenant: Column, layout: InsertLayout, context: Context) -> list[Undo]:
    if node.selectStmt is None:
        return [_stamp_default_values(node, tenant, layout, context)]
    if tenant.name in columns:
        return [_check_given(node, columns, tenant, layout, context)]
    return [_add_column(node, columns, tenant, layout, context), _add_values(node, tenant, layout, context)]


def _stamp_default_values(node: Node, tenant: Column, layout: InsertLayout, context: Context) -> Undo:
    """`DEFAULT VALUES` gives every column its default; all but the tenant's still get it."""
    start, end = layout.query
    name = quote_identifier(tenant.name)
    values: Pieces = (f"({name}) VALUES (", *tenant_value(tenant), ")")
    context.replace(context.tokens.items[start].start, context.tokens.end_before(end), *values)

    def undo(found: Node) -> None:
        rows = found.selectStmt.valuesLists if found.selectStmt is not None else None
        if not _names_only(found.cols, [tenant.name]) or not rows or len(rows) != 1 or len(rows[0]) != 1:
            raise failed("column list")
        if not is_tenant_value(rows[0][0], tenant):
            raise failed("tenant value")
        found.cols, found.selectStmt = node.cols, None

    return undo


def _add_column(node: Node, columns: list[str], tenant: Column, layout: InsertLayout, context: Context) -> Undo:
    """Append the tenant column to the column list, which is written out where the client left it out."""
    name = quote_identifier(tenant.name)
    if layout.columns is not None:
        context.insert(context.tokens.items[layout.columns[1]].start, f", {name}")
    else:
        listed = ", ".join([*(quote_identifier(column) for column in columns), name])
        context.insert(context.tokens.end_before(layout.name_end), f" ({listed})")

    def undo(found: Node) -> None:
        if node.cols:
            if not found.cols or not _names_only(found.cols[-1:], [tenant.name]):
                raise failed("column list")
            found.cols = found.cols[:-1]
        else:
            if not _names_only(found.cols, [*columns, tenant.name]):
                raise failed("column list")
            found.cols = None

    return undo


def _names_only(targets: Any, names: list[str]) -> bool:
    return [t.name for t in targets or ()] == names and not any(t.indirection for t in targets)


def _add_values(node: Node, tenant: Column, layout: InsertLayout, context: Context) -> Undo:
    """Append the tenant's value to every row of VALUES and to every arm's target list."""
    tokens = context.tokens
    value = tenant_value(tenant)
    arms = arms_of(node.selectStmt, layout, context)
    for arm in arms:
        match tokens.name(arm.index):
            case "VALUES":
                for _, close in layout_of.rows_of(arm, context):
                    context.insert(tokens.items[close].start, ",", *value)
            case "SELECT" if arm.node.targetList:
                end = tokens.end_before(layout_of.end_of_targets(arm, context))
                context.insert(end, ",", *value)
            case "TABLE":
                keyword = tokens.items[arm.index]
                context.replace(keyword.start, keyword.end, "SELECT *,", *value, "FROM")
            case _:
                raise layout_of.not_understood(context)

    def undo(found: Node) -> None:
        same = leaves(found.selectStmt)
        if len(same) != len(arms):
            raise failed("arms of the query")
        for leaf in same:
            _drop_last_value(leaf, tenant)

    return undo


def _drop_last_value(leaf: Node, tenant: Column) -> None:
    if leaf.valuesLists:
        if not all(is_tenant_value(row[-1], tenant) for row in leaf.valuesLists):
            raise failed("tenant value")
        leaf.valuesLists = tuple(row[:-1] for row in leaf.valuesLists)
        return
    last = leaf.targetList[-1] if leaf.targetList else None
    if last is None or last.name is not None or last.indirection or not is_tenant_value(last.val, tenant):
        raise failed("tenant value")
    leaf.targetList = leaf.targetList[:-1]


# -- where the client gives the tenant itself -----------------------------------------------------------------


def _check_given(node: Node, columns: list[str], tenant: Column, layout: InsertLayout, context: Context) -> Undo:
    number = columns.index(tenant.name)
    if node.cols and node.cols[number].indirection:
        raise foreign_value(tenant, node.cols[number].location)
    query = node.selectStmt
    if query.op == enums.SetOperation.SETOP_NONE and query.valuesLists:
        if any(len(row) < len(columns) for row in query.valuesLists):
            raise _too_few(context)
        return _check_rows(query, number, tenant, layout, context)
    return _check_target(query, number, tenant, layout, context)


def _check_rows(query: Node, number: int, tenant: Column, layout: InsertLayout, context: Context) -> Undo:
    """The value at its position in every row of VALUES."""
    (arm,) = arms_of(query, layout, context)
    unwraps: list[Unwrap] = []
    for row, (open_, close) in zip(query.valuesLists, layout_of.rows_of(arm, context), strict=True):
        start, end = layout_of.nth_item(open_ + 1, close, number, context)
        unwraps.append(_stamp_at(row[number], (start, end), tenant, context))

    def undo(found: Node) -> None:
        rows = found.selectStmt.valuesLists or ()
        if len(rows) != len(unwraps):
            raise failed("VALUES")
        found.selectStmt.valuesLists = tuple(
            (*row[:number], unwrap(row[number]), *row[number + 1 :]) for row, unwrap in zip(rows, unwraps, strict=True)
        )

    return undo


def _stamp_at(value: Node, item: tuple[int, int], tenant: Column, context: Context) -> Unwrap:
    start = context.tokens.items[item[0]].start
    return stamp_value(value, start, context.tokens.end_before(item[1]), tenant, context)


def _can_be_checked_in_place(query: Node, number: int) -> bool:
    """A plain SELECT whose target at this position is known; with DISTINCT, ORDER BY could lose its expression."""
    if query.op != enums.SetOperation.SETOP_NONE or query.distinctClause or not query.targetList:
        return False
    return not any(layout_of.is_star(target.val) for target in query.targetList[: number + 1])


def _check_target(query: Node, number: int, tenant: Column, layout: InsertLayout, context: Context) -> Undo:
    """The expression at its position in a SELECT's target list."""
    (arm,) = arms_of(query, layout, context)
    if len(query.targetList) <= number:
        raise _too_few(context)
    target = query.targetList[number]
    end = layout_of.end_of_targets(arm, context)
    first = _first_target(arm, context)
    item = layout_of.without_label(layout_of.nth_item(first, end, number, context), target, context)
    unwrap = _stamp_at(target.val, item, tenant, context)

    def undo(found: Node) -> None:
        targets = found.selectStmt.targetList or ()
        if len(targets) <= number:
            raise failed("target list")
        targets[number].val = unwrap(targets[number].val)

    return undo


def _first_target(arm: Arm, context: Context) -> int:
    return arm.index + (2 if context.tokens.name(arm.index + 1) == "ALL" else 1)


def _too_few(context: Context) -> InvalidStatement:
    return InvalidStatement("INSERT has more target columns than expressions", position=context.statement.start + 1)
