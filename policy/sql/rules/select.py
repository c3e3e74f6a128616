"""Reads: every relation that stands in FROM, at any depth of any statement, gets its guard.

The usual guard is a sub-select in the relation's place. It would change the meaning in some cases, in which the tests
go to the query level's WHERE instead: row locks (a sub-select locks more rows than LIMIT lets out), GROUP BY on a
primary key (the functional dependency is lost), system columns beside `*`; and where operands of WHERE are shielded
one by one (shields.py). There a relation that cannot have its test in WHERE, because it is masked or on the nullable
side of an outer join, keeps the sub-select.
"""

from __future__ import annotations

from collections.abc import Set
from dataclasses import replace
from typing import Any

from policy.errors import AccessDenied, UnsupportedStatement
from policy.model import Isolation
from policy.sql.context import Context
from policy.sql.guard import (
    Pieces,
    guarded_relation,
    has_grouping_sets,
    needs_barrier,
    note_guard,
    row_test,
)
from policy.sql.leakproof import leaks
from policy.sql.parse import ast
from policy.sql.plan import quote_identifier
from policy.sql.policies import check_locks
from policy.sql.references import Place, Reference, Scope, names_of
from policy.sql.resolve import Resolved, resolve
from policy.sql.rules.catalogs import guard_catalog
from policy.sql.rules.grouping import dependent_columns, group_by_too, lacking_of_key
from policy.sql.rules.narrowing import narrowing_conditions
from policy.sql.rules.sampling import sampling_test
from policy.sql.rules.shields import is_locked, may_stand_in_where, shield_operands, shields_of
from policy.sql.rules.system_columns import is_expanded, wanted_system_columns
from policy.sql.rules.views import expanded
from policy.sql.rules.where import add_tests
from policy.sql.verify import expect_name, expect_source, failed, same_tree

Node = Any


def guard_sources(context: Context) -> None:
    """Guard all relations in FROM. Raises a StatementRefused for those that may not be read."""
    wanted = wanted_system_columns(context)
    shield_operands(context)
    replaced: dict[Reference, tuple[str, str]] = {}  # by a sub-select; the relation's own schema and name
    for scope in context.references.scopes:
        _refuse_into(scope.node, context)
        in_where: list[tuple[Reference, Resolved]] = []
        grouped: list[tuple[Reference, Resolved, list[str]]] = []
        for reference in scope.references:
            if reference.cte is not None or reference.place is not Place.FROM:
                continue
            found = _guard_source(reference, wanted.get(reference, set()), grouped, context)
            if isinstance(found, Resolved):
                in_where.append((reference, found))
            elif found is not None:
                replaced[reference] = found
        if in_where:
            _guard_in_where(scope, in_where, context)
        if grouped:
            group_by_too(scope, grouped, context)
    for scope in context.references.scopes:
        _check_columns(scope, replaced, context)


def _guard_source(
    reference: Reference, system: Set[str], grouped: list[tuple[Reference, Resolved, list[str]]], context: Context
) -> Resolved | tuple[str, str] | None:
    """Guard one reference. Return its relation when its tests are to go to WHERE, its own schema and name when a
    sub-select took its place, None when nothing more is to be done. grouped: takes columns that GROUP BY then lacks."""
    pieces = guard_catalog(reference, context)
    if pieces is not None:
        _put_source(reference, pieces, context)
        return (reference.schema or "pg_catalog", reference.name)
    found = resolve(reference, "read", context)
    if is_locked(reference):
        found = replace(found, access=found.access.for_write("update"))
    resolved = expanded(found, reference, context, guard_sources)
    _check_lock(reference, resolved, context)
    if not resolved.is_guarded:
        context.reach(resolved.schema, resolved.name)
        put_name(reference, resolved, context)
        return None
    note_guard(resolved, context)
    dependent = dependent_columns(reference, resolved, context)
    starred = bool(system) and is_expanded(reference, context)
    better = is_locked(reference) or dependent or starred or _is_named_as_a_row(reference)
    better = better or any(shielded is reference for shielded in context.shielded.values())
    if better and _can_be_in_where(reference, resolved, context):
        put_name(reference, resolved, context)
        if dependent and (lacking := lacking_of_key(reference, resolved, context)):
            grouped.append((reference, resolved, lacking))
        return resolved
    if starred:
        raise UnsupportedStatement(
            f"a system column of {reference.visible_name} cannot be used beside all of its columns",
            hint="Name the columns instead of *.",
            position=reference.position,
        )
    if is_locked(reference) and isinstance(context.statement.node, ast.DeclareCursorStmt):
        raise UnsupportedStatement(  # the sub-select would lock all of its rows, and WHERE CURRENT OF take the last
            f"rows of {reference.visible_name} cannot be locked by this cursor",
            hint="Leave FOR UPDATE out, or test columns in WHERE only, each condition those of one table.",
            position=reference.position,
        )
    if dependent:
        grouped.append((reference, resolved, dependent))
    source = guarded_relation(
        resolved,
        reference.only,
        context,
        reading=not is_locked(reference),
        system_columns=sorted(system),
        sampling=sampling_test(reference, resolved, context),
        narrowing=narrowing_conditions(reference, resolved, context),
    )
    _put_source(reference, source, context)
    return (resolved.schema, resolved.name)


def _put_source(reference: Reference, pieces: Pieces, context: Context) -> None:
    """Put a sub-select in a relation's place, under the name that the client knows it by."""
    before = context.tokens.index_at(reference.start) - 1
    if context.tokens.name(before) == "TABLE":  # TABLE t is SELECT * FROM t
        keyword = context.tokens.items[before]
        context.replace(keyword.start, keyword.end, "SELECT * FROM")
    alias = () if reference.has_alias else (f" AS {quote_identifier(reference.name)}",)
    context.replace(reference.start, reference.end, *pieces, *alias)
    expect_source(reference, pieces, context)


def put_name(reference: Reference, resolved: Resolved, context: Context) -> None:
    """Write a relation's name schema-qualified, except where PostgreSQL's own resolution stays within the tenant's."""
    if resolved.is_temporary:
        context.pins = "temporary table"
    elif resolved.relation is None or context.access.isolation is Isolation.DATABASE:
        return
    name = resolved.qualified(context)
    context.replace(reference.start, reference.end, *(("ONLY ",) if reference.only else ()), *name)
    expect_name(reference, name, context)


# -- where the tests go ---------------------------------------------------------------------------------------


def _can_be_in_where(reference: Reference, resolved: Resolved, context: Context) -> bool:
    if not isinstance(reference.scope.node, ast.SelectStmt) or not may_stand_in_where(reference, resolved, context):
        return False
    if has_grouping_sets(reference.scope.node, context):
        return False
    return not needs_barrier(context) or _conditions_are_enclosed(reference.scope, context)


def _is_named_as_a_row(reference: Reference) -> bool:
    """Whether its name may stand for a whole row: that of a sub-select is a record, not of the table's row type."""
    whole = (reference.visible_name,)
    return any(len(c.fields) == 1 and names_of(c.fields) == whole for c in reference.scope.columns)


def _conditions_are_enclosed(scope: Scope, context: Context) -> bool:
    """Whether a CASE around WHERE covers everything that could leak at a query level.

    Conditions around it, those around a view too, must stay outside, which LIMIT sees to; ON and HAVING must not leak;
    and nothing in FROM may bring conditions of its own on the level's tables, as LATERAL does.
    """
    node = scope.node
    if node is not context.outermost and node.limitCount is None and node.limitOffset is None:
        return False
    conditions = [] if node.havingClause is None else [node.havingClause]
    sources = list(node.fromClause)
    while sources:
        source = sources.pop()
        if isinstance(source, ast.JoinExpr) and not source.isNatural and not source.usingClause:
            sources += [source.larg, source.rarg]
            conditions += [] if source.quals is None else [source.quals]
        elif not isinstance(source, ast.RangeVar) and (not isinstance(source, ast.RangeSubselect) or source.lateral):
            return False
    return not any(leaks(node, conditions, context))


def _guard_in_where(scope: Scope, guarded: list[tuple[Reference, Resolved]], context: Context) -> None:
    tested = [
        (r, resolved, row_test(resolved, quote_identifier(r.visible_name), reading=not is_locked(r)))
        for r, resolved in guarded
    ]
    tests = [test for _, _, test in tested if test]
    if tests:
        shields = shields_of(tested, context) if scope.node is context.outermost and context.shielded else None
        add_tests(scope.node, guarded[0][0].start, tests, needs_barrier(context), context, shields)


def _check_lock(reference: Reference, resolved: Resolved, context: Context) -> None:
    """A row lock needs what an UPDATE needs; rows of global tables are not locked by one tenant against the others."""
    if not is_locked(reference):
        return
    if resolved.source:
        raise UnsupportedStatement(
            f"rows of the view {reference.name} cannot be locked",
            hint="Lock the rows of its tables, or name your tables with FOR UPDATE OF.",
            position=reference.position,
        )
    check_locks(resolved.access.policy, resolved.name, reference, context)
    if not resolved.access.write:
        raise AccessDenied(
            f"permission denied for table {reference.name}",
            hint="Locking rows needs update access; read without FOR UPDATE or FOR SHARE.",
            position=reference.position,
        )
    if resolved.is_global:
        raise AccessDenied(
            f"rows of {reference.name} cannot be locked",
            hint="The table is the same for all tenants; name your own tables with FOR UPDATE OF.",
            position=reference.position,
        )


# -- what a sub-select hides -------------------------------------------------------------------------------------


def _check_columns(scope: Scope, replaced: dict[Reference, tuple[str, str]], context: Context) -> None:
    for column in scope.columns:
        names = names_of(column.fields)
        star = isinstance(column.fields[-1], ast.A_Star)
        if len(names) + star >= 3:
            _shorten(column, names[: len(names) - (not star)], scope, replaced, context)


def _shorten(
    column: Node, qualifier: tuple[str, ...], scope: Scope, replaced: dict[Reference, tuple[str, str]], context: Context
) -> None:
    """`public.orders.total` becomes `orders.total` where `public.orders` became a sub-select of that name."""
    schema, table = qualifier[-2:]
    for around in scope.chain():
        for reference in around.references:
            if replaced.get(reference) == (schema, table) and not reference.has_alias:
                _cut_qualifier(column, context)
                return


def _cut_qualifier(column: Node, context: Context) -> None:
    first = context.tokens.index_at(column.location)
    star = isinstance(column.fields[-1], ast.A_Star)
    parts = [first]
    end = context.tokens.qualified_name_end(first)
    parts += [i + 1 for i in range(first, end) if context.tokens.name(i) == "ASCII_46"]
    keep = parts[-2]
    if len(parts) != len(column.fields) or (star and context.tokens.name(parts[-1]) != "ASCII_42"):
        raise UnsupportedStatement("column reference is not understood", position=column.location + 1)
    context.replace(context.tokens.items[first].start, context.tokens.items[keep].start)

    def unwrap(found: Node) -> Node:
        if not isinstance(found, ast.ColumnRef) or not same_tree(found.fields, column.fields[-2:]):
            raise failed("column reference")
        return column

    context.expect(column, unwrap)


def _refuse_into(node: Node, context: Context) -> None:
    into = node.intoClause if isinstance(node, ast.SelectStmt) else None
    if into is not None and into is not context.into:
        raise UnsupportedStatement(
            "SELECT INTO is not supported here",
            hint="Write it as a statement of its own, or CREATE TEMP TABLE … AS.",
            position=context.statement.start + 1,
        )
