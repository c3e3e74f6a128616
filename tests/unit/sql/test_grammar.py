"""Every class of PostgreSQL's grammar has a deliberate outcome, and what has none is refused."""

from __future__ import annotations

import inspect
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from policy.errors import StatementRefused, UnsupportedStatement
from policy.model import Isolation
from policy.sql import classify as classification
from policy.sql.classify import KNOWN_NODES, OUTCOMES, Allowed, classify
from policy.sql.compile import compile_query
from policy.sql.context import Context
from policy.sql.grammar import page as page_module
from policy.sql.grammar.parts import IN_DDL, IN_QUERIES
from policy.sql.grammar.samples import STRATEGIES, Became, Strategy, catalog, judge
from policy.sql.grammar.samples import _access as sample_access
from policy.sql.grammar.statements import NEVER_ALONE, STATEMENTS
from policy.sql.parse import Statement, ast, parse_statements, scan, walk
from policy.sql.plan import SlotValues, render
from policy.sql.references import collect_references
from policy.sql.shape import shape_of
from tests.unit.sql.sample import CATALOG, DATABASE, SCHEMA_DDL, SHARED

PAGE = Path(__file__).parents[3] / "docs" / "statements.md"
NODES: dict[str, Any] = {
    name: cls
    for name, cls in vars(ast).items()
    if inspect.isclass(cls) and issubclass(cls, ast.Node) and cls not in (ast.Node, ast.Expr)  # abstract
}
KINDS = sorted(name for name in NODES if name.endswith("Stmt"))
KNOWN = KNOWN_NODES | classification._OWN_DATABASE_NODES | classification._SESSION_NODES
UNKNOWN = sorted(NODES.keys() - KNOWN - OUTCOMES.keys())
SAMPLES = [(node, sql) for node, forms in STATEMENTS.items() for _, sql in forms]


def _context(text: str, access: Any) -> Context:
    tokens = scan(text)
    (statement,) = parse_statements(text, tokens)
    schema = "initech" if access.isolation is Isolation.SCHEMA else ""
    return Context(access, CATALOG, schema, text, tokens, statement, collect_references(statement.node, tokens))


def test_every_statement_class_has_an_outcome_and_a_sample() -> None:
    assert KINDS
    assert [kind for kind in KINDS if kind not in OUTCOMES] == []
    assert [kind for kind in KINDS if kind not in STATEMENTS and kind not in NEVER_ALONE] == []
    assert STATEMENTS.keys() & NEVER_ALONE.keys() == set()


def test_no_outcome_is_of_a_class_that_the_grammar_does_not_have() -> None:
    assert OUTCOMES.keys() - NODES.keys() == set()
    assert KNOWN - NODES.keys() == set()
    assert STATEMENTS.keys() | NEVER_ALONE.keys() <= NODES.keys()


def test_every_known_node_class_has_a_sample() -> None:
    statements = {name for name in KNOWN if name.endswith("Stmt")}
    assert KNOWN - statements - IN_QUERIES.keys() - IN_DDL.keys() == set()
    assert IN_QUERIES.keys() | IN_DDL.keys() <= KNOWN


@pytest.mark.parametrize(("node", "sql"), SAMPLES, ids=[f"{node}: {sql[:40]}" for node, sql in SAMPLES])
def test_a_statements_sample_is_of_its_class(node: str, sql: str) -> None:
    (statement,) = parse_statements(sql)
    assert type(statement.node).__name__ == node


@pytest.mark.parametrize(("node", "sql"), [*IN_QUERIES.items(), *IN_DDL.items()], ids=[*IN_QUERIES, *IN_DDL])
def test_a_parts_sample_contains_it(node: str, sql: str) -> None:
    (statement,) = parse_statements(sql)
    assert node in {type(found).__name__ for found in walk(statement.node)}


@pytest.mark.parametrize("node", [name for name, outcome in OUTCOMES.items() if outcome.allowed is Allowed.NEVER])
def test_what_is_never_allowed_is_refused_everywhere(node: str) -> None:
    for _, sql in STATEMENTS.get(node, ()):
        for strategy in STRATEGIES:
            verdict = judge(sql, strategy)
            assert verdict.became is Became.REFUSED
            assert verdict.refusal is not None
            assert verdict.refusal.sqlstate in ("0A000", "42501")
            assert verdict.refusal.hint


@pytest.mark.parametrize("name", UNKNOWN)
@pytest.mark.parametrize("access", [SHARED, SCHEMA_DDL, DATABASE], ids=lambda access: access.id)
def test_an_unknown_node_is_refused_wherever_it_stands(name: str, access: Any) -> None:
    """The planner's nodes and those that a newer grammar adds, put where an expression stands."""
    for text in ("SELECT a", "SHOW TimeZone"):
        context = _context(text, access)
        node = context.statement.node
        foreign: Any = NODES[name]()
        if isinstance(node, ast.SelectStmt):
            node.targetList = (foreign,)
        else:
            node = ast.VariableSetStmt(name="timezone", args=(foreign,))
        context.statement = Statement(node, context.statement.start, context.statement.end)
        with pytest.raises(UnsupportedStatement, match=name):
            classify(context)


def test_an_unknown_statement_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    for kind in ("SelectStmt", "VariableShowStmt"):
        monkeypatch.delitem(classification.OUTCOMES, kind)
        context = _context("SELECT 1" if kind == "SelectStmt" else "SHOW TimeZone", SHARED)
        with pytest.raises(UnsupportedStatement, match=kind):
            classify(context)


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("name", ["pg_brand_new", "pg_read_file", "query_to_xml", "dblink", "lo_import"])
def test_a_function_that_no_group_has_is_refused(name: str, strategy: Strategy) -> None:
    if strategy is Strategy.ALONE and name in ("pg_brand_new", "query_to_xml"):
        return  # what a function of their own could call
    for sql in (f"SELECT {name}('x')", f"SELECT pg_catalog.{name}('x')", f"SELECT * FROM {name}('x')"):
        verdict = judge(sql, strategy)
        assert verdict.became is Became.REFUSED
        assert isinstance(verdict.refusal, StatementRefused)


OWN_DATABASE = [name for name, outcome in OUTCOMES.items() if outcome.allowed is Allowed.OWN_DATABASE]


@pytest.mark.parametrize(("node", "sql"), [(node, sql) for node in OWN_DATABASE for _, sql in STATEMENTS[node]])
def test_what_stays_within_a_database_is_for_who_may_store_code_there(node: str, sql: str) -> None:
    became = {strategy: judge(sql, strategy).became for strategy in STRATEGIES}
    alone = Became.REFUSED if "TO postgres" in sql else Became.PASSED  # roles are the server's
    assert became == {**dict.fromkeys(STRATEGIES, Became.REFUSED), Strategy.ALONE: alone}


@pytest.mark.parametrize(
    "sql",
    [
        "CREATE SCHEMA s AUTHORIZATION postgres",
        "CREATE SCHEMA s GRANT SELECT ON orders TO postgres",
        "GRANT SELECT ON orders TO postgres",
        "REVOKE SELECT ON orders FROM postgres",
        "GRANT SELECT ON orders TO PUBLIC GRANTED BY postgres",
        "GRANT ALL ON DATABASE app TO PUBLIC",
        "GRANT ALL ON LANGUAGE plpgsql TO PUBLIC",
        "GRANT ALL ON FOREIGN SERVER s TO PUBLIC",
        "GRANT pg_monitor TO CURRENT_USER",
        "CREATE POLICY p ON orders TO postgres USING (true)",
        "ALTER POLICY p ON orders TO postgres",
        "ALTER TABLE orders OWNER TO postgres",
        "ALTER TABLE orders SET TABLESPACE fast",
        "CREATE TABLE items (id int) TABLESPACE fast",
        "CREATE INDEX i ON orders (id) TABLESPACE fast",
        "REINDEX (TABLESPACE fast) TABLE orders",
        "REINDEX DATABASE app",
        "REINDEX SYSTEM app",
        "CREATE TEXT SEARCH TEMPLATE t (LEXIZE = f)",
        "CREATE TEXT SEARCH PARSER p (START = f)",
        "CREATE RULE r AS ON INSERT TO orders DO ALSO SELECT * FROM pg_stat_activity",
        "CREATE RULE r AS ON INSERT TO orders DO ALSO SELECT relname FROM pg_class",
        "CREATE FUNCTION f() RETURNS text BEGIN ATOMIC SELECT relname FROM pg_class; END",
        "CREATE FUNCTION f() RETURNS text BEGIN ATOMIC SELECT pg_read_file('x'); END",
        "CREATE FUNCTION f() RETURNS int LANGUAGE c AS 'library'",
        "DROP EXTENSION dblink",
        "DROP SERVER s",
        "DROP LANGUAGE plpgsql",
        "DROP PUBLICATION p",
        "ALTER DATABASE app RENAME TO other",
        "ALTER ROLE a RENAME TO b",
        "ALTER EXTENSION dblink SET SCHEMA s",
        "COMMENT ON DATABASE app IS 'x'",
        "COMMENT ON ROLE postgres IS 'x'",
        "COPY orders TO '/tmp/orders'",
        "COPY orders FROM PROGRAM 'id'",
        "EXPLAIN (ANALYZE) CREATE TABLE x AS SELECT pg_read_file('x')",
        "EXECUTE p (pg_read_file('x'))",
        "SELECT public.dblink('x')",
        "SELECT pg_terminate_backend(1)",
        "SELECT pg_stat_get_activity(NULL)",
        "SELECT lo_import('/etc/passwd')",
    ],
)
def test_nobody_reaches_beyond_a_database(sql: str) -> None:
    verdict = judge(sql, Strategy.ALONE)
    assert verdict.became is Became.REFUSED
    assert verdict.refusal is not None
    assert verdict.refusal.sqlstate in ("0A000", "42501", "42883")  # the samples' catalog has no such functions


@pytest.mark.parametrize(
    ("sql", "pins"),
    [
        ("SET search_path TO s, public", "search_path"),
        ("SELECT set_config('search_path', 's', true)", "search_path"),
        ("CREATE TEMP TABLE orders (id int)", "temporary table"),
        ("SELECT 1 AS a INTO TEMP orders", "temporary table"),
        ("CREATE TEMP TABLE t AS SELECT * FROM orders", "temporary table"),
        ("EXPLAIN (ANALYZE) CREATE TEMP TABLE t AS SELECT 1", "temporary table"),
        ("SELECT query_to_xml('SELECT 1', true, true, '')", "user-defined code"),
        ("CREATE TABLE pg_temp.t (id int)", "temporary table"),
        ("COPY orders TO STDOUT (FORMAT csv, HEADER match)", ""),
        ("EXECUTE p (1 + 1)", ""),
        ("REVOKE ALL ON FUNCTION f(int) FROM PUBLIC", ""),
        ("SELECT lo_create(0)", ""),
        ("SELECT float8send(1), booleq(true, false)", ""),
    ],
)
def test_what_is_of_the_session_keeps_its_backend_there(sql: str, pins: str) -> None:
    known = replace(
        catalog(), builtin_functions=catalog().builtin_functions | {"lo_create", "float8send", "booleq", "query_to_xml"}
    )
    compiled = compile_query(sql, sample_access(Strategy.ALONE), known)
    (plan,) = compiled.plans
    assert plan.denial is None
    assert plan.pins == pins
    shape = shape_of(sql) if compiled.by_shape else None
    assert render(plan, SlotValues("", "", "", {}), () if shape is None else shape.literals) == sql


def test_the_page_is_current() -> None:
    assert PAGE.read_text(encoding="utf-8") == page_module.page(), (
        "make it anew: .venv/bin/tenantgate statements > docs/statements.md"
    )
