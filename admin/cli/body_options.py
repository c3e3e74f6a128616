"""Bodies from the command line: fields as options, or a whole body from a YAML file or standard input."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from admin.cli.options import name_and_value

_HINT = "The body of one entity, as below its name in policy.yaml."


def add_body_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--body", metavar="FILE", help="the whole body, YAML; - is standard input")


def add_etag_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--etag", metavar="TEXT", help="only if nobody has changed it since it had this etag")


def add_pairs_option(parser: argparse.ArgumentParser, name: str, text: str) -> None:
    parser.add_argument(
        f"--{name}", action="append", default=[], type=name_and_value, metavar="NAME=VALUE", help=f"{text}; repeatable"
    )


def read_body(arguments: argparse.Namespace) -> dict[str, Any] | None:
    """The body of --body; None without. Raises Invalid."""
    from admin.services.errors import Invalid
    from policy.strict_yaml import StrictYamlError, parse_strict_yaml

    if arguments.body is None:
        return None
    try:
        text = sys.stdin.read() if arguments.body == "-" else Path(arguments.body).read_text(encoding="utf-8")
        value = parse_strict_yaml(text)
    except OSError as error:
        raise Invalid(((arguments.body, f"cannot be read: {error.strerror}", _HINT),)) from None
    except StrictYamlError as error:
        where = f"line {error.line}: " if error.line else ""
        raise Invalid(((arguments.body, f"{where}{error}", _HINT),)) from None
    if not isinstance(value, dict):
        raise Invalid(((arguments.body, "is not a mapping", _HINT),))
    return value


def pairs(given: list[tuple[str, str]]) -> dict[str, Any]:
    """NAME=VALUE options; numbers are numbers, an empty value takes the name out (None)."""
    return {name: None if text == "" else _value(text) for name, text in given}


def _value(text: str) -> Any:
    if text.isascii() and text.isdigit() and (text == "0" or not text.startswith("0")):
        return int(text)
    try:
        return float(text) if text.count(".") == 1 and text.replace(".", "").isdigit() else text
    except ValueError:
        return text
