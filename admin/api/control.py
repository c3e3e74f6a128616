"""What the API is made of, as the composition root (admin/cli) puts it together. Nothing here knows the data plane."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from admin.api.pages import CursorSigner
from admin.api.rates import RateLimit
from admin.audit_search.query import Query, Scope
from admin.changes.history import Asked, Change
from admin.services.provisioning import Provisioner
from admin.store.engine import Store
from policy.model import Principal, Tenant
from policy.snapshot import Snapshot

Verify = Callable[[str], Awaitable[Principal]]
"""A token to whose it is, by the data plane's issuers, keys and claim rules. Raises AuthenticationError."""


class Gateway(Protocol):
    """One gateway, by its admin console. Every method raises GatewayUnavailable."""

    @property
    def name(self) -> str:
        """For people: host and port."""

    async def rows(self, view: str) -> list[dict[str, str | None]]:
        """What `SHOW view` shows, of all its workers."""

    async def kill(self, session: str) -> bool:
        """End a session; False: it has none of that name."""


@dataclass(frozen=True, slots=True)
class ExplainRequest:
    """For whom a statement is explained: subject, roles, groups, attributes in a tenant; what the token says of the
    login (amr, acr); where the session comes from; when (seconds since the epoch, None: now). issuer: None: the first
    one of the configuration. why: also why no rows come."""

    tenant: str
    subject: str
    sql: str
    roles: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    attributes: Mapping[str, str] = field(default_factory=dict)
    issuer: str | None = None
    amr: tuple[str, ...] = ()
    acr: str = ""
    address: str = "127.0.0.1"
    application: str = ""
    tls: bool = True
    read_replica: bool = False
    at: float | None = None
    why: bool = False


Explain = Callable[[Snapshot, ExplainRequest], Awaitable[dict[str, Any]]]


class Trail(Protocol):
    """The data plane's audit log, as far as this machine has it. Raises TenantGateError, OSError."""

    async def search(
        self, query: Query, scope: Scope, limit: int, cursor: str | None, budget_s: float
    ) -> tuple[list[dict[str, Any]], str | None]:
        """Events, newest first, and the next page's cursor. After budget_s the page has what was found by then."""

    async def report(
        self, snapshot: Snapshot, framework: str, since: float, until: float, tenant: str | None
    ) -> dict[str, Any]:
        """A compliance report (docs/compliance.md) of whole days."""

    async def replay(
        self, before: Snapshot, after: Snapshot, since: float | None, until: float | None
    ) -> dict[str, Any]:
        """What another policy would have made of the audited statements. Drafts of `after` count."""


class Changes(Protocol):
    """Changes of tracked tables, on the targets of which an administrator is configured. Raises ServiceError."""

    async def history(self, tenant: Tenant, asked: Asked) -> list[Change]:
        """What one tenant may see, newest first."""


Doctor = Callable[[Snapshot, str], Awaitable[list[dict[str, Any]]]]
"""Findings about a target, by its name, worst first. Raises TenantGateError."""


@dataclass(frozen=True, slots=True)
class Control:
    """Lifetime: the process.

    host_suffix: `acme.api.example.com` selects acme for suffix `.api.example.com`. limit: of each principal; failures:
    of each address, for requests that do not get that far. targets: names that the configuration has.
    """

    store: Store
    verify: Verify
    provisioner: Provisioner
    signer: CursorSigner = field(repr=False)
    limit: RateLimit
    failures: RateLimit
    version: str
    clock: Callable[[], float]
    gateways: Sequence[Gateway] = ()
    explain: Explain | None = None
    doctor: Doctor | None = None
    trail: Trail | None = None
    changes: Changes | None = None
    targets: frozenset[str] = frozenset()
    host_suffix: str | None = None
