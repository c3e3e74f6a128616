"""`tenantgate audit forward`: take the audit log to other sinks, in a process of its own (decision 42)."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from admin.cli.options import DEFAULT_CONFIG, add_command
from policy.errors import TenantGateError

if TYPE_CHECKING:
    from proxy.audit.forward.forwarder import Forwarder, SinkStatus
    from proxy.audit.sinks.sink import Sink
    from proxy.config import AuditConfig
    from proxy.config_sinks import SinkConfig
    from proxy.observe.health import Answer

_EPILOG = """\
Reads the log's files and remembers, per sink, up to where it has them: a sink or this command may be down for as long
as the files are there, and nothing is lost. What is not known to have arrived is sent again, with the same id.
Runs until SIGTERM or Ctrl-C. docs/audit-sinks.md has the sinks and their settings.
exit status: 0 stopped as told (--once: all arrived), 1 --once: not all arrived, 2 wrong usage or unusable

examples:
  tenantgate audit forward -c /etc/tenantgate/tenantgate.toml --metrics 127.0.0.1:9633
  tenantgate audit forward --once --sink siem            from cron
  tenantgate audit forward --status                      what each sink has, and what it does not
"""


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `forward` to `audit`."""
    parser = add_command(commands, "forward", "take the log to syslog, Elasticsearch, Kafka, …", _EPILOG)
    parser.add_argument(
        "-c", "--config", type=Path, default=DEFAULT_CONFIG, metavar="FILE", help="configuration with [audit.sinks.…]"
    )
    parser.add_argument("--sink", action="append", metavar="NAME", help="this sink only; may be given again")
    parser.add_argument("--once", action="store_true", help="forward what is there and end")
    parser.add_argument("--status", action="store_true", help="print up to where the sinks are, as JSON, and end")
    parser.add_argument("--metrics", type=parse_address, metavar="HOST:PORT", help="serve /metrics there")
    parser.set_defaults(run=run)


def parse_address(text: str) -> tuple[str, int]:
    """HOST:PORT, for argparse."""
    host, _, port = text.rpartition(":")
    if not host or not port.isascii() or not port.isdigit() or int(port) > 65_535:
        raise argparse.ArgumentTypeError("HOST:PORT, for example 127.0.0.1:9633")
    return host.strip("[]"), int(port)


def run(arguments: argparse.Namespace) -> int:
    """Forward, or tell how far it is."""
    from proxy.config import LogConfig
    from proxy.config_file import read_audit_section
    from proxy.observe.logs import configure_logging

    config = read_audit_section(arguments.config, os.environ)
    chosen = [sink for sink in config.sinks if not arguments.sink or sink.name in arguments.sink]
    unknown = set(arguments.sink or ()) - {sink.name for sink in chosen}
    if unknown or not chosen:
        what = f"no sink {', '.join(sorted(unknown))}" if unknown else "no sink"
        print(f"tenantgate: there is {what} in {arguments.config}: add [audit.sinks.NAME]", file=sys.stderr)
        return 2
    if arguments.status:
        return _print_status(config, chosen)
    configure_logging(LogConfig(level="warning"))
    try:
        return asyncio.run(_forward(config, chosen, arguments))
    except OSError as error:
        print(f"tenantgate: {error.filename or ''} {error.strerror or error}", file=sys.stderr)
        return 2


def _print_status(config: AuditConfig, chosen: list[SinkConfig]) -> int:
    from proxy.audit.forward.forwarder import state_directory
    from proxy.audit.forward.log_reader import LogReader
    from proxy.audit.forward.positions import read_positions

    for sink in chosen:
        positions = read_positions(state_directory(config.path) / f"{sink.name}.json")
        chains = {chain: {"seq": each.seq, "hash": each.hash} for chain, each in positions.items()}
        behind = LogReader(config.path).behind_bytes(positions)
        print(json.dumps({"sink": sink.name, "type": sink.kind, "behind_bytes": behind, "chains": chains}))
    return 0


async def _forward(config: AuditConfig, chosen: list[SinkConfig], arguments: argparse.Namespace) -> int:
    from proxy.audit.forward.forwarder import Forwarder

    forwarders = [Forwarder(sink, _make(sink), config.path) for sink in chosen]
    if config.watch.enabled:
        alerts = [replace(sink, name=f"{sink.name}-alerts") for sink in chosen]
        forwarders += [Forwarder(sink, _make(sink), config.path.with_name("alerts.jsonl")) for sink in alerts]
    if arguments.once:
        arrived = await asyncio.gather(*(each.run_once() for each in forwarders))
        for each in forwarders:
            if each.status.last_error:
                print(f"tenantgate: {each.status.name}: {each.status.last_error}", file=sys.stderr)
        return 0 if all(arrived) else 1
    await _serve(forwarders, arguments.metrics)
    return 0


async def _serve(forwarders: list[Forwarder], address: tuple[str, int] | None) -> None:
    from proxy.observe.http import serve_http

    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    statuses = [each.status for each in forwarders]
    server = None
    if address is not None:
        server = await serve_http(*address, {"/metrics": lambda: _metrics(statuses)})
        host, port = server.sockets[0].getsockname()[:2]
        print(f"metrics on http://{f'[{host}]' if ':' in host else host}:{port}/metrics", file=sys.stderr, flush=True)
    try:
        async with asyncio.TaskGroup() as tasks:
            for each in forwarders:
                tasks.create_task(each.run(stop))
    except BaseExceptionGroup as group:
        for error in group.exceptions:
            if isinstance(error, TenantGateError):
                raise error from None
        raise
    finally:
        if server is not None:
            server.close()


async def _metrics(statuses: list[SinkStatus]) -> Answer:
    from proxy.audit.forward.metrics import CONTENT_TYPE, render

    return 200, CONTENT_TYPE, render(statuses).encode()


def _make(config: SinkConfig) -> Sink:
    from proxy.audit.sinks.factory import make_sink
    from proxy.audit.sinks.sink import SinkUnusable

    if config.kind != "table":
        return make_sink(config)
    try:
        from admin.audit_sinks.table import TableSink
    except ImportError as error:
        hint = "Install it: pip install 'tenantgate[admin]'"
        raise SinkUnusable(f"sink {config.name} needs SQLAlchemy", hint=hint) from error
    return TableSink(config)
