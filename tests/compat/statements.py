"""What of the statements that tools send is refused on shared tables: `make statements`.

tests/compat/statements/ has what SQLAlchemy's and Django's ORMs sent (recorded), and what Rails, Hibernate, libraries
of Node, and BI tools send (by their source and their logs), over one shop. Each statement is prepared and, if it has no
parameters, run and rolled back: on a database that has only that tenant's tables, and through the gateway on tables
with a tenant column. Counted is what the first takes and the second does not.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pglast
import psycopg
from psycopg import pq

from tests.harness.gateway import GatewayProcess
from tests.harness.postgres import PostgresServer

DIRECTORY = Path(__file__).with_name("statements")
SCHEMA = (DIRECTORY / "schema.sql").read_text(encoding="utf-8")
TENANT = "acme"
TABLES = "\n".join(f"    {name}: {{tenant_column: tenant_id}}" for name in re.findall(r"(?<=CREATE TABLE )\w+", SCHEMA))
POLICY = f"""
tenants:
  {TENANT}: {{isolation: shared, target: main}}
roles:
  app: {{permissions: ["database:*"]}}
tables:
  main:
{TABLES}
"""
_PARAMETER = re.compile(r"\$[0-9]")
_SQLSTATE = pq.DiagnosticField.SQLSTATE
_MESSAGE = pq.DiagnosticField.MESSAGE_PRIMARY
_FAILED = (pq.ExecStatus.FATAL_ERROR, pq.ExecStatus.BAD_RESPONSE)


@dataclass(frozen=True, slots=True)
class Outcome:
    """One statement: its tool, and the error through the gateway ("" for none) of what PostgreSQL takes."""

    tool: str
    text: str
    error: str


def statements_of(tool: str) -> Iterator[str]:
    text = (DIRECTORY / f"{tool}.sql").read_text(encoding="utf-8")
    for statement in pglast.split(text):
        yield str(statement)


def tools() -> list[str]:
    return sorted(path.stem for path in DIRECTORY.glob("*.sql") if path.stem != "schema")


@contextmanager
def shop(server: PostgresServer) -> Iterator[tuple[str, str]]:
    """Connection strings of the tenant's own database and of the gateway before the shared one."""
    with ExitStack() as stack:
        names = ("orm_alone", "orm_shared")
        for name in names:
            server.create_database(name)
            stack.callback(server.drop_database, name)
        server.execute(SCHEMA.replace("tenant_id text NOT NULL, ", "").replace("(tenant_id, ", "("), names[0])
        server.execute(SCHEMA, names[1])
        server.execute("CREATE ROLE orm_app LOGIN PASSWORD 'app'")
        stack.callback(server.execute, "DROP ROLE orm_app")
        server.execute("GRANT ALL ON ALL TABLES IN SCHEMA public TO orm_app", names[1])
        server.execute("GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO orm_app", names[1])
        stack.callback(server.execute, "DROP OWNED BY orm_app", names[1])
        target: dict[str, object] = {
            "host": server.host, "port": server.port, "database": names[1],
            "user": "orm_app", "password": "app", "tls": "disable",
        }  # fmt: skip
        gateway = GatewayProcess(targets={"main": target}, policy=POLICY)
        gateway.start()
        stack.callback(gateway.stop)
        yield server.conninfo(names[0]), gateway.conninfo("ann", gateway.issuer.token("ann", TENANT, ["app"]), TENANT)


def measure(alone: str, shared: str) -> list[Outcome]:
    """The outcome of each statement that PostgreSQL takes."""
    outcomes = []
    with psycopg.connect(alone, autocommit=True) as direct, psycopg.connect(shared, autocommit=True) as gateway:
        for tool in tools():
            for text in statements_of(tool):
                if not _error(direct, text):
                    outcomes.append(Outcome(tool, text, _error(gateway, text)))
    return outcomes


def _error(connection: psycopg.Connection[Any], text: str) -> str:
    """The error of a statement, which is taken back; "" for none."""
    pgconn = connection.pgconn
    pgconn.exec_(b"BEGIN")
    result = pgconn.prepare(b"", text.encode())
    if result.status not in _FAILED and not _PARAMETER.search(text):
        result = pgconn.exec_(text.encode())
    error = ""
    if result.status in _FAILED:
        code, message = result.error_field(_SQLSTATE) or b"", result.error_field(_MESSAGE) or b""
        error = f"{code.decode()} {message.decode()}"
    elif result.status in (pq.ExecStatus.COPY_IN, pq.ExecStatus.COPY_OUT):
        _end_copy(pgconn, result.status)
    pgconn.exec_(b"ROLLBACK")
    return error


def _end_copy(pgconn: Any, status: int) -> None:
    if status == pq.ExecStatus.COPY_IN:
        pgconn.put_copy_end(None)
    else:
        while pgconn.get_copy_data(0)[0] > 0:
            pass
    while pgconn.get_result() is not None:
        pass


def share_refused(outcomes: list[Outcome]) -> float:
    return sum(bool(outcome.error) for outcome in outcomes) / len(outcomes)


def main() -> None:
    server = PostgresServer("embedded")
    server.start()
    try:
        with shop(server) as (alone, shared):
            outcomes = measure(alone, shared)
    finally:
        server.stop()
    for outcome in outcomes:
        if outcome.error:
            print(f"{outcome.tool}: {outcome.error}\n    {' '.join(outcome.text.split())[:300]}")
    for tool in tools():
        own = [outcome for outcome in outcomes if outcome.tool == tool]
        print(f"{tool}: {sum(bool(outcome.error) for outcome in own)} refused of {len(own)}")
    print(f"all: {share_refused(outcomes):.1%} refused of {len(outcomes)} that PostgreSQL takes")


if __name__ == "__main__":
    main()
