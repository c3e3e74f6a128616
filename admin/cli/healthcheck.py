"""`tenantgate healthcheck`: ask a gateway on this machine whether it is ready; for Docker and systemd."""

from __future__ import annotations

import argparse
import http.client
import os
import sys

from admin.cli.options import add_command, add_config_option

_WILDCARDS = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}  # noqa: S104 - what a listener may be bound to

_EPILOG = """\
exit status: 0 ready, 1 not ready or not there, 2 wrong usage

examples:
  tenantgate healthcheck
  tenantgate healthcheck -c /etc/tenantgate/tenantgate.toml
  tenantgate healthcheck --port 9633 --timeout 1
"""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `healthcheck` to the command line."""
    parser = add_command(subparsers, "healthcheck", "ask a running gateway whether it is ready", _EPILOG)
    add_config_option(parser, default=None)
    parser.add_argument("--host", help="admin host (default: the configuration's, or 127.0.0.1)")
    parser.add_argument("--port", type=int, help="admin port (default: the configuration's, or 9632)")
    parser.add_argument("--timeout", type=float, default=3.0, metavar="S", help="seconds to wait (default: 3)")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """GET /readyz of the admin listener."""
    host, port = _address(arguments)
    connection = http.client.HTTPConnection(host, port, timeout=arguments.timeout)
    try:
        connection.request("GET", "/readyz")
        response = connection.getresponse()
        body = response.read(10_000).decode(errors="replace").strip()
    except (OSError, http.client.HTTPException) as error:
        print(f"no answer from {host}:{port}: {error}", file=sys.stderr)
        return 1
    finally:
        connection.close()
    print(body or response.status, file=sys.stdout if response.status == 200 else sys.stderr)
    return 0 if response.status == 200 else 1


def _address(arguments: argparse.Namespace) -> tuple[str, int]:
    from proxy.config import ListenConfig

    listen = ListenConfig()
    if arguments.config is not None:
        from proxy.config_file import read_listen_section

        listen = read_listen_section(arguments.config, os.environ)
    host = arguments.host or listen.admin_host
    return _WILDCARDS.get(host, host), listen.admin_port if arguments.port is None else arguments.port
