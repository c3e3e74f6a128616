"""What stays within a database of a tenant's own: types, operators, casts, rules, row policies …

They are for who may store code there (`Context.has_own_code`), which could run every one of them from a DO block; so
to name them here gives nobody more than they have. What reaches further stays refused, whoever asks: roles,
tablespaces, files, extensions, other servers, replication, settings of the server.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from policy.errors import UnsupportedStatement
from policy.sql.context import Context
from policy.sql.parse import ast, enums
from policy.sql.rules.ddl import check_names, refuse_guarded

Node = Any

_Object = enums.ObjectType
_DEFINED = frozenset(
    {
        _Object.OBJECT_AGGREGATE,
        _Object.OBJECT_COLLATION,
        _Object.OBJECT_OPERATOR,
        _Object.OBJECT_TSCONFIGURATION,
        _Object.OBJECT_TSDICTIONARY,
        _Object.OBJECT_TYPE,
    }
)
_GRANTED = frozenset(
    {
        _Object.OBJECT_COLUMN,
        _Object.OBJECT_DOMAIN,
        _Object.OBJECT_FUNCTION,
        _Object.OBJECT_PROCEDURE,
        _Object.OBJECT_ROUTINE,
        _Object.OBJECT_SCHEMA,
        _Object.OBJECT_SEQUENCE,
        _Object.OBJECT_TABLE,
        _Object.OBJECT_TYPE,
    }
)
_REINDEXED = frozenset(
    {
        enums.ReindexObjectType.REINDEX_OBJECT_INDEX,
        enums.ReindexObjectType.REINDEX_OBJECT_TABLE,
        enums.ReindexObjectType.REINDEX_OBJECT_SCHEMA,
    }
)


def checked(_node: Node, context: Context) -> None:
    check_names(context)
    _refuse_roles(context)


def define(node: Node, context: Context) -> None:
    if node.kind not in _DEFINED:
        raise _unsupported(f"CREATE {node.kind.name.removeprefix('OBJECT_')}", context)
    checked(node, context)


def grant(node: Node, context: Context) -> None:
    """GRANT and REVOKE of the database's own objects, to everybody in it (PUBLIC) or to oneself."""
    context.command = "GRANT" if node.is_grant else "REVOKE"
    if node.objtype not in _GRANTED:
        raise _unsupported(f"{context.command} on this kind of object", context)
    checked(node, context)


def rule(node: Node, context: Context) -> None:
    """A rule keeps its text, as a view does: a guard in it would be stored for everybody."""
    checked(node, context)
    refuse_guarded("CREATE RULE", context)


def reindex(node: Node, context: Context) -> None:
    if node.kind not in _REINDEXED:
        raise _unsupported("REINDEX of a whole database", context)
    if any(option.defname == "tablespace" for option in node.params or ()):
        raise _unsupported("choosing a tablespace", context)
    checked(node, context)


def _refuse_roles(context: Context) -> None:
    """Roles are the server's: only those that mean whoever asks, or everybody in this database."""
    for found in context.nodes:
        if isinstance(found, ast.RoleSpec) and found.roletype == enums.RoleSpecType.ROLESPEC_CSTRING:
            raise _unsupported("naming a role", context)


def _unsupported(what: str, context: Context) -> UnsupportedStatement:
    return UnsupportedStatement(
        f"{what} is not supported through this gateway",
        hint="This is administration of the server; do it on the target.",
        position=context.statement.start + 1,
    )


OWN_DATABASE_RULES: dict[type, Callable[[Any, Context], None]] = {
    **dict.fromkeys(
        (
            ast.AlterCollationStmt,
            ast.AlterDomainStmt,
            ast.AlterFunctionStmt,
            ast.AlterOpFamilyStmt,
            ast.AlterOperatorStmt,
            ast.AlterPolicyStmt,
            ast.AlterStatsStmt,
            ast.AlterTSConfigurationStmt,
            ast.AlterTSDictionaryStmt,
            ast.AlterTypeStmt,
            ast.ClusterStmt,
            ast.CreateCastStmt,
            ast.CreateConversionStmt,
            ast.CreateOpClassStmt,
            ast.CreateOpFamilyStmt,
            ast.CreatePolicyStmt,
            ast.CreateStatsStmt,
        ),
        checked,
    ),
    ast.DefineStmt: define,
    ast.GrantStmt: grant,
    ast.ReindexStmt: reindex,
    ast.RuleStmt: rule,
}
