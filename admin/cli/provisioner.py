"""What makes and removes tenants' places, for the admin API and for commands: with the logins of section [api]."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING

from admin.cli.options import DEFAULT_CONFIG

if TYPE_CHECKING:
    from admin.cli.api_settings import ApiSettings
    from admin.services.provisioning import Provisioner, TargetAccess
    from admin.store.engine import Store
    from proxy.config import GatewayConfig


def provisioner_of(arguments: argparse.Namespace, store: Store, exports: Path | None = None) -> Provisioner:
    """For a command. Without a configuration file it can do what needs no target. Raises ConfigurationError."""
    from admin.cli.api_settings import load_api_settings
    from admin.services.provisioning import Provisioner
    from proxy.config_file import load_config

    path = arguments.config or DEFAULT_CONFIG
    if arguments.config is None and not path.is_file():
        return Provisioner(store, {}, exports)
    config = load_config(path, os.environ)
    return make_provisioner(store, config, load_api_settings(path, config), exports)


def make_provisioner(
    store: Store, config: GatewayConfig, settings: ApiSettings, exports: Path | None = None
) -> Provisioner:
    """Places can be made where an administrator of the target is configured. exports: instead of api.export_dir."""
    from admin.services.provisioning import Provisioner

    return Provisioner(store, administered(config, settings), exports or settings.export_dir)


def administered(config: GatewayConfig, settings: ApiSettings) -> dict[str, TargetAccess]:
    """The targets of which an administrator is configured."""
    from admin.places.dump import PgDump
    from admin.places.server import Login
    from admin.services.provisioning import TargetAccess

    places: dict[str, TargetAccess] = {}
    for name, administrator in settings.targets.items():
        target = config.targets[name]
        login = Login(
            target.host, target.port, administrator.user, administrator.password, target.tls, target.ca_file,
            target.connect_timeout_s,
        )  # fmt: skip
        dump = None if settings.pg_dump is None else PgDump(settings.pg_dump, login).dump
        places[name] = TargetAccess(login.connect, target.database, target.user, dump)
    return places
