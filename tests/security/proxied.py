"""A gateway before the corpus's fixture database, and the corpus runner's `Env` that goes through it."""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import Iterator
from typing import Any

from tests.harness.gateway import GatewayProcess
from tests.security import corpus, fixture
from tests.security.conftest import CorpusServer


@contextlib.contextmanager
def serve(
    corpus_server: CorpusServer, isolation: str = "shared", role: str = fixture.BACKEND_ROLE
) -> Iterator[GatewayProcess]:
    """Run a gateway that logs in to its target as `role`; every case gets a fresh copy of the database."""
    server = corpus_server.server
    password = server.password if role == server.superuser else corpus_server.password
    fixture.copy_database(server, fixture.TEMPLATE, fixture.DATABASE)
    process = GatewayProcess(
        targets={
            fixture.TARGET: {
                "host": server.host,
                "port": server.port,
                "database": fixture.DATABASE,
                "user": role,
                "password": password,
                "tls": "disable",
            }
        },
        policy=fixture.policy_text(isolation),
        settings={"tls": {"mode": "allow"}, "auth": {"plaintext_loopback": True}},
    )
    process.start()
    yield process
    process.stop()


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
