"""The `[auth]` section: token issuers with their keys, service accounts, client certificates."""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from policy.model import LOCAL_ISSUER
from proxy.config import AuthConfig, CertificateConfig, IssuerConfig, ServiceAccountConfig
from proxy.config_values import Table
from proxy.identity.authenticator import SUPPORTED_ALGORITHMS
from proxy.identity.keys import MIN_SECRET_BYTES, KeyUnusable, read_jwks, read_key_file
from proxy.postgres.wire.scram import parse_verifier

_KEY_SOURCES = ("key_file", "jwks", "jwks_url", "hs256_secret", "hs256_secret_file", "hs256_secret_env")
_DEFAULT = IssuerConfig(issuer="", audience="")
_SOURCE_HINT = "Give exactly one of key_file, jwks, jwks_url, hs256_secret_file, hs256_secret_env."


def read_auth(table: Table) -> AuthConfig:
    """The section; keys in files and documents are read, so that one that cannot be used is a problem now."""
    default = AuthConfig()
    auth = AuthConfig(
        issuers=tuple(_read_issuer(item) for item in table.table_list("issuers")),
        service_accounts={name: _read_account(name, item) for name, item in table.named_tables("service_accounts")},
        certificates={name: _read_certificate(name, item) for name, item in table.named_tables("certificates")},
        default_method=table.choice("default_method", default.default_method, ("password", "oauthbearer")),
        plaintext_loopback=table.boolean("plaintext_loopback", default.plaintext_loopback),
        max_token_bytes=table.size("max_token_bytes", default.max_token_bytes, 256, 1024 * 1024),
        login_timeout_s=table.duration("login_timeout_s", default.login_timeout_s, most=600),
    )
    seen: set[str] = set()
    for index, issuer in enumerate(auth.issuers):
        if issuer.issuer in seen:
            table.problem("issuers", f"[{index}] {issuer.issuer} is configured twice", "Name each issuer once.")
        if issuer.issuer == LOCAL_ISSUER:
            hint = "It stands for accounts of this configuration in the policy's assignments."
            table.problem("issuers", f"[{index}] an issuer may not be called {LOCAL_ISSUER}", hint)
        seen.add(issuer.issuer)
    if not (auth.issuers or auth.service_accounts or auth.certificates):
        table.warn("", "nobody can log in", "Add an [[auth.issuers]] or an [auth.service_accounts.NAME].")
    table.finish()
    return auth


def _read_issuer(table: Table) -> IssuerConfig:
    sources = [key for key in _KEY_SOURCES if table.has(key)]
    if len(sources) != 1:
        table.problem("", f"has {len(sources)} sources of keys", _SOURCE_HINT)
    secret = _read_hs256(table)
    issuer = IssuerConfig(
        issuer=table.text("issuer"),
        audience=table.text("audience"),
        algorithms=_read_algorithms(table, secret is not None or any(s.startswith("hs256") for s in sources)),
        key_file=_read_key_file(table),
        jwks=_read_jwks(table),
        jwks_url=_read_url(table),
        jwks_cache_s=table.duration("jwks_cache_s", _DEFAULT.jwks_cache_s, least=1),
        hs256_secret=secret,
        tenant_claim=table.text("tenant_claim", _DEFAULT.tenant_claim),
        roles_claim=table.text("roles_claim", _DEFAULT.roles_claim),
        groups_claim=table.text("groups_claim", _DEFAULT.groups_claim),
        attribute_claims=table.strings("attribute_claims"),
        tenants=frozenset(table.strings("tenants")) if table.has("tenants") else None,
        leeway_s=table.duration("leeway_s", _DEFAULT.leeway_s, least=0, most=600),
        max_lifetime_s=table.duration("max_lifetime_s", _DEFAULT.max_lifetime_s, least=1),
        revoked_token_ids=frozenset(table.strings("revoked_token_ids")),
        oauth_scope=table.text("oauth_scope", _DEFAULT.oauth_scope),
    )
    table.finish()
    return issuer


def _read_algorithms(table: Table, symmetric: bool) -> tuple[str, ...]:
    """What a token may be signed with; HS256 goes with a shared secret and with nothing else."""
    if symmetric:
        if table.has("algorithms") and table.strings("algorithms") != ("HS256",):
            table.problem("algorithms", "a shared secret is for HS256 only", "Leave algorithms out.")
        return ("HS256",)
    algorithms = table.strings("algorithms", _DEFAULT.algorithms)
    for name in algorithms:
        if name == "HS256":
            table.problem("algorithms", "HS256 needs a shared secret", "Use key_file with RS256, ES256 or EdDSA.")
        elif name not in SUPPORTED_ALGORITHMS:
            known = ", ".join(sorted(SUPPORTED_ALGORITHMS))
            table.problem("algorithms", f"{name!r} is not an algorithm for tokens", f"Known: {known}.")
    if not algorithms:
        table.problem("algorithms", "is empty", "Leave it out for RS256, ES256 and EdDSA.")
    return algorithms


def _read_hs256(table: Table) -> bytes | None:
    text = table.secret("hs256_secret")
    if text is None:
        return None
    secret = text.encode()
    if len(secret) < MIN_SECRET_BYTES:
        hint = "Make one: openssl rand -base64 48 (RFC 7518 section 3.2)."
        table.problem("hs256_secret", f"is shorter than {MIN_SECRET_BYTES} bytes", hint)
    return secret


def _read_key_file(table: Table) -> Path | None:
    path = table.existing_file("key_file")
    if path is None:
        return None
    try:
        read_key_file(path.read_bytes())
    except (KeyUnusable, OSError) as error:
        table.problem("key_file", str(error), "A PEM public key or certificate, or a JWKS document.")
    return path


def _read_jwks(table: Table) -> Mapping[str, object] | None:
    """An inline JWKS: a TOML table, or its JSON as text."""
    document = table.raw("jwks")
    if document is None:
        return None
    try:
        if isinstance(document, str):
            document = json.loads(document)
        read_jwks(document)
    except (ValueError, RecursionError) as error:
        table.problem("jwks", str(error), "Write jwks = '{\"keys\": […]}'.")
    return document if isinstance(document, dict) else None


def _read_url(table: Table) -> str | None:
    url = table.optional_text("jwks_url")
    if url is None:
        return None
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        usable = parts.scheme == "https" or (parts.scheme == "http" and _is_loopback(host))
    except ValueError:
        host, usable = "", False
    if not usable or not host:
        table.problem(
            "jwks_url", f"{url!r} is not an https address", "Keys are fetched over https; http on loopback only."
        )
    return url


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _read_account(name: str, table: Table) -> ServiceAccountConfig:
    verifier = table.secret("verifier")
    if verifier is None:
        if not any(table.has(key) for key in ("verifier", "verifier_file", "verifier_env")):
            table.problem("verifier", "is missing", "Make one: tenantgate token --scram")
        verifier = ""
    else:
        try:
            parse_verifier(verifier)
        except ValueError as error:
            table.problem("verifier", str(error), "Make one: tenantgate token --scram")
    account = ServiceAccountConfig(name, verifier, table.names("tenants"), table.names("roles"))
    table.finish()
    return account


def _read_certificate(name: str, table: Table) -> CertificateConfig:
    certificate = CertificateConfig(name, table.names("tenants"), table.names("roles"))
    table.finish()
    return certificate
