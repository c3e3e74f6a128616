"""`tenantgate serve`: run the gateway until it is told to stop."""

from __future__ import annotations

import argparse

from admin.cli.options import add_command, add_config_option

_EPILOG = """\
signals: SIGTERM and SIGINT drain and stop, SIGHUP reads configuration, policy and certificates again
exit status: 0 stopped as told, 2 configuration or policy cannot be used, or a port is taken

example:
  tenantgate serve -c /etc/tenantgate/tenantgate.toml
"""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `serve` to the command line."""
    parser = add_command(subparsers, "serve", "run the gateway", _EPILOG)
    add_config_option(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Serve; what is wrong with the configuration is printed by `main`."""
    from proxy import server

    return server.run(arguments.config)
