"""Who may log in, as configured: token issuers with their keys, service accounts, client certificates.

One per gateway; `reload` swaps the whole picture at once, logins that are under way finish on the one they began
with. All messages of AuthenticationError are for the log: what the client is told is the same for all.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from policy.errors import AuthenticationError, ConfigurationError
from policy.identity import ClaimRules, principal_from_claims
from policy.model import LOCAL_ISSUER, Principal
from proxy.config import AuthConfig, IssuerConfig, TlsConfig
from proxy.identity.jwks import FetchedKeys, FixedKeys, KeySource
from proxy.identity.keys import KeyUnusable, read_jwks, read_key_file, secret_keys
from proxy.identity.token import parse_token, verify_signature
from proxy.postgres.wire.scram import ScramVerifier, parse_verifier

SUPPORTED_ALGORITHMS = frozenset(
    {"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"}
)


@dataclass(frozen=True, slots=True)
class ServiceAccount:
    """A principal that proves itself by SCRAM-SHA-256."""

    principal: Principal
    verifier: ScramVerifier = field(repr=False)


@dataclass(frozen=True, slots=True)
class OauthDiscovery:
    """What a client without a token is told (RFC 7628 section 3.2.2)."""

    openid_configuration: str | None
    scope: str


@dataclass(frozen=True, slots=True)
class _Issuer:
    rules: ClaimRules
    algorithms: frozenset[str]
    keys: KeySource


@dataclass(frozen=True, slots=True)
class _Directory:
    """One configuration, ready to use."""

    auth: AuthConfig
    tls: TlsConfig
    issuers: Mapping[str, _Issuer]
    service_accounts: Mapping[str, ServiceAccount]
    certificates: Mapping[str, Principal]


class Authenticator:
    """Lives as long as the gateway. `clock` gives seconds since the epoch.

    The constructor and `reload` read key files and raise ConfigurationError with all problems; a failed reload
    leaves the old configuration in place.
    """

    __slots__ = ("_clock", "_directory", "_fetched")

    def __init__(self, auth: AuthConfig, tls: TlsConfig, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._fetched: dict[tuple[str, float], FetchedKeys] = {}
        self.reload(auth, tls)

    def reload(self, auth: AuthConfig, tls: TlsConfig) -> None:
        """Take another configuration. Keys that were fetched are kept where URL and cache time stay the same."""
        problems: list[tuple[str, str, str]] = []
        fetched: dict[tuple[str, float], FetchedKeys] = {}
        issuers = self._issuers(auth, fetched, problems)
        accounts = _service_accounts(auth, problems)
        if problems:
            raise ConfigurationError(tuple(problems))
        self._fetched = fetched
        self._directory = _Directory(auth, tls, issuers, accounts, _certificates(auth))

    @property
    def auth(self) -> AuthConfig:
        return self._directory.auth

    @property
    def tls(self) -> TlsConfig:
        return self._directory.tls

    def service_account(self, name: str) -> ServiceAccount | None:
        """The account with exactly this name."""
        return self._directory.service_accounts.get(name)

    def certificate(self, common_name: str) -> Principal | None:
        """The principal of a client certificate that TLS has verified, by its common name."""
        return self._directory.certificates.get(common_name)

    def still_stands(self, principal: Principal) -> bool:
        """Whether a service account or certificate is configured as it was when it logged in. Tokens end by time."""
        if principal.method == "scram":
            account = self.service_account(principal.subject)
            return account is not None and account.principal == principal
        return principal.method != "certificate" or self.certificate(principal.subject) == principal

    def oauth_discovery(self) -> OauthDiscovery:
        """Where a client gets a token: the first issuer that has a web address."""
        for issuer in self.auth.issuers:
            if issuer.issuer.startswith("https://"):
                base = issuer.issuer.rstrip("/")
                return OauthDiscovery(f"{base}/.well-known/openid-configuration", issuer.oauth_scope)
        return OauthDiscovery(None, "openid")

    async def verify_token(self, token: str) -> Principal:
        """Check a token's form, signature and claims; waits only for an issuer's keys.

        Raises AuthenticationError. The issuer that the token names chooses the keys, and only its own are tried.
        """
        directory = self._directory
        parsed = parse_token(token, directory.auth.max_token_bytes)
        name = parsed.claims.get("iss")
        issuer = directory.issuers.get(name) if isinstance(name, str) else None
        if issuer is None:
            raise AuthenticationError("the token's issuer is not trusted")
        if parsed.algorithm not in issuer.algorithms:
            raise AuthenticationError("the token's alg is not one of the issuer's algorithms")
        key = await issuer.keys.find(parsed.kid, parsed.algorithm)
        verify_signature(parsed, key)
        return principal_from_claims(parsed.claims, issuer.rules, self._clock())

    def _issuers(
        self,
        auth: AuthConfig,
        fetched: dict[tuple[str, float], FetchedKeys],
        problems: list[tuple[str, str, str]],
    ) -> dict[str, _Issuer]:
        issuers: dict[str, _Issuer] = {}
        for index, config in enumerate(auth.issuers):
            path = f"auth.issuers[{index}]"
            if config.issuer in issuers:
                problems.append((f"{path}.issuer", "is configured twice", "Name each issuer once."))
                continue
            try:
                issuers[config.issuer] = _Issuer(_rules(config), _algorithms(config), self._keys(config, fetched))
            except KeyUnusable as error:
                problems.append((path, str(error), "Give key_file, jwks, jwks_url or hs256_secret: exactly one."))
            except OSError as error:
                problems.append((f"{path}.key_file", f"cannot be read: {error.strerror}", "Check path and rights."))
        return issuers

    def _keys(self, config: IssuerConfig, fetched: dict[tuple[str, float], FetchedKeys]) -> KeySource:
        sources = (config.key_file, config.jwks, config.jwks_url, config.hs256_secret)
        if sum(source is not None for source in sources) != 1:
            raise KeyUnusable("needs exactly one source of keys")
        if config.key_file is not None:
            return FixedKeys(read_key_file(config.key_file.read_bytes()))
        if config.jwks is not None:
            return FixedKeys(read_jwks(config.jwks))
        if config.hs256_secret is not None:
            return FixedKeys(secret_keys(config.hs256_secret))
        place = (config.jwks_url or "", config.jwks_cache_s)
        kept = fetched.get(place) or self._fetched.get(place) or FetchedKeys(*place, self._clock)
        fetched[place] = kept
        return kept


def _rules(config: IssuerConfig) -> ClaimRules:
    return ClaimRules(
        issuer=config.issuer,
        audience=config.audience,
        tenant_claim=config.tenant_claim,
        roles_claim=config.roles_claim,
        groups_claim=config.groups_claim,
        attribute_claims=config.attribute_claims,
        tenants=config.tenants,
        leeway_s=config.leeway_s,
        max_lifetime_s=config.max_lifetime_s,
        revoked_token_ids=config.revoked_token_ids,
    )


def _algorithms(config: IssuerConfig) -> frozenset[str]:
    """HS256 is for issuers with a shared secret and for nothing else; `none` is not in any list."""
    if config.hs256_secret is not None:
        return frozenset({"HS256"})
    unknown = set(config.algorithms) - SUPPORTED_ALGORITHMS
    if unknown or not config.algorithms:
        raise KeyUnusable(f"algorithms must be among {', '.join(sorted(SUPPORTED_ALGORITHMS))}")
    return frozenset(config.algorithms)


def _service_accounts(auth: AuthConfig, problems: list[tuple[str, str, str]]) -> dict[str, ServiceAccount]:
    accounts = {}
    for name, config in auth.service_accounts.items():
        try:
            verifier = parse_verifier(config.verifier)
        except ValueError as error:
            hint = "Take pg_authid.rolpassword of a PostgreSQL role whose password is stored as scram-sha-256."
            problems.append((f"auth.service_accounts.{name}.verifier", str(error), hint))
            continue
        principal = Principal(config.name, config.tenants, config.roles, "scram", issuer=LOCAL_ISSUER)
        accounts[config.name] = ServiceAccount(principal, verifier)
    return accounts


def _certificates(auth: AuthConfig) -> dict[str, Principal]:
    return {
        config.common_name: Principal(
            config.common_name, config.tenants, config.roles, "certificate", issuer=LOCAL_ISSUER
        )
        for config in auth.certificates.values()
    }
