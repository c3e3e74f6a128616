"""Quotas as clients meet them: per period, of one result, soft ones, SHOW QUOTA; over every path of the protocol."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest

from admin.demo.people import OLGA
from tests.harness.demo_business import DemoGateway
from tests.harness.lanes import metrics_of, until_on_a_lane
from tests.harness.metered import MeteredGateway

ROWS = "SELECT generate_series(1, {})"
MONTH = {"limit": 1000, "per": "month"}
QUOTAS: dict[str, dict[str, Any]] = {
    **{f"rows{number}": {"rows": MONTH} for number in range(8)},
    "soft": {"rows": MONTH, "result_rows": 10, "soft": ["rows", "result_rows", "connections"], "connections": 1},
    "size": {"bytes": {"limit": "10kB", "per": "month"}},
    "time": {"backend_seconds": {"limit": "400ms", "per": "month"}},
    "result": {"result_rows": 100},
    "large": {"result_bytes": "20kB"},
    "lanes": {"rows": {"limit": 1000000, "per": "month"}, "result_rows": 3000},
    "users": {"users": 2},
    "unlimited": {},
}


@pytest.fixture(scope="module")
def metered(gateway: DemoGateway) -> Iterator[MeteredGateway]:
    process = MeteredGateway(gateway, QUOTAS)
    process.start()
    yield process
    process.stop()


def notices(session: psycopg.Connection[Any]) -> list[str]:
    """What it was told since it was asked last."""
    told: list[str] = session.notices  # type: ignore[attr-defined]
    taken = told.copy()
    told.clear()
    return taken


def events_of(
    metered: MeteredGateway, wanted: Callable[[dict[str, Any]], bool], least: int = 1
) -> list[dict[str, Any]]:
    """Of the audit log, as soon as there are so many."""
    deadline = time.monotonic() + 20
    while len(found := [event for event in metered.audit_events() if wanted(event)]) < least:
        assert time.monotonic() < deadline, found
        time.sleep(0.02)
    return found


def shown(session: psycopg.Connection[Any], quota: str) -> tuple[float, float]:
    """Limit and use, by SHOW QUOTA."""
    rows = session.execute("SHOW QUOTA").fetchall()
    (found,) = [row for row in rows if row[0] == quota]
    return float(found[1]), float(found[2])


class TestPerPeriod:
    def test_at_80_percent_each_session_is_told_once_and_at_100_refused(self, metered: MeteredGateway) -> None:
        with metered.session("rows0") as one, metered.session("rows0") as other:
            one.execute(ROWS.format(700))
            assert notices(one) == []
            one.execute(ROWS.format("%s"), (110,))
            (told,) = notices(one)
            assert re.fullmatch(r"quota rows per month: 810 of 1000 used \(81 %\), resets at \d{4}-.* UTC", told)
            other.execute("SELECT 1")
            assert len(notices(other)) == 1
            one.execute("SELECT 1")
            other.execute("SELECT 1")
            assert notices(one) == notices(other) == []
            assert shown(one, "rows per month") == (1000, 813)
            with pytest.raises(psycopg.errors.ConfigurationLimitExceeded, match="quota rows of tenant") as cut:
                one.execute(ROWS.format(200))  # of which it gets what is left, and no more
            assert cut.value.diag.message_hint is not None
            assert "resets at" in cut.value.diag.message_hint
            assert shown(other, "rows per month") == (1000, 1000)
            with pytest.raises(psycopg.errors.ConfigurationLimitExceeded):
                other.execute("SELECT 1")

    def test_a_transaction_can_be_ended_when_nothing_is_left(self, metered: MeteredGateway) -> None:
        with metered.session("rows1") as session:
            session.execute("BEGIN")
            session.execute(ROWS.format(1000))
            session.execute("COMMIT")
            session.execute("BEGIN")
            with pytest.raises(psycopg.errors.ConfigurationLimitExceeded):
                session.execute("SELECT 1")
            assert session.info.transaction_status.name == "INERROR"
            session.execute("ROLLBACK")
            assert session.info.transaction_status.name == "IDLE"

    def test_written_rows_and_copied_rows_count(self, metered: MeteredGateway) -> None:
        with metered.session("rows2") as session:
            session.execute("CREATE TEMP TABLE scratch (n int)")
            session.execute("INSERT INTO scratch SELECT generate_series(1, 400)")
            assert shown(session, "rows per month")[1] == 400
            with session.cursor().copy("COPY scratch FROM STDIN") as copy:
                copy.write("\n".join(map(str, range(410))) + "\n")
            assert shown(session, "rows per month")[1] == 810
            assert len(notices(session)) == 1  # of the COPY, after its end
            with session.cursor().copy("COPY scratch TO STDOUT") as copy, pytest.raises(psycopg.Error) as cut:
                assert len(list(copy.rows())) == 190
            assert cut.value.sqlstate == "53400"
            with pytest.raises(psycopg.errors.ConfigurationLimitExceeded):
                session.execute("DELETE FROM scratch")

    def test_bytes(self, metered: MeteredGateway) -> None:
        with metered.session("size") as session:
            session.execute("SELECT repeat('x', 9000)")
            assert len(notices(session)) == 1
            with pytest.raises(psycopg.errors.ConfigurationLimitExceeded, match="quota bytes"):
                session.execute("SELECT repeat('x', 9000)")
            assert shown(session, "bytes per month")[1] < 10 * 1024

    def test_time_of_backends(self, metered: MeteredGateway) -> None:
        with metered.session("time") as session:
            session.execute("SELECT pg_sleep(0.5)")
            limit, used = shown(session, "backend_seconds per month")
            assert (limit, used >= 0.5) == (0.4, True)
            with pytest.raises(psycopg.errors.ConfigurationLimitExceeded, match="backend_seconds"):
                session.execute("SELECT 1")

    def test_time_between_statements_of_a_transaction_does_not_count(self, metered: MeteredGateway) -> None:
        with metered.session("rows3") as session, session.pipeline():
            for _ in range(20):
                session.execute("SELECT 1")
        with metered.session("rows3") as session:
            assert shown(session, "rows per month")[1] == 20

    def test_who_wants_no_notices_gets_none(self, metered: MeteredGateway) -> None:
        with metered.session("rows4") as session:
            session.execute("SET client_min_messages TO warning")
            session.execute(ROWS.format(900))
            assert notices(session) == []

    def test_soft_ones_tell_and_let_go_on(self, metered: MeteredGateway) -> None:
        with metered.session("soft") as session, metered.session("soft") as second:
            session.execute(ROWS.format(1500))
            assert session.execute(ROWS.format(20)).rowcount == 20
            told = " ".join(notices(session))
            assert "rows per month: 1500 of 1000 used (150 %)" in told
            assert "result_rows: a result had 1500 (limit 10)" in told
            assert "connections: 2 of 1 used" in told
            modes = {row[0]: row[5] for row in second.execute("SHOW QUOTA")}
            assert modes == {"connections": "soft", "rows per month": "soft", "result_rows": "soft"}
        events = events_of(metered, lambda e: e["event"] == "quota" and e["tenant"] == "soft", least=3)
        assert {e["reason"].split(":")[0] for e in events} == {
            "quota rows per month", "quota result_rows", "quota connections",
        }  # fmt: skip

    def test_on_a_lane(self, metered: MeteredGateway) -> None:
        """Counted and, when it is too large, refused as anywhere."""
        query = "SELECT id FROM orders UNION ALL SELECT generate_series(1, %s)"
        with metered.session("lanes") as session:
            session.prepare_threshold = 0
            until_on_a_lane(metered, lambda: session.execute(query, (200,)))
            before = shown(session, "rows per month")[1]
            until_on_a_lane(metered, lambda: session.execute(query, (300,)))
            assert shown(session, "rows per month")[1] >= before + 300
            for _ in range(3):
                with pytest.raises(psycopg.errors.ProgramLimitExceeded):
                    session.execute(query, (3001,))
                with pytest.raises(psycopg.errors.ProgramLimitExceeded):
                    session.execute(query, (100_000,))
                assert session.execute(query, (3000,)).rowcount == 3000


class TestResultSize:
    def test_simple_extended_and_pipelined(self, metered: MeteredGateway) -> None:
        with metered.session("result") as session:
            assert session.execute(ROWS.format(100)).rowcount == 100
            for many in (101, 1_000_000):
                for query, values in ((ROWS.format(many), None), (ROWS.format("%s"), (many,))):
                    with pytest.raises(psycopg.errors.ProgramLimitExceeded, match="larger than 100 rows"):
                        session.execute(query, values)
                    assert session.execute("SELECT 7").fetchone() == (7,)

    @pytest.mark.parametrize("many", [101, 300_000])
    def test_its_transaction_has_failed_however_far_the_target_was(self, metered: MeteredGateway, many: int) -> None:
        with metered.session("result") as session:
            session.execute("CREATE TEMP TABLE scratch (n int)")
            for values in (None, (many,)):
                session.execute("BEGIN")
                session.execute("INSERT INTO scratch VALUES (1)")
                with pytest.raises(psycopg.errors.ProgramLimitExceeded):
                    session.execute(ROWS.format(many if values is None else "%s"), values)
                assert session.info.transaction_status == psycopg.pq.TransactionStatus.INERROR
                with pytest.raises(psycopg.errors.InFailedSqlTransaction):
                    session.execute("SELECT 1")
                session.execute("COMMIT")
            assert session.execute("SELECT count(*) FROM scratch").fetchone() == (0,)

    def test_what_was_written_in_spite_of_it_ends_the_session(self, metered: MeteredGateway) -> None:
        """Nobody is told that a statement failed which did not, and goes on."""
        with metered.session("result") as session:
            session.execute("CREATE TEMP TABLE scratch (n int)")
            with pytest.raises(psycopg.errors.ProgramLimitExceeded) as cut:
                session.execute("INSERT INTO scratch SELECT generate_series(1, 101) RETURNING n")
            if cut.value.diag.severity_nonlocalized == "FATAL":
                assert "may have taken effect" in (cut.value.diag.message_detail or "")
            else:  # the target was told in time
                assert session.execute("SELECT count(*) FROM scratch").fetchone() == (0,)

    def test_cursors_are_fetched_in_parts(self, metered: MeteredGateway) -> None:
        with metered.session("result") as session, session.transaction():
            session.execute("DECLARE many CURSOR FOR SELECT generate_series(1, 1000)")
            for _ in range(3):
                assert session.execute("FETCH 100 FROM many").rowcount == 100
            with pytest.raises(psycopg.errors.ProgramLimitExceeded), session.transaction():
                session.execute("FETCH 101 FROM many")

    @pytest.mark.parametrize("many", [101, 500_000])
    def test_copy_to(self, metered: MeteredGateway, many: int) -> None:
        with metered.session("result") as session:
            text = f"COPY ({ROWS.format(many)}) TO STDOUT"
            with session.cursor().copy(text) as copy, pytest.raises(psycopg.errors.ProgramLimitExceeded):
                list(copy.rows())
            with session.cursor().copy(f"COPY ({ROWS.format(100)}) TO STDOUT") as copy:
                assert len(list(copy.rows())) == 100

    def test_bytes_and_rows_longer_than_what_is_read_at_once(self, metered: MeteredGateway) -> None:
        with metered.session("large") as session:
            assert session.execute("SELECT repeat('x', 19000)").rowcount == 1
            for size in (21_000, 5_000_000):
                with pytest.raises(psycopg.errors.ProgramLimitExceeded, match="larger than 20480 bytes"):
                    session.execute("SELECT repeat('x', %s) FROM generate_series(1, 5)", (size,))
            with pytest.raises(psycopg.errors.ProgramLimitExceeded):
                session.execute("SELECT repeat('x', 15000) FROM generate_series(1, 500)")
            assert session.execute("SELECT 7").fetchone() == (7,)

    def test_audit_has_what_was_shown(self, metered: MeteredGateway) -> None:
        with metered.session("result", application_name="cut short") as session, pytest.raises(psycopg.Error):
            session.execute(ROWS.format(5000))
        (event,) = events_of(metered, lambda e: e.get("application") == "cut short" and e["event"] == "statement")
        assert (event["outcome"], event["sqlstate"], event["rows"]) == ("refused", "54000", 100)


class TestShown:
    def test_in_every_way_to_ask(self, metered: MeteredGateway) -> None:
        with metered.session("rows5") as session:
            used = []
            for prepare in (False, True, True, True):
                used += [shown(session, "rows per month")[1]]
                rows = session.execute("show Quota", prepare=prepare).fetchall()
                assert [(row[0], int(row[2])) for row in rows] == [("rows per month", int(used[-1]))]
                session.execute(ROWS.format(10))
            assert used == [0, 10, 20, 30]
            result = session.pgconn.exec_(b"SELECT 1; SHOW QUOTA")
            assert [result.fname(n) for n in range(result.nfields)] == [
                b"quota", b"limit", b"used", b"percent", b"resets_at", b"mode",
            ]  # fmt: skip
            with session.cursor(binary=True) as cursor:
                assert cursor.execute("SHOW QUOTA").fetchall()[0][0] == "rows per month"
            session.execute("BEGIN")
            with pytest.raises(psycopg.Error):
                session.execute("SELECT nothing")
            with pytest.raises(psycopg.errors.InFailedSqlTransaction):
                session.execute("SHOW QUOTA")

    def test_a_tenant_without_quotas_sees_no_rows(self, metered: MeteredGateway) -> None:
        with metered.session("unlimited") as session:
            assert session.execute("SHOW QUOTA").fetchall() == []

    def test_the_admin_database_shows_all(self, metered: MeteredGateway) -> None:
        with metered.session("rows7") as session:
            session.execute(ROWS.format(7))
            with metered.connect(OLGA, "tenantgate", autocommit=True) as console:
                rows = console.pgconn.exec_(b"SHOW QUOTAS")
                found = [[rows.get_value(row, column) for column in range(rows.nfields)] for row in range(rows.ntuples)]
        assert [b"rows7", b"rows per month", b"1000", b"7", b"0.7"] in [row[:5] for row in found]


def test_users_are_subjects_with_sessions(metered: MeteredGateway) -> None:
    with metered.session("users", "ann") as ann, metered.session("users", "ann"), metered.session("users", "ben"):
        with pytest.raises(psycopg.OperationalError, match='too many users of tenant "users" at a time'):
            metered.session("users", "cleo")
        assert shown(ann, "users") == (2, 2)
    with metered.session("users", "cleo") as cleo:
        assert shown(cleo, "users") == (2, 1)


def test_metrics_and_audit_say_who_reached_what(metered: MeteredGateway) -> None:
    with metered.session("rows6", application_name="reaches") as session:
        session.execute(ROWS.format(850))
    assert 'tenantgate_quota_reached_total{percent="80",quota="rows",tenant="rows6"} 1.0' in metrics_of(metered)
    events = events_of(metered, lambda e: e["event"] == "quota" and e["tenant"] == "rows6")
    assert len(events) == 1
    assert events[0]["reason"].startswith("quota rows per month: 85")
