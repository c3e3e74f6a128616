"""`tenantgate statements`: what becomes of every statement, expression and function, per isolation strategy."""

from __future__ import annotations

import argparse

from admin.cli.options import add_command

_EPILOG = """\
Prints docs/statements.md. It is found by compiling a sample of every class of PostgreSQL's grammar; no server is asked.

example:
  tenantgate statements | grep CopyStmt
"""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `statements` to the command line."""
    parser = add_command(subparsers, "statements", "show what becomes of every kind of statement", _EPILOG)
    parser.set_defaults(run=run)


def run(_arguments: argparse.Namespace) -> int:
    from policy.sql.grammar.page import page

    print(page(), end="")
    return 0
