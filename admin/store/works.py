"""Work on a tenant's place that is under way: what recovery finds when the process that did it is gone.

A row is there from before the target is touched until the tenant is in the store, or out of it, for good: the row and
the tenant change in one transaction. Whoever works on it renews the lease; a row whose lease is over is anybody's.
"""

from __future__ import annotations

from sqlalchemy import Float, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from admin.store.tables import Base


class WorkRow(Base):
    """kind: make | remove. place: JSON of `admin.places.place.Place`. body: the tenant's, as it will be or was before.
    data: of a removal, what becomes of the rows: export | destroy. holder: who has the lease."""

    __tablename__ = "works"
    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    tenant: Mapped[str] = mapped_column(String(63), unique=True)
    kind: Mapped[str] = mapped_column(String(16))
    place: Mapped[str] = mapped_column(Text)
    body: Mapped[str] = mapped_column(Text)
    data: Mapped[str] = mapped_column(String(16), default="")
    subject: Mapped[str] = mapped_column(Text)
    holder: Mapped[str] = mapped_column(String(32))
    lease_until: Mapped[float] = mapped_column(Float)
    created_at: Mapped[float] = mapped_column(Float)
