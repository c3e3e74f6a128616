"""What the admin API gets of the data plane: tokens, admin consoles, targets, explanations, the doctor. Composition."""

from __future__ import annotations

import contextlib
import time
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from admin.api.control import Control, Doctor, Explain, ExplainRequest
from admin.api.fleet import GatewayUnavailable
from admin.api.pages import CursorSigner
from admin.api.rates import RateLimit
from admin.cli.api_changes import TargetChanges
from admin.cli.api_settings import ApiSettings
from admin.cli.api_trail import LocalTrail
from admin.cli.provisioner import administered, make_provisioner
from admin.cli.target_session import as_wanted, connected
from policy.errors import TenantGateError
from proxy.postgres.admin_console import row_type

if TYPE_CHECKING:
    from collections.abc import Callable

    from admin.store.engine import Store
    from policy.snapshot import Snapshot
    from proxy.config import GatewayConfig, TargetConfig
    from proxy.identity.authenticator import Authenticator

_FAILURES_PER_S, _FAILURES_BURST = 2.0, 30


def make_control(
    store: Store,
    config: GatewayConfig,
    settings: ApiSettings,
    authenticator: Authenticator,
    clock: Callable[[], float],
    monotonic: Callable[[], float],
) -> Control:
    """The API's parts. clock: seconds since the epoch; monotonic: seconds of a clock that is never set back."""
    from proxy.observe.version import product_version

    places = administered(config, settings)
    return Control(
        store=store,
        verify=authenticator.verify_token,
        provisioner=make_provisioner(store, config, settings),
        signer=CursorSigner(settings.cursor_key),
        limit=RateLimit(settings.requests_per_s, settings.burst, monotonic),
        failures=RateLimit(_FAILURES_PER_S, _FAILURES_BURST, monotonic),
        version=product_version(),
        clock=clock,
        gateways=tuple(map(ConsoleGateway, settings.gateways)),
        explain=make_explain(config),
        doctor=make_doctor(config),
        trail=LocalTrail(config),
        changes=TargetChanges(places) if places else None,
        targets=frozenset(config.targets),
        host_suffix=settings.host_suffix,
    )


class ConsoleGateway:
    """A gateway by its admin database, over the protocol that psql speaks; a connection for each question."""

    __slots__ = ("_target",)

    def __init__(self, target: TargetConfig) -> None:
        self._target = target

    @property
    def name(self) -> str:
        return self._target.name

    async def rows(self, view: str) -> list[dict[str, str | None]]:
        """The columns have the names of the view's row type: gateway and API are of one version."""
        names = [column.name for column in fields(row_type(view))]
        found = await self._ask(f"SHOW {view}")
        if any(len(row) != len(names) for row in found):
            raise GatewayUnavailable(f"gateway {self.name} is of another version", hint="Upgrade both.")
        return [dict(zip(names, row, strict=True)) for row in found]

    async def kill(self, session: str) -> bool:
        try:
            await self._ask(f"KILL {session}")
        except GatewayUnavailable as error:
            if error.sqlstate == "42704":
                return False
            raise
        return True

    async def _ask(self, command: str) -> list[list[str | None]]:
        from proxy.postgres.backend import connect_backend

        try:
            backend = await connect_backend(
                self._target, self._target.database, protocol_options={"application_name": "tenantgate admin"}
            )
            with contextlib.closing(backend):
                return await backend.query(command)
        except TenantGateError as error:
            reason = f"{error.message} ({error.__cause__})" if error.__cause__ else error.message
            message = f"gateway {self.name} does not answer: {reason}"
            raise GatewayUnavailable(message, sqlstate=error.sqlstate) from None


def make_explain(config: GatewayConfig) -> Explain:
    from admin.cli.explain import Subject, explain_on_target
    from policy.abac.facts import Surroundings
    from policy.access_explained import explain_principal
    from policy.model import Principal

    issuer = config.auth.issuers[0].issuer if config.auth.issuers else ""

    async def explain(snapshot: Snapshot, request: ExplainRequest) -> dict[str, Any]:
        tenant = snapshot.tenants[request.tenant]
        if tenant.target not in config.targets:
            raise GatewayUnavailable(f"target {tenant.target} is not in the configuration of this API")
        principal = Principal(
            request.subject,
            frozenset({tenant.id}),
            frozenset(request.roles),
            "explain",
            attributes=dict(request.attributes),
            issuer=issuer if request.issuer is None else request.issuer,
            groups=frozenset(request.groups),
            amr=frozenset(request.amr),
            acr=request.acr,
        )
        now = time.time() if request.at is None else request.at
        around = Surroundings(request.address, request.tls, request.application, request.read_replica)
        explained = explain_principal(snapshot, principal, tenant, now)
        subject = Subject(tenant, principal, explained, around, now)
        explanation = await explain_on_target(request.sql, config, snapshot, subject, request.why)
        return explanation.as_dict()

    return explain


def make_doctor(config: GatewayConfig) -> Doctor:
    from admin.doctor.examination import findings_of
    from admin.doctor.examined import examine
    from admin.doctor.findings import Finding, worst_first
    from admin.doctor.report import as_dict
    from admin.provision.wanted import wanted_databases
    from proxy.postgres.catalog_loader import load_catalog

    async def doctor(snapshot: Snapshot, name: str) -> list[dict[str, Any]]:
        target = config.targets[name]
        found: list[Finding] = []
        for wanted in wanted_databases(snapshot, as_wanted(target)):
            async with connected(target, wanted.database, "doctor") as backend:
                catalog = await load_catalog(backend.query, wanted.database, 1)
                found += findings_of(await examine(backend.query, wanted, catalog))
        return [as_dict(finding) for finding in worst_first(found)]

    return doctor
