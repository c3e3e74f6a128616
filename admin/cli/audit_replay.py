"""`tenantgate audit replay SESSION`: a session as it happened, from the audit log."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, TextIO

from admin.cli.audit_log import add_log_options, bring_up_to_date, log_and_index, revealer
from admin.cli.options import add_command

if TYPE_CHECKING:
    from admin.audit_search.replay import Step

_EPILOG = """\
Shows who logged in from where, each statement with its outcome and the time since the session began, and where
transactions begin and end. Nothing is run. `audit search` shows the sessions' ids (--json: event.session).
exit status: 0 shown, 1 no such session, 2 wrong usage or unreadable

examples:
  tenantgate audit replay 4f2a9c1e77b04d35
  tenantgate audit replay 4f2a9c1e77b04d35 --json | jq 'select(.transaction == 2)'
"""
_CONTROLS = {code: f"\\x{code:02x}" for code in (*range(0x20), *range(0x7F, 0xA0))}


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `replay` to `audit`."""
    parser = add_command(commands, "replay", "show a session as it happened", _EPILOG)
    parser.add_argument("session", metavar="SESSION", help="the session's id")
    add_log_options(parser)
    parser.add_argument("--scope", action="append", metavar="T", help="only what an auditor of this tenant may see")
    parser.add_argument("--json", action="store_true", help="one JSON object for each step")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print the steps."""
    import sqlite3

    from admin.audit_search.query import Scope
    from admin.audit_search.replay import replay
    from admin.audit_search.search import session_events

    log, index = log_and_index(arguments)
    scope = Scope(None if arguments.scope is None else frozenset(arguments.scope))
    try:
        bring_up_to_date(index, log, quiet=arguments.json)
        show = revealer(arguments)
        hits = (replace(hit, event=show(hit.event)) for hit in session_events(index, arguments.session, scope))
        steps = list(replay(hits))
    except (OSError, sqlite3.Error) as error:
        print(f"tenantgate: {getattr(error, 'filename', None) or index}: {error}", file=sys.stderr)
        return 2
    if not steps:
        print(f"tenantgate: there is no session {arguments.session!r} in the log", file=sys.stderr)
        return 1
    if arguments.json:
        for step in steps:
            print(json.dumps(step.as_json()))
    else:
        print_steps(steps, sys.stdout)
    return 0


def print_steps(steps: Iterable[Step], out: TextIO) -> None:
    """For people: one line a step, transactions drawn at the left."""
    for step in steps:
        border = "┌" if step.begins else "└" if step.ends else "│" if step.transaction else " "
        print(f"{step.after_s:11.3f} s {border} {_words(step).translate(_CONTROLS)}", file=out)


def _words(step: Step) -> str:
    event = step.hit.event
    outcome = str(event.get("outcome") or "")
    changed = "" if step.hit.intact else "CHANGED since it was written: "
    if event.get("event") != "statement":
        who = f"{event.get('subject')}@{event.get('tenant')} from {event.get('client')}"
        return f"{changed}{event.get('event')} {outcome} {who} {event.get('reason') or ''}".rstrip()
    text = " ".join(str(event.get("statement") or "").split())
    return f"{changed}{text}  → {outcome}{_result(event)}"


def _result(event: Mapping[str, object]) -> str:
    if event.get("outcome") in ("ok", "skipped"):
        spent = event.get("duration_us")
        return f", {event.get('rows')} row(s)" + (f", {spent / 1000:.1f} ms" if isinstance(spent, int) else "")
    reason = event.get("reason")
    return f" {event.get('sqlstate') or ''}{f' ({reason})' if reason else ''}"
