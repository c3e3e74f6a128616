"""What a tenant may make besides tables where the whole database is its own: schemas, extensions, range types.

They need the permission for DDL, not more; who may store code there (`Context.has_own_code`) says all of it.
Schemas belong to the gateway's role, like all that is made through it. Extensions are those whose code has been read
(policy/sql/extensions.py), and PostgreSQL installs them for a role that is no superuser if they are trusted.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from policy.errors import UnsupportedStatement
from policy.sql.context import Context
from policy.sql.parse import ast
from policy.sql.references import names_of
from policy.sql.resolve import check_schema
from policy.sql.rules import own_database
from policy.sql.rules.ddl import check_extension, check_listed, check_names, refuse_guarded

Node = Any

_RANGE_CODE = frozenset({"canonical", "subtype_diff"})


def create_schema(node: Node, context: Context) -> None:
    """With the objects that it may begin with: those that a statement of their own could make."""
    if context.has_own_code:
        own_database.checked(node, context)
        refuse_guarded("CREATE SCHEMA", context)
        return
    if node.authrole is not None or node.schemaElts:
        raise _unsupported("CREATE SCHEMA with an owner or with its tables", "Create its tables afterwards.", context)
    check_own_schema(node.schemaname, context)


def check_own_schema(name: str, context: Context) -> None:
    """Refuse (42501) the name of a schema that is not the tenant's to make, rename or drop."""
    check_schema(name, name, context.statement.start + 1, context)


def create_extension(node: Node, context: Context) -> None:
    check_extension(node.extname, context)
    for option in node.options or ():
        if option.defname != "schema":
            raise _unsupported(f"CREATE EXTENSION … {option.defname.upper()}", "Leave it out.", context)
        check_own_schema(option.arg.sval, context)


def create_range(node: Node, context: Context) -> None:
    """Its functions run for everybody who uses the type."""
    if context.has_own_code:
        own_database.checked(node, context)
        return
    check_names(context)
    check_listed(iter([names_of(node.typeName)]), 2, context)
    for parameter in node.params or ():
        name = parameter.defname.lower()
        if name == "multirange_type_name":
            check_listed(iter([names_of(parameter.arg.names)]), 2, context)
        elif name in _RANGE_CODE:
            raise _unsupported(f"a range type with {name.upper()}", "Leave it out.", context)


def _unsupported(what: str, hint: str, context: Context) -> UnsupportedStatement:
    return UnsupportedStatement(
        f"{what} is not supported through this gateway", hint=hint, position=context.statement.start + 1
    )


RULES: dict[type, Callable[[Any, Context], None]] = {
    ast.CreateSchemaStmt: create_schema,
    ast.CreateExtensionStmt: create_extension,
    ast.CreateRangeStmt: create_range,
}
