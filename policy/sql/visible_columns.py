"""Which columns the names in a statement surely have: of relations, sub-selects, CTEs, targets of writes.

For `a.f`, which is the column f of a where it has one, and the function f of a's row where it has not. What cannot be
told from the text and the catalog is left out.
Source: parse_func.c (ParseFuncOrColumn), parse_target.c (FigureColname).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from policy.sql import parse
from policy.sql.catalog import Catalog
from policy.sql.parse import Node, enums, walk
from policy.sql.references import names_of
from policy.sql.user_casts import relations_called

ast: Any = parse.ast

_Names = tuple[str, ...]  # the first columns of something, in order
_WRITES = (ast.InsertStmt, ast.UpdateStmt, ast.DeleteStmt, ast.MergeStmt)
_OTHERS = (ast.RangeFunction, ast.RangeTableFunc, ast.JsonTable, ast.JoinExpr)


def columns_by_name(statement: Node, catalog: Catalog) -> Mapping[str, tuple[frozenset[str], ...]]:
    """By every name that something goes by, in FROM, as a target or as `excluded`: the columns of each such thing."""
    nodes = list(walk(statement))
    ctes: dict[str, list[_Names]] = {}
    for node in nodes:
        if isinstance(node, ast.CommonTableExpr):
            names = _renamed(_outputs(node.ctequery), names_of(node.aliascolnames))
            ctes.setdefault(node.ctename, []).append(names)
    found: dict[str, list[frozenset[str]]] = {}
    for node in nodes:
        for name, columns in _named(node, ctes, catalog):
            found.setdefault(name, []).append(frozenset(columns))
    return {name: tuple(columns) for name, columns in found.items()}


def _named(node: Node, ctes: Mapping[str, list[_Names]], catalog: Catalog) -> Iterator[tuple[str, _Names]]:
    if isinstance(node, ast.RangeVar):
        name = node.relname if node.alias is None else node.alias.aliasname
        meant = [tuple(column.name for column in r.columns) for r in relations_called(node, catalog)]
        meant += ctes.get(node.relname, []) if not node.schemaname else []
        yield from ((name, _renamed(columns, _alias_columns(node))) for columns in meant or [()])
    elif isinstance(node, ast.RangeSubselect) and node.alias is not None:
        yield node.alias.aliasname, _renamed(_outputs(node.subquery), _alias_columns(node))
    elif isinstance(node, _OTHERS) and node.alias is not None:
        yield node.alias.aliasname, ()
    elif isinstance(node, _WRITES):
        columns = [tuple(column.name for column in r.columns) for r in relations_called(node.relation, catalog)]
        yield from ((name, names) for name in ("excluded", "old", "new") for names in columns)


def _alias_columns(node: Node) -> _Names:
    return names_of(node.alias.colnames) if node.alias is not None else ()


def _renamed(names: _Names, given: _Names) -> _Names:
    return (*given, *names[len(given) :])


def _outputs(query: Node) -> _Names:
    """Names of a query's first columns, as far as the text tells them."""
    if isinstance(query, ast.SelectStmt):
        while query.op != enums.SetOperation.SETOP_NONE:
            query = query.larg
        targets = query.targetList
    else:
        returning = getattr(query, "returningClause", None)
        targets = returning.exprs if returning is not None else ()
    found: list[str] = []
    for target in targets or ():
        value = target.val
        if target.name is not None:
            found.append(target.name)
        elif isinstance(value, ast.ColumnRef) and isinstance(value.fields[-1], ast.String):
            found.append(str(value.fields[-1].sval))
        else:
            break
    return tuple(found)
