"""Options for what policies may ask of a session besides who it is."""

from __future__ import annotations

import argparse
import ipaddress


def add_circumstances(parser: argparse.ArgumentParser) -> None:
    """--amr, --acr, --address, --application, --no-tls, --read-replica, --at."""
    group = parser.add_argument_group("circumstances, which policies may ask for")
    group.add_argument("--amr", action="append", default=[], metavar="WORD", help="of the token, such as mfa; repeat")
    group.add_argument("--acr", default="", metavar="WORD", help="of the token")
    group.add_argument("--address", default="127.0.0.1", type=_address, metavar="IP", help="of the client")
    group.add_argument("--application", default="", metavar="NAME", help="what the client calls itself")
    group.add_argument("--no-tls", action="store_true", help="the client's connection is not encrypted")
    group.add_argument("--read-replica", action="store_true", help="the target is a read replica")
    group.add_argument("--at", type=time_of, metavar="TIME", help="as at this time, such as 2026-11-28T22:00:00Z")


def _address(text: str) -> str:
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not an IP address") from None


def time_of(text: str) -> float:
    """Seconds since the epoch, for argparse."""
    from policy.timestamps import parse_timestamp

    try:
        return parse_timestamp(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
