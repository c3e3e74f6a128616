"""The login conversation: from a StartupMessage to who it is and which tenant, or an error.

How the credential is asked for, first match:
1. TLS with a client certificate that is mapped to a principal, and whose name the user has: nothing is asked.
2. The user is a service account (also as `account@tenant`): SASL SCRAM-SHA-256, with channel binding if TLS gives one.
3. A token: as SASL OAUTHBEARER or as a cleartext password, by `options=-c tenantgate.auth=…`, else the default.

Without TLS nothing is asked for, unless the configuration allows it from loopback addresses. All that is wrong
with a credential raises AuthenticationError, which the caller turns into one and the same answer; it is also what a
valid token gives that is not the user's: the user name must be the token's `sub` (exactly), `sub@tenant`, or the id
of the token's tenant. Claims like email or preferred_username do not count: their owners can often change them.
SCRAM is offered to known service accounts only, so whether a name is one can be seen; whether a person or a
tenant exists cannot.

Tenants are looked at after the credential has been found good. `log_in` does not write AuthenticationOk: the caller
does, when it also has a place for the session.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from policy.errors import AuthenticationError
from policy.model import Principal, Tenant
from policy.tenancy import Reach, Selectors, reach_nobody, resolve_tenant, suffix_of_user, tenant_from_server_name
from proxy.errors import RemoteProtocolError
from proxy.identity.authenticator import Authenticator, ServiceAccount
from proxy.postgres.startup_options import LoginRequest, StartupRefused, read_startup
from proxy.postgres.wire import replies, sasl
from proxy.postgres.wire.scram import ServerScram
from proxy.postgres.wire.startup import StartupMessage

ADMIN_DATABASE = "tenantgate"
MAX_SASL_BYTES = 2048
_PASSWORD_MESSAGE = ord("p")


class Conversation(Protocol):
    """The client's connection, while it logs in."""

    def write(self, data: bytes) -> None:
        """Send whole messages."""

    async def read_message(self, limit: int) -> tuple[int, bytes]:
        """The next message's tag and body; RemoteProtocolError for a body of more than `limit` bytes."""


@dataclass(frozen=True, slots=True)
class Peer:
    """Who is at the other end, as the transport knows. `certificate_cn` is of a certificate that TLS verified.

    `server_end_point`: tls-server-end-point of the certificate that we showed, to offer SCRAM-SHA-256-PLUS.
    """

    address: str
    is_loopback: bool
    tls: bool
    sni: str | None = None
    certificate_cn: str | None = None
    server_end_point: bytes | None = None


@dataclass(frozen=True, slots=True)
class LoginResult:
    """`tenant_id` is None for the admin console. `parameters` are to be set on the backend, values unquoted."""

    principal: Principal
    tenant_id: str | None
    user: str
    database: str
    application_name: str
    parameters: Mapping[str, str]


async def log_in(
    conversation: Conversation,
    startup: StartupMessage,
    peer: Peer,
    authenticator: Authenticator,
    tenants: Mapping[str, Tenant],
    reach: Reach = reach_nobody,
    clock: Callable[[], float] = time.time,
) -> LoginResult:
    """Hold the conversation up to, not including, AuthenticationOk. clock: seconds since the epoch.

    Raises StartupRefused and TenantRefused (public), AuthenticationError (the client is told only that it failed),
    RemoteProtocolError.
    """
    request = read_startup(startup)
    principal = await _authenticate(conversation, request, peer, authenticator)
    selectors = Selectors(
        database=request.database or request.user,
        user_suffix=suffix_of_user(request.user, principal),
        option=request.tenant,
        sni=tenant_from_server_name(peer.sni, authenticator.tls.sni_suffix),
    )

    def resolve(selectors: Selectors) -> Tenant:
        return resolve_tenant(principal, selectors, tenants, clock(), reach)

    return LoginResult(
        principal=principal,
        tenant_id=_tenant_id(selectors, request.user, tenants, resolve),
        user=request.user,
        database=request.database or request.user,
        application_name=request.parameters.get("application_name", ""),
        parameters=request.parameters,
    )


def _tenant_id(
    selectors: Selectors, user: str, tenants: Mapping[str, Tenant], resolve: Callable[[Selectors], Tenant]
) -> str | None:
    """Resolve the tenant; for the admin database, only check that what else was selected is allowed."""
    others = (selectors.user_suffix, selectors.option, selectors.sni)
    without_database = Selectors(None, *others)
    is_selected = any(name is not None for name in others)
    if selectors.database == ADMIN_DATABASE:
        if is_selected:
            resolve(without_database)
        return None
    if selectors.database == user and is_selected and user not in tenants:
        # Clients send the user's name when no database is named: not a choice, when there is another one.
        return resolve(without_database).id
    return resolve(selectors).id


async def _authenticate(
    conversation: Conversation, request: LoginRequest, peer: Peer, authenticator: Authenticator
) -> Principal:
    principal = _by_certificate(request, peer, authenticator)
    if principal is not None:
        return principal
    if not _may_ask(peer, authenticator):
        raise StartupRefused("TLS is required", sqlstate="28000", hint="Connect with sslmode=require.")
    account = _service_account(request.user, authenticator)
    if account is not None:
        return await _by_scram(conversation, account, peer)
    if (request.auth_method or authenticator.auth.default_method) == "oauthbearer":
        return await _by_oauth(conversation, authenticator)
    return await _by_password(conversation, authenticator)


def _may_ask(peer: Peer, authenticator: Authenticator) -> bool:
    """Secrets travel in TLS; in plaintext only from this machine, and only when the configuration wants it."""
    if peer.tls:
        return True
    allowed = authenticator.auth.plaintext_loopback and authenticator.tls.mode != "require"
    return allowed and peer.is_loopback


def _by_certificate(request: LoginRequest, peer: Peer, authenticator: Authenticator) -> Principal | None:
    if not peer.tls or peer.certificate_cn is None:
        return None
    principal = authenticator.certificate(peer.certificate_cn)
    if principal is None:
        return None
    try:
        suffix_of_user(request.user, principal)
    except AuthenticationError:
        return None  # a certificate that the client always shows; this login is for another user
    return principal


def _service_account(user: str, authenticator: Authenticator) -> ServiceAccount | None:
    return authenticator.service_account(user) or authenticator.service_account(user.rpartition("@")[0])


async def _by_password(conversation: Conversation, authenticator: Authenticator) -> Principal:
    conversation.write(replies.authentication_cleartext())
    body = await _read(conversation, authenticator.auth.max_token_bytes + 1)
    if not body.endswith(b"\0") or b"\0" in body[:-1]:
        raise RemoteProtocolError("invalid password packet size")
    try:
        token = body[:-1].decode("ascii")
    except UnicodeDecodeError:
        raise AuthenticationError("the password is not a token: not ASCII") from None
    if not token:
        raise AuthenticationError("the password is empty")
    return await authenticator.verify_token(token)


async def _by_oauth(conversation: Conversation, authenticator: Authenticator) -> Principal:
    limit = authenticator.auth.max_token_bytes + MAX_SASL_BYTES
    _, initial = await _begin_sasl(conversation, [sasl.OAUTHBEARER], limit)
    token = sasl.decode_oauth_initial(initial)
    try:
        if token is None:
            raise AuthenticationError("no token: the client asked where to get one")
        return await authenticator.verify_token(token)
    except AuthenticationError:
        discovery = authenticator.oauth_discovery()
        answer = sasl.encode_oauth_error(discovery.openid_configuration, discovery.scope)
        conversation.write(replies.authentication_sasl_continue(answer))
        sasl.check_oauth_dummy(await _read(conversation, MAX_SASL_BYTES))
        raise


async def _by_scram(conversation: Conversation, account: ServiceAccount, peer: Peer) -> Principal:
    offered = [sasl.SCRAM_SHA_256]
    if peer.tls and peer.server_end_point is not None:
        offered.insert(0, sasl.SCRAM_SHA_256_PLUS)
    mechanism, initial = await _begin_sasl(conversation, offered, MAX_SASL_BYTES)
    exchange = ServerScram(account.verifier, mechanism, end_point=peer.server_end_point if len(offered) > 1 else None)
    try:
        conversation.write(replies.authentication_sasl_continue(exchange.first(initial)))
        answer = exchange.final(await _read(conversation, MAX_SASL_BYTES))
    except sasl.SaslRejected as error:
        raise AuthenticationError(f"SCRAM for service account {account.principal.subject}: {error}") from None
    conversation.write(replies.authentication_sasl_final(answer))
    return account.principal


async def _begin_sasl(conversation: Conversation, offered: list[str], limit: int) -> tuple[str, bytes]:
    """Offer mechanisms; the client's choice and its initial response (asked for when it came without)."""
    conversation.write(replies.authentication_sasl(offered))
    mechanism, initial = sasl.decode_sasl_initial_response(await _read(conversation, limit))
    if mechanism not in offered:
        raise RemoteProtocolError("client selected an invalid SASL authentication mechanism")
    if initial is None:
        conversation.write(replies.authentication_sasl_continue(b""))
        initial = await _read(conversation, limit)
    return mechanism, initial


async def _read(conversation: Conversation, limit: int) -> bytes:
    tag, body = await conversation.read_message(limit)
    if tag != _PASSWORD_MESSAGE:
        raise RemoteProtocolError(f"expected an authentication response, got message type {tag}")
    return body
