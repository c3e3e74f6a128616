"""The demo's `tenantgate.toml`: loopback, TLS with the self-signed certificate, one target, one token issuer."""

from __future__ import annotations

import json
from pathlib import Path

from admin.demo.home import Home
from admin.demo.people import AUDIENCE, ISSUER
from admin.demo.policy import TARGET
from admin.demo.schema import GATEWAY_ROLE, SHOP

_CONFIG = """\
# Written by `tenantgate demo` on each start.
policy = {policy}

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

[log]
level = "info"
format = "json"
"""


def config_text(home: Home, *, port: int, admin_port: int, target_port: int) -> str:
    """Return the gateway's configuration; secrets stand in files of their own."""

    def quoted(value: str | Path) -> str:
        return json.dumps(str(value))  # a JSON string is a TOML basic string

    return _CONFIG.format(
        policy=quoted(home.policy),
        port=port,
        admin_port=admin_port,
        certificate=quoted(home.certificate),
        key=quoted(home.certificate_key),
        issuer=quoted(ISSUER),
        audience=quoted(AUDIENCE),
        public_key=quoted(home.public_key),
        target=TARGET,
        target_port=target_port,
        database=quoted(SHOP),
        user=quoted(GATEWAY_ROLE),
        password_file=quoted(home.target_password),
        audit=quoted(home.audit),
    )
