"""The store's tables. What an entity is stands in `body`, canonical JSON in the words of policy.yaml (docs/policy.md);
the other columns are what the store finds entities by.

`policy_version` and `policy_entries` are the feed, the only tables that gateways read. Every entity carries
`version`, the policy version of its last change.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, CheckConstraint, Float, ForeignKey, Index, Integer, String, Text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class Base(DeclarativeBase):
    """All tables of the store."""


class _Entity:
    """What every entity has. Times are seconds since the epoch."""

    version: Mapped[int] = mapped_column(BigInteger)
    body: Mapped[str] = mapped_column(Text)
    created_at: Mapped[float] = mapped_column(Float)
    updated_at: Mapped[float] = mapped_column(Float)


class TenantRow(_Entity, Base):
    """A tenant. `body` is without quotas and flags, which have tables of their own; the columns below repeat what it
    says, for filters and for `place`, the database that holds its rows (`target/database`)."""

    __tablename__ = "tenants"
    id: Mapped[str] = mapped_column(String(63), primary_key=True)
    name: Mapped[str] = mapped_column(Text, default="")
    status: Mapped[str] = mapped_column(String(32), index=True)
    tier: Mapped[str] = mapped_column(Text)
    owner: Mapped[str | None] = mapped_column(Text)
    parent: Mapped[str | None] = mapped_column(String(63), index=True)
    isolation: Mapped[str] = mapped_column(String(32))
    target: Mapped[str] = mapped_column(String(63), index=True)
    place: Mapped[str] = mapped_column(Text, index=True)


class PlaceRow(Base):
    """What only one tenant may have: a value of the tenant column, a schema, or a database."""

    __tablename__ = "places"
    place: Mapped[str] = mapped_column(Text, primary_key=True)
    tenant: Mapped[str] = mapped_column(ForeignKey("tenants.id", ondelete="CASCADE"), index=True)


class QuotaRow(Base):
    """One quota of one tenant; `value` is JSON."""

    __tablename__ = "quotas"
    tenant: Mapped[str] = mapped_column(ForeignKey("tenants.id", ondelete="CASCADE"), primary_key=True)
    name: Mapped[str] = mapped_column(String(63), primary_key=True)
    value: Mapped[str] = mapped_column(Text)


class FlagRow(Base):
    """One feature flag that a tenant has otherwise than its tier; `value` is JSON."""

    __tablename__ = "flags"
    tenant: Mapped[str] = mapped_column(ForeignKey("tenants.id", ondelete="CASCADE"), primary_key=True)
    name: Mapped[str] = mapped_column(String(63), primary_key=True)
    value: Mapped[str] = mapped_column(Text)


class RoleRow(_Entity, Base):
    """A role; `tenant` is set for one that a tenant made for itself."""

    __tablename__ = "roles"
    id: Mapped[str] = mapped_column(String(130), primary_key=True)
    tenant: Mapped[str | None] = mapped_column(String(63), index=True)


class AssignmentRow(_Entity, Base):
    """Who has which roles where, by subject, token claim or group. tenant NULL: in every tenant."""

    __tablename__ = "user_roles"
    id: Mapped[str] = mapped_column(String(300), primary_key=True)
    tenant: Mapped[str | None] = mapped_column(String(63), index=True)
    subject: Mapped[str | None] = mapped_column(Text, index=True)
    expires: Mapped[str | None] = mapped_column(String(64))


class PolicyRow(_Entity, Base):
    """A policy of conditions and effects."""

    __tablename__ = "policies"
    id: Mapped[str] = mapped_column(String(130), primary_key=True)
    tenant: Mapped[str | None] = mapped_column(String(63), index=True)
    status: Mapped[str] = mapped_column(String(32))


class TargetRow(_Entity, Base):
    """A target's name and its own database, as gateways have it in tenantgate.toml; no secrets."""

    __tablename__ = "targets"
    id: Mapped[str] = mapped_column(String(63), primary_key=True)


class TablesRow(_Entity, Base):
    """The classified relations of one target."""

    __tablename__ = "target_tables"
    id: Mapped[str] = mapped_column(ForeignKey("targets.id"), primary_key=True)


class FunctionsRow(_Entity, Base):
    """The callable functions of one target's owner."""

    __tablename__ = "target_functions"
    id: Mapped[str] = mapped_column(ForeignKey("targets.id"), primary_key=True)


class TierRow(_Entity, Base):
    """Quotas and flags that tenants of a tier have unless they have their own."""

    __tablename__ = "tiers"
    id: Mapped[str] = mapped_column(String(130), primary_key=True)


class FlagDefinitionRow(_Entity, Base):
    """A feature flag: what it denies while it is off."""

    __tablename__ = "flag_definitions"
    id: Mapped[str] = mapped_column(String(130), primary_key=True)


class RevocationRow(_Entity, Base):
    """A token or a subject that is refused, until `until` if that is set."""

    __tablename__ = "revocations"
    id: Mapped[str] = mapped_column(String(400), primary_key=True)
    tenant: Mapped[str | None] = mapped_column(String(63), index=True)
    until: Mapped[float | None] = mapped_column(Float)


class AdminEventRow(Base):
    """One change, or a refused attempt at one; `line` is a line of an audit log, chained by `prev` and `hash` as the
    data plane's lines are (docs/audit.md)."""

    __tablename__ = "audit_log"
    seq: Mapped[int] = mapped_column(BigInteger().with_variant(Integer, "sqlite"), primary_key=True)
    time: Mapped[float] = mapped_column(Float, index=True)
    subject: Mapped[str] = mapped_column(Text)
    action: Mapped[str] = mapped_column(String(63))
    kind: Mapped[str] = mapped_column(String(32))
    entity: Mapped[str] = mapped_column(String(400))
    tenant: Mapped[str | None] = mapped_column(String(63), index=True)
    version: Mapped[int] = mapped_column(BigInteger)
    line: Mapped[str] = mapped_column(Text)
    hash: Mapped[str] = mapped_column(String(64))


class IdempotencyRow(Base):
    """What an API request with this key was answered; `request` is a hash of it. status 0: it is under way."""

    __tablename__ = "idempotency_keys"
    subject: Mapped[str] = mapped_column(Text, primary_key=True)
    key: Mapped[str] = mapped_column(String(255), primary_key=True)
    request: Mapped[str] = mapped_column(String(64))
    status: Mapped[int] = mapped_column(Integer)
    headers: Mapped[str] = mapped_column(Text, default="{}")
    response: Mapped[str] = mapped_column(Text, default="")
    created_at: Mapped[float] = mapped_column(Float, index=True)


class PolicyVersionRow(Base):
    """The one row that every change writes first: changes come one after the other, in the order of their versions."""

    __tablename__ = "policy_version"
    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    version: Mapped[int] = mapped_column(BigInteger)
    changed_at: Mapped[float] = mapped_column(Float)
    __table_args__ = (CheckConstraint("id = 1", name="one_row"),)


class PolicyEntryRow(Base):
    """The newest state of one entity as gateways read it; body NULL: it is gone. kind: tenant, role, assignment, and so
    on (policy/changes.py)."""

    __tablename__ = "policy_entries"
    kind: Mapped[str] = mapped_column(String(32), primary_key=True)
    id: Mapped[str] = mapped_column(String(400), primary_key=True)
    version: Mapped[int] = mapped_column(BigInteger)
    body: Mapped[str | None] = mapped_column(Text)
    __table_args__ = (Index("policy_entries_by_version", "version"),)
