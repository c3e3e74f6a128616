"""ON CONFLICT: the row that is in the way must be the tenant's own.

A unique key that does not contain the tenant column can be hit by another tenant's row: then DO UPDATE would change it,
and even DO NOTHING would tell that it exists. So the inference must name the tenant column; where a key is that of the
columns named and the tenant column, it is added, as the client's `(sku)` means the key of its own rows. DO UPDATE gets
the tests of any UPDATE before its condition, always as a barrier: PostgreSQL evaluates it on the row in the way
whose it may be (corpus DML-083).
"""

from __future__ import annotations

from typing import Any

from policy.errors import AccessDenied, InvalidStatement
from policy.sql import parse
from policy.sql.catalog import Column, Relation
from policy.sql.context import Context
from policy.sql.parse import Node, enums
from policy.sql.plan import quote_identifier
from policy.sql.references import Reference
from policy.sql.resolve import Resolved, resolve
from policy.sql.rules.assignments import check_assignments
from policy.sql.rules.target import check_reads, target_tests
from policy.sql.rules.where import add_tests_at
from policy.sql.verify import failed, parse_sample, same_tree

ast: Any = parse.ast

_OPEN = "ASCII_40"
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
        if _lacks_tenant_only(clause.infer, tenant, resolved.relation):
            _add_tenant(clause.infer, tenant, clause_index, context)
        else:
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


def _lacks_tenant_only(infer: Node, tenant: Column, relation: Relation) -> bool:
    """Whether the columns of an inference are a key of the table when the tenant's is among them, and none without."""
    if infer is None or not infer.indexElems or any(element.name is None for element in infer.indexElems):
        return False
    named = {element.name for element in infer.indexElems}
    keys = [set(key) for key in relation.unique_keys]
    return tenant.name not in named and named not in keys and named | {tenant.name} in keys


def _add_tenant(infer: Node, tenant: Column, clause_index: int, context: Context) -> None:
    """`ON CONFLICT (sku)` becomes `ON CONFLICT (tenant, sku)`."""
    bracket = clause_index + 2
    if context.tokens.name(bracket) != _OPEN:
        raise failed("ON CONFLICT")
    context.insert(context.tokens.items[bracket].end, f"{quote_identifier(tenant.name)}, ")

    def unwrap(found: Node) -> Node:
        elements = found.indexElems if isinstance(found, ast.InferClause) else ()
        if not elements or not same_tree(elements[0], _element(tenant)):
            raise failed("ON CONFLICT")
        found.indexElems = elements[1:]
        return found

    context.expect(infer, unwrap)


def _element(tenant: Column) -> Node:
    sample = parse_sample("INSERT INTO t VALUES (1) ON CONFLICT (%) DO NOTHING", (quote_identifier(tenant.name),))
    return sample.onConflictClause.infer.indexElems[0]


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
