"""Shared statements: one name for a text, what earns a lane, and what a backend has."""

from __future__ import annotations

from proxy.postgres.statements import FAST_S, MAX_ON_BACKEND, SMALL_BYTES, BackendStatements, StatementBook

NO_TYPES = b"\0\0"


def test_a_text_has_one_name_and_other_types_another() -> None:
    book = StatementBook()
    one = book.statement("SELECT $1", NO_TYPES)
    assert book.statement("SELECT $1", NO_TYPES) is one
    assert book.statement("SELECT $1", b"\0\1\0\0\0\x17").name != one.name
    assert StatementBook().statement("SELECT $1", NO_TYPES).name != one.name, "books have no name in common"


def test_texts_that_come_once_take_no_place() -> None:
    book = StatementBook()
    assert book.statement_seen_before("SELECT 1", NO_TYPES) is None
    assert len(book) == 0
    assert book.statement_seen_before("SELECT 1", NO_TYPES) is not None
    assert book.statement_seen_before("x" * 100_000, NO_TYPES) is None


def test_a_lane_is_earned_by_fast_and_small_runs() -> None:
    statement = StatementBook().statement("SELECT 1", NO_TYPES)
    statement.observe(0.001, 100)
    assert not statement.proven
    statement.observe(0.001, 100)
    assert statement.proven
    statement.observe(100 * FAST_S, 100)
    assert not statement.proven
    runs = 0
    while not statement.proven:
        statement.observe(0.001, 100)
        runs += 1
    assert runs > 2, "who was slow once has to prove more"


def test_big_answers_earn_none() -> None:
    statement = StatementBook().statement("SELECT 1", NO_TYPES)
    for _ in range(10):
        statement.observe(0.001, 2 * SMALL_BYTES)
    assert not statement.proven


def test_a_retired_statement_has_a_successor_with_another_name() -> None:
    book = StatementBook()
    old = book.statement("SELECT 1", NO_TYPES)
    book.retire(old)
    new = book.statement("SELECT 1", NO_TYPES)
    assert old.retired
    assert not new.retired
    assert new.name != old.name
    book.retire_all()
    assert new.retired
    assert book.statement("SELECT 1", NO_TYPES).name not in (old.name, new.name)


def test_a_backend_is_told_to_close_what_is_in_doubt_and_what_is_too_much() -> None:
    has = BackendStatements()
    assert has.add(b"a") == []
    assert b"a" in has
    has.remove(b"a")
    assert b"a" not in has
    assert has.add(b"a") == [b"a"]
    has.doubt_all()
    assert b"a" not in has
    assert has.add(b"a") == [b"a"]
    for number in range(MAX_ON_BACKEND):
        closed = has.add(str(number).encode())
    assert closed == [b"a"]
    has.clear()
    assert len(has) == 0
    assert has.add(b"a") == []
