"""Connections of the command line to a target: as the gateway's own role, or as somebody who may change it."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import dataclasses
import os
import sys
from collections.abc import AsyncIterator, Mapping
from getpass import getpass
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from policy.errors import ConfigurationError

if TYPE_CHECKING:
    from admin.provision.wanted import Target
    from policy.snapshot import Snapshot
    from proxy.config import GatewayConfig, TargetConfig
    from proxy.postgres.backend import BackendConnection


def add_target_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--target", metavar="NAME", help="a target of the configuration (default: all of them)")


def load_targets(arguments: argparse.Namespace) -> tuple[GatewayConfig, Snapshot, list[TargetConfig]]:
    """The configuration, its policy, and the targets that were asked for. Raises ConfigurationError."""
    from admin.cli.configured_policy import configured_policy
    from policy.problems import did_you_mean
    from proxy.config_file import read_config

    reading = read_config(arguments.config, os.environ)
    config = reading.config
    if config is None:
        raise ConfigurationError(reading.problems)
    snapshot = configured_policy(config, reading.databases)
    if arguments.target is None:
        return config, snapshot, list(config.targets.values())
    if arguments.target not in config.targets:
        hint = did_you_mean(arguments.target, config.targets)
        raise ConfigurationError(((f"targets.{arguments.target}", "is not in the configuration", hint),))
    return config, snapshot, [config.targets[arguments.target]]


def as_wanted(target: TargetConfig, hashed_columns: tuple[str, ...] = (), hashed_tags: tuple[str, ...] = ()) -> Target:
    """What provisioning and the doctor look at of a target's configuration. hashed_…: the audit log's."""
    from admin.provision.wanted import Target

    return Target(
        target.name, target.user, target.database, target.native, hashed_columns, hashed_tags, target.setting_key
    )


def administrator_of(target: TargetConfig, url: str | None, environ: Mapping[str, str]) -> TargetConfig:
    """The same server with the login of somebody who may change it: from a URL, the environment, a prompt.

    What neither names is the configuration's, but for the user, who is `postgres`. Raises ConfigurationError.
    """
    parts = urlsplit(url or "postgresql://")
    if parts.scheme not in ("postgresql", "postgres") or parts.query:
        hint = "Write postgresql://user@host:port; the password may come by PGPASSWORD."
        raise ConfigurationError((("--admin-url", "is not a URL of a PostgreSQL server", hint),))
    try:
        port = parts.port or int(environ.get("PGPORT", target.port))
    except ValueError:
        raise ConfigurationError((("--admin-url", "the port is not a number", ""),)) from None
    user = unquote(parts.username or "") or environ.get("PGUSER") or "postgres"
    password = unquote(parts.password) if parts.password is not None else environ.get("PGPASSWORD")
    if password is None:
        password = getpass(f"Password of {user}: ") if sys.stdin.isatty() else ""
    return dataclasses.replace(
        target,
        host=unquote(parts.hostname or "") or environ.get("PGHOST") or target.host,
        port=port,
        user=user,
        password=password,
    )


@contextlib.asynccontextmanager
async def connected(target: TargetConfig, database: str, name: str) -> AsyncIterator[BackendConnection]:
    """A session in which only the server's own names are found without their schema. Raises TargetUnavailable."""
    from proxy.postgres.backend import connect_backend

    options = {"application_name": f"tenantgate {name}", "search_path": "pg_catalog"}
    lost = asyncio.Event()
    try:
        backend = await connect_backend(target, database, protocol_options=options)
        backend.on_lost = lambda _: lost.set()
        try:
            yield backend
        finally:
            backend.close()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(lost.wait(), _GOODBYE_S)
    finally:
        await asyncio.sleep(0)  # where the login failed, the loop lets go of the socket in its next round


_GOODBYE_S = 1.0  # TLS takes its leave in several steps, and the loop may end after this
