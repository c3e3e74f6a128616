"""What SHOW QUOTA tells a tenant of its own quotas, and SHOW QUOTAS of all in the admin database."""

from __future__ import annotations

from collections.abc import Iterator

from policy.quota_periods import when
from policy.sql.plan import QuotaLine
from proxy.quota_ledger import UNITS, Ledger
from proxy.quotas import TenantUsage
from proxy.workers.table import STORAGE, TABLES


def quota_lines(usage: TenantUsage, wall: float, now: float) -> list[QuotaLine]:
    """Every limit of a tenant with what is used of it. Those of a single statement, and of what waits, have no use."""
    return [*_momentary(usage, now), *_periods(usage, wall), *_measured(usage), *_of_one_statement(usage)]


def _line(
    usage: TenantUsage, quota: str, limit: float | None, used: float | None, name: str = "", resets: float | None = None
) -> Iterator[QuotaLine]:
    if limit is None:
        return
    percent = None if used is None else f"{used * 100 / limit:.1f}"
    shown = None if used is None else _number(used)
    mode = "soft" if usage.limits.is_soft(quota) else "hard"
    yield name or quota, _number(limit), shown, percent, None if resets is None else when(resets), mode


def _number(value: float) -> str:
    return f"{value:.3f}".rstrip("0").rstrip(".")


def _momentary(usage: TenantUsage, now: float) -> Iterator[QuotaLine]:
    limits = usage.limits
    connections, statements = usage.totals()
    yield from _line(usage, "connections", limits.connections, connections)
    yield from _line(usage, "users", limits.users, usage.users)
    yield from _line(usage, "concurrent_statements", limits.concurrent_statements, statements)
    yield from _line(usage, "statements_per_s", limits.statements_per_s, None)
    if (used := usage.tokens_used(now)) is not None:
        yield from _line(usage, "burst", usage.burst, used)
    yield from _line(usage, "backends", limits.backends, usage.backends)


def _periods(usage: TenantUsage, wall: float) -> Iterator[QuotaLine]:
    ledger = usage.ledger
    for gauge in () if ledger is None else ledger.gauges:
        assert ledger is not None
        used, unit = ledger.used(gauge, wall), UNITS[gauge.kind]
        name = f"{gauge.name} per {gauge.per}"
        yield from _line(usage, gauge.name, gauge.limit / unit, used / unit, name, gauge.end)


def _measured(usage: TenantUsage) -> Iterator[QuotaLine]:
    ledger: Ledger | None = usage.ledger
    if ledger is not None:
        yield from _line(usage, "storage", usage.limits.storage_bytes, ledger.measured(STORAGE))
        yield from _line(usage, "tables", usage.limits.tables, ledger.measured(TABLES))


def _of_one_statement(usage: TenantUsage) -> Iterator[QuotaLine]:
    limits = usage.limits
    timeout = None if limits.statement_timeout_ms is None else limits.statement_timeout_ms / 1000
    yield from _line(usage, "statement_timeout", timeout, None)
    yield from _line(usage, "result_rows", limits.result_rows, None)
    yield from _line(usage, "result_bytes", limits.result_bytes, None)
