"""Limits of rows and bytes, however a result is fetched."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest
from psycopg.pq import DiagnosticField, ExecStatus

from tests.integration.abac.stage import People

Connection = psycopg.Connection[tuple[Any, ...]]
_ALL = "SELECT id FROM customers ORDER BY id"


def _notices(session: Connection) -> list[str]:
    found: list[str] = []
    session.add_notice_handler(lambda notice: found.append(notice.message_primary or ""))
    return found


def _copy(session: Connection, parts: list[int]) -> None:
    with session.cursor().copy("COPY wide TO STDOUT") as copy:
        parts.extend(len(part) for part in copy)


def test_rows_are_cut_at_the_limit_however_they_are_fetched(people: People) -> None:
    with people.connect(application="limited", autocommit=False) as session:
        told = _notices(session)
        expected = [(1,), (2,), (3,)]
        assert session.execute(_ALL).fetchall() == expected
        assert told == ["the result was cut at 3 rows by policy few"]
        for _ in range(8):  # as a statement that is prepared, and shared
            assert session.execute(_ALL, prepare=True).fetchall() == expected
            assert session.execute("SELECT id FROM customers WHERE id > 0 ORDER BY id").fetchall() == expected
        assert session.execute("SELECT id FROM customers WHERE id > %s ORDER BY id", (5,)).fetchall() == [
            (6,), (7,), (8,),
        ]  # fmt: skip
        with session.cursor(name="c") as cursor:
            cursor.itersize = 2
            cursor.execute(_ALL)
            assert list(cursor) == expected
        session.execute(f"DECLARE d CURSOR FOR {_ALL}")
        assert session.execute("FETCH 2 FROM d").fetchall() == expected[:2]
        assert session.execute("FETCH ALL FROM d").fetchall() == expected[2:]
        session.execute(f"PREPARE p AS {_ALL}")
        assert session.execute("EXECUTE p").fetchall() == expected
        for sql in ("COPY customers (id) TO STDOUT", f"COPY ({_ALL}) TO STDOUT", f"COPY (({_ALL})) TO STDOUT"):
            with session.cursor().copy(sql) as copy:
                assert b"".join(map(bytes, copy)).count(b"\n") == 3
        assert session.execute("SELECT count(*) FROM customers").fetchone() == (20,)
        assert (
            session.execute(f"({_ALL} LIMIT 1) UNION ALL SELECT 7 UNION ALL SELECT 8 UNION ALL SELECT 9").rowcount == 3
        )
        assert session.execute("VALUES (1), (2), (3), (4)").rowcount == 4  # of no limited table
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="cannot be counted"):
            session.execute("UPDATE customers SET id = id WHERE id < 3 RETURNING id")


def test_few_rows_are_not_cut_and_nobody_is_warned(people: People) -> None:
    with people.connect(application="limited") as session:
        told = _notices(session)
        assert session.execute("SELECT id FROM customers WHERE id < 3").rowcount == 2
        assert session.execute("SELECT id AS a, id AS a FROM customers WHERE id = 1 FOR UPDATE").fetchall() == [(1, 1)]
        assert told == []
    with people.connect() as session:
        assert session.execute(_ALL).rowcount == 20


@pytest.mark.parametrize("prepare", [False, True])
def test_a_result_that_is_too_large_ends_in_an_error(people: People, prepare: bool) -> None:
    with people.connect(application="bytes") as session:
        for _ in range(4):
            with pytest.raises(psycopg.errors.ProgramLimitExceeded, match="larger than 51200 bytes") as told:
                session.execute("SELECT * FROM wide", prepare=prepare)
            assert told.value.diag.message_detail == "Policy short limits it. The rows before are not all."
            assert session.execute("SELECT * FROM wide WHERE id < 40", prepare=prepare).rowcount == 39
        with pytest.raises(psycopg.errors.ProgramLimitExceeded):
            session.execute("SELECT a.body FROM wide a, wide b", prepare=prepare)  # 250 MB, if nobody stopped it
        assert session.execute("SELECT count(*) FROM wide").fetchone() == (500,)


def test_pipelined_statements_have_each_their_own_limit(people: People) -> None:
    """One that is sent while another runs is neither counted with it nor freed by its end."""
    with people.connect(application="bytes") as session:
        wire = session.pgconn
        wire.enter_pipeline_mode()
        for statement in (b"SELECT * FROM wide WHERE id < 40", b"SELECT * FROM wide", b"SELECT * FROM wide"):
            wire.send_query_params(statement, None)
            wire.pipeline_sync()
        seen: list[tuple[int, bytes | None]] = []
        syncs = 0
        while syncs < 3:
            result = wire.get_result()
            if result is None:
                continue
            if result.status == ExecStatus.PIPELINE_SYNC:
                syncs += 1
            else:
                seen.append((result.ntuples, result.error_field(DiagnosticField.SQLSTATE)))
        wire.exit_pipeline_mode()
    assert seen == [(39, None), (0, b"54000"), (0, b"54000")]


def test_bytes_are_counted_in_copy_and_no_portion_gets_around_it(people: People) -> None:
    with people.connect(application="bytes", autocommit=False) as session:
        parts: list[int] = []
        with pytest.raises(psycopg.errors.ProgramLimitExceeded):
            _copy(session, parts)
        assert 40_000 < sum(parts) <= 51_200
        session.rollback()
        for sql in ("DECLARE c CURSOR FOR SELECT * FROM wide", "PREPARE p AS SELECT * FROM wide"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege, match="by a name in SQL"):
                session.execute(sql)
            session.rollback()
        with pytest.raises(psycopg.errors.FeatureNotSupported, match="sent alone"):
            session.execute("SELECT 1; SELECT * FROM wide")
        session.rollback()
        assert session.execute("SELECT count(*) FROM wide").fetchone() == (500,)


def test_the_rows_before_the_limit_reach_the_client_and_no_others(people: People) -> None:
    with people.connect(application="bytes") as session:
        seen: list[object] = []
        with pytest.raises(psycopg.errors.ProgramLimitExceeded):
            seen.extend(session.cursor().stream("SELECT * FROM wide"))
        assert len(seen) <= 51
        assert session.execute("SELECT 1").fetchone() == (1,)
