"""Figures that are counts of the audit log: `count` over its events, `reached` over the relations that they reach.

Counts come from the per-day totals of the search index, which are made from the log's files.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from admin.compliance.figures import Cell, Figure
from admin.compliance.sources import Sources, date_of
from policy.model import Role
from policy.snapshot import Snapshot

_TOTALS: Final = ("day", "tenant", "subject", "event", "action", "outcome", "decision", "sqlstate")
_REACHED: Final = ("day", "tenant", "relation", "subject", "action")
_TOP: Final = 25
_PERSONAL_TAGS: Final = frozenset({"pii", "phi", "personal", "sensitive", "card", "health"})


def count(sources: Sources, entry: Mapping[str, Any]) -> Figure:
    """Events `where` (equal, or one of a list), counted `by` some of their members, the largest first.

    `required`: that there is none is a finding. `exception`: rows `above` so many are exceptions.
    """
    return _figure(sources, entry, "totals", _TOTALS, dict(entry.get("where") or {}))


def reached(sources: Sources, entry: Mapping[str, Any]) -> Figure:
    """Statements that reach relations; `personal: true`: those that the policy tags as personal, or masks."""
    where = dict(entry.get("where") or {})
    if entry.get("personal"):
        if sources.snapshot is None:
            return Figure(entry["title"], "policy", missing=f"the policy could not be read: {sources.reason_unread}")
        relations = personal_relations(sources.snapshot, sources.tenant)
        if not relations:
            hint = "no relation has a tag pii, phi, personal or sensitive, and no role masks one"
            return Figure(entry["title"], "policy", missing=f"the policy does not say which data is personal: {hint}")
        where["relation"] = relations
    return _figure(sources, entry, "reached", _REACHED, where)


def roles_shown(snapshot: Snapshot, tenant: str | None) -> list[Role]:
    """Roles by name: all, or those that are everybody's or this tenant's own."""
    known = sorted(snapshot.roles.values(), key=lambda role: role.name)
    return [role for role in known if tenant is None or role.tenant in (None, tenant)]


def personal_relations(snapshot: Snapshot, tenant: str | None) -> list[str]:
    """Relations with a tag that says so, on them or on a column, and those of which some role sees masks only."""
    found = {
        f"{rule.schema}.{rule.name}"
        for rules in snapshot.tables.values()
        for rule in rules
        if _PERSONAL_TAGS & rule.tags or any(_PERSONAL_TAGS & tags for tags in rule.column_tags.values())
    }
    for role in roles_shown(snapshot, tenant):
        found |= {table if "." in table else f"public.{table}" for table in {**role.masks, **role.denied_columns}}
    return sorted(found)


def _figure(
    sources: Sources, entry: Mapping[str, Any], table: str, columns: Sequence[str], where: dict[str, Any]
) -> Figure:
    by = [column for column in entry.get("by", ()) if column in columns]
    condition, values = _condition(sources, columns, where)
    total = sources.index.execute(f"SELECT coalesce(sum(events), 0) FROM {table} WHERE {condition}", values)  # noqa: S608
    found = int(total.fetchone()[0])
    names = "".join(f"{column}, " for column in by)
    group = f" GROUP BY {', '.join(by)} ORDER BY sum(events) DESC, {', '.join(by)}" if by else ""
    rows = sources.index.execute(
        f"SELECT {names}sum(events), sum(rows) FROM {table} WHERE {condition}{group}",  # noqa: S608
        values,
    ).fetchall()
    shown = [_shown(by, row) for row in rows[: int(entry.get("top", _TOP))]] if found else []
    if len(rows) > len(shown) and found:
        shown.append([f"… {len(rows) - len(shown)} more", *[""] * (len(by) - 1), "", ""])
    missing = None
    if not found and entry.get("required"):
        missing = "the audit log of the period has no such event"
    return Figure(
        entry["title"],
        f"audit log: {_in_words(where)}" + (f", by {', '.join(by)}" if by else ""),
        (*by, "events", "rows"),
        shown,
        found,
        _exceptions(entry, by, rows),
        missing,
    )


def _condition(sources: Sources, columns: Sequence[str], where: Mapping[str, Any]) -> tuple[str, list[Any]]:
    parts = ["day >= ?", "day < ?"]
    values: list[Any] = [sources.since, sources.until]
    if sources.tenant is not None:
        parts.append("tenant = ?")
        values.append(sources.tenant)
    for column, wanted in where.items():
        if column not in columns:
            raise ValueError(f"{column} is no member that is counted")
        several = list(wanted) if isinstance(wanted, list | tuple) else [wanted]
        parts.append(f"{column} IN ({', '.join('?' * len(several))})")
        values += several
    return " AND ".join(parts), values


def _shown(by: Sequence[str], row: Sequence[Any]) -> list[Cell]:
    return [date_of(cell) if name == "day" else cell for name, cell in zip((*by, "events", "rows"), row, strict=True)]


def _exceptions(entry: Mapping[str, Any], by: Sequence[str], rows: Sequence[Sequence[Any]]) -> list[str]:
    rule = entry.get("exception")
    if rule is None:
        return []
    found = []
    for row in rows:
        named = dict(zip((*by, "events", "rows"), _shown(by, row), strict=True))
        if (named["events"] or 0) > rule["above"]:
            found.append(rule["says"].format(**named))
    return found


def _in_words(where: Mapping[str, Any]) -> str:
    if not where:
        return "all events"
    return ", ".join(f"{name} = {'|'.join(w) if isinstance(w, list | tuple) else w}" for name, w in where.items())
