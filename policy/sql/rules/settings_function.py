"""`FROM pg_show_all_settings()` stands for the view pg_settings, which is guarded: pgAdmin's first statement has it."""

from __future__ import annotations

from typing import Any

from policy.errors import AccessDenied, UnsupportedStatement
from policy.sql.context import Context
from policy.sql.parse import ast
from policy.sql.references import names_of
from policy.sql.rules.catalogs import guard_system_catalog
from policy.sql.verify import failed, parse_sample, same_tree

Node = Any

SETTINGS_FUNCTION = "pg_show_all_settings"


def guard_settings_function(context: Context) -> None:
    """Put the view in the function's place. Raises AccessDenied where it stands for anything but a table."""
    ranged: set[int] = set()
    for node in context.nodes:
        functions: Any = node.functions if isinstance(node, ast.RangeFunction) else ()
        if len(functions) == 1 and _shows_settings(functions[0][0]):
            ranged.add(id(functions[0][0]))
            _put_settings(node, context)
    for node in context.nodes:
        if _shows_settings(node) and id(node) not in ranged:
            raise AccessDenied(
                f"function {SETTINGS_FUNCTION} is not allowed here",
                hint="Use it in FROM, or the view pg_settings.",
                position=node.location + 1,
            )


def _shows_settings(node: Node) -> bool:
    return isinstance(node, ast.FuncCall) and names_of(node.funcname)[-1] == SETTINGS_FUNCTION


def _put_settings(node: Node, context: Context) -> None:
    call, tokens = node.functions[0][0], context.tokens
    if node.lateral or node.ordinality or node.is_rowsfrom or node.coldeflist:
        raise UnsupportedStatement("use the view pg_settings", position=call.location + 1)
    pieces = guard_system_catalog("pg_catalog", "pg_settings", context.access, context.catalog)
    first = tokens.index_at(call.location)
    end = tokens.end_before(tokens.closing(tokens.qualified_name_end(first)) + 1)
    name = () if node.alias is not None else (f" AS {SETTINGS_FUNCTION}",)
    context.replace(call.location, end, *pieces, *name)
    context.reach("pg_catalog", "pg_settings")

    def unwrap(found: Node) -> Node:
        query: Any = parse_sample("SELECT FROM % AS x", pieces)
        named = getattr(getattr(found, "alias", None), "aliasname", None) == SETTINGS_FUNCTION
        alias = same_tree(found.alias, node.alias) if node.alias is not None else named
        if not isinstance(found, ast.RangeSubselect) or found.lateral or not alias:
            raise failed("settings")
        if not same_tree(found.subquery, query.fromClause[0].subquery):
            raise failed("settings")
        return node

    context.expect(node, unwrap)
