"""Every effect through the real gateway: what is shown, what is refused, and that no statement gets around it."""

from __future__ import annotations

import re
import time
from typing import Any

import psycopg
import pytest

from tests.integration.abac.stage import People


def test_masks_keep_type_and_form(people: People) -> None:
    with people.connect() as session:
        row = session.execute(
            "SELECT email, phone, card, salary, born, token, name FROM customers WHERE id = 7"
        ).fetchone()
        assert row is not None
        email, phone, card, salary, born, token, name = row
        assert email == "u***@acme.example"
        assert phone == "*" * 12 + "007"
        assert re.fullmatch(r"\d{4}-\d{4}-\d{4}-\d{4}", card)
        assert card != "4111-1111-1111-1007"
        assert salary == 30000
        assert str(born) == "1980-01-01"
        assert str(token) != "00000000-0000-0000-0000-000000000007"
        assert re.fullmatch("[0-9a-f]{64}", name)
        again = session.execute("SELECT card, name, token FROM customers WHERE id = 7").fetchone()
        assert again == (card, name, token)
    with people.connect("app", "dpo") as session:
        row = session.execute("SELECT email, card, note FROM customers WHERE id = 7").fetchone()
        assert row == ("user7@acme.example", "4111-1111-1111-1007", "note 7")
    with people.connect(tenant="globex") as session:  # the same value of another tenant is another token
        assert session.execute("SELECT card FROM customers WHERE id = 7").fetchone() != (card,)


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT count(*) FROM customers WHERE card = '4111-1111-1111-1007'",
        "SELECT count(*) FROM customers WHERE email LIKE 'user7@%'",
        "SELECT count(*) FROM customers WHERE salary = 30959",
        "SELECT count(*) FROM customers WHERE born = '1980-12-22'",
        "SELECT count(*) FROM customers WHERE token = '00000000-0000-0000-0000-000000000007'",
        "SELECT count(*) FROM v_customers WHERE card = '4111-1111-1111-1007'",
        "SELECT count(*) FROM customers c JOIN (SELECT '4111-1111-1111-1007' AS card) x USING (card)",
        "WITH c AS (SELECT card AS x FROM customers) SELECT count(*) FROM c WHERE x = '4111-1111-1111-1007'",
        "SELECT count(*) FROM customers GROUP BY card HAVING card = '4111-1111-1111-1007' UNION ALL SELECT 0 LIMIT 1",
    ],
)
def test_masks_cannot_be_probed(people: People, sql: str) -> None:
    with people.connect() as session:
        assert session.execute(sql).fetchone() == (0,)


def test_order_and_groups_are_those_of_the_masks(people: People) -> None:
    with people.connect() as session:
        cards = [row[0] for row in session.execute("SELECT card FROM customers ORDER BY card")]
        assert cards == sorted(cards)
        assert session.execute("SELECT count(*) FROM customers GROUP BY email").fetchall() == [(20,)]
        assert session.execute("SELECT max(salary), min(salary) FROM customers").fetchone() == (32000, 30000)
        with session.cursor().copy("COPY customers (id, card, email) TO STDOUT") as copy:
            copied = b"".join(map(bytes, copy))
        assert b"4111-1111-1111-1007" not in copied
        assert copied.count(b"u***@acme.example") == 20
        assert session.execute("SELECT to_jsonb(c) ->> 'email' FROM customers c").fetchone() == ("u***@acme.example",)


def test_a_denied_column_is_not_there(people: People) -> None:
    with people.connect() as session:
        columns = [column.name for column in session.execute("SELECT * FROM customers").description or ()]
        assert "note" not in columns
        for sql in ("SELECT note FROM customers", "SELECT 1 FROM customers WHERE note = 'x'"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                session.execute(sql)


def test_a_row_filter_holds_for_reading_and_writing(people: People) -> None:
    with people.connect(region="eu") as session:
        assert session.execute("SELECT count(*), min(region) FROM orders").fetchone() == (10, "eu")
        assert session.execute("UPDATE orders SET note = note").rowcount == 10
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="row filter"):
            session.execute("UPDATE orders SET region = 'us'")
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="row filter"):
            session.execute("INSERT INTO orders (id, region, amount) VALUES (99, 'us', 1)")
    with people.connect() as session:
        assert session.execute("SELECT count(*) FROM orders").fetchone() == (20,)


def test_a_second_factor_is_asked_for_and_taken(people: People) -> None:
    sql = "UPDATE ledger SET amount = amount WHERE id = 1"
    with people.connect() as session:
        assert session.execute("SELECT count(*) FROM ledger").fetchone() == (5,)
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="policy mfa requires a second factor") as told:
            session.execute(sql)
        assert "multi-factor" in (told.value.diag.message_hint or "")
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="policy mfa"):
            session.execute("WITH x AS (DELETE FROM ledger RETURNING 1) SELECT * FROM x")
        with (
            pytest.raises(psycopg.errors.InsufficientPrivilege, match="policy mfa"),
            session.cursor().copy("COPY ledger (id, amount) FROM STDIN"),
        ):
            pass
    for factors in (["pwd", "mfa"], ["mfa"]):
        with people.connect(amr=factors) as session:
            assert session.execute(sql).rowcount == 1
    nothing: tuple[object, ...] = ("mfa", ["pwd"], [["mfa"]], {"mfa": True})
    for claim in nothing:  # no list of names proves nothing
        with people.connect(amr=claim) as session, pytest.raises(psycopg.errors.InsufficientPrivilege):
            session.execute(sql)


def test_an_approval_reference_is_asked_for_each_run(people: People) -> None:
    sql = "DELETE FROM customers WHERE id = %s"
    with people.connect(application="approval") as session:
        for _ in range(3):
            with pytest.raises(psycopg.errors.InsufficientPrivilege, match="policy approval requires"):
                session.execute(sql, (999,), prepare=True)
        session.execute("SET tenantgate.approval = 'CHG-12'")
        assert session.execute(sql, (999,), prepare=True).rowcount == 0
        session.execute("SET tenantgate.approval = 'CHG-12; x'")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            session.execute(sql, (999,), prepare=True)
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            session.execute("PREPARE p AS DELETE FROM customers WHERE id = 999")
        session.execute("SET tenantgate.approval = 'CHG-13'")
        assert session.execute("DELETE FROM customers WHERE id = 999").rowcount == 0
        session.execute("RESET tenantgate.approval")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            session.execute("DELETE FROM customers WHERE id = 999")
    done = [e for e in _all_events(people, "approval", 12) if e["command"] == "DELETE" and e["outcome"] == "ok"]
    assert [event["details"]["approval"] for event in done] == ["CHG-12", "CHG-13"]


def test_where_a_session_comes_from_counts(people: People) -> None:
    with people.connect() as session:
        assert session.execute("SELECT count(*) FROM ledger").fetchone() == (5,)
    with people.connect(application="intruder") as session:
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="policy office denies select on ledger"):
            session.execute("SELECT count(*) FROM ledger")
        session.execute("SET application_name = 'test'")  # what counts is how the session began
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="policy office"):
            session.execute("SELECT count(*) FROM ledger")


def test_allow_gives_what_no_role_gives_and_no_more(people: People) -> None:
    with people.connect("nobody") as session:
        assert session.execute("SELECT count(*) FROM orders").fetchone() == (20,)
        for sql in ("SELECT * FROM customers", "UPDATE orders SET note = ''", "DELETE FROM orders"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                session.execute(sql)
    with people.connect("nobody", tenant="globex") as session, pytest.raises(psycopg.errors.InsufficientPrivilege):
        session.execute("SELECT count(*) FROM orders")


def test_a_policy_on_trial_is_audited_and_a_draft_is_nothing(people: People) -> None:
    with people.connect(application="trial") as session:
        assert session.execute("UPDATE orders SET note = note WHERE id = 1").rowcount == 1
        assert session.execute("SELECT count(*) FROM orders").fetchone() == (20,)
    events = _events(people, "trial", 2)
    assert events["UPDATE"]["reason"] == "on trial: orders: policy trial would deny update"
    assert events["UPDATE"]["decision"] == "rewritten"
    assert not events["SELECT"]["reason"]


def _events(people: People, application: str, count: int) -> dict[str, dict[str, Any]]:
    return {event["command"]: event for event in _all_events(people, application, count)}


def _all_events(people: People, application: str, count: int) -> list[dict[str, Any]]:
    deadline = time.monotonic() + 60
    while True:
        events = [e for e in people.gateway.audit_events(application) if e["event"] == "statement"]
        if len(events) >= count or time.monotonic() > deadline:
            assert len(events) >= count
            return events
        time.sleep(0.02)


def test_the_key_of_masks_is_nowhere_to_be_seen(people: People) -> None:
    with people.connect(application="key") as session:
        for sql in (
            "SELECT current_setting('tenantgate.mask_key')",
            "SHOW tenantgate.mask_key",
            "SET tenantgate.mask_key = 'x'",
            "SELECT set_config('tenantgate.mask_key', 'x', false)",
        ):
            with pytest.raises(psycopg.Error):
                session.execute(sql)
        assert session.execute("SELECT current_setting('tenantgate' || '.mask_key')").fetchone() == (None,)
        settings = session.execute("SELECT name, setting FROM pg_settings WHERE name LIKE 'tenantgate%'").fetchall()
        assert settings == []
        session.execute("SELECT card FROM customers")
    assert "k" * 32 not in people.gateway.audit_path.read_text()


def test_a_long_statement_is_compiled_elsewhere_under_the_same_policies(people: People) -> None:
    more = f"id IN ({', '.join(map(str, range(6000)))})"
    with people.connect() as session:
        row = session.execute(f"SELECT email, phone FROM customers WHERE {more} ORDER BY id").fetchone()
        assert row == ("u***@acme.example", "*" * 12 + "001")
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="policy mfa"):
            session.execute(f"DELETE FROM ledger WHERE {more}")
