"""`tenantgate audit watch`: rules on the stream of audit events, in a process of its own."""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from admin.cli.audit_forward import parse_address
from admin.cli.options import DEFAULT_CONFIG, add_command

if TYPE_CHECKING:
    from admin.watching.watcher import Watcher
    from proxy.observe.health import Answer

_EPILOG = """\
Follows the log by the rules of [audit.watch]: refused logins and statements in a row, reads of personal data above a
user's habit, access outside of hours, first use of a table, canaries, and statements unlike a user's others. What it
finds goes to alerts.jsonl beside the log, which `audit forward` takes to the sinks, and to /metrics.
Runs until SIGTERM or Ctrl-C; a restart goes on where it was. docs/audit-watch.md has the rules.
exit status: 0 stopped as told (--once: no alert), 1 --once: alerts, 2 wrong usage or unusable

examples:
  tenantgate audit watch -c /etc/tenantgate/tenantgate.toml --metrics 127.0.0.1:9634
  tenantgate audit watch --once
"""


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `watch` to `audit`."""
    parser = add_command(commands, "watch", "raise alerts by rules on the stream of events", _EPILOG)
    parser.add_argument("-c", "--config", type=Path, default=DEFAULT_CONFIG, metavar="FILE", help="with [audit.watch]")
    parser.add_argument("--once", action="store_true", help="look at what is there and end")
    parser.add_argument("--metrics", type=parse_address, metavar="HOST:PORT", help="serve /metrics there")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Watch."""
    from proxy.config import LogConfig
    from proxy.config_file import read_audit_section
    from proxy.observe.logs import configure_logging

    config = read_audit_section(arguments.config, os.environ)
    if not config.watch.enabled:
        print(f"tenantgate: {arguments.config} has no [audit.watch]", file=sys.stderr)
        return 2
    configure_logging(LogConfig(level="warning"))
    from admin.watching.watcher import Watcher

    async def watch() -> int:
        watcher = Watcher(config)
        watcher.open()
        try:
            if not arguments.once:
                return await _serve(watcher, arguments.metrics)
            while watcher.step():
                pass
            print(f"{watcher.events} events, {watcher.told.total()} alert(s)")
            return 1 if watcher.told else 0
        finally:
            await watcher.close()

    try:
        return asyncio.run(watch())
    except OSError as error:
        print(f"tenantgate: {error.filename or ''}: {error.strerror or error}", file=sys.stderr)
        return 2


async def _serve(watcher: Watcher, address: tuple[str, int] | None) -> int:
    from proxy.observe.http import serve_http

    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    server = None if address is None else await serve_http(*address, {"/metrics": lambda: _metrics(watcher)})
    try:
        await watcher.run(stop)
    finally:
        if server is not None:
            server.close()
    return 0


async def _metrics(watcher: Watcher) -> Answer:
    lines = ["# HELP tenantgate_audit_watch_events_total Events looked at.",
             "# TYPE tenantgate_audit_watch_events_total counter",
             f"tenantgate_audit_watch_events_total {watcher.events}",
             "# HELP tenantgate_audit_alerts_total Alerts, by rule.",
             "# TYPE tenantgate_audit_alerts_total counter"]  # fmt: skip
    lines += [f'tenantgate_audit_alerts_total{{rule="{rule}"}} {count}' for rule, count in sorted(watcher.told.items())]
    return 200, "text/plain; version=0.0.4; charset=utf-8", ("\n".join(lines) + "\n").encode()
