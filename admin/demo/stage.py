"""Everything the tour needs, up and running: the data, the server, the keys and tokens, the gateway."""

from __future__ import annotations

import contextlib
import secrets
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psycopg

from admin.demo import facts
from admin.demo.child import AdminChild, GatewayChild
from admin.demo.dataset import DATASET_VERSION
from admin.demo.embedded import EmbeddedError, EmbeddedPostgres, choose_runner, find_binaries, free_port
from admin.demo.home import Home, State, from_here, new_state
from admin.demo.keys import certificate, signing_key, write_private
from admin.demo.people import ADMINS, PEOPLE, mint
from admin.demo.schema import load_demo
from admin.demo.settings import Ports, config_text
from admin.demo.store import fill_store
from proxy.postgres.wire.scram import make_verifier

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Wishes:
    """What the command line asked for."""

    directory: Path
    pg_bin: Path | None = None
    port: int = 6432
    admin_port: int = 9632
    api_port: int = 9633
    rebuild: bool = False


@dataclass(frozen=True, slots=True)
class Stage:
    """A running demo."""

    home: Home
    port: int
    gateway: GatewayChild
    admin: AdminChild
    postgres: EmbeddedPostgres
    tokens: dict[str, str] = field(repr=False)
    facts: facts.Facts = field(repr=False)


@contextlib.contextmanager
def staged(wishes: Wishes, say: Say) -> Iterator[Stage]:
    """Start everything, in order; stop everything, in reverse, whatever happens. Raises EmbeddedError."""
    home = Home(wishes.directory.resolve())
    with home.locked(), contextlib.ExitStack() as stack:
        postgres, state, truth = _open_server(home, wishes, say, stack)
        tokens = _write_keys_and_tokens(home)
        ports = _choose_ports(wishes, postgres.port, say)
        fill_store(home)
        _write_config(home, state, ports, postgres)
        gateway = GatewayChild(home.config, home.gateway_log, ports.metrics)
        admin = AdminChild(home.config, home.admin_log, ports.api)
        for child in (gateway, admin):
            stack.callback(child.stop)
            child.start()
        say(f"gateway on localhost:{ports.clients} (TLS), configuration {from_here(home.config)}")
        say(f"admin API on https://localhost:{ports.api}/v1")
        yield Stage(home, ports.clients, gateway, admin, postgres, tokens, truth)


def _write_config(home: Home, state: State, ports: Ports, postgres: EmbeddedPostgres) -> None:
    account = secrets.token_urlsafe(24)
    write_private(home.account_password, account.encode())
    write_private(home.target_password, state.gateway_password.encode())
    write_private(home.superuser_password, state.superuser_password.encode())
    config = config_text(home, ports, verifier=make_verifier(account), superuser=postgres.superuser)
    write_private(home.config, config.encode())


def _open_server(
    home: Home, wishes: Wishes, say: Say, stack: contextlib.ExitStack
) -> tuple[EmbeddedPostgres, State, facts.Facts]:
    """Return a running server with whole data: the last one's if they are, else loaded anew."""
    bin_dir = find_binaries(wishes.pg_bin)
    version = _server_version(bin_dir)
    state = home.read_state()
    reason = _why_rebuild(state, version, wishes)
    if state is not None and reason is None:
        postgres = EmbeddedPostgres(home.cluster.resolve(), bin_dir, state.superuser_password)
        stack.callback(postgres.stop)
        try:
            postgres.start()
            truth = facts.ask(conninfo(postgres))
        except (EmbeddedError, psycopg.Error, AssertionError) as error:
            reason = f"they cannot be used ({str(error).strip().splitlines()[0]})"
            postgres.stop()
        else:
            say(f"PostgreSQL {version} on port {postgres.port}, with the data of last time")
            return postgres, state, truth
    if reason is not None and home.cluster.exists():
        say(f"the data in {from_here(home.root)} are made anew: {reason}")
    return _load(home, bin_dir, version, say, stack)


def _load(
    home: Home, bin_dir: Path, version: str, say: Say, stack: contextlib.ExitStack
) -> tuple[EmbeddedPostgres, State, facts.Facts]:
    home.clear_cluster(choose_runner())
    state = new_state(version)
    postgres = EmbeddedPostgres(home.cluster.resolve(), bin_dir, state.superuser_password)
    stack.callback(postgres.stop)
    postgres.initialise()
    postgres.start()
    count = load_demo(conninfo(postgres), state.gateway_password)
    home.write_state(state)
    say(f"PostgreSQL {version} on port {postgres.port}, {count:,} rows loaded for four tenants")
    return postgres, state, facts.ask(conninfo(postgres))


def _why_rebuild(state: State | None, version: str, wishes: Wishes) -> str | None:
    if wishes.rebuild:
        return "as asked"
    if state is None:
        return "the last load did not finish"
    if state.dataset != DATASET_VERSION:
        return "the sample business has changed"
    if state.server.split(".")[0] != version.split(".")[0]:
        return f"they are PostgreSQL {state.server}'s"
    return None


def _server_version(bin_dir: Path) -> str:
    done = subprocess.run([bin_dir / "postgres", "--version"], capture_output=True, text=True, check=False)
    words = done.stdout.split()
    if done.returncode != 0 or len(words) < 3:
        raise EmbeddedError(f"{bin_dir}/postgres does not run: {done.stderr.strip()}")
    return words[2]


def conninfo(postgres: EmbeddedPostgres) -> str:
    """Return how to reach the server as its superuser."""
    return psycopg.conninfo.make_conninfo(
        host="127.0.0.1",
        port=postgres.port,
        user=postgres.superuser,
        password=postgres.password,
        dbname="postgres",
    )


def _write_keys_and_tokens(home: Home) -> dict[str, str]:
    key = signing_key(home.signing_key, home.public_key)
    signing_key(home.seal_key, home.seal_public_key)
    certificate(home.certificate, home.certificate_key)
    tokens = {person.name: mint(person, key) for person in (*PEOPLE, *ADMINS)}
    for name, token in tokens.items():
        write_private(home.tokens / f"{name}.jwt", token.encode())
    return tokens


def _choose_ports(wishes: Wishes, target: int, say: Say) -> Ports:
    taken: list[int] = []
    for wanted in (wishes.port, wishes.admin_port, wishes.api_port):
        got = free_port(wanted)
        while got in taken:
            got = free_port(got + 1 if wanted else 0)
        if wanted not in (0, got):
            say(f"port {wanted} is taken: using {got}")
        taken.append(got)
    return Ports(taken[0], taken[1], taken[2], target)
