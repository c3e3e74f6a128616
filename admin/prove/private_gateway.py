"""A gateway of the prover's own before the scratch database: the same policy and target, its own port and token issuer.

The configured one is not touched. Quotas are left out, and so is TLS, for it serves loopback only.
"""

from __future__ import annotations

import json
import shutil
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import jwt
import yaml
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from admin.demo.child import GatewayChild
from admin.demo.embedded import free_port
from policy.model import Tenant
from proxy.config import TargetConfig

ISSUER, AUDIENCE, USER = "tenantgate-prove", "tenantgate-prove", "prove"
TOKEN_S = 86_000.0

_CONFIG = """\
policy = {policy}
[listen]
host = "127.0.0.1"
port = {port}
admin_host = "127.0.0.1"
admin_port = {admin_port}
[tls]
mode = "off"
[auth]
plaintext_loopback = true
[[auth.issuers]]
issuer = "{issuer}"
audience = "{audience}"
algorithms = ["EdDSA"]
key_file = {key_file}
attribute_claims = {attributes}
[audit]
path = {audit}
[log]
level = "warning"
format = "json"
[targets.{name}]
"""


@dataclass(slots=True)
class PrivateGateway:
    """Lives in a directory of its own, which `stop` removes. `target` is how a client connects to it."""

    tenant: Tenant
    database: str
    directory: Path
    child: GatewayChild
    target: TargetConfig = field(repr=False)

    @property
    def log(self) -> str:
        return self.child.log.read_text(errors="replace") if self.child.log.exists() else ""

    def stop(self) -> None:
        self.child.stop()
        shutil.rmtree(self.directory, ignore_errors=True)


def start_gateway(
    policy_file: Path,
    target: TargetConfig,
    tenant: Tenant,
    database: str,
    claims: Mapping[str, object],
    *,
    policies: bool = True,
) -> PrivateGateway:
    """Serve one tenant on `database`. claims: roles and attributes of the token. policies: attribute-based ones are in
    force. Raises EmbeddedError."""
    directory = Path(tempfile.mkdtemp(prefix="tenantgate-prove-"))
    key = Ed25519PrivateKey.generate()
    port, admin_port = free_port(), free_port()
    public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    (directory / "issuer.pem").write_bytes(public)
    (directory / "policy.yaml").write_text(_policy(policy_file, tenant, database, policies), encoding="utf-8")
    config = _CONFIG.format(
        policy=json.dumps(str(directory / "policy.yaml")), port=port, admin_port=admin_port, issuer=ISSUER,
        audience=AUDIENCE, key_file=json.dumps(str(directory / "issuer.pem")),
        attributes=json.dumps([name for name in claims if name != "roles"]),
        audit=json.dumps(str(directory / "audit.jsonl")), name=json.dumps(target.name),
    )  # fmt: skip
    (directory / "tenantgate.toml").write_text(config + _target(target, database), encoding="utf-8")
    child = GatewayChild(directory / "tenantgate.toml", directory / "gateway.log", admin_port)
    try:
        child.start()
    except BaseException:
        shutil.rmtree(directory, ignore_errors=True)
        raise
    now = int(time.time())
    token = jwt.encode(
        {"iss": ISSUER, "aud": AUDIENCE, "sub": USER, "tenant": tenant.id, "iat": now, "exp": now + TOKEN_S, **claims},
        key,
        algorithm="EdDSA",
    )
    entry = TargetConfig("gateway", "127.0.0.1", port, tenant.id, USER, token, tls="disable")
    return PrivateGateway(tenant, database, directory, child, entry)


def _policy(policy_file: Path, tenant: Tenant, database: str, policies: bool) -> str:
    """The policy with this one tenant in it, whose rows stand in the scratch database."""
    document = yaml.safe_load(policy_file.read_text(encoding="utf-8"))
    own: dict[str, str] = {"isolation": tenant.isolation.value, "target": tenant.target, "database": database}
    if tenant.schema is not None:
        own["schema"] = tenant.schema
    if tenant.isolation.value == "shared":
        own["value"] = tenant.value
    for section in ("tables", "functions"):
        document[section] = {n: rules for n, rules in (document.get(section) or {}).items() if n == tenant.target}
    document["roles"] = {n: role for n, role in (document.get("roles") or {}).items() if _is_of(n, tenant)}
    document.pop("assignments", None)  # the token names the roles
    if not policies:
        document.pop("policies", None)
    return yaml.safe_dump({**document, "tenants": {tenant.id: own}}, allow_unicode=True, sort_keys=False)


def _is_of(role: str, tenant: Tenant) -> bool:
    """Whether it is everybody's role, or the tenant's own."""
    owner, slash, _ = role.rpartition("/")
    return not slash or owner == tenant.id


def _target(target: TargetConfig, database: str) -> str:
    values: dict[str, object] = {
        "host": target.host, "port": target.port, "database": database, "user": target.user, "tls": target.tls,
    }  # fmt: skip
    if not target.lanes:
        values["lanes"] = False
    if target.enforcement != "rewrite":
        values["enforcement"] = target.enforcement
    if target.setting_key is not None:
        values["setting_key"] = target.setting_key.decode()
    if target.password:
        values["password"] = target.password
    if target.ca_file is not None:
        values["ca_file"] = str(target.ca_file)
    return "\n".join(f"{name} = {json.dumps(value)}" for name, value in values.items()) + "\n"
