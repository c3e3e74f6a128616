"""What the commands that search an audit log have in common: where the log is, and the search index beside it."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from admin.cli.options import DEFAULT_CONFIG
from policy.errors import TenantGateError


class NoLog(TenantGateError):
    """There is no audit log where it was looked for."""

    kind = "audit_search"


def add_log_options(parser: argparse.ArgumentParser) -> None:
    """-c or --log: either is enough."""
    parser.add_argument(
        "-c", "--config", type=Path, metavar="FILE", help=f"configuration, for its [audit] (default: {DEFAULT_CONFIG})"
    )
    parser.add_argument("--log", type=Path, metavar="FILE", help="audit log, instead of the configuration's")
    parser.add_argument("--index", type=Path, metavar="FILE", help="search index (default: search/ beside the log)")


def log_and_index(arguments: argparse.Namespace) -> tuple[Path, Path]:
    """The log's path and its index's. Raises ConfigurationError and NoLog."""
    from admin.audit_search.schema import default_index_path
    from proxy.config_file import read_audit_section

    log: Path = arguments.log or read_audit_section(arguments.config or DEFAULT_CONFIG, os.environ).path
    if not log.parent.is_dir():
        raise NoLog(f"there is no directory {log.parent}", hint="Name the log with --log or the configuration with -c.")
    return log, arguments.index or default_index_path(log)


def revealer(arguments: argparse.Namespace) -> Callable[[Mapping[str, object]], Mapping[str, object]]:
    """Makes encrypted texts of events readable, where the configuration has their key; else leaves them."""
    from proxy.audit.conceal import key_store_path, reveal
    from proxy.audit.text_keys import TextKeys
    from proxy.config_file import read_audit_section

    path = arguments.config or DEFAULT_CONFIG
    if arguments.config is None and not path.exists():
        return lambda event: event
    config = read_audit_section(path, os.environ)
    if config.text_key is None or not key_store_path(config).exists():
        return lambda event: event
    keys = TextKeys(key_store_path(config), config.text_key)
    return lambda event: reveal(dict(event), keys)


def bring_up_to_date(index: Path, log: Path, *, rebuild: bool = False, quiet: bool = False) -> int:
    """Update the index, with progress on a terminal; the number of problems that it knows of. Raises NoLog."""
    from admin.audit_search.indexer import update_index

    progress = _show if sys.stderr.isatty() and not quiet else None
    try:
        update = update_index(index, log, progress, rebuild=rebuild)
    finally:
        if progress is not None:
            print("\r\x1b[K", end="", file=sys.stderr)
    if update.busy:
        print("tenantgate: another process is indexing: the newest events may be missing here", file=sys.stderr)
    elif not update.files:
        raise NoLog(f"there is no audit log at {log}", hint="Name the log with --log or the configuration with -c.")
    if update.problems:
        print(
            f"tenantgate: {update.problems} line(s) are not as they were written: see tenantgate audit verify",
            file=sys.stderr,
        )
    return update.problems


def _show(done: int, total: int) -> None:
    print(f"\rindexing: {100 * done // max(total, 1)}% of {total / 1e6:,.0f} MB", end="", file=sys.stderr, flush=True)
