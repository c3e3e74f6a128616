"""Why a statement gives no rows: for each relation, whether the session sees any row of it, and what holds them back.

Asked of the target with statements of the gateway's own, guarded as the session's would be; the statement itself is
not run.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from policy.access import Access, TableAccess
from policy.access_explained import PrincipalExplained
from policy.expressions import values_in
from policy.model import Isolation
from policy.sql import parse
from policy.sql.catalog import Catalog
from policy.sql.compile import compile_query
from policy.sql.plan import Plan, SlotValues, quote_identifier, render
from policy.sql.references import names_of
from policy.sql.shape import shape_of

ast: Any = parse.ast
Ask = Callable[[str], Awaitable[list[list[str | None]]]]


async def why_no_rows(
    plan: Plan, access: Access, catalog: Catalog, explained: PrincipalExplained, values: SlotValues, ask: Ask
) -> list[str]:
    """Sentences, at least one for each relation that the statement reads. ask: runs a query on the target."""
    told: list[str] = []
    for relation in plan.relations:
        schema, _, name = relation.partition(".")
        if schema in ("pg_catalog", "information_schema", "pg_temp"):
            continue
        shown = quote_identifier(name) if explained.tenant.isolation is Isolation.SCHEMA else _qualified(schema, name)
        own = "" if explained.tenant.isolation is Isolation.SCHEMA else schema
        told += await _of_relation(name, shown, access, catalog, values, ask)
        told += _of_masks(plan, access.table(own, name), name, explained.relation(schema, name))
        told += _of_values(access.table(own, name), name, values)
    return told or ["it reads no table"]


async def _of_relation(
    name: str, shown: str, access: Access, catalog: Catalog, values: SlotValues, ask: Ask
) -> list[str]:
    seen = await _has_rows(shown, access, catalog, values, ask)
    if seen is None:
        return [f"{name}: whether it has rows cannot be asked"]
    if seen:
        return [f"{name}: the session sees rows of it; the statement's own conditions leave none"]
    if await _has_rows(shown, _unfiltered(access), catalog, values, ask):
        return [f"{name}: the tenant has rows in it, the row filter lets none through"]
    return [f"{name}: the tenant has no rows in it"]


async def _has_rows(shown: str, access: Access, catalog: Catalog, values: SlotValues, ask: Ask) -> bool | None:
    """None: a session may not read it."""
    query = f"SELECT 1 FROM {shown} LIMIT 1"  # noqa: S608 - quoted, and guarded like a client's
    compiled = compile_query(query, access, catalog, schema=values.schema.strip('"').replace('""', '"'))
    if compiled.denial is not None:
        return None
    shape = shape_of(query) if compiled.by_shape else None
    literals = () if shape is None else shape.literals
    return bool(await ask("".join(render(plan, values, literals) for plan in compiled.plans)))


def _unfiltered(access: Access) -> Access:
    """The same without row filters."""
    tables = {key: replace(table, row_filter=None, read_filter=None, rest=None) for key, table in access.tables.items()}
    return replace(access, tables=MappingProxyType(tables))


def _of_masks(plan: Plan, access: TableAccess, name: str, rules: tuple[Any, ...]) -> Iterator[str]:
    """Conditions that compare what a mask shows."""
    for column in sorted(_compared(plan.original) & access.masks.keys()):
        sources = [rule.source for rule in rules if rule.effect == "masks" and rule.what.startswith(f"{column} by ")]
        yield f"{name}.{column}: a condition compares the masked value ({'; '.join(sources) or 'a mask'})"


def _compared(text: str) -> set[str]:
    """Names of columns in conditions."""
    found: set[str] = set()
    for statement in parse.parse_statements(text, parse.scan(text)):
        for node in parse.walk(statement.node):
            conditions = [getattr(node, field, None) for field in ("whereClause", "havingClause", "quals")]
            for condition in filter(None, conditions):
                columns = (each for each in parse.walk(condition) if isinstance(each, ast.ColumnRef))
                found.update(names[-1] for each in columns if (names := names_of(each.fields)))
    return found


def _of_values(access: TableAccess, name: str, values: SlotValues) -> Iterator[str]:
    """Values of the session that a filter names and that are missing: NULL lets no row through."""
    known: Mapping[str, str] = values.attributes
    text = access.filter_for_reading
    for value in sorted(values_in(text)) if text else ():
        if value.startswith("attr_") and value.removeprefix("attr_") not in known:
            yield f"{name}: the row filter compares :{value}, which this session does not have (NULL)"


def _qualified(schema: str, name: str) -> str:
    return f"{quote_identifier(schema)}.{quote_identifier(name)}"
