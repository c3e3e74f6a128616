"""The limit of rows that policies put on results: the query becomes `SELECT * FROM (query) AS … LIMIT n`.

The target itself stops there, so it holds however the query is run: at once, by portals and cursors piece by piece, as
a prepared statement, in COPY. What is cut off is told by a WARNING (proxy/postgres/relay.py).
"""

from __future__ import annotations

from typing import Any

from policy.errors import AccessDenied
from policy.sql.context import Context
from policy.sql.parse import ast, parse_statements
from policy.sql.verify import failed, same_tree

Node = Any
_NAME = "tenantgate_result"
_WRITES = (ast.InsertStmt, ast.UpdateStmt, ast.DeleteStmt, ast.MergeStmt)


def limit_rows(context: Context) -> None:
    """Cut the result where policies say so. Raises AccessDenied where that cannot be done."""
    node = context.statement.node
    _check_countable(node, context)
    if context.row_limit is None:
        return
    if any(isinstance(write, _WRITES[1:]) and _returns(write) for write in context.references.writes):
        raise _refused("rows that UPDATE, DELETE and MERGE return cannot be counted", "Leave RETURNING out.", context)
    query = _query_of_result(node)
    if query is None or context.into is not None:
        return
    if context.references.writes:
        raise _refused("a query that writes in its WITH cannot be cut", "Write in a statement of its own.", context)
    start, end = _span(node, context)
    limit = context.row_limit
    context.wrap(start, end, ("SELECT * FROM (",), (f"\n) AS {_NAME} LIMIT {limit}",))
    context.note(f"policy {', '.join(context.limited_by)}: at most {limit} rows")

    def unwrap(found: Node) -> Node:
        sample: Any = parse_statements(f"SELECT * FROM (SELECT) AS {_NAME} LIMIT {limit}")[0].node  # noqa: S608
        sources = found.fromClause if isinstance(found, ast.SelectStmt) else None
        if not sources or len(sources) != 1 or not isinstance(sources[0], ast.RangeSubselect):
            raise failed("limit of the result")
        inner, sources[0].subquery = sources[0].subquery, sample.fromClause[0].subquery
        if not same_tree(found, sample):
            raise failed("limit of the result")
        return inner

    context.expect(query, unwrap)


def _check_countable(node: Node, context: Context) -> None:
    """What is named now and run by its name later is not looked at again then."""
    later = (ast.PrepareStmt,) if context.byte_limit is None else (ast.PrepareStmt, ast.DeclareCursorStmt)
    if context.by_policy and isinstance(node, later):
        raise AccessDenied(
            "policies look at each run of this statement, so it cannot be run by a name in SQL",
            hint="Send the statement itself; drivers' prepared statements are fine.",
            position=context.statement.start + 1,
        )


def _returns(write: Node) -> bool:
    return bool(getattr(write, "returningClause", None) or getattr(write, "returningList", None))


def _query_of_result(node: Node) -> Node:
    """The query whose rows the client gets, None when there is none."""
    if isinstance(node, (ast.DeclareCursorStmt, ast.PrepareStmt, ast.CopyStmt)):
        node = node.query
    return node if isinstance(node, ast.SelectStmt) else None


def _span(node: Node, context: Context) -> tuple[int, int]:
    """Where the query stands in the text."""
    tokens, (start, end) = context.tokens, (context.statement.start, context.statement.end)
    if isinstance(node, ast.SelectStmt):
        return start, end
    index = tokens.index_at(start) + 1
    if isinstance(node, ast.CopyStmt):
        while tokens.name(index) != "ASCII_40":
            index += 1
        return tokens.items[index + 1].start, tokens.items[tokens.closing(index)].start
    word = "FOR" if isinstance(node, ast.DeclareCursorStmt) else "AS"
    while tokens.name(index) != word:
        index = tokens.closing(index) + 1 if tokens.name(index) == "ASCII_40" else index + 1
    return tokens.items[index + 1].start, end


def _refused(message: str, hint: str, context: Context) -> AccessDenied:
    by = ", ".join(context.limited_by)
    detail = f"Policy {by} limits results to {context.row_limit} rows."
    return AccessDenied(message, detail=detail, hint=hint, position=context.statement.start + 1)
