"""`tenantgate serve`: run the gateway until it is told to stop."""

from __future__ import annotations

import argparse
import os

from admin.cli.options import add_command, add_config_option

_EPILOG = """\
signals: SIGTERM and SIGINT drain and stop, SIGHUP reads configuration, policy and certificates again; with workers,
         SIGUSR2 lets the installed program take over without a refused connection (docs/workers.md)
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
    from proxy.config_file import load_config
    from proxy.observe.logs import configure_logging
    from proxy.workers.takeover import is_takeover

    if is_takeover():
        from proxy.workers import supervisor

        return supervisor.resume(arguments.config)
    config = load_config(arguments.config, os.environ)
    configure_logging(config.log)
    if config.workers > 1:
        from proxy.workers import supervisor

        return supervisor.run(arguments.config, config)
    from proxy import single

    return single.run(arguments.config, config)
