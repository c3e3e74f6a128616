"""COPY: out of a table as a guarded query, into a tenant table with its rows stamped on the way.

The options are PostgreSQL's, each reviewed: what the stream's stamping (proxy/postgres/copy_stamp.py) does not
understand is refused, and so is anything that reaches a file or a program of the server.
"""

from __future__ import annotations

from typing import Any

from policy.errors import AccessDenied, InvalidStatement, UnsupportedStatement
from policy.model import Isolation
from policy.sql import parse
from policy.sql.catalog import Relation
from policy.sql.context import Context
from policy.sql.guard import Pieces, guarded_relation, note_guard
from policy.sql.parse import Node
from policy.sql.plan import Piece, StatementKind, quote_identifier
from policy.sql.references import Place, Reference, names_of
from policy.sql.resolve import SYSTEM_SCHEMAS, resolve
from policy.sql.rules.copy_options import copy_stamp, review_options
from policy.sql.rules.copy_staged import must_be_staged, stage
from policy.sql.rules.default_only import check_not_given
from policy.sql.rules.select import put_name
from policy.sql.rules.target import check_defaults, check_target, generated_columns
from policy.sql.verify import failed, parse_sample, same_tree

ast: Any = parse.ast


def rewrite_copy(node: Node, context: Context) -> None:
    """Guard or stamp a COPY. Raises a StatementRefused."""
    position = context.statement.start + 1
    if node.is_program or node.filename is not None:
        raise AccessDenied(
            "COPY to or from a file or program of the server is not allowed",
            hint="Use COPY … FROM STDIN or TO STDOUT; psql's \\copy does.",
            position=position,
        )
    if node.options:
        context.pin()
    context.command = "COPY"
    context.kind = StatementKind.COPY_IN if node.is_from else StatementKind.COPY_OUT
    if context.has_own_code:
        _copy_own(node, context)
        return
    review_options(node, position)
    if node.is_from:
        _copy_in(node, context)
    elif node.query is not None:
        _check_sources(context)
    else:
        _copy_out(node, context)


def _copy_own(node: Node, context: Context) -> None:
    """Nothing is hidden and nothing stamped; which table a name means, the session's own search_path may decide."""
    if node.relation is not None:
        resolved = resolve(context.target_of(node), "copy", context)
        context.reach(resolved.schema, resolved.name)


def _check_sources(context: Context) -> None:
    """COPY (query): every relation that it reads needs the permission to be copied, too."""
    for reference in context.references.all:
        catalog = reference.schema in SYSTEM_SCHEMAS or (reference.schema is None and reference.name.startswith("pg_"))
        if reference.cte is None and reference.place is Place.FROM and not catalog:
            resolve(reference, "copy", context)


# -- out ------------------------------------------------------------------------------------------------------

_NOT_COPIED = {"v": "view", "m": "materialized view", "f": "foreign table"}


def _copy_out(node: Node, context: Context) -> None:
    reference = context.target_of(node)
    resolved = resolve(reference, "copy", context)
    resolve(reference, "read", context)
    relation = resolved.relation
    if relation is None or (not resolved.is_guarded and not context.shared and context.row_limit is None):
        context.reach(resolved.schema, resolved.name)
        put_name(reference, resolved, context)
        return
    if relation.kind in _NOT_COPIED:
        raise InvalidStatement(
            f'cannot copy from {_NOT_COPIED[relation.kind]} "{relation.name}"',
            sqlstate="42809",
            hint="Try the COPY (SELECT ...) TO variant.",
            position=reference.position,
        )
    note_guard(resolved, context)
    columns = ", ".join(quote_identifier(name) for name in _columns(node, relation, reference))
    only = relation.kind == "r"  # COPY of a table leaves its children out
    source = guarded_relation(resolved, only, context)
    limit = "" if context.row_limit is None else f" LIMIT {context.row_limit}"
    query: Pieces = (f"(SELECT {columns} FROM ", *source, f" AS {quote_identifier(resolved.name)}{limit})")  # noqa: S608
    end = _end_of_columns(node, reference, context)
    context.replace(reference.start, end, *query)
    _modern_options(end, context)

    def unwrap(found: Node) -> Node:
        expected = parse_sample("COPY % TO STDOUT", query)
        if found.relation is not None or found.query is None or not same_tree(found.query, expected.query):
            raise failed("COPY")
        found.relation, found.attlist, found.query = node.relation, node.attlist, None
        return found

    context.expect(node, unwrap)


def _columns(node: Node, relation: Relation, reference: Reference) -> list[str]:
    """The columns of the stream: those named, else all that are not generated."""
    known = {column.name: column for column in relation.columns}
    if not node.attlist:
        return [c.name for c in relation.columns if c.generated not in ("stored", "virtual")]
    names = list(names_of(node.attlist))
    for name in names:
        if name not in known:
            raise InvalidStatement(
                f'column "{name}" of relation "{relation.name}" does not exist',
                sqlstate="42703",
                position=reference.position,
            )
        if known[name].generated in ("stored", "virtual"):
            raise InvalidStatement(
                f'column "{name}" is a generated column',
                sqlstate="42P10",
                detail="Generated columns cannot be used in COPY.",
                position=reference.position,
            )
    if len(set(names)) != len(names):
        raise InvalidStatement("a column is named more than once", sqlstate="42701", position=reference.position)
    return names


def _end_of_columns(node: Node, reference: Reference, context: Context) -> int:
    if not node.attlist:
        return reference.end
    brackets = _brackets(reference, context)
    return context.tokens.items[brackets[1]].end


def _brackets(reference: Reference, context: Context) -> tuple[int, int]:
    index = context.tokens.index_at(reference.end)
    if context.tokens.name(index) != "ASCII_40":
        raise UnsupportedStatement("COPY is not understood", position=reference.position)
    return index, context.tokens.closing(index)


def _modern_options(end_of_table: int, context: Context) -> None:
    """`COPY BINARY t TO STDOUT USING DELIMITERS '|'` is of tables only; a query takes these words after WITH."""
    tokens = context.tokens
    verb = tokens.index_at(context.statement.start)
    options: list[Piece] = []
    if tokens.name(verb + 1) == "BINARY":
        context.replace(tokens.items[verb + 1].start, tokens.items[verb + 1].end)
        options.append(" BINARY")
    begin = end = tokens.index_at(end_of_table) + 2  # after TO STDOUT
    if tokens.name(end) == "USING":
        end += 1
    if tokens.name(end) == "DELIMITERS":
        delimiter = tokens.items[end + 1]
        options += [" DELIMITER ", context.client_text(delimiter.start, delimiter.end)]
        end += 2
    if options:
        end += tokens.name(end) in ("WITH", "WITH_LA")
        context.replace(tokens.end_before(begin), tokens.end_before(end), " WITH", *options)


# -- in -------------------------------------------------------------------------------------------------------


def _copy_in(node: Node, context: Context) -> None:
    reference, resolved = check_target(node, context, "insert")
    resolve(reference, "copy", context)
    relation = resolved.relation
    if relation is None or (context.access.isolation is Isolation.DATABASE and not resolved.is_guarded):
        put_name(reference, resolved, context)
        return  # PostgreSQL knows the columns: this transaction may have changed them
    names = _columns(node, relation, reference)
    check_not_given(names, reference, resolved)
    if must_be_staged(resolved):
        stage(names, reference, resolved, context)
        _write_columns(node, names, reference, context)
        return
    put_name(reference, resolved, context)
    tenant = resolved.tenant_column
    filled = [c for c in relation.all_columns if c.name not in names and c is not tenant]
    check_defaults([*filled, *generated_columns(resolved)], reference, resolved, context)
    if tenant is None:
        return
    context.note(f"{resolved.name}: rows are stamped with {tenant.name}")
    context.copy_stamp = copy_stamp(node, names, tenant)
    _write_columns(node, names if tenant.name in names else [*names, tenant.name], reference, context)


def _write_columns(node: Node, sent: list[str], reference: Reference, context: Context) -> None:
    """The columns of the stream, written out."""
    listed = " (" + ", ".join(quote_identifier(name) for name in sent) + ")"
    if node.attlist:
        start, end = _brackets(reference, context)
        context.replace(context.tokens.items[start].start, context.tokens.items[end].end, listed)
    else:
        context.insert(reference.end, listed)

    def unwrap(found: Node) -> Node:
        if list(names_of(found.attlist)) != sent:
            raise failed("COPY")
        found.attlist = node.attlist
        return found

    context.expect(node, unwrap)
