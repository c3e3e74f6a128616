"""What the database itself says: the expected answers of the tour, asked past the gateway as its superuser."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import psycopg

from admin.demo.schema import SHARED, SHOP, UMBRELLA

TURNOVER = "SELECT count(*), count(DISTINCT customer_id), sum(total) FROM "


@dataclass(frozen=True, slots=True)
class Facts:
    """`turnover`: orders, buyers and their sum by tenant; the rest is acme's."""

    turnover: Mapping[str, tuple[Any, ...]]
    first_customers: tuple[tuple[str, str, str], ...]
    emea_orders: int
    acme_notes: int


def ask(conninfo: str) -> Facts:
    """Read the facts; raises psycopg.Error when the data are not whole."""
    with psycopg.connect(conninfo, dbname=SHOP) as shop, psycopg.connect(conninfo, dbname=UMBRELLA) as umbrella:
        turnover = {tenant: _row(shop, TURNOVER + "public.orders WHERE tenant_id = %s", tenant) for tenant in SHARED}
        turnover["initech"] = _row(shop, TURNOVER + "initech.orders")
        turnover["umbrella"] = _row(umbrella, TURNOVER + "public.orders")
        customers = shop.execute(
            "SELECT name, email, card FROM public.customers WHERE tenant_id = 'acme' ORDER BY id LIMIT 3"
        ).fetchall()
        emea = _row(shop, "SELECT count(*) FROM public.orders WHERE tenant_id = 'acme' AND region = 'EMEA'")
        notes = _row(shop, "SELECT count(*) FROM public.notes WHERE tenant_id = 'acme'")
        return Facts(turnover, tuple(customers), emea[0], notes[0])


def _row(connection: psycopg.Connection[Any], statement: str, *parameters: str) -> tuple[Any, ...]:
    row = connection.execute(statement, parameters or None).fetchone()
    assert row is not None  # an aggregate always gives one
    return tuple(row)
