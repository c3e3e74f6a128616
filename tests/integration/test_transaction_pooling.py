"""Sessions share backends transaction by transaction, and notice nothing of it.

The gateway of these tests has two backends at most and no lanes, so that whatever a session leaves on a backend meets
another session soon.
"""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest

from admin.demo.people import ALICE, BOB, CAROL, DAVE, Person
from tests.harness.demo_business import DemoGateway
from tests.harness.wire_client import SYNC, WireClient, bind, close, describe, execute, parse
from tests.integration.strategy import Policy

Connection = psycopg.Connection[tuple[Any, ...]]


def wire(gateway: DemoGateway, person: Person, **parameters: str) -> WireClient:
    client = WireClient(gateway.port)
    client.tls()
    client.log_in(person.name, person.tenant, gateway.tokens[person.name], 0, **parameters)
    return client


def one(connection: Connection, statement: str) -> Any:
    row = connection.execute(statement.encode()).fetchone()
    assert row is not None
    return row[0]


def test_many_sessions_use_few_backends(narrow: DemoGateway) -> None:
    sessions = [narrow.connect(ALICE, autocommit=True) for _ in range(20)]
    try:
        for _ in range(3):
            assert [one(s, "SELECT count(*) FROM orders") for s in sessions] == [1900] * 20
        query = "SELECT count(*) FROM pg_stat_activity WHERE usename = 'tenantgate'"
        assert narrow.server.execute(query)[0][0] <= 3  # two, and the one that reads catalogs
    finally:
        for session in sessions:
            session.close()


def test_sessions_at_once_each_get_their_own_rows(narrow: DemoGateway) -> None:
    def work(person: Person, expected: int) -> None:
        with narrow.connect(person, autocommit=True) as session:
            for number in range(60):
                assert one(session, "SELECT count(*) FROM orders") == expected
                session.execute("SELECT id FROM customers WHERE id = %s", (number,), prepare=True)

    with ThreadPoolExecutor(8) as threads:
        jobs = [threads.submit(work, *who) for who in ((ALICE, 1900), (BOB, 1500)) * 4]
        for job in jobs:
            job.result(60)


def test_a_transaction_keeps_its_backend(narrow: DemoGateway) -> None:
    with narrow.connect(ALICE) as first, narrow.connect(ALICE, autocommit=True) as second:
        pid = one(first, "SELECT pg_backend_pid()")
        for _ in range(5):
            assert one(second, "SELECT pg_backend_pid()") != pid
            assert one(first, "SELECT pg_backend_pid()") == pid
        first.rollback()


def test_settings_follow_the_session(narrow: DemoGateway) -> None:
    with (
        narrow.connect(ALICE, autocommit=True) as first,
        narrow.connect(ALICE, autocommit=True) as second,
        narrow.connect(ALICE) as third,
    ):
        first.execute("SET TimeZone TO 'Asia/Tokyo'")
        first.execute("SET extra_float_digits TO 2")
        for _ in range(4):
            third.execute("SELECT 1")  # takes a backend, so that the others share one
            assert one(first, "SHOW TimeZone") == "Asia/Tokyo"
            assert one(second, "SHOW TimeZone") != "Asia/Tokyo"
            assert one(first, "SHOW extra_float_digits") == "2"
            third.rollback()
        first.execute("RESET TimeZone")
        assert one(second, "SHOW TimeZone") == one(first, "SHOW TimeZone")
        assert one(first, "SHOW extra_float_digits") == "2"


def test_settings_of_a_transaction_that_is_rolled_back_are_gone(narrow: DemoGateway) -> None:
    with narrow.connect(ALICE) as session, narrow.connect(ALICE, autocommit=True) as other:
        start = one(session, "SHOW IntervalStyle")
        session.execute("SET IntervalStyle TO 'iso_8601'")
        assert one(session, "SHOW IntervalStyle") == "iso_8601"
        session.rollback()
        assert one(other, "SHOW IntervalStyle") == start
        assert one(session, "SHOW IntervalStyle") == start
        session.execute("SET LOCAL IntervalStyle TO 'iso_8601'")
        session.commit()
        assert one(session, "SHOW IntervalStyle") == start
        session.execute("SET IntervalStyle TO 'iso_8601'")
        session.commit()
        assert one(other, "SHOW IntervalStyle") == start
        assert one(session, "SHOW IntervalStyle") == "iso_8601"


def test_a_setting_that_a_savepoint_took_back_is_not_carried(narrow: DemoGateway) -> None:
    with narrow.connect(ALICE) as session, narrow.connect(ALICE, autocommit=True) as other:
        start = one(session, "SHOW DateStyle")
        session.execute("SAVEPOINT s")
        session.execute("SET DateStyle TO 'German'")
        session.execute("ROLLBACK TO s")
        session.commit()
        for _ in range(3):
            assert one(session, "SHOW DateStyle") == start
            session.commit()
            assert one(other, "SHOW DateStyle") == start


def test_half_of_a_date_style_is_carried(narrow: DemoGateway) -> None:
    """pgAdmin and ODBC drivers say SET DateStyle=ISO; it keeps the order of day and month, and ties nobody."""
    with narrow.connect(ALICE, autocommit=True, options="-c DateStyle=DMY") as session:
        session.execute("SET DateStyle = German")
        session.execute("SET DateStyle = ISO")
        for _ in range(3):
            with narrow.connect(ALICE) as other:
                other.execute("SET DateStyle = SQL, MDY")
                assert one(session, "SHOW DateStyle") == "ISO, DMY"
                other.commit()
        with narrow.connect(BOB) as first, narrow.connect(BOB) as second:  # no backend is kept
            first.execute("SELECT 1")
            second.execute("SELECT 1")


def test_what_a_session_began_with_survives_reset_all(narrow: DemoGateway) -> None:
    with (
        narrow.connect(ALICE, autocommit=True, options="-c DateStyle=German") as session,
        narrow.connect(ALICE, autocommit=True) as other,
    ):
        assert one(session, "SHOW DateStyle") == "German, DMY"
        session.execute("SET DateStyle TO 'SQL'")
        session.execute("RESET ALL")
        for _ in range(3):
            assert one(session, "SHOW DateStyle") == "German, DMY"
            assert one(other, "SHOW DateStyle") == "ISO, MDY"
        session.execute("DISCARD ALL")
        assert one(session, "SHOW DateStyle") == "German, DMY"


def test_reset_all_and_the_next_statement_in_one_packet(narrow: DemoGateway) -> None:
    with wire(narrow, ALICE, DateStyle="German") as client:
        client.send(
            parse("", "RESET ALL"),
            bind("", ""),
            execute(),
            SYNC,
            parse("", "SHOW DateStyle"),
            bind("", ""),
            execute(),
            SYNC,
        )
        assert client.receive(ready=2).rows == [["German, DMY"]]


def test_prepared_statements_work_on_whatever_backend(narrow: DemoGateway) -> None:
    with wire(narrow, ALICE) as first, wire(narrow, ALICE) as second, narrow.connect(ALICE) as holder:
        first.send(parse("s", "SELECT $1::int + 1"), SYNC)
        assert first.receive().tags == "1Z"
        second.send(parse("s", "SELECT 'another'"), SYNC)
        assert second.receive().tags == "1Z"
        for number in range(4):
            if number % 2:
                holder.execute("SELECT 1")
            first.send(bind("", "s", str(number)), execute(), SYNC)
            assert first.receive().rows == [[str(number + 1)]]
            second.send(bind("", "s"), describe("S", "s"), execute(), SYNC)
            answer = second.receive()
            assert answer.tags == "2tTDCZ"
            assert answer.rows == [["another"]]
            holder.rollback()


def test_a_name_is_taken_until_it_is_closed(narrow: DemoGateway) -> None:
    with wire(narrow, ALICE) as client:
        client.send(parse("s", "SELECT 1"), SYNC, parse("s", "SELECT 2"), SYNC)
        assert client.receive(ready=2).sqlstates == ["42P05"]
        client.send(close("S", "s"), parse("s", "SELECT 2"), bind("", "s"), execute(), SYNC)
        answer = client.receive()
        assert answer.tags == "312DCZ"
        assert answer.rows == [["2"]]
        client.send(close("S", "s"), bind("", "s"), SYNC)
        assert client.receive().sqlstates == ["26000"]


def test_an_unnamed_statement_outlives_its_backend(narrow: DemoGateway) -> None:
    with wire(narrow, ALICE) as client, narrow.connect(BOB, autocommit=True) as other:
        client.send(parse("", "SELECT 'mine'"), SYNC)
        client.receive()
        other.execute("SELECT 1")
        client.send(bind("", ""), execute(), SYNC)
        assert client.receive().rows == [["mine"]]


def test_names_of_the_gateways_own_tell_nothing(narrow: DemoGateway) -> None:
    """The names that backends know statements by are nobody's to use."""
    with narrow.connect(ALICE) as session:
        for _ in range(3):
            session.execute("SELECT 7 AS seven", prepare=True)
        narrow.server.execute("SELECT 1")
        session.rollback()
    with wire(narrow, BOB) as client:
        for name in ("tg_1", "tenantgate_1"):
            client.send(bind("", name), SYNC)
            assert client.receive().sqlstates == ["26000"]
        assert client.query("EXECUTE tg_1").sqlstates == ["26000"]


def test_statements_prepared_in_sql_and_by_protocol_share_their_names(narrow: DemoGateway) -> None:
    with wire(narrow, ALICE) as client, narrow.connect(BOB, autocommit=True) as other:
        client.send(parse("p", "SELECT 'protocol'"), SYNC)
        client.receive()
        assert client.query("PREPARE p AS SELECT 1").sqlstates == ["42P05"]
        assert client.query("EXECUTE p").rows == [["protocol"]]
        assert client.query("DEALLOCATE p").errors == []
        assert client.query("EXECUTE p").sqlstates == ["26000"]
        assert client.query("PREPARE p AS SELECT 'sql'").errors == []
        other.execute("SELECT 1")
        assert client.query("EXECUTE p").rows == [["sql"]]
        assert client.query("DEALLOCATE ALL").errors == []
        assert client.query("EXECUTE p").sqlstates == ["26000"]


def test_deallocate_of_a_statement_that_another_backend_prepared(narrow: DemoGateway) -> None:
    with wire(narrow, ALICE) as client, narrow.connect(ALICE) as holder:
        client.send(parse("p", "SELECT 1"), SYNC)
        client.receive()
        holder.execute("SELECT 1")
        assert client.query("DEALLOCATE p").tags == "CZ"
        client.send(bind("", "p"), SYNC)
        assert client.receive().sqlstates == ["26000"]
        holder.rollback()


def test_temporary_tables_stay_with_their_session(narrow: DemoGateway) -> None:
    with narrow.connect(ALICE, autocommit=True) as session, narrow.connect(ALICE, autocommit=True) as other:
        session.execute("CREATE TEMP TABLE mine (n int)")
        session.execute("INSERT INTO mine VALUES (1)")
        for _ in range(3):
            assert one(session, "SELECT n FROM mine") == 1
            with pytest.raises(psycopg.errors.UndefinedTable):
                other.execute("SELECT n FROM mine")
        session.execute("DISCARD ALL")
        with pytest.raises(psycopg.errors.UndefinedTable):
            session.execute("SELECT n FROM mine")


def test_deallocate_all_does_not_untie_what_else_ties(narrow: DemoGateway) -> None:
    with narrow.connect(ALICE, autocommit=True) as session, narrow.connect(BOB, autocommit=True) as other:
        session.execute("PREPARE p AS SELECT 1")
        session.execute("CREATE TEMP TABLE secret_numbers (n int)")
        session.execute("INSERT INTO secret_numbers VALUES (4711)")
        session.execute("DEALLOCATE ALL")
        for _ in range(4):
            assert one(session, "SELECT n FROM secret_numbers") == 4711
            with pytest.raises(psycopg.errors.UndefinedTable):
                other.execute("SELECT n FROM secret_numbers")


def test_a_lock_taken_by_a_statement_that_failed_stays_with_its_session(narrow: DemoGateway) -> None:
    with narrow.connect(DAVE, autocommit=True) as session, narrow.connect(DAVE, autocommit=True) as other:
        with pytest.raises(psycopg.errors.DivisionByZero):
            session.execute("SELECT pg_advisory_lock(9), 1 / (SELECT count(*) FROM orders WHERE id = -1)")
        for _ in range(3):
            assert one(session, "SELECT pg_advisory_unlock(9) AND pg_try_advisory_lock(9)") is True
            assert one(other, "SELECT pg_try_advisory_lock(9)") is False


def test_advisory_locks_and_listen_stay_with_their_session(narrow: DemoGateway) -> None:
    with narrow.connect(DAVE, autocommit=True) as session, narrow.connect(DAVE, autocommit=True) as other:
        assert one(session, "SELECT pg_try_advisory_lock(7)") is True
        session.execute("LISTEN news")
        assert one(other, "SELECT pg_try_advisory_lock(7)") is False
        other.execute("NOTIFY news, 'hello'")
        assert [n.payload for n in session.notifies(timeout=3, stop_after=1)] == ["hello"]
        assert one(session, "SELECT pg_advisory_unlock(7)") is True


def test_nothing_of_a_session_is_left_for_the_next(narrow: DemoGateway) -> None:
    with narrow.connect(ALICE, autocommit=True) as session:
        session.execute("CREATE TEMP TABLE left_behind (n int)")
        session.execute("PREPARE left_behind AS SELECT 1")
        session.execute("SET TimeZone TO 'Asia/Tokyo'")
        session.execute("DECLARE c CURSOR WITH HOLD FOR SELECT 1")
    with narrow.connect(ALICE, autocommit=True) as one_, narrow.connect(ALICE) as two:
        for session in (one_, two):
            assert one(session, "SHOW TimeZone") != "Asia/Tokyo"
            for statement in ("SELECT * FROM left_behind", "EXECUTE left_behind", "FETCH c"):
                with pytest.raises(psycopg.Error):
                    session.execute(statement.encode())
                if session is two:
                    two.rollback()


def test_a_sequences_last_value_is_told_in_its_own_transaction_only(narrow: DemoGateway) -> None:
    insert = "INSERT INTO notes (customer_id, body) VALUES (1, 'numbered') RETURNING id"
    narrow.server.execute("GRANT SELECT ON SEQUENCE notes_id_seq TO tenantgate", "umbrella")
    recall = "SELECT currval(pg_get_serial_sequence('notes', 'id'))"
    with narrow.connect(DAVE) as session, narrow.connect(DAVE, autocommit=True) as other:
        assert one(session, insert) == one(session, recall)
        session.rollback()
        for connection in (session, other):
            with pytest.raises(psycopg.errors.FeatureNotSupported, match="transaction of the nextval"):
                connection.execute(recall.encode())
        session.rollback()


def test_who_waits_too_long_for_a_backend_is_told_and_goes_on(narrow: DemoGateway) -> None:
    with narrow.connect(ALICE) as first, narrow.connect(BOB) as second, wire(narrow, ALICE) as third:
        first.execute("SELECT 1")
        second.execute("SELECT 1")
        answer = third.query("SELECT 2")
        assert answer.sqlstates == ["53300"]
        assert answer.statuses == "I"
        third.send(parse("", "SELECT 2"), bind("", ""), execute(), SYNC)
        answer = third.receive()
        assert answer.tags == "EZ"
        assert answer.sqlstates == ["53300"]
        first.rollback()
        assert third.query("SELECT 3").rows == [["3"]]
        second.rollback()


def test_who_waits_is_served_when_a_transaction_ends(narrow: DemoGateway) -> None:
    with narrow.connect(ALICE) as first, narrow.connect(BOB) as second:
        first.execute("SELECT 1")
        second.execute("SELECT 1")
        with narrow.connect(ALICE, autocommit=True) as third:
            timer = threading.Timer(0.5, first.rollback)
            timer.start()
            began = time.monotonic()
            assert one(third, "SELECT count(*) FROM orders") == 1900
            assert 0.3 < time.monotonic() - began < 2
            timer.join()
        second.rollback()


def test_a_statement_that_waits_can_be_cancelled(narrow: DemoGateway) -> None:
    with narrow.connect(ALICE) as first, narrow.connect(BOB) as second:
        first.execute("SELECT 1")
        second.execute("SELECT 1")
        with narrow.connect(ALICE, autocommit=True) as third:
            threading.Timer(0.3, third.cancel).start()
            with pytest.raises(psycopg.errors.QueryCanceled):
                third.execute("SELECT 1")
            first.rollback()
            assert one(third, "SELECT 1") == 1
        second.rollback()


def test_a_client_that_vanishes_while_it_waits_takes_nothing_along(narrow: DemoGateway) -> None:
    with narrow.connect(ALICE) as first, narrow.connect(BOB) as second:
        first.execute("SELECT 1")
        second.execute("SELECT 1")
        client = wire(narrow, ALICE)
        client.send(parse("", "SELECT 1"), bind("", ""), execute(), SYNC)
        time.sleep(0.2)
        client.close()
        first.rollback()
        second.rollback()
    with narrow.connect(ALICE, autocommit=True) as one_, narrow.connect(ALICE) as two:
        assert one(one_, "SELECT 1") == one(two, "SELECT 1") == 1


def test_a_session_survives_the_loss_of_a_backend_that_it_does_not_hold(narrow: DemoGateway) -> None:
    with narrow.connect(ALICE, autocommit=True) as session:
        assert one(session, "SELECT 1") == 1
        kill = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE usename = 'tenantgate'"
        assert narrow.server.execute(kill)[0][0] > 0
        time.sleep(0.3)
        assert one(session, "SELECT 2") == 2


def test_strategies_side_by_side(narrow: DemoGateway) -> None:
    people = (ALICE, BOB, CAROL, DAVE)
    sessions = [narrow.connect(person, autocommit=True) for person in people]
    try:
        for _ in range(4):
            assert [one(s, "SELECT count(*) FROM orders") for s in sessions] == [1900, 1500, 1300, 1200]
    finally:
        for session in sessions:
            session.close()


def test_a_tenant_may_pool_sessions_instead(narrow: DemoGateway) -> None:
    policy = Policy(narrow)
    policy.document["tenants"]["acme"]["pooling"] = "session"
    policy.apply()
    try:
        with narrow.connect(ALICE, autocommit=True) as session, narrow.connect(BOB, autocommit=True) as other:
            own = one(session, "SELECT pg_backend_pid()")
            for _ in range(4):
                assert one(session, "SELECT pg_backend_pid()") == own
                assert one(other, "SELECT pg_backend_pid()") != own
            session.execute("DISCARD ALL")
            assert one(session, "SELECT pg_backend_pid()") == own
    finally:
        policy.restore()


def test_open_sessions_follow_how_their_tenant_pools(narrow: DemoGateway) -> None:
    """From the next time on that nothing is under way, and what a session has made meanwhile stays."""
    policy = Policy(narrow)
    entry = policy.document["tenants"]["acme"]

    def pools(pooling: str) -> None:
        entry["pooling"] = pooling
        policy.apply()

    def backends_of(*sessions: Connection) -> int:
        """While another session of the two takes the one that is free."""
        found: set[int] = set()
        for _ in range(3):
            found.update(one(session, "SELECT pg_backend_pid()") for session in sessions)
        return len(found)

    try:
        with (
            narrow.connect(ALICE, autocommit=True) as session,
            narrow.connect(ALICE) as maker,
            narrow.connect(BOB, autocommit=True) as other,
        ):
            assert backends_of(session, other) == 1
            maker.execute("CREATE TEMPORARY TABLE made (id int)")
            pools("session")
            maker.rollback()
            maker.execute("SELECT 1")
            own = one(maker, "SELECT pg_backend_pid()")
            maker.commit()
            assert backends_of(session) == 1
            with pytest.raises(psycopg.errors.TooManyConnections):  # two keep theirs, more there are not
                other.execute("SELECT 1")
            maker.execute("CREATE TEMPORARY TABLE made (id int)")
            maker.commit()
            pools("transaction")
            assert backends_of(session, other) == 1
            assert one(maker, "SELECT pg_backend_pid()") == own
            assert one(maker, "SELECT count(*) FROM made") == 0
            maker.rollback()
    finally:
        policy.restore()


def test_open_sessions_follow_a_target_that_is_configured_anew(narrow: DemoGateway) -> None:
    target = next(iter(narrow._targets.values()))
    assert isinstance(target, dict)
    with narrow.connect(ALICE, autocommit=True) as idle, narrow.connect(ALICE) as busy:
        assert one(idle, "SELECT count(*) FROM orders") == 1900
        prepared = "SELECT count(*) FROM orders WHERE id < %s"
        assert idle.execute(prepared, (10,), prepare=True).fetchone() is not None
        busy.execute("SELECT 1")
        target["idle_timeout_s"] = 200
        narrow.write_config({})
        before = narrow.log.count('"reloaded"')
        narrow.reload()
        while narrow.log.count('"reloaded"') == before:
            time.sleep(0.01)
        with narrow.connect(BOB, autocommit=True) as new:
            assert one(new, "SELECT count(*) FROM orders") == 1500
        for _ in range(3):
            assert one(idle, "SELECT count(*) FROM orders") == 1900
            assert idle.execute(prepared, (10,), prepare=True).fetchone() is not None
        assert one(busy, "SELECT count(*) FROM orders") == 1900
        busy.commit()
        assert one(busy, "SELECT count(*) FROM orders") == 1900
        busy.commit()


def test_another_encoding_is_for_databases_of_ones_own(narrow: DemoGateway) -> None:
    for person in (ALICE, CAROL):
        with pytest.raises(psycopg.OperationalError, match="client_encoding"):
            narrow.connect(person, client_encoding="latin1")
    with narrow.connect(DAVE, client_encoding="latin1", autocommit=True) as session, narrow.connect(DAVE) as other:
        for _ in range(2):
            assert session.execute("SELECT 'ü' = chr(252)").fetchone() == (True,)
            assert other.execute("SELECT 'ü' = chr(252)").fetchone() == (True,)
            other.commit()
