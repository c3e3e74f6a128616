"""What each tenant really has, asked of the database itself."""

from __future__ import annotations

from admin.demo.people import Person
from admin.demo.schema import SHARED, SHOP, UMBRELLA
from tests.harness.demo_business import DemoGateway


def orders_of(gateway: DemoGateway, person: Person) -> int:
    """Return how many orders this person's tenant has."""
    tenant = person.tenant
    table = "initech.orders" if tenant == "initech" else "public.orders"
    where = f" WHERE tenant_id = '{tenant}'" if tenant in SHARED else ""
    rows = gateway.server.execute(f"SELECT count(*) FROM {table}{where}", UMBRELLA if tenant == "umbrella" else SHOP)
    count: int = rows[0][0]
    return count
