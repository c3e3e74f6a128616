"""A gateway before the corpus's fixture database, and the corpus runner's `Env` that goes through it."""

from __future__ import annotations

import argparse
import contextlib
import os
import secrets
from collections.abc import Iterator
from typing import Any

from admin.cli.main import main
from tests.harness.gateway import GatewayProcess
from tests.harness.postgres import PostgresServer
from tests.security import corpus, fixture
from tests.security.conftest import CorpusServer

ENFORCEMENT = os.environ.get("TENANTGATE_CORPUS_ENFORCEMENT", "rewrite")  # or native, both
_KEY = secrets.token_hex(32)


@contextlib.contextmanager
def serve(
    corpus_server: CorpusServer, isolation: str = "shared", role: str = fixture.BACKEND_ROLE
) -> Iterator[GatewayProcess]:
    """Run a gateway that logs in to its target as `role`; every case gets a fresh copy of the database."""
    server = corpus_server.server
    enforcement = ENFORCEMENT if role == fixture.BACKEND_ROLE else "rewrite"  # no lock binds an owner or a superuser
    target: dict[str, object] = {
        "host": server.host,
        "port": server.port,
        "database": fixture.DATABASE,
        "user": role,
        "password": server.password if role == server.superuser else corpus_server.password,
        "tls": "disable",
        "enforcement": enforcement,
    }
    if enforcement != "rewrite":
        target["setting_key"] = _KEY
    process = GatewayProcess(
        targets={fixture.TARGET: target},
        policy=fixture.policy_text(isolation),
        settings={"tls": {"mode": "allow"}, "auth": {"plaintext_loopback": True}},
    )
    if enforcement != "rewrite" and isolation != "database":  # in which nobody else is, so that nothing is locked
        _provision(process, server)
    fixture.copy_database(server, fixture.TEMPLATE, fixture.DATABASE)
    process.start()
    yield process
    process.stop()


def _provision(gateway: GatewayProcess, server: PostgresServer) -> None:
    """Lay the second lock on the template, so that each copy has it.

    The role's memberships, which provisioning refuses, are part of some attacks: they are back afterwards.
    """
    members = server.execute(
        "SELECT r.rolname FROM pg_auth_members m JOIN pg_roles r ON r.oid = m.roleid"
        f" WHERE m.member = '{fixture.BACKEND_ROLE}'::regrole"
    )
    for (name,) in members:
        server.execute(f"REVOKE {name} FROM {fixture.BACKEND_ROLE}")
    text, policy = gateway.config_path.read_text(), gateway.policy_path.read_text()
    gateway.config_path.write_text(text.replace(fixture.DATABASE, fixture.TEMPLATE))
    gateway.policy_path.write_text(policy.replace(fixture.DATABASE, fixture.TEMPLATE))
    url = f"postgresql://{server.superuser}:{server.password}@{server.host}:{server.port}"
    status = main(["provision", "-c", str(gateway.config_path), "--admin-url", url, "--json"])
    assert status == 0, "the corpus's database could not be provisioned"
    gateway.config_path.write_text(text)
    gateway.policy_path.write_text(policy)
    for (name,) in members:
        server.execute(f"GRANT {name} TO {fixture.BACKEND_ROLE}")


@contextlib.contextmanager
def environment(corpus_server: CorpusServer, gateway: GatewayProcess) -> Iterator[Any]:
    """The corpus runner's own `Env`, with the gateway as its proxy."""
    server = corpus_server.server
    arguments = argparse.Namespace(
        host=server.host, port=server.port, admin=server.superuser, admin_password=server.password,
        app_password=corpus_server.password, bouncer_port=0, target=f"127.0.0.1:{gateway.port}",
        user="alice", password=gateway.issuer.token("alice", "acme"),
        victim_user="gail", victim_password=gateway.issuer.token("gail", "globex"),
        db=fixture.DATABASE, backend_db=None, keep_db=False, rebuild=False, template=fixture.TEMPLATE, rls_guc=None,
    )  # fmt: skip
    env = corpus.runner().Env(arguments)
    env.ensure_ref()
    yield env
    env.root.close()
