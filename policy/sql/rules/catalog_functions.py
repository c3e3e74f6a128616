"""Functions that describe an object by its oid: `pg_get_indexdef(oid)`, `obj_description(oid, …)` and their like.

An oid is easily guessed, and the functions ask for no permission: counting oids up would list every tenant's tables,
keys and comments. So the oid is replaced by a sub-select that gives it back when the object may be seen
and NULL otherwise, and then the function gives NULL, too (they are strict), as it does for an oid that is not there:

    pg_get_indexdef(i.oid)  ->  pg_get_indexdef((SELECT x.oid FROM (SELECT (i.oid)::oid AS oid OFFSET 0) AS x WHERE …))

Conditions are written in the language of `catalog_tables.py`. Which functions may be called at all, is decided in
`policy/sql/functions.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from policy.model import Isolation
from policy.sql.context import Context
from policy.sql.parse import ast, walk
from policy.sql.references import names_of
from policy.sql.rules.arguments import argument_spans
from policy.sql.rules.catalog_tables import NOTHING
from policy.sql.rules.catalogs import visible_condition
from policy.sql.verify import HOLE, client_part

Node = Any

_OF_CONSTRAINT = (
    "EXISTS (SELECT FROM pg_catalog.pg_constraint AS k WHERE k.oid = x.oid"
    " AND CASE WHEN k.conrelid <> '0'o THEN @class(k.conrelid) ELSE @type(k.contypid) END)"
)
_OF_TRIGGER = "EXISTS (SELECT FROM pg_catalog.pg_trigger AS g WHERE g.oid = x.oid AND @relation(g.tgrelid))"
_OF_STATISTICS = "EXISTS (SELECT FROM pg_catalog.pg_statistic_ext AS s WHERE s.oid = x.oid AND @relation(s.stxrelid))"
_ANY = f"@class(x.oid) OR @type(x.oid) OR @namespace(x.oid) OR {_OF_CONSTRAINT}"

BY_OID: Final[Mapping[str, str]] = {
    "pg_get_indexdef": "@class(x.oid)",
    "pg_get_partkeydef": "@class(x.oid)",
    "pg_get_viewdef": "@definition(x.oid)",
    "pg_get_ruledef": NOTHING,
    "col_description": "@class(x.oid)",
    "obj_description": _ANY,
    "format_type": "@type(x.oid)",
    "pg_get_constraintdef": _OF_CONSTRAINT,
    "pg_get_triggerdef": _OF_TRIGGER,
    "pg_get_statisticsobjdef": _OF_STATISTICS,
    "pg_get_statisticsobjdef_columns": _OF_STATISTICS,
    "pg_get_statisticsobjdef_expressions": _OF_STATISTICS,
    "pg_get_function_arguments": "@system(x.oid)",
    "pg_get_function_identity_arguments": "@system(x.oid)",
    "pg_get_function_result": "@system(x.oid)",
    "pg_get_function_arg_default": "@system(x.oid)",
    "pg_get_functiondef": "@system(x.oid)",
    "pg_get_function_sqlbody": "@system(x.oid)",
    "pg_tablespace_location": NOTHING,
}
BY_NAME: Final = frozenset({"pg_get_serial_sequence"})
"""What stands behind a table that is named by a text: not known (NULL), since names are easily guessed."""

GUARDED: Final = frozenset(BY_OID) | BY_NAME
"""Functions whose argument is guarded here, so that they may be called with any oid."""


def guard_catalog_functions(context: Context) -> None:
    """Let functions that describe objects see the session's only; nothing to do in a database of one's own.

    Runs after `guard_sources`, whose edits of an argument it encloses.
    """
    if context.access.isolation is Isolation.DATABASE:
        return
    for node in walk(context.statement.node):
        if isinstance(node, ast.FuncCall) and node.args and _schema(node) in ("", "pg_catalog"):
            name = names_of(node.funcname)[-1]
            if name in BY_NAME:
                _guard_argument(node, NOTHING, "text", context)
            elif name in BY_OID:
                _guard_argument(node, BY_OID[name], "oid", context)


def _schema(node: Node) -> str:
    names = names_of(node.funcname)
    return names[-2] if len(names) > 1 else ""


def _guard_argument(node: Node, condition: str, type_name: str, context: Context) -> None:
    visible = visible_condition(condition, context.access, context.catalog)
    before = ("(SELECT x.oid FROM (SELECT (",)
    after = (f")::pg_catalog.{type_name} AS oid OFFSET 0) AS x WHERE ", *visible, ")")
    context.wrap(*argument_spans(node, context.tokens)[0], before, after)
    context.expect(node.args[0], lambda found: client_part(found, (*before, HOLE, *after)))
