"""What a database lacks for its tracked tables' changes to be written down, as steps; and how that is taken away."""

from __future__ import annotations

from collections.abc import Iterator

from admin.provision import change_sql
from admin.provision.facts import Facts, Name
from admin.provision.steps import Step, ident, literal, qualified
from admin.provision.wanted import Wanted

_KINDS = frozenset("rp")
_PRIVATE = (change_sql.CHANGES, change_sql.TRACKED, f"{change_sql.S}.hash_key")


def tracked_tables(wanted: Wanted, facts: Facts) -> dict[Name, str | None]:
    """The tables to be tracked that are there, each with its tenant column."""
    found: dict[Name, str | None] = {}
    for rule in wanted.tracked:
        if wanted.rules:
            found[rule.schema, rule.name] = rule.tenant_column
        if wanted.whole:
            found[rule.schema, rule.name] = None
        if rule.schema == "public":
            found.update(((schema, rule.name), None) for schema in wanted.schemas)
    return {name: column for name, column in found.items() if _is_table(name, facts)}


def change_steps(wanted: Wanted, facts: Facts) -> Iterator[Step]:
    """Tables and functions when they are missing or others; then each table that is not tracked as it should be."""
    tables, known = tracked_tables(wanted, facts), facts.changes
    if not tables and known is None:
        return
    outdated = known is None or known.version != change_sql.VERSION
    if known is None:
        for sql in (*change_sql.TABLES, change_sql.HASH_KEY):
            yield Step(sql, "where changes of tracked tables are written down")
    if outdated:
        yield from _function_steps(wanted, facts)
    for name, column in tables.items():
        hashed = sorted(wanted.hashed_in(name))
        present = None if known is None else known.tracked.get(name)
        if outdated or present is None or present != (column, tuple(hashed), wanted.target.role, True):
            listed = ", ".join(map(literal, hashed))
            tenant = "NULL" if column is None else literal(column)
            yield Step(
                f"SELECT {change_sql.S}.arm({literal(qualified(*name))}::regclass, {tenant}, ARRAY[{listed}]::text[], "
                f"{literal(wanted.target.role)})",
                "the policy tracks its changes",
            )
    for name in () if known is None else known.tracked.keys() - tables.keys():
        yield Step(
            f"SELECT {change_sql.S}.disarm({literal(qualified(*name))}::regclass)", "the policy does not track it"
        )


def _function_steps(wanted: Wanted, facts: Facts) -> Iterator[Step]:
    for name, sql in change_sql.FUNCTIONS.items():
        yield Step(sql, "runs as its owner: nobody else may write what it writes")
        yield Step(f"REVOKE ALL ON FUNCTION {change_sql.S}.{name} FROM PUBLIC", "triggers need no privilege")
    roles = f"PUBLIC, {ident(wanted.target.role)}"
    for table in _PRIVATE:
        yield Step(f"REVOKE ALL ON TABLE {table} FROM {roles}", "no tenant may read or write it")
    if facts.administrator_is_superuser:
        yield Step(f"DROP EVENT TRIGGER IF EXISTS {change_sql.EVENT_TRIGGER}", "of another version")
        yield Step(change_sql.EVENT_TRIGGER_SQL, "definitions before and after; triggers stay where they are")
    yield Step(f"COMMENT ON TABLE {change_sql.CHANGES} IS {literal(change_sql.VERSION)}", "which version this is")


def change_revert_steps(facts: Facts) -> Iterator[Step]:
    """Without CASCADE, as the lock's own."""
    known = facts.changes
    if known is None:
        return
    if known.has_event_trigger:
        yield Step(f"DROP EVENT TRIGGER {change_sql.EVENT_TRIGGER}", "of tracked tables")
    yield Step(f"SELECT {change_sql.S}.disarm(relation) FROM {change_sql.TRACKED}", "tracked no more")  # noqa: S608
    for sql in change_sql.DROPS:
        yield Step(sql, "of tracked tables")
    for table in _PRIVATE:
        yield Step(f"DROP TABLE {table}", "of tracked tables")


def _is_table(name: Name, facts: Facts) -> bool:
    relation = facts.relations.get(name)
    return relation is not None and relation.kind in _KINDS
