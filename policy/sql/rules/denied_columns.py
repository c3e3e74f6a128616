"""Columns that a role may not know of: left out of `*`, and refused by name wherever a statement could mean them.

A guard's sub-select lacks them, as the narrowed catalog does, so that in a read naming one could only fail; here it
fails with the reason. The target of a write is the table itself: there its columns, and `*` and whole rows
(target.py), must not be named. An INSERT must list its columns, for positions count all of a table's.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from policy.access import Access, TableAccess
from policy.errors import AccessDenied
from policy.sql.catalog import Catalog, Relation
from policy.sql.context import Context
from policy.sql.parse import ast, enums, walk
from policy.sql.references import Reference, Scope, names_of
from policy.sql.rules.system_columns import has_other_sources

Node = Any


def without_denied_columns(catalog: Catalog, access: Access, schema: str) -> Catalog:
    """The catalog as it is for these roles."""
    relations = dict(catalog.relations)
    for (named, name), table in access.tables.items():
        key = (named or schema, name)
        relation = relations.get(key)
        if table.denies_columns and relation is not None:
            relations[key] = _narrowed(relation, table)
    return replace(catalog, relations=relations)


def denies_columns(access: Access) -> bool:
    return any(table.denies_columns for table in access.tables.values())


def _narrowed(relation: Relation, access: TableAccess) -> Relation:
    return replace(
        relation,
        columns=tuple(column for column in relation.columns if not access.is_denied(column.name)),
        denied_columns=tuple(column for column in relation.columns if access.is_denied(column.name)),
    )


def refuse_denied_columns(context: Context) -> None:
    """Refuse (42501) a statement that names one. Raises AccessDenied with its position."""
    if not denies_columns(context.access):
        return
    for scope in context.references.scopes:
        for column in scope.columns:
            if not isinstance(column.fields[-1], ast.A_Star):
                reference = _meant(names_of(column.fields), scope, context)
                if reference is not None:
                    _refuse(names_of(column.fields)[-1], reference, column.location)
        _refuse_in_write(scope.node, context)
        for name in joined_names(scope.node):
            for reference in scope.references:
                if name in _denied(reference, context):
                    _refuse(name, reference, None)


def _denied(reference: Reference, context: Context) -> frozenset[str]:
    relation = None if reference.cte is not None else _relation(reference, context)
    return frozenset() if relation is None else frozenset(column.name for column in relation.denied_columns)


def _relation(reference: Reference, context: Context) -> Relation | None:
    return context.catalog.relations.get((reference.schema or context.schema or "public", reference.name))


def _meant(names: tuple[str, ...], scope: Scope, context: Context) -> Reference | None:
    """The relation of which a column's name means a denied column; None when it means something else."""
    if not names:
        return None
    for around in scope.chain():
        for reference in around.references:
            qualified = len(names) > 1 and names[-2] == reference.visible_name
            if qualified:
                return reference if names[-1] in _denied(reference, context) else None
        if len(names) == 1 and names[0] not in _outputs(around.node):
            found = [r for r in around.references if names[0] in _denied(r, context)]
            others = has_other_sources(around.node) or any(_may_have(names[0], r, context) for r in around.references)
            if found:
                return None if others else found[0]
    return None


def _outputs(node: Node) -> set[str | None]:
    """Names of the select list, which ORDER BY and GROUP BY may mean."""
    targets = node.targetList or () if isinstance(node, ast.SelectStmt) else ()
    return {target.name for target in targets}


def _may_have(name: str, reference: Reference, context: Context) -> bool:
    relation = None if reference.cte is not None else _relation(reference, context)
    return relation is None or any(column.name == name for column in relation.columns)


def joined_names(node: Node) -> set[str]:
    """Names in USING."""
    sources = [*(getattr(node, "fromClause", None) or ()), *(getattr(node, "usingClause", None) or ())]
    joins = [found for source in sources for found in walk(source) if isinstance(found, ast.JoinExpr)]
    return {name for join in joins for name in names_of(join.usingClause)}


def _refuse_in_write(node: Node, context: Context) -> None:
    """The columns that a write names as its target's, in lists that are no column references."""
    reference = next((r for r in context.references.all if r.node is getattr(node, "relation", None)), None)
    denied = frozenset[str]() if reference is None else _denied(reference, context)
    if reference is None or not denied:
        return
    for names in column_lists(node):
        if names is None:
            raise AccessDenied(
                f"permission denied for a column of {reference.name}",
                hint="Name the columns that you may write.",
                position=reference.position,
            )
        for name in names:
            if name in denied:
                _refuse(name, reference, None)


def column_lists(node: Node) -> Iterator[list[str] | None]:
    """Names of the target's columns in each list; None for a list that stands for all of them."""
    if isinstance(node, ast.CopyStmt):
        yield list(names_of(node.attlist)) if node.attlist or not node.is_from else None
    elif isinstance(node, ast.UpdateStmt):
        yield _named(node.targetList)
    elif isinstance(node, ast.InsertStmt):
        yield _named(node.cols) if node.cols or node.selectStmt is None else None
        if node.onConflictClause is not None:
            yield _named(node.onConflictClause.targetList)
            yield _named(getattr(node.onConflictClause.infer, "indexElems", None))
    elif isinstance(node, ast.MergeStmt):
        for clause in node.mergeWhenClauses or ():
            inserts = clause.commandType == enums.CmdType.CMD_INSERT and clause.values
            yield None if inserts and not clause.targetList else _named(clause.targetList)


def _named(targets: Node) -> list[str]:
    return [target.name for target in targets or () if target.name]


def _refuse(name: str, reference: Reference, location: int | None) -> None:
    raise AccessDenied(
        f"permission denied for column {name} of {reference.name}",
        hint="Your roles do not show it; name the other columns, or use *.",
        position=reference.position if location is None else location + 1,
    )
