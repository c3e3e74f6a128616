"""Which statements are taken to be about temporary tables (rules/temporary.py), and which about the tenant's own.

A new table says so itself. Of a table that is there, nobody knows where it is but the session's backend; so where
the tenant has no tables of its own to change, a name that is not one of the database's is a temporary table's.
"""

from __future__ import annotations

from typing import Any

from policy.sql import parse
from policy.sql.context import Context
from policy.sql.parse import enums
from policy.sql.references import Place, names_of
from policy.sql.resolve import DEFAULT_SCHEMA, TEMPORARY_SCHEMA

Node = Any
ast: Any = parse.ast

DROPPED = frozenset({enums.ObjectType.OBJECT_TABLE, enums.ObjectType.OBJECT_INDEX})
_CHANGES = (ast.AlterTableStmt, ast.IndexStmt, ast.DropStmt, ast.TruncateStmt, ast.VacuumStmt)


def is_of_temporary_tables(context: Context) -> bool:
    """Whether a statement's own relations, other than those it reads, are temporary tables of the session."""
    node = context.statement.node
    made = _made(node, context)
    if made is not None:
        return bool(made.relpersistence == "t" or made.schemaname == TEMPORARY_SCHEMA)
    if not isinstance(node, _CHANGES):
        return False
    names = _names(node, context)
    if not names or any(schema not in ("", TEMPORARY_SCHEMA) for schema, _ in names):
        return False
    if all(schema == TEMPORARY_SCHEMA for schema, _ in names):
        return True
    if not context.shared and (context.access.ddl or isinstance(node, ast.TruncateStmt)):
        return False
    return not any(_is_of_the_database(name, context) for _, name in names)


def _made(node: Node, context: Context) -> Node:
    """The RangeVar of the table that a statement makes."""
    if isinstance(node, ast.CreateStmt):
        return node.relation
    into = node.into if isinstance(node, ast.CreateTableAsStmt) else context.into
    return None if into is None else into.rel


def _names(node: Node, context: Context) -> list[tuple[str, str]]:
    """Schema, or "", and name."""
    if isinstance(node, ast.DropStmt):
        if node.removeType not in DROPPED:
            return []
        listed = [names_of(each) for each in node.objects]
        return [("" if len(parts) == 1 else parts[-2], parts[-1]) for parts in listed]
    return [(r.schema or "", r.name) for r in context.references.all if r.place is Place.OTHER]


def _is_of_the_database(name: str, context: Context) -> bool:
    """Not in shared tables: whether an unlisted one is there, is told to nobody."""
    if context.shared:
        return (DEFAULT_SCHEMA, name) in context.access.rules
    return (context.schema or DEFAULT_SCHEMA, name) in context.catalog.relations
