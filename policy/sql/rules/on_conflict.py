"""ON CONFLICT: the row that is in the way must be the tenant's own.

A unique key that does not contain the tenant column can be hit by another tenant's row: then DO UPDATE would change it,
and even DO NOTHING would tell that it exists. So the inference must name the tenant column. DO UPDATE gets the tests
of any UPDATE before its condition, always as a barrier: PostgreSQL evaluates it on the row in the way
whose it may be (corpus DML-083).
"""

from __future__ import annotations

from typing import Any

from policy.errors import AccessDenied, InvalidStatement
from policy.sql import parse
from policy.sql.catalog import Column, Relation
from policy.sql.context import Context
from policy.sql.parse import Node, enums
from policy.sql.references import Reference
from policy.sql.resolve import Resolved, resolve
from policy.sql.rules.assignments import check_assignments
from policy.sql.rules.target import check_reads, target_tests
from policy.sql.rules.where import add_tests_at

ast: Any = parse.ast

_UPDATE = enums.OnConflictAction.ONCONFLICT_UPDATE


def rewrite_on_conflict(
    node: Node, reference: Reference, resolved: Resolved, clause_index: int, context: Context
) -> None:
    """Confine an INSERT's ON CONFLICT clause, whose ON is token `clause_index`. Raises a StatementRefused."""
    clause = node.onConflictClause
    if clause is None:
        return
    tenant = resolved.tenant_column
    if tenant is not None:
        assert resolved.relation is not None
        _check_inference(clause, tenant, resolved.relation)
    if clause.action != _UPDATE:
        return
    resolved = resolve(reference, "update", context)
    values = [target.val for target in clause.targetList]
    check_reads([clause.whereClause, *(v for v in values if _names_target(v))], reference, resolved)
    check_assignments(clause.targetList, ("WHERE", "RETURNING"), reference, resolved, context)
    tests = target_tests(reference, resolved, context)
    if tests:
        add_tests_at(clause, _where_index(clause_index, context), tests, True, context)


def _names_target(value: Node) -> bool:
    """Whether an expression may name a column of the row in the way: `excluded` is the client's own row."""
    return any(
        isinstance(found, ast.ColumnRef)
        and not (
            len(found.fields) > 1 and isinstance(found.fields[0], ast.String) and found.fields[0].sval == "excluded"
        )
        for found in parse.walk(value)
    )


def _where_index(clause_index: int, context: Context) -> int:
    """Index of the WHERE of DO UPDATE, or of what follows its SET list."""
    tokens = context.tokens
    action = tokens.find({"DO"}, clause_index)
    return tokens.find({"WHERE", "RETURNING"}, action)


def _check_inference(clause: Node, tenant: Column, relation: Relation) -> None:
    infer = clause.infer
    if infer is None:
        _check_all_keys(clause, tenant, relation)
    elif infer.conname is not None:
        _check_constraint(infer, tenant, relation)
    elif tenant.name not in {element.name for element in infer.indexElems or () if element.name is not None}:
        raise _refused(clause, tenant, relation, "The columns named do not include the tenant's.")


def _check_all_keys(clause: Node, tenant: Column, relation: Relation) -> None:
    foreign = [
        name
        for name, key in zip(relation.unique_key_names, relation.unique_keys, strict=False)
        if tenant.name not in key
    ]
    if foreign or len(relation.unique_key_names) != len(relation.unique_keys):
        raise _refused(clause, tenant, relation, f"{', '.join(foreign)} covers the rows of all tenants.")


def _check_constraint(infer: Node, tenant: Column, relation: Relation) -> None:
    keys = dict(zip(relation.unique_key_names, relation.unique_keys, strict=False))
    key = keys.get(infer.conname)
    if key is None:
        raise InvalidStatement(
            f'constraint "{infer.conname}" for table "{relation.name}" does not exist',
            sqlstate="42704",
            position=infer.location + 1,
        )
    if tenant.name not in key:
        raise _refused(infer, tenant, relation, f"{infer.conname} covers the rows of all tenants.")


def _refused(node: Node, tenant: Column, relation: Relation, detail: str) -> AccessDenied:
    own = next((key for key in relation.unique_keys if tenant.name in key), None)
    target = ", ".join(own) if own else f"{tenant.name}, …"
    return AccessDenied(
        "ON CONFLICT could meet another tenant's row",
        detail=detail,
        hint=f"Name a unique key that contains the tenant column: ON CONFLICT ({target}).",
        position=node.location + 1,
    )
