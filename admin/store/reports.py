"""Scheduled compliance reports: who makes which, and whether it is made. One row for each schedule and period."""

from __future__ import annotations

from sqlalchemy import Float, Integer, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from admin.store.tables import Base


class ReportRow(Base):
    """schedule: as `admin.compliance.schedule.Schedule.name`. made_at: 0 until it is made. lease_until: nobody else
    tries before then. failures: attempts that did not succeed; reason: why the last one did not."""

    __tablename__ = "reports"
    schedule: Mapped[str] = mapped_column(String(160), primary_key=True)
    period: Mapped[str] = mapped_column(String(16), primary_key=True)
    holder: Mapped[str] = mapped_column(String(32))
    lease_until: Mapped[float] = mapped_column(Float)
    made_at: Mapped[float] = mapped_column(Float, default=0.0)
    failures: Mapped[int] = mapped_column(Integer, default=0)
    reason: Mapped[str] = mapped_column(Text, default="")
