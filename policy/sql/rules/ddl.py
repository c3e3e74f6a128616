"""A tenant's own tables: CREATE, ALTER, DROP … in its own schema or database, with the permission schema:*:ddl.

Nothing is rewritten: the backend's search_path is the tenant's, so it is enough that every name that is qualified is
qualified with the tenant's own schema. Expressions (defaults, checks, index expressions, generated columns) are
reviewed by functions.py like those of queries. Tables that others own, storage, owners and code stay out of reach.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from policy.errors import AccessDenied, UnsupportedStatement
from policy.model import Isolation
from policy.sql.classify import refuse_read_only
from policy.sql.context import Context
from policy.sql.extensions import REVIEWED
from policy.sql.guard import note_guard
from policy.sql.parse import ast, enums
from policy.sql.plan import StatementKind
from policy.sql.references import Place, names_of
from policy.sql.resolve import check_schema, resolve
from policy.sql.rules.catalogs import guard_catalog

Node = Any

_Alter = enums.AlterTableType
ALTERATIONS = frozenset(
    {
        _Alter.AT_AddColumn,
        _Alter.AT_ColumnDefault,
        _Alter.AT_DropNotNull,
        _Alter.AT_SetNotNull,
        _Alter.AT_SetExpression,
        _Alter.AT_DropExpression,
        _Alter.AT_SetStatistics,
        _Alter.AT_DropColumn,
        _Alter.AT_AddConstraint,
        _Alter.AT_AlterConstraint,
        _Alter.AT_ValidateConstraint,
        _Alter.AT_DropConstraint,
        _Alter.AT_AlterColumnType,
        _Alter.AT_SetRelOptions,
        _Alter.AT_ResetRelOptions,
        _Alter.AT_AttachPartition,
        _Alter.AT_DetachPartition,
        _Alter.AT_DetachPartitionFinalize,
        _Alter.AT_AddIdentity,
        _Alter.AT_SetIdentity,
        _Alter.AT_DropIdentity,
    }
)
_Object = enums.ObjectType
_OBJECTS = frozenset(
    {
        _Object.OBJECT_TABLE,
        _Object.OBJECT_COLUMN,
        _Object.OBJECT_INDEX,
        _Object.OBJECT_SEQUENCE,
        _Object.OBJECT_VIEW,
        _Object.OBJECT_TABCONSTRAINT,
        _Object.OBJECT_TYPE,
        _Object.OBJECT_DOMAIN,
        _Object.OBJECT_MATVIEW,
    }
)
_RELATIONS = frozenset(
    {_Object.OBJECT_TABLE, _Object.OBJECT_VIEW, _Object.OBJECT_MATVIEW, _Object.OBJECT_FOREIGN_TABLE}
)
_CODE = frozenset({_Object.OBJECT_FUNCTION, _Object.OBJECT_PROCEDURE, _Object.OBJECT_ROUTINE, _Object.OBJECT_TRIGGER})
# What else may be of a tenant's own where it may store code: nothing of the server's, of roles or of other servers.
_OWN_OBJECTS = _OBJECTS | frozenset(
    {
        _Object.OBJECT_AGGREGATE,
        _Object.OBJECT_AMOP,
        _Object.OBJECT_AMPROC,
        _Object.OBJECT_ATTRIBUTE,
        _Object.OBJECT_CAST,
        _Object.OBJECT_COLLATION,
        _Object.OBJECT_CONVERSION,
        _Object.OBJECT_DOMCONSTRAINT,
        _Object.OBJECT_FUNCTION,
        _Object.OBJECT_OPCLASS,
        _Object.OBJECT_OPERATOR,
        _Object.OBJECT_OPFAMILY,
        _Object.OBJECT_POLICY,
        _Object.OBJECT_PROCEDURE,
        _Object.OBJECT_ROUTINE,
        _Object.OBJECT_RULE,
        _Object.OBJECT_SCHEMA,
        _Object.OBJECT_STATISTIC_EXT,
        _Object.OBJECT_TRIGGER,
        _Object.OBJECT_TSCONFIGURATION,
        _Object.OBJECT_TSDICTIONARY,
    }
)
_OWN_ALTERATIONS = ALTERATIONS | frozenset(
    {
        _Alter.AT_SetOptions,
        _Alter.AT_ResetOptions,
        _Alter.AT_SetStorage,
        _Alter.AT_SetCompression,
        _Alter.AT_ClusterOn,
        _Alter.AT_DropCluster,
        _Alter.AT_SetLogged,
        _Alter.AT_SetUnLogged,
        _Alter.AT_DropOids,
        _Alter.AT_SetAccessMethod,
        _Alter.AT_ReplaceRelOptions,
        _Alter.AT_EnableTrig,
        _Alter.AT_EnableAlwaysTrig,
        _Alter.AT_EnableReplicaTrig,
        _Alter.AT_DisableTrig,
        _Alter.AT_EnableTrigAll,
        _Alter.AT_DisableTrigAll,
        _Alter.AT_EnableTrigUser,
        _Alter.AT_DisableTrigUser,
        _Alter.AT_EnableRule,
        _Alter.AT_EnableAlwaysRule,
        _Alter.AT_EnableReplicaRule,
        _Alter.AT_DisableRule,
        _Alter.AT_AddInherit,
        _Alter.AT_DropInherit,
        _Alter.AT_AddOf,
        _Alter.AT_DropOf,
        _Alter.AT_ReplicaIdentity,
        _Alter.AT_EnableRowSecurity,
        _Alter.AT_DisableRowSecurity,
        _Alter.AT_ForceRowSecurity,
        _Alter.AT_NoForceRowSecurity,
    }
)
_OF_DATABASE = frozenset({_Object.OBJECT_SCHEMA, _Object.OBJECT_EXTENSION})
_TABLESPACES = ("tablespacename", "tableSpace", "tableSpaceName")
_STORAGE = (*_TABLESPACES, "accessMethod", "ofTypename")
_INDEX_METHODS = frozenset({"btree", "hash", "gin", "gist", "brin", "spgist"})


def check_names(context: Context) -> None:
    """Every relation, type and collation that is named belongs to the tenant, and nothing chooses storage."""
    for reference in context.references.all:
        if reference.place is Place.OTHER:
            if guard_catalog(reference, context) is None:
                check_schema(reference.schema, reference.name, reference.position, context)
            context.reach(reference.schema or (context.schema or "public"), reference.name)
    refuse_storage(context)


def refuse_storage(context: Context) -> None:
    """Refuse what chooses where a table is kept, or takes a type from somewhere else."""
    for node in context.nodes:
        if isinstance(node, ast.TypeName) and node.pct_type and not context.has_own_code:
            raise _unsupported("%TYPE", "Name the type itself.", context)
        for attribute in _TABLESPACES if context.has_own_code else _STORAGE:
            value = getattr(node, attribute, None)
            if value and (not isinstance(value, str) or value not in _INDEX_METHODS):
                raise _unsupported("choosing storage", "Leave TABLESPACE, USING and OF out.", context)


def check_listed(names: Iterator[tuple[str, ...]], qualified_parts: int, context: Context) -> None:
    """Names that the tree keeps as lists of strings; `qualified_parts`: how many parts one with a schema has."""
    for parts in names:
        schema = parts[-qualified_parts] if len(parts) >= qualified_parts else None
        position = context.statement.start + 1
        if len(parts) > qualified_parts:
            raise _unsupported("a name with a database", "Leave the database out.", context)
        check_schema(schema, parts[1 - qualified_parts] if schema else parts[0], position, context)


def _check_cascade(node: Node, context: Context) -> None:
    """What depends on a tenant's table may be somebody else's, where schemas share a database."""
    if node.behavior == enums.DropBehavior.DROP_CASCADE and context.access.isolation is Isolation.SCHEMA:
        raise _unsupported("CASCADE", "Drop what depends on it first.", context)


def alter_table(node: Node, context: Context) -> None:
    check_names(context)
    _check_altered(context)
    for command in node.cmds:
        _check_cascade(command, context)
        if command.subtype not in (_OWN_ALTERATIONS if context.has_own_code else ALTERATIONS):
            raise _unsupported(
                f"ALTER TABLE {command.subtype.name.removeprefix('AT_')}", "Ask your administrator.", context
            )


def _check_altered(context: Context) -> None:
    """Filters, masks and denials go by names: whoever has them for a table may not make it, or a column, another."""
    for reference in context.references.all:
        if reference.place is Place.OTHER:
            _check_whole(reference.schema, reference.name, True, context)


def _check_whole(schema: str | None, name: str, alter: bool, context: Context) -> None:
    own = context.access.isolation is Isolation.SCHEMA
    access = context.access.table("" if own else schema or "public", name)
    if access.barred or access.policy.bars or (alter and (access.limits or access.policy.restricts)):
        raise AccessDenied(
            f"permission denied for table {name}: {context.command}",
            detail=f"Denied by {', '.join(access.barred)}." if access.barred else "Your roles do not show all of it.",
            hint="What your roles may not see of it goes by its name; ask your administrator to change it.",
            position=context.statement.start + 1,
        )


def drop(node: Node, context: Context) -> None:
    is_code = context.access.code and node.removeType in _CODE
    is_ours = context.access.isolation is Isolation.DATABASE and node.removeType in _OF_DATABASE
    if node.removeType not in _objects(context) and not is_code and not is_ours:
        raise _unsupported("DROP of this kind of object", "Tables, views, indexes and sequences can be.", context)
    _check_cascade(node, context)
    context.command = f"DROP {node.removeType.name.removeprefix('OBJECT_')}"
    if is_ours:
        for name in node.objects:
            _check_own(name.sval, node.removeType, context)
    if node.removeType in _RELATIONS:
        for name in (_parts(o) for o in node.objects):
            _check_whole(name[-2] if len(name) > 1 else None, name[-1], False, context)
    if node.removeType in _OBJECTS or is_code:
        parts = 3 if node.removeType == _Object.OBJECT_TRIGGER else 2
        check_listed((_parts(o) for o in node.objects), parts, context)


def _check_own(name: str, kind: Any, context: Context) -> None:
    if kind == _Object.OBJECT_EXTENSION:
        check_extension(name, context)
    else:
        check_schema(name, name, context.statement.start + 1, context)


def check_extension(name: str, context: Context) -> None:
    """Refuse (0A000) extensions whose code nobody has read."""
    if name not in REVIEWED:
        raise _unsupported(f"extension {name}", f"Those that are: {', '.join(sorted(REVIEWED))}.", context)


def _objects(context: Context) -> frozenset[Any]:
    return _OWN_OBJECTS if context.has_own_code else _OBJECTS


def set_schema(node: Node, context: Context) -> None:
    """ALTER … SET SCHEMA, within a database of one's own."""
    if node.objectType not in _OWN_OBJECTS:
        raise _unsupported("moving this kind of object", "Tables, types and functions can be.", context)
    check_names(context)
    _check_altered(context)


def _parts(value: Node) -> tuple[str, ...]:
    if isinstance(value, ast.ObjectWithArgs):
        return names_of(value.objname)
    return names_of(value.names if isinstance(value, ast.TypeName) else value)


def domain(node: Node, context: Context) -> None:
    check_names(context)
    check_listed(iter([names_of(node.domainname)]), 2, context)


def rename(node: Node, context: Context) -> None:
    if node.renameType not in _objects(context):
        raise _unsupported("renaming this kind of object", "Tables, columns, views and indexes can be.", context)
    check_names(context)
    _check_altered(context)
    if node.object is not None and node.renameType in _OBJECTS:
        check_listed(iter([_parts(node.object)]), 2, context)


def comment(node: Node, context: Context) -> None:
    if node.objtype not in _objects(context):
        raise _unsupported("COMMENT on this kind of object", "Tables, columns and indexes can have one.", context)
    if node.objtype not in _OBJECTS:
        return
    parts = 3 if node.objtype in (_Object.OBJECT_COLUMN, _Object.OBJECT_TABCONSTRAINT) else 2
    check_listed(iter([_parts(node.object)]), parts, context)


def sequence(node: Node, context: Context) -> None:
    check_names(context)
    for option in node.options or ():
        if option.defname == "owned_by":
            check_listed(iter([names_of(option.arg)]), 3, context)


def enum_type(node: Node, context: Context) -> None:
    check_listed(iter([names_of(node.typeName)]), 2, context)


def view(node: Node, context: Context) -> None:
    """A view keeps its text: a guard in it would hold this session's values for everybody, and no guard would show
    what the roles hide."""
    check_names(context)
    refuse_guarded("CREATE VIEW", context)


def create_table_as(node: Node, context: Context) -> None:
    check_names(context)
    if not isinstance(node.query, ast.SelectStmt) and not context.has_own_code:
        raise _unsupported("CREATE TABLE AS EXECUTE", "Write the query itself.", context)
    if node.objtype == _Object.OBJECT_MATVIEW:
        context.command = "CREATE MATERIALIZED VIEW"
        refuse_guarded(context.command, context)


def select_into(node: Node, context: Context) -> None:
    """SELECT … INTO makes a table as CREATE TABLE AS does."""
    if context.into is None:
        return
    if context.shared:
        raise _unsupported("SELECT INTO", "SELECT … INTO TEMP makes a table of your session's own.", context)
    require_ddl("SELECT INTO", context)
    context.kind = StatementKind.DDL
    context.write = True
    check_names(context)


def vacuum(node: Node, context: Context) -> None:
    """VACUUM and ANALYZE of tables of one's own; of all there are only in a database of one's own."""
    context.command = "VACUUM" if node.is_vacuumcmd else "ANALYZE"
    require_ddl(context.command, context)
    if not node.rels and context.access.isolation is Isolation.SCHEMA:
        raise _unsupported(f"{context.command} without a table", "Name your own tables.", context)
    check_names(context)


def require_ddl(command: str, context: Context) -> None:
    """Refuse (42501) what only roles with schema:*:ddl may do."""
    if not context.access.ddl:
        refuse_read_only(command, context)
        raise AccessDenied(
            f"permission denied: {command}",
            hint="Your roles do not give schema:*:ddl; ask your administrator.",
            position=context.statement.start + 1,
        )


def refuse_guarded(command: str, context: Context) -> None:
    for reference in context.references.all:
        if reference.place is not Place.FROM or reference.cte is not None:
            continue
        if guard_catalog(reference, context) is not None or resolve(reference, "read", context).is_guarded:
            raise UnsupportedStatement(
                f"{command} over {reference.name} is not supported",
                hint="What your roles may see of it would be stored for everybody.",
                position=reference.position,
            )


def truncate(node: Node, context: Context) -> None:
    _check_cascade(node, context)
    _writable_whole("delete", context, "Use DELETE.")


def lock(node: Node, context: Context) -> None:
    _writable_whole("update", context, "Use SELECT … FOR UPDATE.")


def _writable_whole(action: str, context: Context, hint: str) -> None:
    check_names(context)
    for reference in context.references.all:
        resolved = resolve(reference, action, context)
        if resolved.is_guarded:
            note_guard(resolved, context)
            raise AccessDenied(
                f"permission denied for table {reference.name}",
                detail="Your roles do not show all of its rows.",
                hint=hint,
                position=reference.position,
            )


def checked(node: Node, context: Context) -> None:
    check_names(context)


def _unsupported(what: str, hint: str, context: Context) -> UnsupportedStatement:
    return UnsupportedStatement(
        f"{what} is not supported through this gateway", hint=hint, position=context.statement.start + 1
    )


DDL_RULES: dict[type, Callable[[Any, Context], None]] = {
    ast.CreateStmt: checked,
    ast.IndexStmt: checked,
    ast.AlterTableStmt: alter_table,
    ast.DropStmt: drop,
    ast.RenameStmt: rename,
    ast.CommentStmt: comment,
    ast.CreateSeqStmt: sequence,
    ast.AlterSeqStmt: sequence,
    ast.CreateEnumStmt: enum_type,
    ast.AlterEnumStmt: enum_type,
    ast.ViewStmt: view,
    ast.CreateTableAsStmt: create_table_as,
    ast.AlterObjectSchemaStmt: set_schema,
    ast.CreateDomainStmt: domain,
    ast.CompositeTypeStmt: checked,
    ast.RefreshMatViewStmt: checked,
    ast.SelectStmt: select_into,
    ast.VacuumStmt: vacuum,
    ast.TruncateStmt: truncate,
    ast.LockStmt: lock,
}
