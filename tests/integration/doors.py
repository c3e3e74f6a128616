"""A gateway with every way in: one issuer for each algorithm and source of keys, a service account, a client CA."""

from __future__ import annotations

import json
import time
from typing import Any

import jwt
import psycopg
import trustme
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import ECAlgorithm

from admin.demo.policy import policy_text
from proxy.postgres.wire.scram import make_verifier
from tests.harness.demo_business import DemoGateway
from tests.harness.gateway import GatewayProcess
from tests.harness.wire_client import WireClient

PASSWORD = "correct horse battery staple"
SECRET = "an HS256 secret of more than 32 bytes, for tests"
DORMANT = "  dormant: {isolation: shared, target: shop, status: suspended}\n\nroles:\n"
POLICY = policy_text().replace("roles:\n", DORMANT, 1)
RSA_TENANTS = ["acme", "globex", "nowhere", "dormant"]


class Doors(GatewayProcess):
    """A gateway with one issuer for each algorithm and source of keys, a service account and a client CA."""

    def __init__(self, demo: DemoGateway, keys_url: str, **settings: dict[str, object]) -> None:
        self.client_ca = trustme.CA()
        self.rsa = rsa.generate_private_key(65537, 2048)
        self.ec = ec.generate_private_key(ec.SECP256R1())
        account = {"verifier": make_verifier(PASSWORD), "tenants": ["acme", "initech"], "roles": ["app"]}
        super().__init__(
            targets=demo._targets,
            policy=POLICY,
            settings={
                "tls": {"mode": "allow", "sni_suffix": ".db.test"},
                "auth.service_accounts.etl": account,
                "auth.certificates.robot": {"tenants": ["acme"], "roles": ["app"]},
                **settings,
            },
        )
        self.client_ca.cert_pem.write_to_path(str(self.directory / "clients.pem"))
        rsa_pem = self.rsa.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        (self.directory / "rsa.pem").write_bytes(rsa_pem)
        ec_jwk = json.loads(ECAlgorithm.to_jwk(self.ec.public_key())) | {"kid": "ec", "use": "sig", "alg": "ES256"}
        text = self.config_path.read_text().replace("[tls]\n", '[tls]\nclient_ca = "clients.pem"\n')
        for name, source in {
            "rsa": f'key_file = "rsa.pem"\nrevoked_token_ids = ["stolen"]\ntenants = {json.dumps(RSA_TENANTS)}',
            "ec": f"jwks = {json.dumps(json.dumps({'keys': [ec_jwk]}))}",
            "hs": f"hs256_secret = {json.dumps(SECRET)}",
            "url": f"jwks_url = {json.dumps(keys_url)}\njwks_cache_s = 1",
        }.items():
            text += f'\n[[auth.issuers]]\nissuer = "https://{name}.test"\naudience = "tenantgate"\n{source}\n'
        self.config_path.write_text(text)

    def wire(self, *, tls: bool = True, sni: str | None = None) -> WireClient:
        client = WireClient(self.port)
        if tls:
            client.tls(sni=sni)
        return client


def claims(issuer: str, **changes: object) -> dict[str, object]:
    now = int(time.time())
    standard: dict[str, object] = {
        "iss": f"https://{issuer}.test", "aud": "tenantgate", "sub": "alice", "tenant": "acme", "roles": ["app"],
        "iat": now, "exp": now + 600, "jti": "1",
    }  # fmt: skip
    return {name: value for name, value in {**standard, **changes}.items() if value is not None}


def rs256(doors: Doors, **changes: object) -> str:
    return jwt.encode(claims("rsa", **changes), doors.rsa, "RS256")


def who(connection: psycopg.Connection[Any]) -> int:
    """The customers that it sees; acme's are not as many as anybody else's."""
    row = connection.execute("SELECT count(*) FROM customers").fetchone()
    assert row is not None
    return int(row[0])


def connect(doors: Doors, user: str, password: str, database: str, **options: Any) -> psycopg.Connection[Any]:
    return psycopg.connect(doors.conninfo(user, password, database, **options))
