"""Statements around a query: EXPLAIN, DECLARE, PREPARE, EXECUTE.

Their inner query is guarded like any other (rules/select.py, the write rules); here is only what the wrapping adds.
EXPLAIN tells of rows that no predicate holds back (costs come from statistics over all tenants, ANALYZE counts the
rows that a filter removed, BUFFERS and MEMORY grow with them), so where rows are guarded, those of the catalogs too, it
is made to leave the numbers out. VERBOSE stays: what it adds are the tenant's own guards.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from policy.access import Access
from policy.errors import AccessDenied, UnsupportedStatement
from policy.model import Isolation
from policy.sql.context import Context
from policy.sql.parse import ast, walk
from policy.sql.plan import StatementKind
from policy.sql.rules.ddl import DDL_RULES, check_names, require_ddl
from policy.sql.rules.temporary import PINS as TEMPORARY_TABLE
from policy.sql.verify import failed, parse_sample, same_tree

Node = Any

_EXPLAINABLE = (ast.SelectStmt, ast.InsertStmt, ast.UpdateStmt, ast.DeleteStmt, ast.MergeStmt)
_OWN_EXPLAINABLE = (ast.CreateTableAsStmt, ast.DeclareCursorStmt, ast.ExecuteStmt, ast.RefreshMatViewStmt)
_PASSED_ON = {"verbose", "format", "costs", "summary", "generic_plan"}
_CATALOG = re.compile(r"(FROM|JOIN) (pg_catalog|information_schema)\.")
_FORMATS = frozenset({"text", "json", "xml", "yaml"})
_WITH_HOLD = 0x20  # CURSOR_OPT_HOLD of parsenodes.h
_FALSE = frozenset({"off", "false", "0"})


def holds_rows_back(access: Access) -> bool:
    """Whether rows or values that the statement's relations have may be hidden from the session."""
    tables = (access.default, *access.tables.values(), *access.schemas.values())
    return access.isolation is Isolation.SHARED or any(t.limits for t in tables)


def explain(node: Node, context: Context) -> None:
    position = context.statement.start + 1
    if not context.access.explain:
        raise AccessDenied("permission denied: EXPLAIN", hint="Ask your administrator.", position=position)
    if not isinstance(node.query, _EXPLAINABLE + (_OWN_EXPLAINABLE if context.has_own_code else ())):
        raise UnsupportedStatement(
            "EXPLAIN is supported for SELECT, INSERT, UPDATE and DELETE only",
            hint="Explain the query itself.",
            position=position,
        )
    if isinstance(node.query, ast.CreateTableAsStmt):
        require_ddl("CREATE TABLE AS", context)
        context.kind = StatementKind.DDL
        context.write = True
        into: Node = node.query.into
        if into.rel.relpersistence == "t":
            context.pins = TEMPORARY_TABLE
        check_names(context)
    context.pin()


def quiet_explain(context: Context) -> None:
    """Make an EXPLAIN leave out what guards hold back. Runs when all of them are in place."""
    node = context.statement.node
    if not isinstance(node, ast.ExplainStmt) or not (holds_rows_back(context.access) or _asks_catalogs(context)):
        return
    options = _restricted_options(node, context.statement.start + 1)
    start, end = _option_span(node, context)
    context.replace(start, end, f" ({options}) ")
    context.note("EXPLAIN: without costs")
    context.write = False

    def unwrap(found: Node) -> Node:
        expected = parse_sample(f"EXPLAIN ({options}) SELECT 1", ())
        if not isinstance(found, ast.ExplainStmt) or not same_tree(found.options, expected.options):
            raise failed("EXPLAIN")
        found.options = node.options
        return found

    context.expect(node, unwrap)


def _asks_catalogs(context: Context) -> bool:
    """Whether the statement reads catalogs, by name or in a guard: they hold the rows of everybody's objects."""
    added = (piece for edit in context.edits for piece in edit.pieces if isinstance(piece, str))
    return any(_CATALOG.search(piece) for piece in added)


def _restricted_options(node: Node, position: int) -> str:
    """The option list to send: no costs, and of the client's options those that show nothing of the data."""
    options = ["COSTS OFF"]
    for option in node.options or ():
        value = "" if option.arg is None else str(getattr(option.arg, "sval", getattr(option.arg, "ival", "?"))).lower()
        off = value in _FALSE
        if option.defname not in _PASSED_ON and not off:
            raise UnsupportedStatement(
                f"EXPLAIN {option.defname.upper()} is not supported: it would tell of other tenants' rows",
                hint="Use EXPLAIN (COSTS OFF), with VERBOSE or FORMAT if you like.",
                position=position,
            )
        if option.defname in ("verbose", "generic_plan") and not off:
            options.append(option.defname.upper())
        if option.defname == "format" and value in _FORMATS:
            options.append(f"FORMAT {value}")
    return ", ".join(options)


def _option_span(node: Node, context: Context) -> tuple[int, int]:
    """From the end of EXPLAIN to the end of its options, as written."""
    tokens = context.tokens
    first = tokens.index_at(context.statement.start)
    after = first + 1
    if node.options and tokens.name(after) == "ASCII_40":
        after = tokens.closing(after) + 1
    while tokens.name(after) in ("ANALYZE", "ANALYSE", "VERBOSE"):
        after += 1
    return tokens.items[first].end, tokens.end_before(after)


def declare(node: Node, context: Context) -> None:
    held = ("hold",) if node.options & _WITH_HOLD else ()
    context.session_action = ("declare", node.portalname, *held)


def prepare(node: Node, context: Context) -> None:
    context.session_action = ("prepare", node.name)


def execute(node: Node, context: Context) -> None:
    for argument in () if context.has_own_code else node.params or ():
        _check_argument(argument, context)
    context.session_action = ("execute", node.name)


def _check_argument(argument: Node, context: Context) -> None:
    """An argument is evaluated by PostgreSQL outside of any guard: values only."""
    for found in walk(argument):
        if isinstance(found, ast.A_Expr | ast.FuncCall | ast.SubLink | ast.ColumnRef | ast.A_Indirection):
            raise UnsupportedStatement(
                "EXECUTE takes constants and parameters only",
                hint="Compute the value first and pass it as a constant.",
                position=(getattr(found, "location", None) or context.statement.start) + 1,
            )


def accept(_node: Node, _context: Context) -> None:
    """Nothing to add to what the rules of the inner query do."""


RULES: dict[type, Callable[[Any, Context], None]] = {
    ast.ExplainStmt: explain,
    ast.DeclareCursorStmt: declare,
    ast.PrepareStmt: prepare,
    ast.ExecuteStmt: execute,
    **DDL_RULES,
}
