"""Which columns of a target's relations a statement can reach, for audit: `schema.table.column`.

By name, where a name could mean the column, and all of a relation where `*`, a whole row, NATURAL or a list that stands
for all columns means them. Never too few; a name that two relations of one level have counts for both.
"""

from __future__ import annotations

from policy.sql.catalog import Relation
from policy.sql.context import Context
from policy.sql.parse import Node, ast, walk
from policy.sql.references import Place, Reference, Scope, names_of
from policy.sql.rules.denied_columns import column_lists, joined_names

_WITH_COLUMNS = (Place.FROM, Place.TARGET, Place.COPY)


def reached_columns(context: Context) -> tuple[str, ...]:
    """Sorted, each once."""
    found: set[str] = set()
    for scope in context.references.scopes:
        for column in scope.columns:
            found.update(_meant(column, scope, context))
        found.update(_joined(scope, context))
        found.update(_written(scope.node, context))
    return tuple(sorted(found))


def _meant(column: Node, scope: Scope, context: Context) -> set[str]:
    """What a column reference can mean: of the innermost level that has something of that name."""
    names, star = names_of(column.fields), isinstance(column.fields[-1], ast.A_Star)
    for around in scope.chain():
        found: set[str] = set()
        for reference in around.references:
            found |= _of(reference, names, star, context)
        if found or (star and len(names) == 0):
            return found
    return set()


def _of(reference: Reference, names: tuple[str, ...], star: bool, context: Context) -> set[str]:
    relation = _relation(reference, context)
    if relation is None:
        return set()
    visible = reference.visible_name
    if star:
        return _all(relation) if not names or names[-1] == visible else set()
    if len(names) == 1:
        return _all(relation) if names[0] == visible else _named(relation, names[0])
    return _named(relation, names[-1]) if names[-2] == visible else set()


def _joined(scope: Scope, context: Context) -> set[str]:
    """Columns that JOIN … USING names, and all where a join is NATURAL."""
    found: set[str] = set()
    names, natural = joined_names(scope.node), _is_natural(scope.node)
    if not names and not natural:
        return found
    for reference in scope.references:
        relation = _relation(reference, context)
        if relation is not None:
            found |= _all(relation) if natural else set().union(*(_named(relation, name) for name in names))
    return found


def _is_natural(node: Node) -> bool:
    sources = [*(getattr(node, "fromClause", None) or ()), *(getattr(node, "usingClause", None) or ())]
    return any(isinstance(each, ast.JoinExpr) and each.isNatural for source in sources for each in walk(source))


def _written(node: Node, context: Context) -> set[str]:
    """Columns of the target that a write or a COPY names in lists that are no column references."""
    reference = next((r for r in context.references.all if r.node is getattr(node, "relation", None)), None)
    relation = None if reference is None else _relation(reference, context)
    if relation is None:
        return set()
    found: set[str] = set()
    for names in column_lists(node):
        found |= _all(relation) if names is None else set().union(*(_named(relation, name) for name in names))
    return found


def _relation(reference: Reference, context: Context) -> Relation | None:
    if reference.cte is not None or reference.place not in _WITH_COLUMNS:
        return None
    return context.catalog.relations.get((reference.schema or context.schema or "public", reference.name))


def _all(relation: Relation) -> set[str]:
    return {f"{relation.schema}.{relation.name}.{column.name}" for column in relation.columns}


def _named(relation: Relation, name: str) -> set[str]:
    known = any(column.name == name for column in relation.columns)
    return {f"{relation.schema}.{relation.name}.{name}"} if known else set()
