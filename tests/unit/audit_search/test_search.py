"""Searching real logs: what is found, by whom, page by page, and what becomes of it when files change."""

from __future__ import annotations

import json
import random
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from admin.audit_search.facets import facets_of, token, tokens_of
from admin.audit_search.indexer import update_index
from admin.audit_search.query import EVERYTHING, BadQuery, Query, Scope, parse_time
from admin.audit_search.schema import open_index
from admin.audit_search.search import Page, search
from policy.audit_event import AuditEvent
from tests.unit.audit_search.samples import BEGIN, Log, at, log_of

ACME = Scope(frozenset({"acme"}))


@pytest.fixture
def log(tmp_path: Path) -> Log:
    return log_of(
        tmp_path / "audit.jsonl",
        [
            at(1, event="login", statement="", command="", relations=(), fingerprint="", decision="allowed"),
            at(2),
            at(3, subject="bob", command="UPDATE", statement="UPDATE orders SET paid = true", fingerprint="f2",
               relations=("public.orders",), sqlstate="42501", outcome="refused", decision="refused"),
            at(4, tenant="globex", subject="carol", session="s2", statement="SELECT 'Überweisung' FROM orders"),
            at(5, tenant="globex", subject="alice", session="s3", rows=200_000),
        ],
    )  # fmt: skip


@pytest.fixture
def index(tmp_path: Path) -> Path:
    return tmp_path / "search" / "audit.sqlite"


def seconds(page: Page) -> list[int]:
    return [round(float(hit.event["time"]) - BEGIN) for hit in page.hits]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        (Query(), [5, 4, 3, 2, 1, -1]),
        (Query(tenant="acme"), [3, 2, 1]),
        (Query(user="alice"), [5, 2, 1]),
        (Query(tenant="globex", user="alice"), [5]),
        (Query(action="login"), [1]),
        (Query(action="update"), [3]),
        (Query(relation="orders"), [3]),
        (Query(relation="public.customers"), [5, 4, 2]),
        (Query(result="refused"), [3]),
        (Query(result="42501"), [3]),
        (Query(result="rewritten", user="alice"), [5, 2]),
        (Query(fingerprint="f2"), [3]),
        (Query(session="s2"), [4]),
        (Query(text="paid orders"), [3]),
        (Query(text="uberweisung"), [4]),
        (Query(text="custom*"), [5, 2]),
        (Query(text="cust"), []),
        (Query(risk="high"), [3]),
        (Query(risk="medium"), [5, 3]),
        (Query(since=BEGIN + 2, until=BEGIN + 4), [3, 2]),
        (Query(since=BEGIN + 2, tenant="acme", text="select"), [2]),
        (Query(tenant="nobody"), []),
    ],
)
def test_each_filter_finds_what_it_says(log: Log, index: Path, query: Query, expected: list[int]) -> None:
    update_index(index, log.path)
    assert seconds(search(index, query, EVERYTHING)) == expected


def test_columns_are_found_by_any_of_their_names(log: Log, index: Path, tmp_path: Path) -> None:
    event = {"event": "statement", "columns": ["public.customers.card"]}
    for name in ("card", "customers.card", "public.customers.card"):
        assert Query(column=name).fits(event, EVERYTHING)
    assert not Query(column="customers").fits(event, EVERYTHING)


def test_an_auditor_sees_events_of_the_scope_only_whatever_is_asked(log: Log, index: Path) -> None:
    # A statement may say anything, also what stands in the index for another tenant, or syntax of the index.
    evil = f'{token(("t", "acme"))} OR "facets" : {token(("t", "acme"))} NOT ) * paid'
    log.add(at(6, tenant="globex", statement=evil))
    update_index(index, log.path)
    queries = [Query(), Query(tenant="globex"), Query(user="alice"), Query(text=evil), Query(text="paid"),
               Query(relation="orders"), Query(result="refused"), Query(session="s2")]  # fmt: skip
    for query in queries:
        assert {hit.event["tenant"] for hit in search(index, query, ACME).hits} <= {"acme"}
    assert seconds(search(index, Query(), ACME)) == [3, 2, 1]
    assert search(index, Query(), Scope(frozenset())).hits == []


def test_a_scope_holds_against_an_index_that_lies(log: Log, index: Path) -> None:
    update_index(index, log.path)
    connection = open_index(index, write=True)
    acme = token(("t", "acme"))
    connection.execute("DROP TABLE words")
    connection.execute("CREATE VIRTUAL TABLE words USING fts5 (facets, body, content='', detail=column, columnsize=0)")
    connection.execute("INSERT INTO words (rowid, facets, body) SELECT id, ?, '' FROM events", (acme,))
    connection.close()
    assert seconds(search(index, Query(), ACME)) == [3, 2, 1]


def test_pages_follow_each_other_without_gap_or_double(tmp_path: Path, index: Path) -> None:
    log = log_of(tmp_path / "audit.jsonl", [at(n // 3, fingerprint=f"n{n}") for n in range(40)])
    update_index(index, log.path)
    found: list[str] = []
    cursor = None
    while True:
        page = search(index, Query(tenant="acme"), ACME, limit=7, cursor=cursor)
        found += [str(hit.event["fingerprint"]) for hit in page.hits]
        if page.next_cursor is None:
            break
        cursor = page.next_cursor
        log.add(at(100 + len(found)))  # what comes meanwhile is newer and does not shift the pages
        update_index(index, log.path)
    assert found == [f"n{n}" for n in reversed(range(40))]


def test_a_search_that_is_out_of_time_goes_on_with_its_cursor(tmp_path: Path, index: Path) -> None:
    log = log_of(tmp_path / "audit.jsonl", [at(n, fingerprint=f"n{n}", rows=n % 50) for n in range(400)])
    log.add(at(500, subject="bob"))
    update_index(index, log.path)
    found, cursor, pages = [], None, 0
    while True:
        page = search(index, Query(user="alice"), ACME, limit=1000, cursor=cursor, budget_s=0)
        found += [str(hit.event["fingerprint"]) for hit in page.hits]
        pages += 1
        if page.next_cursor is None:
            break
        cursor = page.next_cursor
    assert found == [f"n{n}" for n in reversed(range(400))]
    assert pages > 4


def test_a_cursor_is_good_for_its_own_search_only(log: Log, index: Path) -> None:
    update_index(index, log.path)
    cursor = search(index, Query(tenant="acme"), EVERYTHING, limit=1).next_cursor
    assert cursor is not None
    changed = ("A" if cursor[0] != "A" else "B") + cursor[1:]
    for query, scope, given in [
        (Query(tenant="globex"), EVERYTHING, cursor), (Query(tenant="acme"), ACME, cursor),
        (Query(tenant="acme"), EVERYTHING, changed), (Query(tenant="acme"), EVERYTHING, "nonsense!"),
        (Query(tenant="acme"), EVERYTHING, "ü"),
    ]:  # fmt: skip
        with pytest.raises(BadQuery):
            search(index, query, scope, cursor=given)


def test_hits_name_file_seq_and_hash(log: Log, index: Path) -> None:
    update_index(index, log.path)
    hit = search(index, Query(result="refused"), EVERYTHING).hits[0]
    line = json.loads(log.path.read_bytes().split(b"\n")[hit.seq - 1])
    assert (hit.file, hit.seq, hit.hash, hit.intact) == (log.path, line["seq"], line["hash"], True)


def test_a_line_that_was_changed_is_shown_as_changed(log: Log, index: Path) -> None:
    update_index(index, log.path)
    log.path.write_bytes(log.path.read_bytes().replace(b"SET paid = true", b"SET paid = nope"))
    hit = search(index, Query(result="refused"), EVERYTHING).hits[0]
    assert not hit.intact
    assert update_index(index, log.path, rebuild=True).problems == 1


def test_rotated_files_and_those_of_workers_are_one_log(log: Log, index: Path) -> None:
    update_index(index, log.path)
    log.rotate("audit.jsonl.1")
    log.add(at(7, fingerprint="new"))
    worker = Log(log.path.with_name("audit-2.jsonl"), chain="d" * 32)
    worker.add(at(6, fingerprint="worker"))
    (log.path.parent / "audit.jsonl.gz").write_bytes(b"\x1f\x8b\x08")
    (log.path.parent / "auditor.jsonl").write_bytes(log.path.read_bytes())
    assert update_index(index, log.path).lines == 4
    page = search(index, Query(), EVERYTHING)
    assert seconds(page)[:3] == [7, 6, 5]
    assert page.hits[2].file.name == "audit.jsonl.1"
    assert update_index(index, log.path).lines == 0


def test_a_removed_file_leaves_hits_out_and_says_so(log: Log, index: Path) -> None:
    log.rotate("audit.jsonl.1")
    log.add(at(7))
    update_index(index, log.path)
    log.path.with_name("audit.jsonl.1").unlink()
    page = search(index, Query(), EVERYTHING)
    assert (seconds(page), page.unreadable) == ([7, -1], 6)
    update_index(index, log.path)
    page = search(index, Query(user="alice"), EVERYTHING)
    assert (seconds(page), page.unreadable) == ([7], 0)


def test_a_half_written_line_waits_until_it_is_whole(log: Log, index: Path) -> None:
    whole = log.path.read_bytes()
    log.path.write_bytes(whole[:-10])
    assert update_index(index, log.path).lines == 5
    log.path.write_bytes(whole)
    assert update_index(index, log.path).lines == 1
    assert len(search(index, Query(), EVERYTHING).hits) == 6


def test_another_log_under_the_same_name_makes_the_index_anew(log: Log, index: Path) -> None:
    update_index(index, log.path)
    log.path.unlink()
    Log(log.path).add(at(9))
    assert update_index(index, log.path).rebuilt
    assert seconds(search(index, Query(), EVERYTHING)) == [9, -1]


def test_whatever_stands_in_a_file_is_survived(log: Log, index: Path) -> None:
    log.add(at(6, statement="half \ud800 of a pair \x00 end"))
    whole = log.path.read_bytes()
    junk = [b"\n", b"[]\n", b'{"event":7,"seq":99999999999999999999999}\n', b"\xff\xfe\n", b'{"a":' * 500 + b"\n"]
    log.path.write_bytes(whole + b"".join(junk))
    update = update_index(index, log.path)
    assert update.problems == len(junk)
    assert seconds(search(index, Query(text="half pair"), EVERYTHING)) == [6]


def test_an_interrupted_update_goes_on_where_it_was(log: Log, index: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log.add(*(at(10 + n, fingerprint=f"n{n}") for n in range(20)))
    monkeypatch.setattr("admin.audit_search.indexer._BATCH_LINES", 4)
    draw = random.Random(5)

    class Killed(Exception):
        pass

    def kill(done: int, total: int) -> None:
        if draw.random() < 0.5:
            raise Killed

    for _ in range(100):
        try:
            update_index(index, log.path, kill)
            break
        except Killed:
            continue
    connection = open_index(index)
    assert connection.execute("SELECT count(*) FROM events").fetchone() == (26,)
    assert connection.execute("SELECT sum(events) FROM totals").fetchone() == (26,)
    connection.close()
    assert len(search(index, Query(text="select", user="alice"), EVERYTHING).hits) == 22


def test_a_file_that_is_no_index_is_made_anew(log: Log, index: Path) -> None:
    index.parent.mkdir()
    index.write_bytes(b"not a database at all" * 100)
    update_index(index, log.path)
    assert len(search(index, Query(), EVERYTHING).hits) == 6
    assert index.stat().st_mode & 0o777 == 0o600


def test_only_one_process_writes_the_index(log: Log, index: Path) -> None:
    def second(done: int, total: int) -> None:
        assert update_index(index, log.path).busy

    update_index(index, log.path, second)


@pytest.mark.parametrize("members", [{}, {"columns": ["a.b.c"], "action": "read"}, {"tenant": "", "subject": ""}])
def test_what_is_indexed_is_what_hits_are_checked_against(members: dict[str, Any]) -> None:
    event = {**at(1)._asdict(), "relations": ["public.orders", "x"], **members}
    assert set(tokens_of(event).split()) == {token(facet) for facet in facets_of(event)}


@pytest.mark.parametrize("query", [Query(risk="huge"), Query(text="!!!"), Query(text="w " * 30)])
def test_a_question_that_cannot_be_asked_says_why(log: Log, index: Path, query: Query) -> None:
    update_index(index, log.path)
    with pytest.raises(BadQuery) as raised:
        search(index, query, EVERYTHING)
    assert raised.value.hint


def test_times_are_iso_or_ago() -> None:
    assert parse_time("2025-11-24T16:00:00Z") == BEGIN
    assert parse_time("2025-11-24T17:00:00+01:00") == BEGIN
    assert parse_time("2025-11-24") == BEGIN - 16 * 3600
    assert parse_time("2h", now=BEGIN) == BEGIN - 7200
    with pytest.raises(BadQuery):
        parse_time("yesterday")


def test_without_an_index_it_is_said(index: Path) -> None:
    with pytest.raises(FileNotFoundError):
        search(index, Query(), EVERYTHING)


def test_figures_are_kept_per_day(log: Log, index: Path) -> None:
    update_index(index, log.path)
    connection = open_index(index)
    rows = connection.execute(
        "SELECT tenant, sum(events), sum(rows) FROM reached WHERE relation = 'public.customers' GROUP BY tenant"
    ).fetchall()
    with pytest.raises(sqlite3.OperationalError):
        connection.execute("DELETE FROM reached")
    connection.close()
    assert rows == [("acme", 1, 1), ("globex", 2, 200_001)]


def test_events_of_one_moment_keep_their_order(tmp_path: Path, index: Path) -> None:
    events: list[AuditEvent] = [at(1, fingerprint=f"n{n}") for n in range(30)]
    update_index(index, log_of(tmp_path / "audit.jsonl", events).path)
    page = search(index, Query(tenant="acme"), EVERYTHING)
    assert [hit.event["fingerprint"] for hit in page.hits] == [f"n{n}" for n in reversed(range(30))]
