"""`tenantgate prove`: random statements through the gateway and on a twin database with the tenant's rows only."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import sys
import tempfile
from collections.abc import Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Any

from admin.cli.options import add_command, add_config_option, name_and_value

if TYPE_CHECKING:
    from admin.prove.report import Report

_EPILOG = """\
Makes two scratch databases on the target's server as its superuser: a small copy of the target's database, served by a
gateway of its own with your policy, and a twin that holds only this tenant's rows. The target's database is read once
and never written; while somebody is connected to it, pg_dump copies it. Both are dropped at the end, also when it is
interrupted (SIGINT, SIGTERM): then it reports what ran.

exit status: 0 no difference, 1 a difference, 2 it cannot run, or was interrupted

examples:
  tenantgate prove --tenant acme --role app --admin-url postgresql://postgres@localhost
  tenantgate prove --tenant acme --role app --statements 100000 --seed 7 --json
  tenantgate prove --tenant acme --role app --seed 7 --case 4711          one case again
"""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `prove` to the command line."""
    parser = add_command(subparsers, "prove", "look for isolation faults with random statements", _EPILOG)
    add_config_option(parser)
    parser.add_argument("--tenant", required=True, metavar="ID", help="the tenant's id")
    parser.add_argument("--role", action="append", default=[], metavar="NAME", help="a role; may be repeated")
    parser.add_argument(
        "--attr", action="append", default=[], type=name_and_value, metavar="NAME=VALUE", help="value of :attr_NAME"
    )
    parser.add_argument(
        "--admin-url",
        metavar="URL",
        help="superuser of the target, such as postgresql://postgres@host (password: PGPASSWORD, or asked for)",
    )
    parser.add_argument("--statements", type=int, default=10_000, metavar="N", help="how many (default: 10000)")
    parser.add_argument("--seconds", type=float, metavar="T", help="stop after this time")
    parser.add_argument("--seed", type=int, default=1, metavar="S", help="same seed, same statements (default: 1)")
    parser.add_argument("--case", type=int, metavar="N", help="run this case of the seed alone")
    kinds = parser.add_mutually_exclusive_group()
    kinds.add_argument("--reads", action="store_true", help="only reads")
    kinds.add_argument("--writes", action="store_true", help="only writes")
    parser.add_argument("--second-lock", action="store_true", help="leave the second lock on, as configured")
    parser.add_argument("--no-lanes", action="store_true", help="no statement goes on a lane")
    parser.add_argument("--without-policies", action="store_true", help="prove what roles alone give")
    parser.add_argument("--findings", type=Path, default=Path(), metavar="DIR", help="where reproductions are written")
    parser.add_argument("--state", type=Path, metavar="FILE", help="keep the report there, and go on where it ends")
    parser.add_argument("--jobs", type=int, default=1, metavar="N", help="in so many processes (default: 1)")
    parser.add_argument("--part", type=_part, default=(0, 1), help=argparse.SUPPRESS)  # of a run with --jobs
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("-v", "--verbose", action="store_true", help="examples of what was refused or invalid")
    parser.set_defaults(run=run, error=parser.error)


def _part(text: str) -> tuple[int, int]:
    index, _, parts = text.partition("/")
    return int(index), int(parts)


def run(arguments: argparse.Namespace) -> int:
    """Build both sides, run, report."""
    if arguments.jobs > 1 and arguments.case is None:
        return _run_parts(arguments)
    from admin.cli.target_session import administrator_of
    from admin.demo.embedded import EmbeddedError
    from admin.prove.proof import Proof, prove
    from policy.errors import ConfigurationError
    from proxy.config_file import read_config

    reading = read_config(arguments.config, os.environ)
    if reading.config is None:
        raise ConfigurationError(reading.problems)
    proof = Proof(
        config=reading.config,
        databases=reading.databases,
        tenant=arguments.tenant,
        roles=tuple(arguments.role),
        attributes=dict(arguments.attr),
        administrator=lambda target: administrator_of(target, arguments.admin_url, os.environ),
        seed=arguments.seed,
        case=arguments.case,
        statements=arguments.statements,
        seconds=arguments.seconds,
        reads=not arguments.writes,
        writes=not arguments.reads,
        directory=arguments.findings,
        second_lock=arguments.second_lock,
        lanes=not arguments.no_lanes,
        policies=not arguments.without_policies,
        part=arguments.part,
        state=arguments.state,
    )
    try:
        report = asyncio.run(_until_told(prove(proof, lambda line: print(line, file=sys.stderr, flush=True))))
    except asyncio.CancelledError:
        print("tenantgate prove: interrupted", file=sys.stderr)
        return 2
    except (EmbeddedError, ValueError) as error:
        print(f"tenantgate prove: {error}", file=sys.stderr)
        return 2
    return _tell(report, arguments)


def _tell(report: Report, arguments: argparse.Namespace) -> int:
    if arguments.json:
        print(json.dumps(report.as_dict(), indent=2, ensure_ascii=False))
    else:
        print("\n".join(report.lines(verbose=arguments.verbose)))
    return 1 if report.differences else 2 if report.interrupted else 0


async def _until_told(work: Coroutine[Any, Any, Report]) -> Report:
    """Cancel it at the first SIGINT or SIGTERM, so that it cleans up behind itself."""
    task = asyncio.ensure_future(work)
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    return await task


def _run_parts(arguments: argparse.Namespace) -> int:
    """A process for each part, with databases of its own; their reports in one."""
    from admin.prove.parts import run_parts
    from admin.prove.report import Report

    report = Report(arguments.seed)
    with tempfile.TemporaryDirectory(prefix="tenantgate-prove-") as scratch:
        states = run_parts(
            sys.argv[1:], arguments.jobs, arguments.statements, arguments.state or Path(scratch, "state")
        )
        if states is None:
            return 2
        for state in states:
            report.load(state, json.loads(state.read_text(encoding="utf-8"))["run"])
    report.seconds /= arguments.jobs
    report.interrupted = report.statements < arguments.statements and not report.differences and not arguments.seconds
    return _tell(report, arguments)
