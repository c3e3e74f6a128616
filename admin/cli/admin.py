"""`tenantgate admin`: serve the admin API."""

from __future__ import annotations

import argparse
import os
import sys

from admin.cli.options import add_command, add_config_option

INSTALL = "the admin API needs more packages: pip install 'tenantgate[admin]'"

_EPILOG = """\
Serves /v1 (docs/admin-api.md) over the policy store: tenants, roles, policies, sessions, audit. Tokens are those of the
data plane: the same issuers, keys and claims. It listens on localhost unless [api] says otherwise, with the certificate
of [tls].
signals: SIGTERM and SIGINT stop it, SIGHUP reads keys and certificates again
exit status: 0 stopped as told, 2 configuration or store cannot be used, or the port is taken

examples:
  tenantgate admin -c tenantgate.toml
  curl -H "Authorization: Bearer $TOKEN" https://localhost:9633/v1/tenants
"""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `admin` to the command line."""
    parser = add_command(subparsers, "admin", "serve the admin API", _EPILOG)
    add_config_option(parser)
    parser.add_argument("--store", metavar="URL", help="the policy store (default: the configuration's [policy] store)")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Serve; what is wrong with the configuration is printed by `main`."""
    try:
        from admin.cli.api_server import serve
    except ModuleNotFoundError as error:
        print(f"{INSTALL} (no module {error.name})", file=sys.stderr)
        return 2
    from admin.cli.api_reports import load_schedules
    from admin.cli.api_settings import load_api_settings
    from admin.cli.store_access import store_of
    from proxy.config_file import load_config
    from proxy.observe.logs import configure_logging

    config = load_config(arguments.config, os.environ)
    settings = load_api_settings(arguments.config, config)
    schedules = load_schedules(arguments.config)
    store = store_of(arguments)
    configure_logging(config.log)
    return serve(arguments.config, config, settings, schedules, store)
