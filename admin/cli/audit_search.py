"""`tenantgate audit search|index`: find events in all files of an audit log by means of an index beside it."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import replace
from pathlib import Path

from admin.cli.audit_log import add_log_options, bring_up_to_date, log_and_index, revealer
from admin.cli.options import add_command

EXIT_FOUND, EXIT_NOTHING, EXIT_UNUSABLE = 0, 1, 2
_MAX_BUDGET_S = 3600.0

_SEARCH_EPILOG = """\
Newest first. All that is given must hold. The first search of a long log indexes it, which takes a minute for each
million events or so; later ones read only what is new. Each event is read back from its file and held against its hash.
exit status: 0 found, 1 nothing found (with a cursor: not yet), 2 wrong usage or unreadable

examples:
  tenantgate audit search --tenant acme --result refused --from 24h
  tenantgate audit search --relation customers --column card --user ana --json
  tenantgate audit search --text "invoice overdue*" --risk medium --limit 20
  tenantgate audit search --scope acme --cursor CURSOR     the next page, as acme's own auditor sees it
"""
_INDEX_EPILOG = """\
A search does this by itself; from cron it keeps searches quick. The index may be deleted at any time.
exit status: 0 done, 1 lines of the log are not as they were written, 2 unreadable

examples:
  tenantgate audit index -c /etc/tenantgate/tenantgate.toml
  tenantgate audit index --rebuild
"""
_FILTERS = (
    ("tenant", "T", "events of this tenant"),
    ("user", "U", "events of this user (subject)"),
    ("action", "A", "an event (login), a command (SELECT) or an action (read, ddl)"),
    ("relation", "R", "statements that name this table: orders or public.orders"),
    ("column", "C", "statements that reach this column: card or customers.card"),
    ("result", "R", "an outcome (ok, error, refused), a decision (rewritten) or an SQLSTATE"),
    ("fingerprint", "F", "statements of this shape"),
    ("session", "S", "events of one session"),
    ("text", "WORDS", "words of the statement or the reason; word* for a beginning"),
)


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `search` and `index` to `audit`."""
    search = add_command(commands, "search", "find events by tenant, user, table, result, words, …", _SEARCH_EPILOG)
    add_log_options(search)
    search.add_argument("--from", dest="since", metavar="TIME", help="not before: 2026-11-27T14:00Z, or ago: 12h, 7d")
    search.add_argument("--to", dest="until", metavar="TIME", help="before this time")
    for name, value, text in _FILTERS:
        search.add_argument(f"--{name}", default="", metavar=value, help=text)
    search.add_argument("--risk", default="", choices=("low", "medium", "high"), help="this or above")
    search.add_argument("--limit", type=int, default=50, metavar="N", help="events of a page, up to 1000 (50)")
    search.add_argument("--cursor", metavar="CURSOR", help="the page after the one that ended with this cursor")
    search.add_argument("--budget", type=_seconds, metavar="S", help="after so many seconds, what was found by then")
    search.add_argument("--scope", action="append", metavar="T", help="show what an auditor of this tenant may see")
    search.add_argument("--no-update", action="store_true", help="search what is indexed, without what is new")
    search.add_argument("--json", action="store_true", help="one JSON object: events with their places, next cursor")
    search.set_defaults(run=run_search)
    index = add_command(commands, "index", "bring the search index up to date", _INDEX_EPILOG)
    add_log_options(index)
    index.add_argument("--rebuild", action="store_true", help="begin with nothing")
    index.set_defaults(run=run_index)


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 0 <= seconds <= _MAX_BUDGET_S:  # nor is a NaN
        raise ValueError
    return seconds


def run_search(arguments: argparse.Namespace) -> int:
    """Print one page of events."""
    import sqlite3

    from admin.audit_search.query import Query, Scope, parse_time
    from admin.audit_search.search import search

    query = Query(
        since=None if arguments.since is None else parse_time(arguments.since),
        until=None if arguments.until is None else parse_time(arguments.until),
        risk=arguments.risk,
        **{name: getattr(arguments, name) for name, _, _ in _FILTERS},
    )
    log, index = log_and_index(arguments)
    try:
        if not arguments.no_update:
            bring_up_to_date(index, log, quiet=arguments.json)
        scope = Scope(None if arguments.scope is None else frozenset(arguments.scope))
        page = search(index, query, scope, limit=arguments.limit, cursor=arguments.cursor, budget_s=arguments.budget)
        show = revealer(arguments)
        page = replace(page, hits=[replace(hit, event=show(hit.event)) for hit in page.hits])
    except (OSError, sqlite3.Error) as error:
        return _unusable(index, error)
    if arguments.json:
        print(json.dumps(page.as_json()))
    else:
        _print(page)
    return EXIT_FOUND if page.hits else EXIT_NOTHING


def run_index(arguments: argparse.Namespace) -> int:
    """Index what is new, or everything."""
    import sqlite3

    log, index = log_and_index(arguments)
    try:
        problems = bring_up_to_date(index, log, rebuild=arguments.rebuild)
    except (OSError, sqlite3.Error) as error:
        return _unusable(index, error)
    return 1 if problems else 0


def _print(page: object) -> None:
    from admin.audit_search.search import Page
    from admin.cli.audit import EventPrinter

    assert isinstance(page, Page)
    show = EventPrinter(sys.stdout, tenant=None, as_json=False)
    for hit in page.hits:
        mark = "" if hit.intact else "  CHANGED since it was written:"
        print(f"{mark}{show.for_people(hit.event)}")
        print(f"    {hit.file.name} seq {hit.seq} hash {hit.hash[:16]}…  {'; '.join(hit.risk.reasons)}".rstrip())
    if page.unreadable:
        print(f"{page.unreadable} more in files that are not there any more", file=sys.stderr)
    if page.next_cursor is not None:
        if not page.hits:
            print("nothing so far, and not all was looked at", file=sys.stderr)
        print(f"more: --cursor {page.next_cursor}", file=sys.stderr)


def _unusable(index: Path, error: Exception) -> int:
    where = getattr(error, "filename", None) or index
    print(f"tenantgate: {where}: {getattr(error, 'strerror', None) or error}", file=sys.stderr)
    return EXIT_UNUSABLE
