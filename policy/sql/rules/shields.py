"""Conditions of WHERE that are kept from other tenants' rows one by one, so that no guard need be a barrier.

A barrier around a relation (`OFFSET 0`) costs a node of the plan and hides the relation from joins. Where all that
could tell of a row are operands of the outermost WHERE, each about one relation, the guards are plain and those
relations' tests stand in WHERE, each operand in a shield of its own relation's:

- `CASE WHEN test THEN (operand) ELSE false END` holds whatever the planner does, and makes the test twice.
- `COALESCE((operand), CASE WHEN tenant IS NULL THEN <costly, never evaluated> ELSE false END)` only seems to cost a
  lot, where that is known to suffice. PostgreSQL evaluates the conditions of a scan in the order of their cost
  (order_qual_clauses in createplan.c, 13 to 18), those of its index and their recheck before all of them, and what is
  about one relation nowhere but in its scan. So the tenant test, one call of a built-in comparison, comes before what
  seems to cost a hundred times as much. COALESCE keeps the operand from indexes and from the planner's look at
  statistics. Decision 24.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from policy.sql.catalog import Column
from policy.sql.context import Context
from policy.sql.guard import Pieces, filter_is_leaky, has_grouping_sets, needs_barrier
from policy.sql.leakproof import leaks, statement_is_leakproof
from policy.sql.parse import ast, walk
from policy.sql.plan import quote_identifier
from policy.sql.references import Place, Reference, names_of
from policy.sql.resolve import Resolved, resolve
from policy.sql.rules.catalogs import names_system_catalog
from policy.sql.rules.conjuncts import operands_in_text
from policy.sql.rules.where import Shield, Shields, case_shield, clause_after, from_keyword
from policy.sql.type_names import is_text

Node = Any

_SORTING_VERSIONS = range(130000, 190000)  # whose planner was read
_COSTLY = "pg_catalog.to_tsvector('pg_catalog.simple'::pg_catalog.regconfig, {}::pg_catalog.text) IS NULL"  # costs 100


def shield_operands(context: Context) -> None:
    """Find the operands that shields would do for, or none is needed for; then the statement needs no barrier."""
    node = context.outermost
    if not isinstance(node, ast.SelectStmt) or node.whereClause is None:
        return
    if not needs_barrier(context) or has_grouping_sets(node, context):
        return
    scope = next((scope for scope in context.references.scopes if scope.node is node), None)
    references = [] if scope is None else [r for r in scope.references if r.place is Place.FROM]
    if not references:
        return
    operands = _operands(references[0], context)
    shielded: dict[int, Reference] = {}
    for operand, leaky in zip(operands, leaks(node, operands, context), strict=True):
        if leaky:
            reference = _only_relation(operand, references)
            if reference is None or not _takes_shields(reference, context):
                return
            shielded[id(operand)] = reference
    if shielded and statement_is_leakproof(context.statement.node, context, shielded):
        context.shielded, context.leakproof = shielded, True


def _operands(reference: Reference, context: Context) -> list[Node]:
    """Those of AND in the WHERE of the relation's level that the text shows, too."""
    tokens = context.tokens
    clause = clause_after(from_keyword(reference.start, tokens) + 1, tokens)
    if tokens.name(clause) != "WHERE":
        return []
    span = clause + 1, clause_after(clause + 1, tokens)
    return [operand for operand, _ in operands_in_text(reference.scope.node.whereClause, *span, tokens)]


def _only_relation(operand: Node, references: Sequence[Reference]) -> Reference | None:
    """The relation of this level that an operand names columns of and nothing else; None when there is none such."""
    parts = list(walk(operand))
    if any(isinstance(part, ast.SubLink) for part in parts):
        return None
    if references[0].scope.node.fromClause == (references[0].node,):
        return references[0]
    qualifiers = {names_of(part.fields)[:-1] for part in parts if isinstance(part, ast.ColumnRef)}
    named = [r for r in references if qualifiers == {(r.visible_name,)}]
    return named[0] if len(named) == 1 else None


def _takes_shields(reference: Reference, context: Context) -> bool:
    """Whether its tests can stand in WHERE, or it is the same for all tenants."""
    if (
        reference.cte is not None
        or reference.place is not Place.FROM
        or names_system_catalog(reference, context.catalog)
    ):
        return False
    resolved = resolve(reference, "read", context)
    if resolved.relation is None or resolved.relation.kind not in "rp":
        return False
    return not resolved.is_guarded or may_stand_in_where(reference, resolved, context)


def may_stand_in_where(reference: Reference, resolved: Resolved, context: Context) -> bool:
    """Whether tests in WHERE mean the same as in the relation's place, and can tell of no row themselves."""
    if reference.nullable or reference.sample is not None or getattr(reference.node.alias, "colnames", None):
        return False
    changed = resolved.access.masks or resolved.access.denied
    return (
        not changed and not resolved.source and not filter_is_leaky(resolved, context, reading=not is_locked(reference))
    )


def is_locked(reference: Reference) -> bool:
    """Whether a locking clause of its query level names it, or names nobody."""
    for clause in getattr(reference.scope.node, "lockingClause", None) or ():
        named = {r.relname for r in clause.lockedRels or ()}
        if not named or reference.visible_name in named:
            return True
    return False


def shields_of(guarded: Sequence[tuple[Reference, Resolved, Pieces]], context: Context) -> Shields:
    """What to put around the operands of WHERE. guarded: the relations whose tests stand in it, with these."""
    known = {id(reference): (reference, resolved, tests) for reference, resolved, tests in guarded}
    return {
        operand: _shield(*known[id(reference)], context) if id(reference) in known else None
        for operand, reference in context.shielded.items()
    }


def _shield(reference: Reference, resolved: Resolved, tests: Pieces, context: Context) -> Shield:
    column, relation = resolved.tested_column, resolved.relation
    assert relation is not None
    if column is None or resolved.access.limits or relation.has_children or not _comes_first(column, context):
        return case_shield(tests)  # a partition may be foreign: what its server evaluates first is not known
    tenant = f"{quote_identifier(reference.visible_name)}.{quote_identifier(column.name)}"
    return Shield((" COALESCE((",), (f"), CASE WHEN {tenant} IS NULL THEN {_COSTLY.format(tenant)} ELSE false END)",))


def _comes_first(column: Column, context: Context) -> bool:
    """Whether its test is sure to be made before what seems to cost more: it is one call of a cheap function."""
    catalog = context.catalog
    built_in = is_text(column) or column.cast_type.startswith("pg_catalog.")
    return catalog.sorts_by_cost and catalog.server_version in _SORTING_VERSIONS and built_in
