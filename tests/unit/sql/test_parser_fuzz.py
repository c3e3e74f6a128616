"""Mutated statements: each is refused as it should be, or every relation in what is sent has its guard.

The check here shares nothing with policy/sql/verify.py but the parser: it looks for the tenant's value beside each
relation. TENANTGATE_FUZZ_SECONDS makes it look longer, TENANTGATE_FUZZ_SEED elsewhere. What it found stands in FOUND.
"""

from __future__ import annotations

import os
import random
import re
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from policy.access import Access
from policy.errors import StatementRefused
from policy.sql.compile import compile_query
from policy.sql.grammar.parts import IN_QUERIES
from policy.sql.grammar.statements import STATEMENTS
from policy.sql.parse import ast, child_nodes, parse_statements, scan, walk
from policy.sql.plan import SlotValues, render
from policy.sql.shape import shape_of
from tests.security import corpus
from tests.unit.sql.sample import ANALYST, CATALOG, SHARED

FEWEST = 200  # texts, however slow the machine is
SECONDS = float(os.environ.get("TENANTGATE_FUZZ_SECONDS", "5"))
SEED = int(os.environ.get("TENANTGATE_FUZZ_SEED", "1"))
TENANT = "the tenant of the fuzz"
VALUES = SlotValues(f"'{TENANT}'", '"initech"', "'alice'", {"region": "'EU'"}, "0123456789abcdef", "17")
TENANT_TABLES = {"orders", "customers", "events", "open_orders"}
WORDS = r"""
    SELECT FROM WHERE JOIN LEFT FULL NATURAL USING ON AS WITH RECURSIVE MATERIALIZED UNION EXCEPT INTERSECT ALL LATERAL
    ONLY TABLE VALUES INSERT INTO UPDATE SET DELETE MERGE WHEN MATCHED THEN NOT EXISTS IN ANY ARRAY ROW CASE END NULL
    DEFAULT GROUP BY ORDER LIMIT OFFSET FOR RETURNING CONFLICT DO NOTHING TABLESAMPLE system ROWS CURRENT OF COPY TO
    STDOUT PREPARE EXECUTE EXPLAIN DECLARE CURSOR orders customers events public.orders countries exports pg_class
    public "orders" U&"orders" tenant_id id total note * , ( ) [ ] ; . :: = <> || - + 1 'x' E'x' $1 $$x$$ -- /* */ \n
    COLLATE "C" OPERATOR(pg_catalog.=) a b
""".split()  # noqa: SIM905
FOUND: dict[str, str] = {
    "a leaky condition of one table": "( SELECT 1 FROM orders WHERE tenant_id = 'globex' AND 1 / total > 3 )",
    "a cast to json in brackets": "SELECT count(*) FROM orders WHERE (note || '')::json IS NOT NULL AND id <> 3",
    "subscripts that cost their square": "SELECT (id)" + "[1]" * 300 + " FROM orders",
    "LIKE takes a definition": "CREATE TEMP TABLE DELETE ( LIKE orders INCLUDING ALL )",
    "a cursor's row": "UPDATE orders orders SET note = 'x' WHERE CURRENT OF c",
    "a lock that names its table": "SELECT id FROM orders JOIN customers c USING (id) FOR SHARE OF orders",
}


def _seeds() -> list[str]:
    found = [sql for forms in STATEMENTS.values() for _, sql in forms] + list(IN_QUERIES.values())
    for path in sorted((Path(__file__).parent / "cases").glob("*.sql")):
        found += re.findall(r"^-- .*\n((?:(?!=>|--).*\n)+)", path.read_text(), re.M)
    for case in corpus.attack_cases():
        found += [step["sql"] for step in case.get("steps") or [case] if isinstance(step.get("sql"), str)]
    return [sql.strip() for sql in found if len(sql) < 1500 and "\0" not in sql]


def _mutations(seeds: list[str], chance: random.Random) -> Iterator[str]:
    parts = [_parts(sql) for sql in seeds]
    while True:
        tokens = list(chance.choice(parts))
        for _ in range(chance.randint(1, 4)):
            _mutate(tokens, parts, chance)
        yield chance.choice((" ", " ", "", "\n", " /* ' */ ", "\t")).join(tokens)


def _parts(sql: str) -> list[str]:
    """A text cut at its tokens; one that cannot be scanned is cut at blanks."""
    try:
        return [sql[token.start : token.end] for token in scan(sql).items]
    except StatementRefused:
        return sql.split(" ")


def _mutate(tokens: list[str], parts: list[list[str]], chance: random.Random) -> None:
    at = chance.randrange(len(tokens) + 1)
    match chance.randrange(7):
        case 0:
            del tokens[at : at + chance.randint(1, 3)]
        case 1:
            tokens.insert(at, chance.choice(WORDS))
        case 2 if tokens:
            tokens[min(at, len(tokens) - 1)] = chance.choice(WORDS)
        case 3:
            other = chance.choice(parts)
            begin = chance.randrange(len(other) + 1)
            tokens[at:at] = other[begin : begin + chance.randint(1, 12)]
        case 4:
            tokens[at:at] = ["(", *chance.choice(parts), ")"]
        case 5:
            tokens[at:at] = tokens[at : at + chance.randint(1, 6)]
        case _ if tokens:
            other_at = chance.randrange(len(tokens))
            at = min(at, len(tokens) - 1)
            tokens[at], tokens[other_at] = tokens[other_at], tokens[at]


def _check(text: str, access: Access) -> bool:
    """Whether the text was accepted; fails when it came out unguarded, or refused in another way than it should be."""
    compiled = compile_query(text, access, CATALOG)
    denial = compiled.denial
    if denial is not None:
        assert isinstance(denial, StatementRefused)
        assert denial.public
        assert denial.sqlstate != "XX000", text
        return False
    shape = shape_of(text) if compiled.by_shape else None
    for plan in compiled.plans:
        sent = render(plan, VALUES, shape.literals if shape is not None else ())
        for statement in parse_statements(sent):
            if plan.copy_stamp is not None:
                continue  # COPY … FROM STDIN: the data are stamped
            _check_guards(statement.node, (), _ctes(statement.node), f"{text!r} became {sent!r}")
    return True


def _ctes(node: Any) -> frozenset[str]:
    return frozenset(str(found.ctename) for found in walk(node) if isinstance(found, ast.CommonTableExpr))


def _check_guards(node: Any, around: tuple[Any, ...], ctes: frozenset[str], what: str) -> None:
    """Every relation is a CTE's name, or no tenant's, or stands in a query level that tests the tenant's value."""
    if isinstance(node, ast.LockingClause | ast.TableLikeClause):
        return  # the one names what stands in FROM, the other takes a table's definition
    if isinstance(node, ast.RangeVar):
        if node.schemaname is None:
            assert node.relname in ctes or node.relname not in TENANT_TABLES, f"not qualified: {what}"
        elif node.schemaname == "public" and node.relname in TENANT_TABLES:
            assert around, f"unguarded: {what}"
            level = around[-1]
            conditions = [getattr(level, "whereClause", None), getattr(level, "joinCondition", None)]
            if isinstance(conditions[0], ast.CurrentOfExpr):
                return  # where the cursor stands is the tenant's
            if isinstance(level, ast.InsertStmt | ast.MergeStmt) or (
                isinstance(level, ast.SelectStmt) and level.lockingClause
            ):
                conditions = [around[0]]  # stamped or tested in one of several places
            assert any(_has_tenant(found) for found in conditions if found is not None), f"unguarded: {what}"
        own = node.schemaname == "pg_temp" or node.relname in ctes
        assert own or node.relname not in ("exports", "secrets"), f"not classified: {what}"
        return
    if isinstance(node, ast.SelectStmt | ast.InsertStmt | ast.UpdateStmt | ast.DeleteStmt | ast.MergeStmt):
        around = (*around, node)
    for child in child_nodes(node):
        _check_guards(child, around, ctes, what)


def _has_tenant(node: Any) -> bool:
    return any(isinstance(found, ast.String) and found.sval == TENANT for found in walk(node))


@pytest.mark.parametrize("access", [SHARED, replace(ANALYST, default=SHARED.default)], ids=["owner", "analyst"])
def test_mutated_statements_are_guarded_or_refused(access: Access) -> None:
    chance = random.Random(SEED)
    end = time.monotonic() + SECONDS / 2
    tried = accepted = 0
    for text in _mutations(_seeds(), chance):
        accepted += _check(text, access)
        tried += 1
        if time.monotonic() > end and tried >= FEWEST:
            break
    print(f"{tried} texts, {accepted} accepted")
    assert accepted > tried * 0.02, "the mutations break everything: nothing is tested"


@pytest.mark.parametrize("text", FOUND.values(), ids=list(FOUND))
def test_what_was_found_once(text: str) -> None:
    for access in (SHARED, ANALYST):
        _check(text, access)


def test_the_check_sees_a_missing_guard() -> None:
    for text in ("SELECT * FROM public.orders", "SELECT * FROM orders", "UPDATE public.orders SET id = 1"):
        (statement,) = parse_statements(text)
        with pytest.raises(AssertionError, match=r"unguarded|not qualified"):
            _check_guards(statement.node, (), frozenset(), text)
