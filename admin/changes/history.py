"""What was written down of tracked tables' changes: what a tenant may see of it, the queries, one change's picture.

Nothing here connects anywhere: whoever reads has a way to run SQL with the rights of the changes' owner.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from admin.provision.change_sql import CHANGES, DIGESTED
from admin.provision.steps import literal
from policy.model import Isolation, Tenant
from policy.names import parse_table_name

IS_TRACKED = f"SELECT to_regclass('{CHANGES}') IS NOT NULL"
_SHOWN = (
    "jsonb_build_object('id', c.id, 'at', to_char(c.at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"'),"
    " 'table', c.relation_schema || '.' || c.relation_name, 'key', c.key, 'old_key', c.old_key,"
    " 'operation', c.operation, 'tenant', c.tenant, 'user', c.subject, 'session', c.session, 'role', c.role,"
    " 'transaction', c.transaction::text, 'position', c.position, 'digest', encode(c.digest, 'hex'),"
    " 'before', c.before, 'after', c.after)::text"
)


@dataclass(frozen=True, slots=True)
class Asked:
    """Which changes. table: with its schema or without; since, until: seconds since the epoch; before: an id, for the
    next page. Newest first, `limit` of them."""

    table: str = ""
    key: str | None = None
    user: str = ""
    since: float | None = None
    until: float | None = None
    before: int | None = None
    limit: int = 100


@dataclass(frozen=True, slots=True)
class Change:
    """One change of one row, or of a table's definition. fields: as JSON shows it."""

    fields: dict[str, Any]

    @property
    def columns(self) -> Iterator[tuple[str, Any, Any]]:
        """What differs: column, value before, value after; all of a row that came or went."""
        before, after = self.fields["before"] or {}, self.fields["after"] or {}
        for name in {**before, **after}:
            if before.get(name) != after.get(name) or name not in before or name not in after:
                yield name, before.get(name), after.get(name)

    @classmethod
    def read(cls, row: str | None) -> Change:
        return cls(json.loads(row or "null"))


def whose(tenant: Tenant) -> str:
    """A condition on what one tenant may see: rows of its own, in its place's database, and not what was another's who
    had the place before."""
    own = f"(c.tenant IS NULL OR c.tenant = {literal(tenant.id)})"
    if tenant.isolation is Isolation.SHARED:
        return f"c.tenant_value = {literal(tenant.value)} AND {own}"
    if tenant.isolation is Isolation.SCHEMA:
        return f"c.relation_schema = {literal(tenant.schema or '')} AND c.tenant_value IS NULL AND {own}"
    return own


def history_query(asked: Asked, visible: str = "true") -> str:
    """A query of one column. Raises ValueError for what is no table's name."""
    where = [f"({visible})", *_conditions(asked)]
    return f"SELECT {_SHOWN} FROM {CHANGES} c WHERE {' AND '.join(where)} ORDER BY c.id DESC LIMIT {asked.limit:d}"  # noqa: S608


def digests_query(after: int, limit: int) -> str:
    """Rows as they were digested: id, transaction, when it began (in microseconds of the epoch), position, session,
    digest, and what it is over."""
    began = "(extract(epoch from c.began) * 1000000)::bigint"
    columns = f"c.id, c.transaction, {began}, c.position, c.session, encode(c.digest, 'hex'), {DIGESTED}"
    return f"SELECT {columns} FROM {CHANGES} c WHERE c.id > {after:d} ORDER BY c.id LIMIT {limit:d}"  # noqa: S608


def prune_query(visible: str, before: float) -> str:
    """Takes away what is older, whole transactions at a time; gives how many rows went."""
    return (
        f"WITH gone AS (DELETE FROM {CHANGES} c WHERE ({visible}) AND c.began < to_timestamp({before!r})"  # noqa: S608
        " RETURNING 1) SELECT count(*) FROM gone"
    )


def _conditions(asked: Asked) -> Iterator[str]:
    if asked.table:
        schema, name = parse_table_name(asked.table)
        yield f"c.relation_name = {literal(name)}"
        if "." in asked.table:
            yield f"c.relation_schema = {literal(schema)}"
    if asked.key is not None:
        key = literal(asked.key)
        yield f'(("left"(c.key, 200) = "left"({key}, 200) AND c.key = {key}) OR c.old_key = {key})'
    if asked.user:
        yield f"c.subject = {literal(asked.user)}"
    if asked.since is not None:
        yield f"c.at >= to_timestamp({asked.since!r})"
    if asked.until is not None:
        yield f"c.at < to_timestamp({asked.until!r})"
    if asked.before is not None:
        yield f"c.id < {asked.before:d}"
