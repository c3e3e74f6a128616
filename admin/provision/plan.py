"""What a database lacks, as steps: the role, its privileges, row-level security. None when all is as it should be.

Only additions. What the role has beyond its need, provisioning did not give and does not take away: the doctor tells.
"""

from __future__ import annotations

from collections.abc import Iterator

from admin.provision.change_steps import change_steps, tracked_tables
from admin.provision.facts import Facts, PolicyFacts, RelationFacts
from admin.provision.lock_sql import function_steps, key_steps, made_steps
from admin.provision.steps import Made, Step, ident, literal, qualified
from admin.provision.wanted import Wanted
from policy import second_lock
from policy.model import TableClass, TableRule
from policy.sql.catalog import Catalog
from policy.sql.row_security import direct_expression, same_expression, schema_expression, tenant_expression
from policy.sql.type_names import cast_name, is_text

_ROWS = ("SELECT", "INSERT", "UPDATE", "DELETE")
_OWN_ROWS = (*_ROWS, "TRUNCATE")
_OWN_SEQUENCES = ("USAGE", "SELECT", "UPDATE")
LOCKABLE = frozenset("rp")


def plan_steps(
    wanted: Wanted, facts: Facts, catalog: Catalog, stored_key: list[tuple[str, str]], verifier: str | None
) -> list[Step]:
    """Everything to do in one database, in order. verifier: of the role's password, None: it gets none."""
    steps = [*role_steps(wanted, facts, verifier), *_grant_steps(wanted, facts)]
    locks = wanted.target.native and any(lock_expressions(wanted, facts, catalog))
    if locks or tracked_tables(wanted, facts):
        steps += key_steps(wanted.target, stored_key)
    if locks:
        steps += lock_steps(wanted, facts, catalog)
    steps += change_steps(wanted, facts)
    return [*made_steps(facts), *steps] if steps else []


def role_steps(wanted: Wanted, facts: Facts, verifier: str | None) -> Iterator[Step]:
    if facts.role is not None:
        return
    role = wanted.target.role
    create = f"CREATE ROLE {ident(role)} LOGIN NOSUPERUSER NOBYPASSRLS NOINHERIT NOCREATEDB NOCREATEROLE NOREPLICATION"
    password = "" if verifier is None else f" PASSWORD {literal(verifier)}"
    shown = create + (" PASSWORD …" if verifier is not None else "")
    yield Step(create + password, "the gateway's login role: no powers, owns nothing", Made("role", name=role), shown)


# -- privileges ------------------------------------------------------------------------------------------------------


def _grant_steps(wanted: Wanted, facts: Facts) -> Iterator[Step]:
    role = wanted.target.role
    if wanted.rules or wanted.schemas or wanted.whole:
        held = facts.database_grants.get(role, frozenset())
        for privilege in ("CONNECT", "TEMPORARY"):
            if privilege not in held:
                sql = f"GRANT {privilege} ON DATABASE {ident(facts.database)} TO {ident(role)}"
                yield Step(sql, "its tenants are here", Made("database", name=facts.database, detail=privilege))
    for rule in wanted.rules:
        yield from _shared_grants(rule, wanted, facts)
    for schema in own_schemas(wanted, facts):
        yield from _own_grants(schema, wanted, facts)


def _shared_grants(rule: TableRule, wanted: Wanted, facts: Facts) -> Iterator[Step]:
    relation = facts.relations.get((rule.schema, rule.name))
    if relation is None or rule.table_class is TableClass.DENIED:
        return
    if relation.kind == "S":
        if rule.table_class is TableClass.SEQUENCE:
            yield from _schema_grant(rule.schema, ("USAGE",), wanted.target.role, facts)
            yield from _relation_grants((rule.schema, rule.name), ("USAGE",), wanted.target.role, facts)
        return
    if relation.kind == "v" and rule.table_class is TableClass.TENANT and not rule.trusted:
        return  # the gateway puts the view's query in its place
    role = wanted.target.role
    writable = rule.table_class is TableClass.TENANT and relation.kind in LOCKABLE
    yield from _schema_grant(rule.schema, ("USAGE",), role, facts)
    yield from _relation_grants((rule.schema, rule.name), _ROWS if writable else ("SELECT",), role, facts)
    for sequence in relation.default_sequences if writable else ():
        yield from _schema_grant(sequence[0], ("USAGE",), role, facts)
        yield from _relation_grants(sequence, ("USAGE",), role, facts)


def own_schemas(wanted: Wanted, facts: Facts) -> tuple[str, ...]:
    """The schemas that are one tenant's own here, of those that exist."""
    if wanted.whole:
        return tuple(schema for schema in facts.schemas if schema != second_lock.SCHEMA)
    return tuple(schema for schema in wanted.schemas if schema in facts.schemas)


def _own_grants(schema: str, wanted: Wanted, facts: Facts) -> Iterator[Step]:
    role = wanted.target.role
    yield from _schema_grant(schema, ("USAGE", "CREATE") if wanted.ddl else ("USAGE",), role, facts)
    for name, relation in facts.relations.items():
        if name[0] != schema or relation.of_extension or relation.owner == role:
            continue
        if relation.kind == "S":
            yield from _relation_grants(name, _OWN_SEQUENCES, role, facts)
        else:
            yield from _relation_grants(name, _own_privileges(relation), role, facts)


def _own_privileges(relation: RelationFacts) -> tuple[str, ...]:
    if relation.kind == "m":
        return ("SELECT",)
    return _OWN_ROWS if relation.kind in LOCKABLE else _ROWS


def _schema_grant(schema: str, privileges: tuple[str, ...], role: str, facts: Facts) -> Iterator[Step]:
    held = facts.schemas[schema].grants.get(role, frozenset())
    for privilege in privileges:
        if privilege not in held:
            sql = f"GRANT {privilege} ON SCHEMA {ident(schema)} TO {ident(role)}"
            yield Step(sql, "what it may use is here", Made("schema", schema, detail=privilege))


def _relation_grants(name: tuple[str, str], privileges: tuple[str, ...], role: str, facts: Facts) -> Iterator[Step]:
    missing = [p for p in privileges if p not in facts.relation_grants(name, role)]
    kind = "sequence" if facts.relations[name].kind == "S" else "table"
    for privilege in missing:
        sql = f"GRANT {privilege} ON {kind.upper()} {qualified(*name)} TO {ident(role)}"
        yield Step(sql, "classified by the policy", Made(kind, *name, detail=privilege))


# -- row-level security ------------------------------------------------------------------------------------------------


def lock_steps(wanted: Wanted, facts: Facts, catalog: Catalog) -> Iterator[Step]:
    """The function, and the policies of every table that has rows of tenants to tell apart."""
    yield from function_steps(wanted.target, facts)
    for name, expression in lock_expressions(wanted, facts, catalog):
        yield from table_steps(name, expression, wanted, facts)


def lock_expressions(wanted: Wanted, facts: Facts, catalog: Catalog) -> Iterator[tuple[tuple[str, str], str]]:
    """Tables to be locked, each with its test."""
    for rule in wanted.tenant_rules:
        relation = catalog.relations.get((rule.schema, rule.name))
        if relation is None or relation.kind not in LOCKABLE:
            continue
        column = next((c for c in relation.columns if c.name == rule.tenant_column), None)
        if column is not None:
            cast = None if is_text(column) else cast_name(column)
            yield (rule.schema, rule.name), tenant_expression(column.name, cast)
    for schema in wanted.schemas:
        for name, own in facts.relations.items():
            if name[0] == schema and own.kind in LOCKABLE and not own.of_extension and own.owner != wanted.target.role:
                yield name, schema_expression(schema)


def table_steps(name: tuple[str, str], expression: str, wanted: Wanted, facts: Facts) -> Iterator[Step]:
    """What one table lacks of its lock."""
    relation, table, role = facts.relations[name], qualified(*name), wanted.target.role
    policies = {policy.name: policy for policy in relation.policies}
    yield from _policy(
        name, policies.get(second_lock.TENANT_POLICY), second_lock.TENANT_POLICY, "RESTRICTIVE", (role,), expression,
        "the tenant's own rows, whatever else is allowed",
    )  # fmt: skip
    yield from _policy(
        name, policies.get(second_lock.ROWS_POLICY), second_lock.ROWS_POLICY, "PERMISSIVE", (role,), "true",
        "of these, all",
    )  # fmt: skip
    others = _direct_users(relation, wanted, facts)
    if others and (not relation.row_security or Made("enabled", *name) in facts.made):
        yield from _policy(
            name, policies.get(second_lock.DIRECT_POLICY), second_lock.DIRECT_POLICY, "PERMISSIVE", others,
            direct_expression(role), "others go on as before, but not from within the gateway's sessions",
        )  # fmt: skip
    if not relation.row_security:
        yield Step(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY", "policies count", Made("enabled", *name))
    if not relation.forced:
        yield Step(
            f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY",
            "for code that runs as the table's owner, too",
            Made("forced", *name),
        )


def _policy(
    name: tuple[str, str],
    present: PolicyFacts | None,
    policy: str,
    kind: str,
    roles: tuple[str, ...],
    expression: str,
    why: str,
) -> Iterator[Step]:
    if present is not None:
        if policy_is_right(present, kind, roles, expression):
            return
        yield Step(f"DROP POLICY {ident(policy)} ON {qualified(*name)}", "another policy than it should be")
    to = ", ".join(map(ident, roles))
    yield Step(
        f"CREATE POLICY {ident(policy)} ON {qualified(*name)} AS {kind} FOR ALL TO {to} "
        f"USING ({expression}) WITH CHECK ({expression})",
        why,
        Made("policy", *name, detail=policy),
    )


def policy_is_right(present: PolicyFacts, kind: str, roles: tuple[str, ...], expression: str) -> bool:
    return (
        present.permissive is (kind == "PERMISSIVE")
        and sorted(present.roles) == sorted(roles)
        and present.command == "ALL"
        and present.using is not None
        and present.check is not None
        and same_expression(present.using, expression)
        and same_expression(present.check, expression)
    )


def _direct_users(relation: RelationFacts, wanted: Wanted, facts: Facts) -> tuple[str, ...]:
    """Who may use the table besides the gateway: its owner and those with privileges of their own."""
    roles = {relation.owner, *relation.grants} - {"", wanted.target.role} - facts.mighty
    return tuple(sorted(roles))
