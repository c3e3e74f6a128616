"""`tenantgate`: the command line. Commands import what they need when they run, so that `--help` is quick.

Exit status of every command: 0 all is well, 1 a finding or a refusal, 2 wrong usage or something unusable.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from importlib import import_module

from policy.errors import ConfigurationError, TenantGateError

EXIT_OK, EXIT_FINDING, EXIT_UNUSABLE = 0, 1, 2

_COMMANDS = (
    "serve", "check_config", "token", "explain", "provision", "doctor", "demo", "audit", "healthcheck", "statements",
    "prove", "compliance", "changes",
    "store", "policy", "tenant", "role", "user", "target", "tables", "functions", "tier", "flag", "quota",
    "session", "token_revoke",
    "completion", "admin",
)  # fmt: skip
_EPILOG = """\
examples:
  tenantgate check-config -c tenantgate.toml
  tenantgate serve -c tenantgate.toml
  tenantgate explain -c tenantgate.toml --tenant acme --user alice --role analyst "SELECT * FROM orders"

`tenantgate COMMAND --help` has more.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status."""
    try:
        arguments = build_parser().parse_args(argv)
        status = int(arguments.run(arguments))
        sys.stdout.flush()  # a reader that is gone is found out here, not at the interpreter's end
        return status
    except SystemExit as stop:  # argparse: 0 for --help, 2 for wrong usage
        return stop.code if isinstance(stop.code, int) else EXIT_UNUSABLE
    except ConfigurationError as error:
        from admin.cli.findings import print_findings

        print_findings(error.problems, (), sys.stderr)
        return EXIT_UNUSABLE
    except TenantGateError as error:
        print(f"tenantgate: {error.message}", file=sys.stderr)
        if error.hint:
            print(f"    hint: {error.hint}", file=sys.stderr)
        return EXIT_UNUSABLE
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_FINDING
    except KeyboardInterrupt:
        return 130


def build_parser() -> argparse.ArgumentParser:
    """The parser with every command; each command's module adds itself and sets `run`."""
    parser = argparse.ArgumentParser(
        prog="tenantgate",
        description="A multi-tenant database proxy: unmodified PostgreSQL clients see one tenant's rows each.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action=_ShowVersion, nargs=0, help="print the version and exit")
    subparsers = parser.add_subparsers(metavar="COMMAND", required=True)
    for name in _COMMANDS:
        import_module(f"admin.cli.{name}").add_parser(subparsers)
    return parser


class _ShowVersion(argparse.Action):
    """As argparse's own `version`, but the version is looked up when it is asked for."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from proxy.observe.version import product_version

        print(f"tenantgate {product_version()}")
        parser.exit()


if __name__ == "__main__":
    sys.exit(main())
