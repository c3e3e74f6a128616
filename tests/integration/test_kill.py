"""KILL in the admin database ends one session, of whichever worker, and only for who may."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest

from admin.demo.people import ALICE, BOB, OLGA, Person
from proxy.cancel import seat_of
from tests.fix_postgres import serve_postgres
from tests.harness.demo_business import DemoGateway, demo_gateway

KIM = Person("kim", "acme", ("gateway_admin",), "ends sessions")


@pytest.fixture(scope="module")
def pair() -> Iterator[DemoGateway]:
    with serve_postgres("embedded") as server:
        process = demo_gateway(server)
        process.write_config({"": {"workers": 2}})
        process.tokens["kim"] = process.token_of(KIM)
        process.start()
        yield process
        process.stop()


def command(gateway: DemoGateway, person: Person, text: str) -> tuple[str, list[dict[str, str]]]:
    """SQLSTATE or command tag, and rows."""
    with gateway.connect(person, "tenantgate", autocommit=True) as console:
        result = console.pgconn.exec_(text.encode())
        state = (result.error_field(psycopg.pq.DiagnosticField.SQLSTATE) or result.command_status or b"").decode()
        names = [(result.fname(column) or b"").decode() for column in range(result.nfields)]
        rows = [
            [(result.get_value(row, c) or b"").decode() for c in range(len(names))] for row in range(result.ntuples)
        ]
        return state, [dict(zip(names, row, strict=True)) for row in rows]


def session_named(gateway: DemoGateway, application: str) -> str:
    _, rows = command(gateway, KIM, "SHOW CLIENTS")
    (found,) = [row["session"] for row in rows if row["application_name"] == application]
    return found


def test_a_session_of_either_worker_ends_and_its_neighbour_does_not(pair: DemoGateway) -> None:
    """Some KILLs reach the session's own worker, others its neighbour: the console may be on either."""
    ended, seats = 0, set()
    with pair.connect(BOB, autocommit=True) as neighbour:
        for number in range(60):
            victim = pair.connect(ALICE, autocommit=True, application_name=f"victim-{number}")
            seats.add(seat_of(victim.info.backend_pid))
            victim.execute("BEGIN")
            assert command(pair, KIM, f"KILL {session_named(pair, f'victim-{number}')}")[0] == "KILL 1"
            with pytest.raises(psycopg.OperationalError, match="ended by an administrator"):
                victim.execute("SELECT 1")
            victim.close()
            ended += 1
            if len(seats) == 2 and ended >= 4:
                break
        assert len(seats) == 2
        assert neighbour.execute("SELECT count(*) FROM orders").fetchone() == (1500,)


def test_who_may_only_look_may_not_kill_and_a_session_that_is_not_there_is_told(pair: DemoGateway) -> None:
    with pair.connect(ALICE, autocommit=True, application_name="stays") as stays:
        name = session_named(pair, "stays")
        assert command(pair, OLGA, f"KILL {name}")[0] == "42501"
        assert command(pair, KIM, "KILL 0123456789abcdef")[0] == "42704"
        assert stays.execute("SELECT 1").fetchone() == (1,)
