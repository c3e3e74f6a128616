"""What the gateways say of sessions and use, of all of them together: how many do not answer is told, too."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from admin.api.control import Gateway
from policy.errors import TenantGateError

_NOW = ("cl_active", "statements_active", "sv_active")
_LIMITS = ("max_connections", "max_statements", "max_backends")
_TOTALS = (
    "total_query_count", "total_error_count", "total_refused_count", "total_received", "total_sent", "total_query_time",
)  # fmt: skip
_SHOWN = ("session", "user", "tenant", "state", "addr", "connect_time", "request_time", "application_name", "tls")

logger = logging.getLogger(__name__)
Row = Mapping[str, str | None]


class GatewayUnavailable(TenantGateError):
    """A gateway's admin console cannot be reached, or refuses us."""

    kind = "gateway-unavailable"


@dataclass(frozen=True, slots=True)
class Told:
    """The rows of all gateways that answer, each with its gateway; and the names of those that do not."""

    rows: tuple[tuple[Gateway, Row], ...]
    silent: tuple[str, ...]


async def ask(gateways: Sequence[Gateway], view: str) -> Told:
    """`SHOW view` of every gateway."""
    answers = await asyncio.gather(*(gateway.rows(view) for gateway in gateways), return_exceptions=True)
    rows: list[tuple[Gateway, Row]] = []
    silent = []
    for gateway, answer in zip(gateways, answers, strict=True):
        if isinstance(answer, GatewayUnavailable):
            logger.warning("%s", answer.message)
            silent.append(gateway.name)
        elif isinstance(answer, BaseException):
            raise answer
        else:
            rows += [(gateway, row) for row in answer]
    return Told(tuple(rows), tuple(silent))


async def tenant_usage(gateways: Sequence[Gateway], tenant: str) -> dict[str, Any]:
    """Sums over the gateways: what is in use now, the limits of each, what was used since they started."""
    tenants, stats = await asyncio.gather(ask(gateways, "TENANTS"), ask(gateways, "STATS"))
    mine = [row for _, row in tenants.rows if row["tenant"] == tenant]
    counted = [row for _, row in stats.rows if row["tenant"] == tenant]
    limits = {name: int(row[name] or 0) for row in mine for name in _LIMITS if row.get(name) is not None}
    return {
        "tenant": tenant,
        "now": {name: _sum(mine, name) for name in _NOW},
        "limits": limits,
        "totals": {name: _sum(counted, name) for name in _TOTALS},
        "gateways": len(gateways) - len(tenants.silent),
        "silent_gateways": len(tenants.silent),
    }


async def sessions(gateways: Sequence[Gateway]) -> tuple[list[tuple[Gateway, dict[str, Any]]], int]:
    """Every tenant's session, of every gateway, and how many gateways did not answer."""
    told = await ask(gateways, "CLIENTS")
    found = [(gateway, _shown(gateway, row)) for gateway, row in told.rows if row.get("tenant")]
    return found, len(told.silent)


def _shown(gateway: Gateway, row: Row) -> dict[str, Any]:
    return {"id": row["session"], **{name: row.get(name) for name in _SHOWN[1:]}}


def _sum(rows: Sequence[Row], name: str) -> int:
    return sum(int(row.get(name) or 0) for row in rows)
