"""The admin API in this process, over a real store, with tokens of a real issuer: what the tests of its routes share.

People: olga is an operator everywhere; ann administers acme, gus globex, paul holding (above sub-a, sub-a-1, sub-b),
sue sub-a; ada audits acme; nina has no role at all.
"""

from __future__ import annotations

import contextlib
import dataclasses
import shutil
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from starlette.types import ASGIApp

from admin.api.app import create_app
from admin.api.control import Control, Gateway
from admin.api.pages import CursorSigner
from admin.api.rates import RateLimit
from admin.services import assignments, roles, targets, tenants
from admin.services.actor import EVERYTHING, Actor
from admin.services.provisioning import Provisioner, TargetAccess
from admin.store.engine import Store
from admin.store.upgrade import open_store
from proxy.config import AuthConfig, IssuerConfig, TlsConfig
from proxy.identity.authenticator import Authenticator
from tests.harness.tokens import Issuer

SETUP = Actor("setup", permissions=EVERYTHING, via="test")
TARGET = "main"
HOME = "places_home"
_TENANTS: Mapping[str, Mapping[str, Any]] = {
    "acme": {"isolation": "shared", "target": TARGET, "tier": "gold", "name": "Acme"},
    "globex": {"isolation": "shared", "target": TARGET},
    "holding": {"isolation": "shared", "target": TARGET},
    "sub-a": {"isolation": "shared", "target": TARGET, "parent": "holding"},
    "sub-a-1": {"isolation": "shared", "target": TARGET, "parent": "sub-a"},
    "sub-b": {"isolation": "shared", "target": TARGET, "parent": "holding"},
}
_PEOPLE: Mapping[str, tuple[str, str]] = {  # subject: tenant of the token, built-in role
    "olga": ("acme", "super_admin"),
    "ann": ("acme", "tenant_admin"),
    "gus": ("globex", "tenant_admin"),
    "paul": ("holding", "tenant_admin"),
    "sue": ("sub-a", "tenant_admin"),
    "ada": ("acme", "auditor"),
    "nina": ("acme", ""),
}


@dataclass
class Api:
    """One API with its store. `call` answers as a person; changes ride on the ETag that `etag` reads."""

    client: httpx.AsyncClient
    control: Control
    issuer: Issuer
    app: ASGIApp
    tokens: dict[str, str] = field(default_factory=dict)

    @property
    def store(self) -> Store:
        return self.control.store

    def token(self, who: str, **claims: Any) -> str:
        return self.issuer.token(who, claims.pop("tenant", _PEOPLE[who][0]), (), **claims)

    async def call(
        self, who: str | None, method: str, path: str, body: Any = None, *, headers: Mapping[str, str] | None = None
    ) -> httpx.Response:
        sent = dict(headers or {})
        if who is not None and "Authorization" not in sent:
            token = self.tokens.get(who) or self.tokens.setdefault(who, self.token(who))
            sent["Authorization"] = f"Bearer {token}"
        if isinstance(body, bytes):
            sent.setdefault("Content-Type", "application/json")
            return await self.client.request(method, f"/v1{path}", content=body, headers=sent)
        return await self.client.request(method, f"/v1{path}", json=body, headers=sent)

    async def etag(self, who: str, path: str) -> str:
        answer = await self.call(who, "GET", path)
        assert answer.status_code == 200, answer.text
        return answer.headers["etag"]

    async def change(self, who: str, method: str, path: str, body: Any = None, *, of: str = "") -> httpx.Response:
        """With If-Match of what is there now (`of`: of another path, without its query)."""
        etag = await self.etag(who, of or path.partition("?")[0])
        return await self.call(who, method, path, body, headers={"If-Match": etag})


async def make_template(path: Path) -> None:
    """A store with the stage's policy, to be copied."""
    store = await open_store(str(path))
    await fill(store)
    await store.close()


async def fill(store: Store) -> None:
    await targets.put_target(store, SETUP, TARGET, {"database": HOME})
    await targets.put_tables(store, SETUP, TARGET, {"orders": {"tenant_column": "tenant_id"}})
    for name, body in _TENANTS.items():
        await tenants.create_tenant(store, SETUP, name, body)
    await roles.create_role(store, SETUP, "analyst2", {"permissions": ["table:orders:read"]})
    await roles.create_role(store, SETUP, "acme/clerk", {"permissions": ["table:orders:read"]})
    await roles.create_role(store, SETUP, "globex/clerk", {"permissions": ["table:orders:read"]})
    for who, (tenant, role) in _PEOPLE.items():
        if role:
            everywhere = {"tenant": "*", "issuer": Issuer().issuer} if role == "super_admin" else {"tenant": tenant}
            body = {"subject": who, "roles": [role], **everywhere}
            await assignments.create_assignment(store, SETUP, f"first-{who}", body)


@contextlib.asynccontextmanager
async def serve_api(
    store_url: str,
    *,
    places: Mapping[str, TargetAccess] | None = None,
    gateways: Sequence[Gateway] = (),
    exports: Path | None = None,
    template: Path | None = None,
    issuer: Issuer | None = None,
    per_s: float = 10_000,
    **more: Any,
) -> AsyncIterator[Api]:
    """template: is copied to the URL, a path, first. more: fields of Control."""
    if template is not None:
        shutil.copy(template, store_url)
    store = await open_store(store_url)
    issuer = issuer or Issuer()
    config = IssuerConfig(issuer.issuer, issuer.audience, ("EdDSA",), jwks=issuer.jwks)
    verifier = Authenticator(AuthConfig((config,)), TlsConfig(mode="off"), time.time)
    control = Control(
        store=store,
        verify=verifier.verify_token,
        provisioner=Provisioner(store, places or {}, exports),
        signer=CursorSigner(b"k" * 32),
        limit=RateLimit(per_s, per_s, time.monotonic),
        failures=RateLimit(10_000, 10_000, time.monotonic),
        version="test",
        clock=time.time,
        gateways=gateways,
    )
    control = dataclasses.replace(control, **more)
    app = create_app(control)
    transport = httpx.ASGITransport(app, raise_app_exceptions=True)
    async with httpx.AsyncClient(transport=transport, base_url="http://api.test") as client:
        try:
            yield Api(client, control, issuer, app)
        finally:
            await store.close()
