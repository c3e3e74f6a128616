"""`tenantgate role`: list, show, set and delete them in the policy store (kept.py)."""

from __future__ import annotations

import argparse

from admin.cli.kept import add_kept


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `role` to the command line."""
    add_kept(subparsers, "role")
