"""Statements that can change a tracked table say who they are by; without triggers there they are refused.

The mark (policy/change_tracking.py) is for statements that write a tracked table, or whose foreign keys, triggers or
code could. What only writes tables from which nothing leads to a tracked one goes without, and as before.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from policy.actions import WRITES
from policy.change_tracking import TRIGGER_PREFIX
from policy.errors import AccessDenied
from policy.model import Isolation
from policy.sql.catalog import ROWS_AND_TRUNCATE, UNTRACKED, Relation
from policy.sql.context import Context
from policy.sql.parse import ast, enums
from policy.sql.plan import ANYTHING, USER_CODE, CompiledQuery, Slot, SlotKind, StatementKind
from policy.sql.references import Place, Reference, names_of
from policy.sql.relatives import keys_on, parts_of

Name = tuple[str, str]
_REMEDY = "An administrator must run `tenantgate provision`; reading goes on."
_NO_CHANGE = (ast.TransactionStmt, ast.VariableSetStmt, ast.VariableShowStmt)
_OF_TRIGGER = enums.ObjectType.OBJECT_TRIGGER
_Alter = enums.AlterTableType
_SWITCHES = frozenset(
    {
        _Alter.AT_EnableTrig, _Alter.AT_EnableAlwaysTrig, _Alter.AT_EnableReplicaTrig, _Alter.AT_DisableTrig,
        _Alter.AT_EnableTrigAll, _Alter.AT_DisableTrigAll, _Alter.AT_EnableTrigUser, _Alter.AT_DisableTrigUser,
    }
)  # fmt: skip


def is_tracked(relation: Relation, context: Context) -> bool:
    """Whether the policy wants its changes; of partitions and children, those of what they are a part of."""
    schema = "" if context.access.isolation is Isolation.SCHEMA else relation.schema
    if (schema, relation.name) in context.access.tracked:
        return True
    parents = (context.catalog.relations.get(name) for name in relation.parents)
    return any(is_tracked(parent, context) for parent in parents if parent is not None)


def check_target(found: Name, relation: Relation | None, action: str, position: int, context: Context) -> None:
    """Refuse (55000) a write of a tracked table whose changes nobody would write down. found: its schema and name."""
    if action not in WRITES or not context.access.tracked or found[0] == "pg_temp":
        return
    if relation is None:  # made a moment ago, or nothing
        schema = "" if context.access.isolation is Isolation.SCHEMA else found[0]
        if (schema, found[1]) in context.access.tracked:
            raise _unarmed(found[1], position)
        return
    truncates = isinstance(context.statement.node, ast.TruncateStmt)
    family = [relation, *_descendants(relation, context)]
    if is_tracked(relation, context) and not all(_is_armed(each, truncates) for each in family):
        raise _unarmed(found[1], position)


def needs_mark(context: Context) -> bool:
    """Whether the statement that was compiled could change a tracked table. Raises AccessDenied (55000) where it
    could do so unseen."""
    if not context.access.tracked or isinstance(context.statement.node, _NO_CHANGE) or context.temporary:
        return False
    targets = [reference for reference in context.references.all if _is_target(reference, context)]
    if not targets:
        of_code = context.leaves == ANYTHING or _runs_code(context)
        if of_code and not isinstance(context.statement.node, ast.TruncateStmt):  # resolve() has looked at its tables
            _check_all_armed(context)
        return context.write or of_code or context.kind is StatementKind.DDL
    direct, indirect = False, context.leaves == ANYTHING or _runs_code(context)
    for reference in targets:
        relation = _relation_of(reference, context)
        if relation is not None:
            direct = direct or is_tracked(relation, context) or relation.tracked != UNTRACKED
            indirect = indirect or _leads_on(relation, context)
        elif reference.schema != "pg_temp" and not context.shared:
            indirect = True
    if indirect:
        _check_all_armed(context)
    return direct or indirect


def check_triggers(context: Context) -> None:
    """Refuse (42501) what would take the triggers off, or put another in their place."""
    if any(name.startswith(TRIGGER_PREFIX) for name in _triggers_named(context.statement.node, context)):
        raise AccessDenied(
            "permission denied: triggers of the gateway's",
            hint=f"Names that begin with {TRIGGER_PREFIX} are the gateway's; name your own triggers one by one.",
            position=context.statement.start + 1,
        )


def _triggers_named(node: Any, context: Context) -> list[str]:
    if isinstance(node, ast.CreateTrigStmt):
        return [str(node.trigname)]
    if isinstance(node, ast.RenameStmt) and node.renameType == _OF_TRIGGER:
        return [str(node.subname), str(node.newname)]
    if isinstance(node, ast.DropStmt) and node.removeType == _OF_TRIGGER:
        return [names_of(each)[-1] for each in node.objects or ()]
    if isinstance(node, ast.AlterTableStmt) and context.access.tracked:
        switches = (command for command in node.cmds or () if command.subtype in _SWITCHES)
        return [str(command.name or TRIGGER_PREFIX) for command in switches]
    return []


def with_mark(query: CompiledQuery) -> CompiledQuery:
    """The query with the mark at its beginning, where one of its statements needs it. A client's own comments never
    stand there: a plan begins with the statement's first word."""
    plans = query.plans
    if not any(plan.marked for plan in plans):
        return query
    first = replace(plans[0], pieces=(Slot(SlotKind.AUTHOR), *plans[0].pieces))
    return CompiledQuery((first, *plans[1:]), query.by_shape)


def _is_target(reference: Reference, context: Context) -> bool:
    if reference.place is Place.COPY:
        return context.kind is StatementKind.COPY_IN
    return reference.place is Place.TARGET


def _relation_of(reference: Reference, context: Context) -> Relation | None:
    return context.catalog.relations.get((reference.schema or context.schema or "public", reference.name))


def _runs_code(context: Context) -> bool:
    return context.pins == USER_CODE or isinstance(context.statement.node, (ast.ExecuteStmt, ast.DoStmt, ast.CallStmt))


def _leads_on(relation: Relation, context: Context) -> bool:
    """Whether a write of it can change other relations: by triggers, rules, a view's query, foreign keys."""
    if relation.kind not in "rp" or relation.has_triggers or relation.has_rules:
        return True
    if any(part.has_triggers for part in _descendants(relation, context)):
        return True
    return any(
        {key.on_delete, key.on_update} & {"cascade", "set null", "set default"} for key in keys_on(relation, context)
    )


def _descendants(relation: Relation, context: Context) -> Iterator[Relation]:
    for name in parts_of(relation, context):
        part = context.catalog.relations[name]
        yield part
        yield from _descendants(part, context)


def _is_armed(relation: Relation, truncates: bool) -> bool:
    return relation.tracked == ROWS_AND_TRUNCATE or (relation.tracked != UNTRACKED and not truncates)


def _check_all_armed(context: Context) -> None:
    own = context.schema if context.access.isolation is Isolation.SCHEMA else ""
    for schema, name in context.access.tracked:
        relation = context.catalog.relations.get((schema or own, name))
        if relation is not None and relation.kind in "rp" and not _is_armed(relation, True):
            raise _unarmed(name, context.statement.start + 1)


def _unarmed(name: str, position: int) -> AccessDenied:
    return AccessDenied(
        f"changes of table {name} are to be tracked, and the target does not do so",
        sqlstate="55000",
        hint=_REMEDY,
        position=position,
    )
