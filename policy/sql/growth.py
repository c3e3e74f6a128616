"""What of a statement quotas ask about: whether it may take more storage, how many tables it makes, SHOW QUOTA."""

from __future__ import annotations

from typing import Any

from policy.sql.context import Context
from policy.sql.parse import Statement, ast, enums, fingerprint_of
from policy.sql.plan import Plan, Slot, SlotKind, StatementKind

Node = Any
QUOTA_ACTION = ("quota",)
_GROWING_WORDS = frozenset({"CREATE", "SELECT", "REFRESH", "ALTER", "CALL", "DO", "IMPORT"})


def grows(context: Context) -> bool:
    """Whether it may take more storage: every write but DELETE, and DDL that makes or fills something."""
    if context.references.writes:
        return any(not isinstance(write, ast.DeleteStmt) for write in context.references.writes)
    if context.kind is StatementKind.DDL:
        return context.command.split(" ", 1)[0] in _GROWING_WORDS
    if isinstance(context.statement.node, ast.TruncateStmt):
        return False
    return context.write or context.kind is StatementKind.COPY_IN or context.into is not None


def tables_made(context: Context) -> int:
    """How many tables that stay it makes, as far as its text tells."""
    if context.kind is StatementKind.READ:
        return 0
    made = context.into is not None and _stays(context.into)
    return made + sum(_makes_table(node) for node in context.nodes)


def _makes_table(node: Node) -> bool:
    if isinstance(node, ast.CreateTableAsStmt):
        return node.objtype == enums.ObjectType.OBJECT_TABLE and _stays(node.into)
    return isinstance(node, ast.CreateStmt) and _stays(node)


def _stays(made: Node) -> bool:
    relation: Node = made.rel if isinstance(made, ast.IntoClause) else made.relation
    return str(relation.relpersistence) != "t" and relation.schemaname != "pg_temp"


def asks_for_quota(statement: Statement) -> bool:
    """SHOW QUOTA, which no server knows."""
    node = statement.node
    return isinstance(node, ast.VariableShowStmt) and (node.name or "").lower() == "quota"


def quota_plan(statement: Statement, text: str) -> Plan:
    """The session's own quotas, as a query that brings its rows along."""
    original = text[statement.start : statement.end]
    return Plan(
        kind=StatementKind.SESSION,
        command="SHOW",
        pieces=(Slot(SlotKind.QUOTAS),),
        original=original,
        offset=statement.start,
        fingerprint=fingerprint_of(original),
        rules=("SHOW QUOTA: the tenant's quotas and what is used of them",),
        session_action=QUOTA_ACTION,
    )
