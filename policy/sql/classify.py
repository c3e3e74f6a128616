"""What each of PostgreSQL's statement classes is to the gateway. Every class has a row; what has none is refused.

A row says which plan kind and command word the statement has, and in which isolation strategies it may go on to its
rule at all; a refusal's hint says what to do instead. The rules (policy/sql/rules) decide the rest.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Any

from policy.errors import AccessDenied, InvalidStatement, UnsupportedStatement
from policy.model import Isolation
from policy.sql.context import Context
from policy.sql.parse import enums, walk
from policy.sql.plan import StatementKind
from policy.sql.temporary_use import is_of_temporary_tables


class Allowed(Enum):
    """Where a statement class may be used."""

    ALWAYS = "always"
    OWN_SPACE = "own_space"  # DDL within the tenant's own schema or database, with the permission for it
    OWN_TABLE = "own_table"  # the same, or of a temporary table
    OWN_DATABASE_DDL = "own_database_ddl"  # DDL within a database of the tenant's own: rules/own_ddl.py
    OWN_CODE = "own_code"  # the same, of a tenant that has the target to itself: rules/code.py
    OWN_DATABASE = "own_database"  # the same, within a database of the tenant's own: rules/own_database.py
    NEVER = "never"


@dataclass(frozen=True, slots=True)
class Outcome:
    kind: StatementKind
    command: str
    allowed: Allowed
    hint: str = ""


_READ, _WRITE, _DDL = StatementKind.READ, StatementKind.WRITE, StatementKind.DDL
_SESSION, _UTILITY = StatementKind.SESSION, StatementKind.UTILITY

_ADMIN_HINT = "This is administration of the database; do it on the target, not through the gateway."
_CODE_HINT = "Code that is stored on the server could reach other tenants' rows; use plain SQL statements."
_DATABASE_HINT = "It is for tenants with a database of their own; ask your administrator."
_OWN_CODE_HINT = (
    "It is for roles with schema:*:ddl and without filters or masks, of a tenant that is the only one on its target."
)
_TEMPORARY_HINT = "The tables are shared between tenants; CREATE TEMP TABLE makes one of your session's own."
_TRUNCATE_HINT = "It would empty the table for all tenants. Use DELETE without WHERE: it removes your own rows."
_VACUUM_HINT = "The tables are shared between tenants; the server's autovacuum takes care of them."
_SHARED_HINT = "The tables are shared between tenants; ask your administrator to change them."
_LOCK_HINT = "A table's lock would be everybody's; use SELECT … FOR UPDATE, or an advisory lock."
_SESSION_HINT = "The session's identity was settled at login; connect as another user instead."


def _always(kind: StatementKind, command: str) -> Outcome:
    return Outcome(kind, command, Allowed.ALWAYS)


def _own(command: str, hint: str = _SHARED_HINT) -> Outcome:
    return Outcome(_DDL, command, Allowed.OWN_SPACE, hint)


def _own_table(command: str, hint: str = _SHARED_HINT) -> Outcome:
    return Outcome(_DDL, command, Allowed.OWN_TABLE, hint)


def _own_ddl(command: str) -> Outcome:
    return Outcome(_DDL, command, Allowed.OWN_DATABASE_DDL, _DATABASE_HINT)


def _code(command: str) -> Outcome:
    return Outcome(_DDL, command, Allowed.OWN_CODE, _CODE_HINT)


def _own_database(command: str, hint: str) -> Outcome:
    return Outcome(_DDL, command, Allowed.OWN_DATABASE, hint)


def _never(command: str, hint: str) -> Outcome:
    return Outcome(_UTILITY, command, Allowed.NEVER, hint)


OUTCOMES: dict[str, Outcome] = {
    # queries
    "SelectStmt": _always(_READ, "SELECT"),
    "InsertStmt": _always(_WRITE, "INSERT"),
    "UpdateStmt": _always(_WRITE, "UPDATE"),
    "DeleteStmt": _always(_WRITE, "DELETE"),
    "MergeStmt": _always(_WRITE, "MERGE"),
    "CopyStmt": _always(StatementKind.COPY_OUT, "COPY"),
    # statements that carry a query
    "ExplainStmt": _always(_READ, "EXPLAIN"),
    "DeclareCursorStmt": _always(_READ, "DECLARE CURSOR"),
    "PrepareStmt": _always(_SESSION, "PREPARE"),
    "ExecuteStmt": _always(_WRITE, "EXECUTE"),
    "CreateTableAsStmt": _own_table("CREATE TABLE AS", _TEMPORARY_HINT),
    "ViewStmt": _own("CREATE VIEW"),
    # session and transaction
    "TransactionStmt": _always(StatementKind.TRANSACTION, "TRANSACTION"),
    "VariableSetStmt": _always(_SESSION, "SET"),
    "VariableShowStmt": _always(_SESSION, "SHOW"),
    "ConstraintsSetStmt": _always(_SESSION, "SET CONSTRAINTS"),
    "DiscardStmt": _always(_SESSION, "DISCARD"),
    "DeallocateStmt": _always(_SESSION, "DEALLOCATE"),
    "FetchStmt": _always(_READ, "FETCH"),
    "ClosePortalStmt": _always(_SESSION, "CLOSE CURSOR"),
    "UnlistenStmt": _always(_SESSION, "UNLISTEN"),
    "ListenStmt": _always(_SESSION, "LISTEN"),
    "NotifyStmt": _always(_UTILITY, "NOTIFY"),
    "LockStmt": Outcome(_UTILITY, "LOCK TABLE", Allowed.OWN_SPACE, _LOCK_HINT),
    # a tenant's own tables
    "CreateStmt": _own_table("CREATE TABLE", _TEMPORARY_HINT),
    "AlterTableStmt": _own_table("ALTER TABLE"),
    "IndexStmt": _own_table("CREATE INDEX"),
    "DropStmt": _own_table("DROP"),
    "RenameStmt": _own("ALTER"),
    "TruncateStmt": Outcome(_WRITE, "TRUNCATE TABLE", Allowed.OWN_TABLE, _TRUNCATE_HINT),
    "CreateSeqStmt": _own("CREATE SEQUENCE"),
    "AlterSeqStmt": _own("ALTER SEQUENCE"),
    "CommentStmt": _own("COMMENT"),
    "CreateEnumStmt": _own("CREATE TYPE"),
    "AlterEnumStmt": _own("ALTER TYPE"),
    # stored code
    "DoStmt": _code("DO"),
    "CallStmt": _code("CALL"),
    "CreateFunctionStmt": _code("CREATE FUNCTION"),
    "AlterFunctionStmt": _own_database("ALTER FUNCTION", _CODE_HINT),
    "CreateTrigStmt": _code("CREATE TRIGGER"),
    "RuleStmt": _own_database("CREATE RULE", _CODE_HINT),
    "CreatePLangStmt": _never("CREATE LANGUAGE", _CODE_HINT),
    "CreateEventTrigStmt": _never("CREATE EVENT TRIGGER", _CODE_HINT),
    "AlterEventTrigStmt": _never("ALTER EVENT TRIGGER", _CODE_HINT),
    "CreateTransformStmt": _never("CREATE TRANSFORM", _CODE_HINT),
    "CreateConversionStmt": _own_database("CREATE CONVERSION", _CODE_HINT),
    "CreateCastStmt": _own_database("CREATE CAST", _CODE_HINT),
    "DefineStmt": _own_database("CREATE", _CODE_HINT),
    "CompositeTypeStmt": _own("CREATE TYPE"),
    "CreateDomainStmt": _own("CREATE DOMAIN"),
    "AlterDomainStmt": _own_database("ALTER DOMAIN", _ADMIN_HINT),
    "CreateRangeStmt": _own_ddl("CREATE TYPE"),
    "AlterTypeStmt": _own_database("ALTER TYPE", _ADMIN_HINT),
    "CreateOpClassStmt": _own_database("CREATE OPERATOR CLASS", _CODE_HINT),
    "CreateOpFamilyStmt": _own_database("CREATE OPERATOR FAMILY", _CODE_HINT),
    "AlterOpFamilyStmt": _own_database("ALTER OPERATOR FAMILY", _CODE_HINT),
    "AlterOperatorStmt": _own_database("ALTER OPERATOR", _CODE_HINT),
    "LoadStmt": _never("LOAD", _CODE_HINT),
    # who may do what
    "GrantStmt": _own_database("GRANT", _ADMIN_HINT),
    "GrantRoleStmt": _never("GRANT ROLE", _ADMIN_HINT),
    "CreateRoleStmt": _never("CREATE ROLE", _ADMIN_HINT),
    "AlterRoleStmt": _never("ALTER ROLE", _SESSION_HINT),
    "AlterRoleSetStmt": _never("ALTER ROLE", _ADMIN_HINT),
    "DropRoleStmt": _never("DROP ROLE", _ADMIN_HINT),
    "DropOwnedStmt": _never("DROP OWNED", _ADMIN_HINT),
    "ReassignOwnedStmt": _never("REASSIGN OWNED", _ADMIN_HINT),
    "AlterOwnerStmt": _never("ALTER OWNER", _ADMIN_HINT),
    "AlterDefaultPrivilegesStmt": _never("ALTER DEFAULT PRIVILEGES", _ADMIN_HINT),
    "CreatePolicyStmt": _own_database("CREATE POLICY", _ADMIN_HINT),
    "AlterPolicyStmt": _own_database("ALTER POLICY", _ADMIN_HINT),
    "SecLabelStmt": _never("SECURITY LABEL", _ADMIN_HINT),
    # the server and its databases
    "AlterSystemStmt": _never("ALTER SYSTEM", _ADMIN_HINT),
    "CreatedbStmt": _never("CREATE DATABASE", _ADMIN_HINT),
    "DropdbStmt": _never("DROP DATABASE", _ADMIN_HINT),
    "AlterDatabaseStmt": _never("ALTER DATABASE", _ADMIN_HINT),
    "AlterDatabaseSetStmt": _never("ALTER DATABASE", _ADMIN_HINT),
    "AlterDatabaseRefreshCollStmt": _never("ALTER DATABASE", _ADMIN_HINT),
    "CreateSchemaStmt": _own_ddl("CREATE SCHEMA"),
    "AlterObjectSchemaStmt": _own_database("ALTER SET SCHEMA", _ADMIN_HINT),
    "AlterObjectDependsStmt": _never("ALTER DEPENDS", _ADMIN_HINT),
    "CreateTableSpaceStmt": _never("CREATE TABLESPACE", _ADMIN_HINT),
    "DropTableSpaceStmt": _never("DROP TABLESPACE", _ADMIN_HINT),
    "AlterTableSpaceOptionsStmt": _never("ALTER TABLESPACE", _ADMIN_HINT),
    "AlterTableMoveAllStmt": _never("ALTER TABLE ALL", _ADMIN_HINT),
    "CreateExtensionStmt": _own_ddl("CREATE EXTENSION"),
    "AlterExtensionStmt": _never("ALTER EXTENSION", _ADMIN_HINT),
    "AlterExtensionContentsStmt": _never("ALTER EXTENSION", _ADMIN_HINT),
    "CreateFdwStmt": _never("CREATE FOREIGN DATA WRAPPER", _ADMIN_HINT),
    "AlterFdwStmt": _never("ALTER FOREIGN DATA WRAPPER", _ADMIN_HINT),
    "CreateForeignServerStmt": _never("CREATE SERVER", _ADMIN_HINT),
    "AlterForeignServerStmt": _never("ALTER SERVER", _ADMIN_HINT),
    "CreateForeignTableStmt": _never("CREATE FOREIGN TABLE", _ADMIN_HINT),
    "ImportForeignSchemaStmt": _never("IMPORT FOREIGN SCHEMA", _ADMIN_HINT),
    "CreateUserMappingStmt": _never("CREATE USER MAPPING", _ADMIN_HINT),
    "AlterUserMappingStmt": _never("ALTER USER MAPPING", _ADMIN_HINT),
    "DropUserMappingStmt": _never("DROP USER MAPPING", _ADMIN_HINT),
    "CreatePublicationStmt": _never("CREATE PUBLICATION", _ADMIN_HINT),
    "AlterPublicationStmt": _never("ALTER PUBLICATION", _ADMIN_HINT),
    "CreateSubscriptionStmt": _never("CREATE SUBSCRIPTION", _ADMIN_HINT),
    "AlterSubscriptionStmt": _never("ALTER SUBSCRIPTION", _ADMIN_HINT),
    "DropSubscriptionStmt": _never("DROP SUBSCRIPTION", _ADMIN_HINT),
    "CreateAmStmt": _never("CREATE ACCESS METHOD", _ADMIN_HINT),
    "AlterCollationStmt": _own_database("ALTER COLLATION", _ADMIN_HINT),
    "CreateStatsStmt": _own_database("CREATE STATISTICS", _ADMIN_HINT),
    "AlterStatsStmt": _own_database("ALTER STATISTICS", _ADMIN_HINT),
    "AlterTSConfigurationStmt": _own_database("ALTER TEXT SEARCH CONFIGURATION", _ADMIN_HINT),
    "AlterTSDictionaryStmt": _own_database("ALTER TEXT SEARCH DICTIONARY", _ADMIN_HINT),
    "RefreshMatViewStmt": _own("REFRESH MATERIALIZED VIEW"),
    "VacuumStmt": Outcome(_UTILITY, "VACUUM", Allowed.OWN_TABLE, _VACUUM_HINT),
    "ClusterStmt": _own_database("CLUSTER", _ADMIN_HINT),
    "ReindexStmt": _own_database("REINDEX", _ADMIN_HINT),
    "CheckPointStmt": _never("CHECKPOINT", _ADMIN_HINT),
    "ReplicaIdentityStmt": _never("ALTER TABLE", _ADMIN_HINT),
    # PL/pgSQL's and the parser's own, which never stand alone
    "ReturnStmt": _never("RETURN", _CODE_HINT),
    "PLAssignStmt": _never("ASSIGN", _CODE_HINT),
    "RawStmt": _never("RAW", _CODE_HINT),
    "SetOperationStmt": _never("SET OPERATION", _CODE_HINT),
}


def _names(words: str) -> frozenset[str]:
    return frozenset(words.split())


# Node classes that may stand below a query. libpg_query's tree has more: of the planner, or of DDL.
KNOWN_NODES = _names(
    """
    A_ArrayExpr A_Const A_Expr A_Indices A_Indirection A_Star Alias BitString BoolExpr Boolean BooleanTest
    CTECycleClause CTESearchClause CaseExpr CaseWhen CoalesceExpr CollateClause ColumnDef ColumnRef CommonTableExpr
    CopyStmt CurrentOfExpr DeclareCursorStmt DefElem DeleteStmt ExecuteStmt ExplainStmt FetchStmt Float FuncCall
    GroupingFunc GroupingSet InferClause IndexElem InsertStmt Integer IntoClause JoinExpr JsonAggConstructor
    JsonArgument JsonArrayAgg JsonArrayConstructor JsonArrayQueryConstructor JsonBehavior JsonFormat JsonFuncExpr
    JsonIsPredicate JsonKeyValue JsonObjectAgg JsonObjectConstructor JsonOutput JsonParseExpr JsonReturning
    JsonScalarExpr JsonSerializeExpr JsonTable JsonTableColumn JsonTablePathSpec JsonValueExpr LockingClause
    MergeStmt MergeSupportFunc MergeWhenClause MinMaxExpr MultiAssignRef NamedArgExpr NullTest OnConflictClause
    ParamRef PrepareStmt RangeFunction RangeSubselect RangeTableFunc RangeTableFuncCol RangeTableSample RangeVar
    ResTarget ReturningClause ReturningOption RowExpr SQLValueFunction SelectStmt SetToDefault SortBy String SubLink
    TypeCast TypeName UpdateStmt WindowDef WithClause XmlExpr XmlSerialize
    """
)
_DDL_NODES = KNOWN_NODES | _names(
    """
    ATAlterConstraint AlterEnumStmt AlterSeqStmt AlterTableCmd AlterTableStmt CallStmt CommentStmt CompositeTypeStmt
    Constraint
    CreateDomainStmt CreateEnumStmt CreateExtensionStmt CreateFunctionStmt CreateRangeStmt CreateSchemaStmt
    CreateSeqStmt CreateTrigStmt DoStmt FunctionParameter CreateStmt
    CreateTableAsStmt DropStmt IndexStmt LockStmt ObjectWithArgs PartitionBoundSpec PartitionCmd
    PartitionElem PartitionSpec RefreshMatViewStmt RenameStmt RoleSpec TableLikeClause TriggerTransition TruncateStmt
    VacuumRelation VacuumStmt ViewStmt
    """
)
_OWN_DATABASE_NODES = _DDL_NODES | _names(
    """
    AccessPriv GrantStmt
    AlterCollationStmt AlterDomainStmt AlterFunctionStmt AlterObjectSchemaStmt AlterOpFamilyStmt AlterOperatorStmt
    AlterPolicyStmt AlterStatsStmt AlterTSConfigurationStmt AlterTSDictionaryStmt AlterTypeStmt ClusterStmt
    CreateCastStmt CreateConversionStmt CreateOpClassItem CreateOpClassStmt CreateOpFamilyStmt CreatePolicyStmt
    CreateStatsStmt DefineStmt NotifyStmt ReindexStmt ReplicaIdentityStmt ReturnStmt RuleStmt StatsElem
    VariableSetStmt
    """
)
_SESSION_NODES = KNOWN_NODES | _names(
    """
    ClosePortalStmt ConstraintsSetStmt DeallocateStmt DiscardStmt ListenStmt NotifyStmt TransactionStmt UnlistenStmt
    VariableSetStmt VariableShowStmt
    """
)


_OLD_NUMBER = frozenset("0123456789.eE+-")

# What an older server reads in another way: it would call a function of that name.
_SINCE = {
    **dict.fromkeys(
        _names(
            """
            JsonAggConstructor JsonArrayAgg JsonArrayConstructor JsonArrayQueryConstructor JsonIsPredicate
            JsonObjectAgg JsonObjectConstructor
            """
        ),
        160000,
    ),
    **dict.fromkeys(
        _names("JsonFuncExpr JsonParseExpr JsonScalarExpr JsonSerializeExpr JsonTable MergeSupportFunc"), 170000
    ),
    "ReturningOption": 180000,
}


def classify(context: Context) -> Outcome:
    """Look a statement up, set the context's kind and command, and refuse what may not go on (42501, 0A000)."""
    node = context.statement.node
    outcome = OUTCOMES.get(type(node).__name__)
    if outcome is None:
        raise _unsupported(type(node).__name__, "This statement is not known to the gateway.", context)
    context.kind = outcome.kind
    context.command = outcome.command
    context.write = outcome.kind in (StatementKind.WRITE, StatementKind.DDL)
    context.temporary = is_of_temporary_tables(context)
    if context.temporary:
        context.kind = StatementKind.UTILITY
    else:
        _check_strategy(outcome, context)
    _check_numbers(context)
    check_nodes(node, context)
    if context.references.writes:
        context.write = True
        if context.kind is StatementKind.READ:
            context.kind = StatementKind.WRITE
    return outcome


def _check_strategy(outcome: Outcome, context: Context) -> None:
    isolation = context.access.isolation
    if outcome.allowed is Allowed.NEVER:
        raise _unsupported(outcome.command, outcome.hint, context)
    elsewhere = outcome.allowed is Allowed.OWN_DATABASE and isolation is not Isolation.DATABASE
    if elsewhere or (outcome.allowed is Allowed.OWN_CODE and isolation is Isolation.SHARED):
        raise _unsupported(outcome.command, outcome.hint, context)
    if outcome.allowed in (Allowed.OWN_CODE, Allowed.OWN_DATABASE) and not context.access.code:
        raise AccessDenied(
            f"permission denied: {outcome.command}",
            detail="Code that is stored on the server could reach what belongs to others.",
            hint=_OWN_CODE_HINT,
            position=context.statement.start + 1,
        )
    if outcome.allowed is Allowed.OWN_DATABASE_DDL and isolation is not Isolation.DATABASE:
        raise _unsupported(outcome.command, outcome.hint, context)
    if outcome.allowed in (Allowed.OWN_SPACE, Allowed.OWN_TABLE, Allowed.OWN_DATABASE_DDL):
        if isolation is Isolation.SHARED:
            raise _unsupported(outcome.command, outcome.hint, context)
        if not context.access.ddl and outcome.kind is StatementKind.DDL:
            refuse_read_only(outcome.command, context)
            raise AccessDenied(
                f"permission denied: {outcome.command}",
                hint="Your roles do not give schema:*:ddl; ask your administrator.",
                position=context.statement.start + 1,
            )


def refuse_read_only(command: str, context: Context) -> None:
    """Tell why nothing may be changed, where that is so."""
    if context.access.read_only:
        raise AccessDenied(
            f"permission denied: {command}",
            sqlstate="25006",
            detail=f"The reason: {context.access.read_only}.",
            hint="Reading goes on; ask your administrator.",
            position=context.statement.start + 1,
        )


def _unsupported(command: str, hint: str, context: Context) -> UnsupportedStatement:
    return UnsupportedStatement(
        f"{command} is not supported through this gateway", hint=hint, position=context.statement.start + 1
    )


def check_nodes(node: Any, context: Context) -> None:
    """Refuse (0A000) node classes that are not known to stand below a statement of this class."""
    name = type(node).__name__
    known = _DDL_NODES if name in _DDL_NODES - KNOWN_NODES else _SESSION_NODES
    wide = known is _DDL_NODES or name == "ExplainStmt" or name in _OWN_DATABASE_NODES - KNOWN_NODES
    if context.has_own_code and wide:
        known = _OWN_DATABASE_NODES
    position = context.statement.start
    for found in walk(node):
        position = getattr(found, "location", None) or position
        if type(found).__name__ not in known:
            raise UnsupportedStatement(
                f"{type(found).__name__} is not supported in this statement",
                hint="The gateway does not know this part of the grammar; write the statement without it.",
                position=position + 1,
            )
        if _SINCE.get(type(found).__name__, 0) > context.catalog.server_version:
            raise UnsupportedStatement(
                f"{type(found).__name__} needs a newer PostgreSQL than the target's",
                hint="Use what the target's version has.",
                position=position + 1,
            )


def _check_numbers(context: Context) -> None:
    """Refuse (42601) numbers such as 1_000 and 0x1F on a server before 16, which reads a number and an alias."""
    if context.catalog.server_version >= 160000:
        return
    for index, token in enumerate(context.tokens.items):
        if token.name in ("ICONST", "FCONST") and not _OLD_NUMBER.issuperset(context.tokens.word(index)):
            raise InvalidStatement("trailing junk after numeric literal", position=token.start + 1)


TRANSACTION_COMMANDS = {
    enums.TransactionStmtKind.TRANS_STMT_BEGIN: "BEGIN",
    enums.TransactionStmtKind.TRANS_STMT_START: "START TRANSACTION",
    enums.TransactionStmtKind.TRANS_STMT_COMMIT: "COMMIT",
    enums.TransactionStmtKind.TRANS_STMT_ROLLBACK: "ROLLBACK",
    enums.TransactionStmtKind.TRANS_STMT_SAVEPOINT: "SAVEPOINT",
    enums.TransactionStmtKind.TRANS_STMT_RELEASE: "RELEASE",
    enums.TransactionStmtKind.TRANS_STMT_ROLLBACK_TO: "ROLLBACK",
}
TWO_PHASE_COMMANDS = {
    enums.TransactionStmtKind.TRANS_STMT_PREPARE: "PREPARE TRANSACTION",
    enums.TransactionStmtKind.TRANS_STMT_COMMIT_PREPARED: "COMMIT PREPARED",
    enums.TransactionStmtKind.TRANS_STMT_ROLLBACK_PREPARED: "ROLLBACK PREPARED",
}
