"""What several commands' options have in common."""

from __future__ import annotations

import argparse
from pathlib import Path

DEFAULT_CONFIG = Path("tenantgate.toml")


def add_command(
    subparsers: argparse._SubParsersAction[argparse.ArgumentParser], name: str, text: str, epilog: str
) -> argparse.ArgumentParser:
    """A command whose help ends with examples as they are written."""
    return subparsers.add_parser(
        name,
        help=text,
        description=text[0].upper() + text[1:] + ".",
        epilog=epilog,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def add_config_option(parser: argparse.ArgumentParser, default: Path | None = DEFAULT_CONFIG) -> None:
    shown = f" (default: {default})" if default else ""
    parser.add_argument("-c", "--config", type=Path, default=default, metavar="FILE", help=f"configuration file{shown}")


def name_and_value(text: str) -> tuple[str, str]:
    """`name=value`, for argparse."""
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=VALUE")
    return name, value
