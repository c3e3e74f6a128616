"""The demo's `tenantgate.toml`: loopback, TLS with the self-signed certificate, one target, one token issuer."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from admin.demo.home import Home
from admin.demo.people import AUDIENCE, ISSUER
from admin.demo.policy import TARGET
from admin.demo.schema import GATEWAY_ROLE, SHOP

_CONFIG = """\
# Written by `tenantgate demo` on each start.
[policy]
store = {store}  # filled from policy.yaml

[listen]
host = "127.0.0.1"
port = {port}
admin_host = "127.0.0.1"
admin_port = {admin_port}

[tls]
mode = "require"
certificate = {certificate}
key = {key}

[[auth.issuers]]
issuer = {issuer}
audience = {audience}
algorithms = ["EdDSA"]
key_file = {public_key}
attribute_claims = ["region"]

[auth.service_accounts.{account}]  # as whom the admin API looks at sessions, and ends them
verifier = {verifier}
tenants = ["acme"]
roles = ["gateway_admin"]

[targets.{target}]
host = "127.0.0.1"
port = {target_port}
database = {database}
user = {user}
password_file = {password_file}
tls = "disable"  # the embedded server is on loopback and has no TLS
max_backends = 40

[audit]
path = {audit}
signing_key_file = {seal_key}
seal_interval_s = 2  # a tour should end with a seal

[log]
level = "info"
format = "json"

[api]
port = {api_port}
export_dir = {exports}

[[api.gateways]]
host = "localhost"
port = {port}
user = "{account}"
password_file = {account_password}
ca_file = {certificate}

[api.targets.{target}]  # who makes schemas and databases of tenants
admin_user = {superuser}
admin_password_file = {superuser_password}
"""
ACCOUNT = "admin-api"


@dataclass(frozen=True, slots=True)
class Ports:
    """Of the gateway, its metrics, the admin API, the database server."""

    clients: int
    metrics: int
    api: int
    target: int


def config_text(home: Home, ports: Ports, *, verifier: str, superuser: str) -> str:
    """Return the gateway's configuration; secrets stand in files of their own."""

    def quoted(value: str | Path) -> str:
        return json.dumps(str(value))  # a JSON string is a TOML basic string

    return _CONFIG.format(
        store=quoted(home.store),
        port=ports.clients,
        admin_port=ports.metrics,
        api_port=ports.api,
        account=ACCOUNT,
        verifier=quoted(verifier),
        exports=quoted(home.exports),
        account_password=quoted(home.account_password),
        superuser=quoted(superuser),
        superuser_password=quoted(home.superuser_password),
        certificate=quoted(home.certificate),
        key=quoted(home.certificate_key),
        issuer=quoted(ISSUER),
        audience=quoted(AUDIENCE),
        public_key=quoted(home.public_key),
        target=TARGET,
        target_port=ports.target,
        database=quoted(SHOP),
        user=quoted(GATEWAY_ROLE),
        password_file=quoted(home.target_password),
        audit=quoted(home.audit),
        seal_key=quoted(home.seal_key),
    )
