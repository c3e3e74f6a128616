"""Temporary tables: a session's own, in whatever strategy, with no guard and no permission but the database's TEMP.

Every name becomes `pg_temp."name"`, so that PostgreSQL itself finds it among the session's own or not at all, and no
statement can reach another table this way. A new one may not have a name that the session knows otherwise, nor one that
code of the owner's (a trigger's function) could take for the table or type that it means. Its columns
are of types that bring no unreviewed code, since later statements cannot see what they are.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from policy.errors import AccessDenied, InvalidStatement, UnsupportedStatement
from policy.model import Isolation
from policy.sql.builtin_functions import CONVERSIONS
from policy.sql.context import Context
from policy.sql.parse import ast, enums, walk
from policy.sql.plan import quote_identifier
from policy.sql.references import Place, Reference, names_of
from policy.sql.resolve import DEFAULT_SCHEMA, TEMPORARY_SCHEMA, resolve
from policy.sql.rules.ddl import ALTERATIONS, refuse_storage
from policy.sql.rules.select import put_name
from policy.sql.rules.target import check_defaults
from policy.sql.user_casts import mentions
from policy.sql.user_code import user_code_of
from policy.sql.verify import expect_name, failed
from policy.sql.view_definitions import is_made_of_listed

Node = Any

PINS = "temporary table"

_LIKE_RUNS_DEFAULTS = (
    enums.TableLikeOption.CREATE_TABLE_LIKE_DEFAULTS | enums.TableLikeOption.CREATE_TABLE_LIKE_GENERATED
)
_SYSTEM_TYPES = CONVERSIONS | {"json", "jsonb", "record", "regclass", "tsquery", "tsvector", "uuid"}
_SERIAL = frozenset({"serial", "serial2", "serial4", "serial8", "smallserial", "bigserial"})


def create_table(node: Node, context: Context) -> None:
    """CREATE TEMP TABLE with columns."""
    refuse_storage(context)
    _check_types(context)
    like = {id(n.relation): n for n in walk(node) if isinstance(n, ast.TableLikeClause)}
    for reference in _others(context):
        if id(reference.node) in like:
            _copy_columns(like[id(reference.node)], reference, context)
        else:
            _put(reference, context)
    _check_new_name(node.relation.relname, context)
    for element in node.tableElts or ():
        if isinstance(element, ast.ColumnDef) and _is_serial(element):
            _check_new_name(f"{node.relation.relname}_{element.colname}_seq", context)


def _is_serial(column: Node) -> bool:
    return column.typeName is not None and names_of(column.typeName.names)[-1] in _SERIAL


def create_from_query(node: Node, context: Context) -> None:
    """CREATE TEMP TABLE … AS, and SELECT … INTO TEMP: the query is guarded like any other."""
    into: Node = node.into if isinstance(node, ast.CreateTableAsStmt) else context.into
    if isinstance(node, ast.CreateTableAsStmt) and not isinstance(node.query, ast.SelectStmt):
        raise UnsupportedStatement(
            "CREATE TABLE AS EXECUTE is not supported through this gateway",
            hint="Write the query itself.",
            position=context.statement.start + 1,
        )
    refuse_storage(context)
    _check_types(context)
    _check_new_name(into.rel.relname, context)
    for reference in _others(context):
        _put(reference, context)


def change(_node: Node, context: Context) -> None:
    """Statements that name nothing but temporary tables: TRUNCATE, ANALYZE …"""
    for reference in _others(context):
        _put(reference, context)


def create_index(node: Node, context: Context) -> None:
    refuse_storage(context)
    if node.idxname:
        _check_new_name(node.idxname, context)
    change(node, context)


def alter_table(node: Node, context: Context) -> None:
    for command in node.cmds:
        if command.subtype not in ALTERATIONS:
            raise UnsupportedStatement(
                f"ALTER TABLE {command.subtype.name.removeprefix('AT_')} is not supported on temporary tables",
                hint="Make the table anew.",
                position=context.statement.start + 1,
            )
    refuse_storage(context)
    _check_types(context)
    change(node, context)


def drop(node: Node, context: Context) -> None:
    """DROP TABLE and DROP INDEX, whose names the tree has without their places."""
    tokens = context.tokens
    kind = node.removeType.name.removeprefix("OBJECT_")
    context.command = f"DROP {kind}"
    index = tokens.index_at(context.statement.start) + 2
    if tokens.name(index) == "CONCURRENTLY":
        index += 1
    if tokens.name(index) == "IF_P":
        index += 2
    for name in (names_of(parts)[-1] for parts in node.objects):
        end = tokens.qualified_name_end(index)
        context.replace(tokens.items[index].start, tokens.end_before(end), _qualified(name))
        index = end + 1  # after the comma
    wanted = [(TEMPORARY_SCHEMA, names_of(parts)[-1]) for parts in node.objects]

    def unwrap(found: Node) -> Node:
        if [names_of(parts) for parts in found.objects] != wanted:
            raise failed("DROP")
        found.objects = node.objects
        return found

    context.expect(node, unwrap)
    _pin(context)


def _others(context: Context) -> list[Reference]:
    """The relations that are named for something else than being read or written as rows."""
    return [reference for reference in context.references.all if reference.place is Place.OTHER]


def _put(reference: Reference, context: Context) -> None:
    name = _qualified(reference.name)
    context.replace(reference.start, reference.end, *(("ONLY ",) if reference.only else ()), name)
    expect_name(reference, (name,), context)
    context.reach(TEMPORARY_SCHEMA, reference.name)
    _pin(context)


def _pin(context: Context) -> None:
    context.pins = PINS


def _qualified(name: str) -> str:
    return f"{TEMPORARY_SCHEMA}.{quote_identifier(name)}"


def _copy_columns(clause: Node, reference: Reference, context: Context) -> None:
    """LIKE: a table's structure, with its defaults when asked for."""
    resolved = resolve(reference, "read", context)
    context.reach(resolved.schema, resolved.name)
    put_name(reference, resolved, context)
    if resolved.relation is not None and resolved.relation.denied_columns:
        raise AccessDenied(
            f"permission denied for a column of {reference.name}",
            hint="Name the columns and their types instead of LIKE.",
            position=reference.position,
        )
    if resolved.relation is not None and clause.options & _LIKE_RUNS_DEFAULTS:
        check_defaults(resolved.relation.columns, reference, resolved, context)


def _check_new_name(name: str, context: Context) -> None:
    if name.startswith("pg_") or _is_visible(name, context) or (_comes_first(context) and _is_known(name, context)):
        raise InvalidStatement(
            f'relation "{name}" already exists',
            sqlstate="42P07",
            hint="A temporary table needs a name that the database does not have.",
            position=context.statement.start + 1,
        )


def _is_visible(name: str, context: Context) -> bool:
    """Whether the session's statements mean another relation by this name."""
    if not context.shared:
        return (context.schema or DEFAULT_SCHEMA, name) in context.catalog.relations
    if any(listed == name for _, listed in context.access.rules):
        return True
    view = context.catalog.relations.get((DEFAULT_SCHEMA, name))
    return view is not None and view.kind == "v" and is_made_of_listed(view, context.access, context.catalog)


def _comes_first(context: Context) -> bool:
    """Whether the owner's code could take a temporary table for a relation or type that it means: sessions have pg_temp
    behind their search_path, but in a database of the tenant's own, and where a function sets a path itself."""
    return context.access.isolation is Isolation.DATABASE or context.catalog.code_sets_path


def _is_known(name: str, context: Context) -> bool:
    """Whether code could mean something by this name: in shared tables its refusal tells that there is such a thing."""
    catalog = context.catalog
    system = (relation.rsplit(".", 1)[-1] for relation in catalog.system_columns)
    named = name in _SYSTEM_TYPES or name in catalog.user_types or name in system
    return named or any(known == name for _, known in catalog.relations)


def _check_types(context: Context) -> None:
    if context.access.isolation is Isolation.DATABASE:
        return
    risky = user_code_of(context.catalog).risky_types
    for mention in mentions(context.statement.node, context.catalog):
        if not risky.isdisjoint(mention.types):
            raise AccessDenied(
                f"{mention.what} is not allowed for a temporary table",
                hint="It has a user-defined operator or cast; convert the value to a built-in type.",
                position=max(mention.location or 0, 0) + 1,
            )


TEMPORARY_RULES: dict[type, Callable[[Any, Context], None]] = {
    ast.CreateStmt: create_table,
    ast.CreateTableAsStmt: create_from_query,
    ast.SelectStmt: create_from_query,
    ast.IndexStmt: create_index,
    ast.AlterTableStmt: alter_table,
    ast.DropStmt: drop,
    ast.TruncateStmt: change,
    ast.VacuumStmt: change,
}
