"""What several roles show and change of one relation together, cell by cell: their union, less what is denied."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from policy.access import NO_ACCESS, TableAccess
from policy.actions import COPY, SELECT, WRITES
from policy.denials import Denials
from policy.role_views import Key, RoleView, RoleViews
from policy.sql.plan import quote_identifier

_HIDDEN = "NULL"


@dataclass(frozen=True, slots=True)
class _Grant:
    """What one role gives at a relation. only: the columns that it shows, None: all."""

    role: str
    bits: int
    row_filter: str | None
    masks: Mapping[str, str]
    only: frozenset[str] | None = None

    def mask(self, column: str) -> str | None:
        if self.only is not None and column not in self.only:
            return _HIDDEN
        return self.masks.get(column)


def combine(views: RoleViews, denials: Denials, key: Key) -> TableAccess:
    """The union of what the roles give at `key`: a relation, all others of a schema (name None), or all others."""
    taken, barred = denials.bits(key)
    columns = denials.columns.get((key[0] or "", key[1] or ""), {})
    barred = tuple(dict.fromkeys((*barred, *columns.values())))
    grants = [grant for view in views.granting(key) if (grant := _grant(view, key, taken)).bits]
    beyond = [grant for grant in grants if grant.bits != COPY]
    if not beyond:
        reasons = tuple(grant.role for grant in grants)
        return TableAccess(copy=bool(grants), reasons=reasons, barred=barred) if grants or barred else NO_ACCESS
    readers = [grant for grant in beyond if grant.bits & SELECT]
    denied = views.denied(key) | columns.keys()
    masks, only, rest = _combine_columns(readers)
    filters = {kind: _filter(beyond, bit) for kind, bit in WRITES.items() if any(g.bits & bit for g in beyond)}
    reading = any_of(grant.row_filter for grant in readers)
    writing = next(iter(filters.values())) if filters else reading
    return TableAccess(
        read=bool(readers),
        write=bool(filters),
        copy=any(grant.bits & COPY for grant in grants),
        row_filter=writing,
        masks=MappingProxyType({c: mask for c, mask in masks.items() if c not in denied}),
        reasons=tuple(grant.role for grant in beyond),
        read_filter=None if reading == writing or not readers else reading or "true",
        denied=denied,
        without=frozenset(WRITES) - filters.keys() if filters else frozenset(),
        filters=MappingProxyType({kind: text for kind, text in filters.items() if text != writing}),
        only=None if only is None else only - denied,
        rest=rest,
        barred=barred,
    )


def _grant(view: RoleView, key: Key, taken: int) -> _Grant:
    bits = view.bits(key)
    schema, name = key
    if schema is None or name is None:
        return _Grant(view.name, bits & ~taken, None, {})
    table = schema, name
    only = None
    if not bits & SELECT and table in view.columns:
        bits |= SELECT
        only = view.columns[table]
    return _Grant(view.name, bits & ~taken, view.filters.get(table), view.masks.get(table, {}), only)


def _filter(grants: Iterable[_Grant], bit: int) -> str | None:
    return any_of(grant.row_filter for grant in grants if grant.bits & bit)


def any_of(filters: Iterable[str | None]) -> str | None:
    """Joined by OR; None (every row) as soon as one is None."""
    found = set(filters)
    if None in found:
        return None
    texts = sorted(text for text in found if text is not None)
    return texts[0] if len(texts) == 1 else " OR ".join(f"({text})" for text in texts) or None


def _combine_columns(
    grants: Sequence[_Grant],
) -> tuple[dict[str, str], frozenset[str] | None, str | None]:
    """(masks by column, the only columns that are shown, the filter of rows that show the others, too).

    A role that shows more of a column than another does so on the rows of its own filter only.
    """
    partly = [grant.only for grant in grants if grant.only is not None]
    listed = frozenset[str]().union(*partly)
    combined: dict[str, str] = {}
    for column in sorted(listed.union(*(grant.masks for grant in grants))):
        shown: dict[str | None, list[str | None]] = {}
        for grant in grants:
            shown.setdefault(grant.mask(column), []).append(grant.row_filter)
        mask = _mask(column, sorted(shown.items(), key=lambda item: _openness(item[0])))
        if mask is not None:
            combined[column] = mask
    if not partly:
        return combined, None, None
    if len(partly) == len(grants):
        return {c: mask for c, mask in combined.items() if c in listed}, listed, None
    others = any_of(grant.row_filter for grant in grants if grant.only is None)
    if others is None:
        return combined, None, None
    return combined, listed.union(combined), others


def _mask(column: str, shown: list[tuple[str | None, list[str | None]]]) -> str | None:
    """The expression for a column, from (mask or None for unmasked, filters of the roles), most open first."""
    branches = ""
    for mask, filters in shown:
        rows = any_of(filters)
        if rows is None or mask == shown[-1][0]:  # the rows that are left: the guard lets no others through
            return f"CASE{branches} ELSE {mask} END" if branches else mask
        branches += f" WHEN {rows} THEN {quote_identifier(column) if mask is None else mask}"
    return None


def _openness(mask: str | None) -> tuple[int, str]:
    """Sort key: unmasked, then masks by their text, NULL last."""
    if mask is None:
        return 0, ""
    return (2, "") if mask.strip().upper() == _HIDDEN else (1, mask)
