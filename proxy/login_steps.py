"""From an accepted connection to a session at work: version, login, tenant, quota, backend, greeting.

Errors of the target or of the tenant are told after authentication only. Every failed login is told alike and after a
pause; what really happened is in the log and in the audit events.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping
from functools import partial

from policy.abac.facts import Surroundings, address_of
from policy.asked import details_of
from policy.errors import AuthenticationError, TenantGateError, TenantRefused
from policy.model import Isolation, Tenant
from policy.standing import standing_of
from proxy.audit.errors import AuditUnavailable
from proxy.console import ConsoleSession, Others
from proxy.console_state import GatewayConsoleState
from proxy.errors import RemoteProtocolError, ShuttingDown
from proxy.gateway import Gateway, database_of
from proxy.lease import Lease
from proxy.observe.version import product_version
from proxy.postgres.backend_errors import BackendQueryError
from proxy.postgres.conversation import Equipment
from proxy.postgres.engine import Engine
from proxy.postgres.frontend import Frontend
from proxy.postgres.judge import Judge
from proxy.postgres.lanes.place import Place, no_lanes
from proxy.postgres.login import LoginResult, Peer, log_in
from proxy.postgres.search_path import PATH, is_path_of, split_path
from proxy.postgres.settings import SessionSettings, Settings, quote_setting, setting_statements
from proxy.postgres.startup_options import StartupRefused
from proxy.postgres.wire import replies
from proxy.postgres.wire.framing import MessageReader
from proxy.postgres.wire.startup import StartupMessage, decode_cancel, decode_startup, is_cancel_request
from proxy.session import Session

logger = logging.getLogger(__name__)
_FAILURE_PAUSE_S = 0.2
_NEWEST_MINOR = 2
_KEY_BYTES = {0: 4, 2: 32}
_SHOWN_PARAMETERS = (
    "server_version", "server_encoding", "client_encoding", "DateStyle", "IntervalStyle", "TimeZone",
    "integer_datetimes", "standard_conforming_strings", "application_name", "default_transaction_read_only",
    "in_hot_standby", "scram_iterations", "search_path",
)  # fmt: skip
_CONSOLE_PARAMETERS = (("client_encoding", "UTF8"), ("server_encoding", "UTF8"), ("standard_conforming_strings", "on"))
_LOOPBACK = ("127.", "::1", "::ffff:127.")


async def open_session(gateway: Gateway, frontend: Frontend) -> None:
    """Bring `frontend` to the point where its handler takes over. Raises what the client is told as FATAL."""
    async with asyncio.timeout(gateway.config.auth.login_timeout_s):
        packet = await frontend.read_startup()
        if is_cancel_request(packet):  # under TLS, as libpq's PQcancelBlocking sends it
            request = decode_cancel(packet)
            await gateway.cancel(request.pid, request.key)
            frontend.close()
            return
        startup = decode_startup(packet)
        minor = _agree_on_version(frontend, startup)
        result = await _authenticate(gateway, frontend, startup)
    if gateway.draining:
        raise ShuttingDown("the gateway is shutting down")
    frontend.write(replies.authentication_ok())
    try:
        if result.tenant_id is None:
            _open_console(gateway, frontend, result)
        else:
            await _open_tenant_session(gateway, frontend, result, _tenant(gateway, result.tenant_id), minor)
    except AuditUnavailable:
        raise
    except TenantGateError as error:  # a quota, the target, a policy that has just changed
        _record_refusal(gateway, frontend, result.principal.subject, result.application_name, error, result.tenant_id)
        raise


def _tenant(gateway: Gateway, tenant_id: str) -> Tenant:
    """The tenant as the policy of now has it: it may have been reloaded while the client was logging in."""
    tenant = gateway.snapshot.tenants.get(tenant_id)
    if tenant is None or not standing_of(tenant, time.time()).is_served:
        raise TenantRefused("the tenant of this login is not served here")
    return tenant


def _agree_on_version(frontend: Frontend, startup: StartupMessage) -> int:
    """Protocol 3.0 or 3.2; a newer or unassigned minor version is negotiated down (NegotiateProtocolVersion)."""
    asked = startup.protocol[1]
    minor = min(asked, _NEWEST_MINOR) if asked != 1 else 0
    if minor != asked or startup.protocol_options:
        frontend.write(replies.negotiate_protocol_version(minor, startup.protocol_options))
    return minor


async def _authenticate(gateway: Gateway, frontend: Frontend, startup: StartupMessage) -> LoginResult:
    identity = frontend.tls_identity()
    peer = Peer(
        address=frontend.address,
        is_loopback=frontend.address.startswith(_LOOPBACK),
        tls=identity is not None,
        sni=identity.sni if identity else None,
        certificate_cn=identity.certificate_cn if identity else None,
        server_end_point=gateway.server_end_point if identity else None,
    )
    user, application = startup.parameters.get("user", ""), startup.parameters.get("application_name", "")
    try:
        result = await log_in(frontend, startup, peer, gateway.authenticator, gateway.snapshot.tenants, gateway.reach)
        if gateway.is_revoked(result.principal, result.tenant_id):
            raise AuthenticationError("the token or the subject is revoked")
        return result
    except AuthenticationError as error:
        _record_refusal(gateway, frontend, user, application, error)
        await asyncio.sleep(_FAILURE_PAUSE_S)
        raise AuthenticationError(f'password authentication failed for user "{user[:63]}"') from None
    except TenantGateError as error:
        _record_refusal(gateway, frontend, user, application, error)
        raise


def _record_refusal(
    gateway: Gateway,
    frontend: Frontend,
    user: str,
    application: str,
    error: TenantGateError,
    tenant_id: str | None = None,
) -> None:
    logger.warning("login refused: %s", error.message, extra={"client": frontend.address, "user": user[:63]})
    gateway.recorder.login(
        session="",
        tenant=tenant_id or "",
        subject=user[:63],
        client=frontend.address,
        outcome=error.kind,
        application=application[:63],
        reason=error.message,
    )


def _open_console(gateway: Gateway, frontend: Frontend, result: LoginResult) -> None:
    if not gateway.may_read(result.principal):
        raise TenantRefused(
            "the admin database needs permission gateway:*:read", sqlstate="42501", hint="Connect to your database."
        )
    greeting = replies.parameter_status("server_version", f"15.0 (TenantGate {product_version()})")
    for name, value in _CONSOLE_PARAMETERS:
        greeting += replies.parameter_status(name, value)
    gateway.recorder.login(
        session="",
        tenant="",
        subject=result.principal.subject,
        client=frontend.address,
        outcome="ok",
        application=result.application_name,
        reason="admin database",
    )
    frontend.write(greeting + replies.backend_key_data(0, b"\0\0\0\0") + replies.READY_IDLE)
    others = None if gateway.peers is None else Others(gateway.peers, gateway.spawn, frontend.fatal)
    frontend.begin(ConsoleSession(result.principal, frontend.write, GatewayConsoleState(gateway), others))


async def _open_tenant_session(
    gateway: Gateway, frontend: Frontend, result: LoginResult, tenant: Tenant, minor: int
) -> None:
    await gateway.quotas.make_room(tenant)
    usage = gateway.tenant_usage(tenant)
    usage.admit_connection()
    key_id, key = gateway.cancel_keys.register(frontend, _KEY_BYTES[minor])
    subject = result.principal.subject
    try:
        entered = await gateway.quotas.enter(tenant, subject)
    except BaseException:
        _give_back(gateway, tenant, key_id, None)
        raise
    give_back = partial(_give_back, gateway, tenant, key_id, subject if entered else None)
    try:
        target = gateway.target(tenant)
        await gateway.catalogs.get(target, database_of(tenant, target))
        gateway.quotas.count_tables(tenant, after_ddl=False)
        await gateway.quotas.settle(tenant)
        pool = gateway.place(tenant).pool
    except BaseException:
        give_back()
        raise
    lease = Lease(pool, usage, give_back)
    try:
        _check_encoding(result.parameters, tenant)
        settings = _start_settings(result.parameters)
        names = {name.lower(): name for name in result.parameters}
        place, parameters = await _settle_in(gateway, tenant, lease, settings, names)
        standby = parameters.get("in_hot_standby") == "on"
        session = _make_session(gateway, frontend, result, tenant, standby)
        own_path = _own_path(result.parameters, session)
        if own_path:
            settings = {**settings, **own_path}
            if PATH in parameters:  # PostgreSQL 18 tells it
                parameters = {**parameters, PATH: result.parameters[PATH]}
        session.process_id = key_id
        engine = _make_engine(gateway, frontend, session, lease, place.one_of(settings), place)
        engine.parameter_changed("client_encoding", parameters["client_encoding"])
        if frontend.transport is None:
            raise ConnectionResetError("client went away during login")
        gateway.recorder.login(  # before the client is told: no session without its record
            session=session.id,
            tenant=tenant.id,
            subject=session.principal.subject,
            client=frontend.address,
            outcome="ok",
            application=session.application_name,
            details=details_of(session.principal, session.surroundings),
        )
        lease.receiver = frontend
        if lease.backend is not None:
            lease.backend.attach(frontend)
    except BaseException:
        lease.end(reusable=True)
        raise
    frontend.lease = lease
    frontend.write(_greeting(parameters, result.user) + replies.backend_key_data(key_id, key) + replies.READY_IDLE)
    frontend.begin(engine)


def _give_back(gateway: Gateway, tenant: Tenant, key_id: int, subject: str | None) -> None:
    """subject: that has entered as one of the tenant's users."""
    gateway.tenant_usage(tenant).release_connection()
    if subject is not None:
        gateway.quotas.leave(tenant, subject)
    gateway.cancel_keys.unregister(key_id)


def _check_encoding(parameters: Mapping[str, str], tenant: Tenant) -> None:
    """Where rows of several tenants are kept, texts are UTF-8. Raises StartupRefused."""
    if parameters.get("client_encoding", "UTF8") != "UTF8" and tenant.isolation is not Isolation.DATABASE:
        raise StartupRefused(
            "invalid value for parameter client_encoding", sqlstate="0A000", hint="Only UTF8 is supported."
        )


def _own_path(parameters: Mapping[str, str], session: Session) -> Settings:
    """A search_path of the client's, where the session could SET it. Raises StartupRefused.

    It is brought to a backend with the session's first request, and ties the session to it.
    """
    if PATH not in parameters:
        return {}
    assert session.scope is not None
    names, own, access = split_path(parameters[PATH]), session.scope.schema or "public", session.scope.access
    if is_path_of(own, names):
        return {}
    if not access.code or access.isolation is not Isolation.DATABASE:
        raise StartupRefused(
            f"invalid value for parameter {PATH}",
            sqlstate="0A000",
            hint=f"The gateway sets {PATH}: leave it out, or say {own}.",
        )
    return {PATH: ", ".join(quote_setting(name) for name in names)}


def _start_settings(parameters: Mapping[str, str]) -> Settings:
    """The client's startup parameters as settings of its session."""
    for name in parameters:
        if not name.replace("_", "").isalnum():
            raise RemoteProtocolError(f"invalid startup parameter {name!r}")
    settings = {name.lower(): quote_setting(value) for name, value in parameters.items() if name != PATH}
    if parameters.get("client_encoding") == "UTF8":
        del settings["client_encoding"]  # backends have it
    return settings


async def _settle_in(
    gateway: Gateway, tenant: Tenant, lease: Lease, settings: Settings, shown_names: Mapping[str, str]
) -> tuple[Place, Mapping[str, str]]:
    """The tenant's place and what the target tells there; again when the target is configured anew meanwhile."""
    while True:
        place = gateway.place(tenant)
        lease.pool = place.pool
        try:
            parameters = await _target_parameters(place, lease, settings, shown_names, keep=tenant.pooling == "session")
        except ShuttingDown:
            if gateway.place(tenant) is place:
                raise
            continue
        if gateway.place(tenant) is place:
            return place, parameters
        lease.let_go()


async def _target_parameters(
    place: Place, lease: Lease, settings: Settings, shown_names: Mapping[str, str], *, keep: bool
) -> Mapping[str, str]:
    """What the target tells a session that begins with these settings. Asked once, while the target is well.

    keep: the lease has a backend in the end, set up for the session. shown_names: the settings' names as the client
    wrote them. Raises StartupRefused for a value that is wrong.
    """
    known = place.greetings.get(frozenset(settings.items()))
    if known is not None and not keep and place.pool.is_well:
        return known
    backend = await lease.take()
    for statement in setting_statements(backend.settings, settings):
        try:
            await backend.query(statement)
        except BackendQueryError as error:
            if not error.sqlstate.startswith("22"):  # data exceptions: the value is wrong
                raise
            hint = "Leave it out, or correct it."
            name = shown_names.get(statement.split(" ")[1], "")
            raise StartupRefused(f"invalid value for parameter {name}", sqlstate=error.sqlstate, hint=hint) from None
    backend.settings = settings
    parameters = dict(backend.parameters)
    place.keep_greeting(settings, parameters)
    if not keep:
        lease.let_go()
    return parameters


def _make_session(gateway: Gateway, frontend: Frontend, result: LoginResult, tenant: Tenant, standby: bool) -> Session:
    """standby: its target is a read replica."""
    tls = frontend.tls_identity() is not None
    surroundings = Surroundings(address_of(frontend.address), tls, result.application_name, standby)
    session = Session(
        result.principal,
        tenant,
        gateway.tenant_usage(tenant),
        gateway.metrics.statement_counts(tenant.id),
        gateway.tenant_totals(tenant.id),
        frontend.address,
        result.application_name,
        surroundings,
    )
    gateway.refresh(session)
    return session


def _make_engine(
    gateway: Gateway, frontend: Frontend, session: Session, lease: Lease, settings: Settings, place: Place
) -> Engine:
    limits = gateway.config.limits
    equipment = Equipment(
        client_write=frontend.write,
        pause_client=frontend.pause_client,
        fail=frontend.fatal,
        settled=frontend.settled,
        spawn=gateway.spawn,
        book=place.book,
        lanes_for=place.lanes_for if session.tenant.lanes else no_lanes,
        judge=Judge(session, gateway.refresh, gateway.recorder.generation, gateway.ahead, limits.max_query_bytes),
        recorder=gateway.recorder,
        clock=gateway.clock,
        reader=MessageReader(limits.max_message_bytes),
        max_prepared=limits.max_prepared,
        verbatim_errors=session.tenant.isolation.value == "database",
    )
    return Engine(session, lease, SessionSettings(settings), equipment)


def _greeting(parameters: Mapping[str, str], user: str) -> bytes:
    """ParameterStatus messages as the target gave them, with the client's own name for itself."""
    shown = {name: parameters[name] for name in _SHOWN_PARAMETERS if name in parameters}
    shown |= {"session_authorization": user, "is_superuser": "off"}
    return b"".join(replies.parameter_status(name, value) for name, value in shown.items())
