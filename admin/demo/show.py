"""What the demo prints: steps, rows, refusals, audit events, and the lines to paste."""

from __future__ import annotations

import datetime
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.syntax import Syntax
from rich.table import Table
from rich.text import Text

from admin.demo.home import from_here
from admin.demo.people import OLGA, PEOPLE, Person
from admin.demo.tour import Outcome, Step
from admin.demo.trail import Event

WIDTH = 110


class Show:
    """Prints to one console; on anything but a terminal in plain text of a fixed width."""

    def __init__(self) -> None:
        probe = Console()
        self.console = probe if probe.is_terminal else Console(width=WIDTH, highlight=False)

    def say(self, text: str) -> None:
        self.console.print(f"[dim]·[/dim] {text}", highlight=False)

    def step(self, step: Step, outcomes: Sequence[Outcome], wrong: str | None) -> None:
        self.title(step.title, step.said)
        if len({outcome.statement for outcome in outcomes}) == 1 and len(outcomes) > 1:
            self._same_statement(outcomes)
        else:
            for outcome in outcomes:
                self._one(outcome)
        self.verdict(step.name, wrong)

    def title(self, title: str, said: str) -> None:
        self.console.print()
        self.console.rule(f"[bold]{title}[/bold]", align="left")
        self.console.print(said, style="dim", highlight=False)

    def verdict(self, name: str, wrong: str | None) -> None:
        if wrong is None:
            self.console.print(f"[green]✓[/green] [dim]{name}[/dim]", highlight=False)
        else:
            line = Text.assemble(("✗ ", "bold red"), (f"{name}: ", "bold red"), wrong)
            self.console.print(line)

    def events(self, events: Sequence[Event]) -> None:
        """Print the statements; logins and logouts are counted only."""
        table = _table("seq", "who", "tenant", "decision", "outcome", "rows", "µs", "statement")
        statements = [event for event in events if event["event"] == "statement"]
        for event in statements:
            statement = " ".join(str(event["statement"]).split())
            table.add_row(
                *(str(event[key]) for key in ("seq", "subject", "tenant", "decision", "outcome")),
                str(event["rows"]),
                str(event["duration_us"]),
                statement if len(statement) <= 40 else statement[:39] + "…",
                style=None if event["outcome"] == "ok" else "yellow",
            )
        self.console.print(table)
        self.say(f"and {len(events) - len(statements)} logins and logouts")

    def exchange(self, person: Person, request: str, body: Any, status: int, told: str) -> None:
        """A request to the admin API and its answer."""
        line = Text.assemble((f"{person.name}> ", "bold"), request)
        self.console.print(line)
        if body is not None:
            self.console.print(Text(" " * (len(person.name) + 2) + json.dumps(body), "dim"))
        style = "green" if status < 400 else "yellow"
        self.console.print(Text.assemble((str(status), style), "  " + told))

    def ready(self, port: int, admin_port: int, api_port: int, tokens: Mapping[str, str], directory: Path) -> None:
        self.title("Now it is yours", "The password is the JWT. Each block is one line to paste into a shell.")
        for person in PEOPLE:
            self.console.print(f"\n[bold]{person.name}[/bold]: {person.about}", highlight=False)
            # Not through the console's wrapping: the line must be pasteable.
            print(psql_line(person, port, tokens[person.name]))
        home, command = from_here(directory), _own_command()
        print()
        print(f"metrics  http://127.0.0.1:{admin_port}/metrics     log {home}/gateway.log")
        print(f"admin    export OTTO=$(cat {home}/tokens/otto.jwt) AMY=$(cat {home}/tokens/amy.jwt)")
        print(f"         {curl_line(home, api_port)}")
        print(f"audit    {command} audit tail -f {home}/audit/audit.jsonl")
        print(f"         {command} audit verify --public-key {home}/keys/seal.key.pub {home}/audit/audit.jsonl")
        print(
            f'explain  {command} explain -c {home}/tenantgate.toml --tenant acme --user ana --role analyst "SELECT …"'
        )
        self.console.print("\n[bold]Ctrl-C stops all of it.[/bold]")

    def _same_statement(self, outcomes: Sequence[Outcome]) -> None:
        self._statement(outcomes[0].statement)
        table = _table("who", "tenant", *(next((o.columns for o in outcomes if o.columns), ("answer",))))
        for outcome in outcomes:
            cells = [str(_plain(value)) for row in outcome.rows for value in row] or [outcome.error]
            table.add_row(outcome.person.name, outcome.person.tenant, *cells)
        self.console.print(table)

    def _one(self, outcome: Outcome) -> None:
        if outcome.statement:
            self._statement(outcome.statement, outcome.person)
        if outcome.error:
            state = f" ({outcome.sqlstate})" if len(outcome.sqlstate) == 5 else ""
            self.console.print(Text.assemble(("ERROR  ", "red"), outcome.error, (state, "dim")))
            if outcome.hint:
                self.console.print(Text.assemble(("HINT   ", "cyan"), outcome.hint))
        elif outcome.columns:
            table = _table(*outcome.columns)
            for row in outcome.rows:
                table.add_row(*(str(_plain(value)) for value in row))
            self.console.print(table if outcome.rows else Text("(no rows)", "dim"))
        else:
            self.console.print(Text(outcome.tag, "dim"))

    def _statement(self, statement: str, person: Person | None = None) -> None:
        prompt = "" if person is None else f"{person.name}@{person.tenant}=> "
        code = self._highlighted(statement.replace("\n", "\n" + " " * len(prompt)) + ";")
        self.console.print(Text.assemble((prompt, "bold")).append_text(code))

    def _highlighted(self, statement: str) -> Text:
        code = Syntax("", "sql", theme="ansi_dark", background_color="default").highlight(statement)
        code.rstrip()
        return code


def psql_line(person: Person, port: int, token: str) -> str:
    """Return the shell line that logs one person in; the operator goes to the admin console."""
    database = "tenantgate" if person is OLGA else person.tenant
    question = " -c 'SHOW POOLS'" if person is OLGA else ""
    return (
        f"PGPASSWORD={token} psql "
        f'"host=localhost port={port} user={person.name} dbname={database} sslmode=require"{question}'
    )


def curl_line(home: Path, port: int) -> str:
    """The shell line that lists the tenants through the admin API."""
    return f'curl --cacert {home}/keys/server.crt -H "Authorization: Bearer $OTTO" https://localhost:{port}/v1/tenants'


def _own_command() -> str:
    """How this program was called, if it can be called so again."""
    called = Path(sys.argv[0])
    return str(from_here(called)) if called.name == "tenantgate" else "tenantgate"


def _table(*columns: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for column in columns:
        numeric = column in {"rows", "µs", "seq", "orders", "buyers", "turnover", "count", "notes", "found"}
        table.add_column(column, justify="right" if numeric else "left", no_wrap=column != "statement")
    return table


def _plain(value: object) -> object:
    return value.strftime("%Y-%m-%d %H:%M") if isinstance(value, datetime.datetime) else value
