"""Rows of the admin console from several workers as one view: sessions and backends side by side, counts as sums."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from proxy.postgres.admin_console import Row, row_type
from proxy.workers.peers import Rows

LOCAL_VIEWS = frozenset({"VERSION", "HELP"})

# What makes two rows one, and what is added up then. Views that are not here have no two rows of one thing.
_KEYS = {
    "POOLS": ("target", "database", "search_path", "user", "claim"),
    "TENANTS": ("tenant",),
    "STATS": ("tenant",),
    "QUOTAS": ("tenant", "quota"),
}
_SUMS = {
    "POOLS": ("cl_active", "cl_waiting", "sv_active", "sv_idle", "sv_login", "pool_size"),
    "TENANTS": ("cl_active", "statements_active", "sv_active", "max_backends"),
    "STATS": (
        "total_query_count", "total_error_count", "total_refused_count", "total_received", "total_sent",
        "total_query_time",
    ),
    "QUOTAS": (),
}  # fmt: skip


def merge_rows(view: str, parts: Iterable[Rows]) -> list[Row]:
    """The rows of all workers, as the rows of one gateway."""
    keys = _KEYS.get(view)
    rows = [row for part in parts for row in part]
    if keys is not None:
        merged: dict[tuple[Any, ...], dict[str, Any]] = {}
        for row in rows:
            key = tuple(row[name] for name in keys)
            _add(view, merged.setdefault(key, row), row)
        rows = list(merged.values())
    make = row_type(view)
    return [make(**row) for row in rows]


def _add(view: str, into: dict[str, Any], row: dict[str, Any]) -> None:
    if into is row:
        return
    for name in _SUMS[view]:
        if row[name] is not None:
            into[name] += row[name]
    if view == "QUOTAS":  # each worker tells of all, but for what only its own sessions have
        most = max((into, row), key=lambda each: float(each["used"] or -1))
        into["used"], into["percent"] = most["used"], most["percent"]
    elif view == "POOLS":
        wait = max((each["maxwait"], each["maxwait_us"]) for each in (into, row))
        into["maxwait"], into["maxwait_us"] = wait
    elif view == "STATS" and into["total_query_count"]:
        into["avg_query_time"] = into["total_query_time"] // into["total_query_count"]
