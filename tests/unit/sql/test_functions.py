"""Which code a statement may run: every way to reach a function, with and without a call."""

from __future__ import annotations

from dataclasses import replace

import pytest

from policy.access import NO_ACCESS, Access, TableAccess
from policy.errors import AccessDenied, InvalidStatement, StatementRefused
from policy.model import Isolation, TableClass, TableRule
from policy.sql import builtin_functions as builtin
from policy.sql.catalog import Catalog, Column, Relation
from policy.sql.functions import default_is_allowed, review_code
from policy.sql.parse import parse_statements
from policy.sql.rules import catalog_functions, object_names

ACCOUNTS = Relation(1, "public", "accounts", "r", (Column("id", 23, "integer"), Column("total", 1700, "numeric")))
LABELS = Relation(2, "public", "labels", "r", (Column("ref", 16400, "order_ref"),))
CATALOG = Catalog(
    version=1,
    database="shop",
    server_version=180000,
    relations={("public", "accounts"): ACCOUNTS, ("public", "labels"): LABELS},
    user_functions=frozenset({"display_name", "order_count", "total", "lower", "dblink", "secret_agg"}),
    user_operators=frozenset({"?~>"}),
    user_types=frozenset({"order_ref", "mood"}),
    user_casts=frozenset({("order_ref", "text")}),
    builtin_functions=frozenset(
        builtin.ALLOWED
        | {
            "query_to_xml",
            "pg_read_file",
            "ts_stat",
            "ts_rewrite",
            "nextval",
            "has_table_privilege",
            "has_language_privilege",
            "pg_sleep",
        }
        | {
            "current_setting",
            "pg_get_constraintdef",
            "pg_get_viewdef",
            "pg_relation_size",
            "setval",
            "pg_database_size",
            "pg_export_snapshot",
            "lo_get",
        }
        | {"pg_terminate_backend", "pg_advisory_lock", "to_regclass", "to_regprocedure", "txid_current", "set_config"}
    ),
)


def access(isolation: Isolation = Isolation.SHARED, *, ddl: bool = False) -> Access:
    return Access("test", isolation, "main", NO_ACCESS, {}, {}, ddl=ddl)


def review(sql: str, to: Access | None = None, catalog: Catalog = CATALOG) -> bool:
    return review_code(parse_statements(sql)[0].node, to or access(), catalog).pinned


ALLOWED = [
    "SELECT count(*), max(upper(x)), row_number() OVER (ORDER BY 1) FROM accounts",
    "SELECT extract(year FROM now()), position('a' IN 'b'), substring('abc' FROM 2), trim(both 'x' FROM 'xax')",
    "SELECT now() AT TIME ZONE 'UTC', 'a' LIKE 'b' ESCAPE '!', 'a' SIMILAR TO 'b', coalesce(1, 2), greatest(1, 2)",
    "SELECT * FROM generate_series(1, 3), unnest(ARRAY[1]), jsonb_each('{}')",
    "SELECT pg_catalog.lower('A')",
    "SELECT version(), current_database(), current_user, session_user, pg_backend_pid(), pg_sleep(0)",
    "SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY id) FILTER (WHERE id > 0) FROM accounts",
    "SELECT ts_rewrite('a'::tsquery, 'a'::tsquery, 'b'::tsquery)",
    "SELECT has_table_privilege(current_user, 'accounts', 'select'), has_table_privilege(name, 'select') FROM accounts",
    "SELECT to_regclass('exports')",
    "SELECT pg_get_constraintdef(c.oid, true) FROM pg_catalog.pg_constraint c",
    "SELECT a.total, (a).total FROM accounts a",
    "SELECT * FROM accounts TABLESAMPLE system (10)",
    "SELECT information_schema._pg_expandarray(i.indkey) FROM pg_catalog.pg_index i",
    "SELECT 'x'::mood",
]


@pytest.mark.parametrize("sql", ALLOWED)
def test_reviewed_code_is_allowed(sql: str) -> None:
    review(sql)


REFUSED = [
    ("SELECT query_to_xml('SELECT 1', true, false, '')", "query_to_xml"),
    ("SELECT pg_catalog.query_to_xml('SELECT 1', true, false, '')", "query_to_xml"),
    (
        "SELECT 1 FROM XMLTABLE('//s' PASSING query_to_xml('', true, true, '') COLUMNS s text PATH '.') x",
        "query_to_xml",
    ),
    ("SELECT word FROM ts_stat('SELECT 1')", "ts_stat"),
    ("SELECT ts_rewrite('a'::tsquery, 'SELECT 1')", "ts_rewrite"),
    ("SELECT 1 ORDER BY pg_read_file('x')", "pg_read_file"),
    ("VALUES (1) LIMIT lo_get(1)::text::int", "lo_get"),
    ("SELECT count(*) FILTER (WHERE pg_terminate_backend(1)) FROM accounts", "pg_terminate_backend"),
    ("SELECT sum(1) OVER (PARTITION BY pg_export_snapshot()) FROM accounts", "pg_export_snapshot"),
    ("SELECT txid_current()", "txid_current"),
    ("SELECT nextval('s')", "nextval"),
    ("SELECT set_config('search_path', 'x', false)", "set_config"),
    ("SELECT current_setting('data_directory')", "current_setting"),
    ("SELECT has_language_privilege('plpgsql', 'usage')", "has_language_privilege"),
    ("SELECT to_regprocedure('order_count()')", "to_regprocedure"),
    ("SELECT order_count()", "order_count"),
    ("SELECT secret_agg(id) FROM accounts", "secret_agg"),
    ("SELECT * FROM public.order_count()", "order_count"),
    ("SELECT lower('A')", "pg_catalog.lower"),
    ("SELECT a.display_name FROM accounts a", "display_name"),
    ("SELECT (a).display_name FROM accounts a", "display_name"),
    ("SELECT s.total FROM (SELECT 1) s", "total"),
    ("SELECT a.lo_get FROM accounts a", "lo_get"),
    ("SELECT 'x' ?~> 3", "?~>"),
    ("SELECT 'x' OPERATOR(public.?~>) 3", "public.?~>"),
    ("SELECT 'x' ?~> ANY (ARRAY[3])", "?~>"),
    ("SELECT 1 FROM accounts ORDER BY id USING ?~>", "?~>"),
    ("SELECT ROW('a', 1)::order_ref::text", "order_ref"),
    ("SELECT CAST(ROW('a', 1) AS public.order_ref)", "order_ref"),
    ("SELECT * FROM labels", "labels"),
    ("SELECT * FROM accounts TABLESAMPLE system_rows (10)", "system_rows"),
    ("EXPLAIN SELECT order_count()", "order_count"),
    ("INSERT INTO accounts DEFAULT VALUES RETURNING order_count()", "order_count"),
]


@pytest.mark.parametrize(("sql", "name"), REFUSED)
def test_other_code_is_refused_with_hint_and_position(sql: str, name: str) -> None:
    with pytest.raises(AccessDenied) as caught:
        review(sql)
    assert caught.value.sqlstate == "42501"
    assert caught.value.hint
    assert name in caught.value.message + caught.value.hint
    assert caught.value.position > 0


def test_position_is_that_of_the_call() -> None:
    with pytest.raises(AccessDenied) as caught:
        review("SELECT 'é', pg_read_file('x')")
    assert caught.value.position == 13


def test_unknown_function_reads_as_in_postgresql() -> None:
    with pytest.raises(InvalidStatement) as caught:
        review("SELECT no_such_thing(1)")
    assert caught.value.sqlstate == "42883"


def test_shadowed_equality_reaches_every_implicit_comparison() -> None:
    catalog = replace(CATALOG, user_operators=frozenset({"=", ">="}))
    for sql in (
        "SELECT 1 WHERE 1 = 1",
        "SELECT 1 WHERE 1 IN (1, 2)",
        "SELECT 1 WHERE 1 IN (SELECT 1)",
        "SELECT CASE 1 WHEN 1 THEN 2 END",
        "SELECT nullif(1, 2)",
        "SELECT 1 IS DISTINCT FROM 2",
        "SELECT 1 BETWEEN 1 AND 2",
        "SELECT 1 FROM accounts a JOIN accounts b USING (id)",
        "SELECT 1 FROM accounts a NATURAL JOIN accounts b",
    ):
        with pytest.raises(AccessDenied):
            review(sql, catalog=catalog)
    review("SELECT 1 OPERATOR(pg_catalog.=) 1", catalog=catalog)


def test_settings_read_by_constant_name_pin_the_plan() -> None:
    assert review("SELECT current_setting('TimeZone', true)")
    assert not review("SELECT lower(x) FROM (VALUES ('a')) v(x)", catalog=replace(CATALOG, user_functions=frozenset()))


@pytest.mark.parametrize("isolation", [Isolation.SCHEMA, Isolation.DATABASE])
def test_sequences_outside_shared_databases(isolation: Isolation) -> None:
    review("SELECT nextval('s')", access(isolation))
    with pytest.raises(AccessDenied):
        review("SELECT setval('s', 1)", access(isolation))
    review("SELECT setval('s', 1)", access(isolation, ddl=True))


def test_a_schema_tenant_cannot_name_another_schemas_sequence() -> None:
    for argument in ("'t_globex.s'", "16384", "'16384'", "s.name", "'16384x'::varchar(5)::regclass", "$1"):
        with pytest.raises(AccessDenied):
            review(f"SELECT nextval({argument})", access(Isolation.SCHEMA))


def test_listed_sequences_of_shared_tables() -> None:
    numbers = Relation(3, "public", "numbers", "S", ())
    catalog = replace(CATALOG, relations={**CATALOG.relations, ("public", "numbers"): numbers})
    rules = {
        ("public", "numbers"): TableRule("public", "numbers", TableClass.SEQUENCE),
        ("public", "accounts"): TableRule("public", "accounts", TableClass.SEQUENCE),
    }
    listed = replace(access(), rules=rules, default=TableAccess(read=True, write=True))
    for argument in ("'numbers'", "'public.numbers'::regclass", "'\"numbers\"'::text"):
        found = review_code(parse_statements(f"SELECT nextval({argument})")[0].node, listed, catalog)
        assert found.writes
        assert found.pinned
    assert not review_code(parse_statements("SELECT currval('numbers')")[0].node, listed, catalog).writes
    refused = ["nextval('other')", "nextval('accounts')", "nextval('numbersx'::char(7)::text)", "nextval($1)"]
    for call in [*refused, "nextval('sales.numbers')", "setval('numbers', 1)", "lastval()", "nextval('NUMBERS')"]:
        with pytest.raises((AccessDenied, InvalidStatement)):
            review_code(parse_statements(f"SELECT {call}")[0].node, listed, catalog)
    with pytest.raises(AccessDenied, match="nextval") as caught:
        review("SELECT nextval('numbers')", replace(listed, default=TableAccess(read=True)), catalog)
    assert "administrator" in (caught.value.hint or "")


def test_own_database_allows_user_code_with_the_ddl_permission_only() -> None:
    sql = "SELECT order_count(), 'x' ?~> 3, a.display_name FROM accounts a"
    review(sql, access(Isolation.DATABASE, ddl=True))
    with pytest.raises(AccessDenied):
        review(sql, access(Isolation.DATABASE))
    with pytest.raises(AccessDenied):
        review(sql, access(Isolation.SCHEMA, ddl=True))


@pytest.mark.parametrize("sql", ["SELECT dblink('a', 'b')", "SELECT pg_read_file('x')", "SELECT lo_get(1)"])
def test_what_leaves_the_database_is_refused_everywhere(sql: str) -> None:
    with pytest.raises(AccessDenied):
        review(sql, access(Isolation.DATABASE, ddl=True))


def test_answered_calls_are_left_to_their_rule() -> None:
    statement = parse_statements("SELECT set_config('a', 'b', false)")[0].node
    review_code(statement, access(), CATALOG, answered_calls={7})
    with pytest.raises(StatementRefused):
        review_code(statement, access(), CATALOG, answered_calls={8})


@pytest.mark.parametrize(
    ("default", "allowed"),
    [
        ("nextval('public.notes_id_seq'::regclass)", True),
        ("now()", True),
        ("public.uuid_generate_v4()", True),
        ("lpad(public.uuid_generate_v4()::text, order_count())", False),
        ("'2025-01-01 00:00:00+00'::timestamp with time zone", True),
        ("newest_secret()", False),
        ("public.order_count()", False),
        ("current_setting('app.tenant'::text, true)", False),
    ],
)
def test_column_defaults(default: str, allowed: bool) -> None:
    assert default_is_allowed(default, access(), CATALOG) is allowed


@pytest.fixture(scope="module")
def server_functions(request: pytest.FixtureRequest) -> dict[str, bool]:
    """Names in pg_proc of the embedded server; True when the name is also a reviewed one's spelling."""
    postgres = request.getfixturevalue("postgres")
    rows = postgres.execute("SELECT DISTINCT proname FROM pg_proc WHERE pronamespace = 'pg_catalog'::regnamespace")
    return {str(name): str(name) in builtin.ALLOWED for (name,) in rows}


def test_every_allowed_name_exists_on_the_server(server_functions: dict[str, bool]) -> None:
    newer_or_older = builtin.ALLOWED - server_functions.keys()
    assert not newer_or_older


def test_the_names_that_run_sql_or_reach_out_are_on_no_list(server_functions: dict[str, bool]) -> None:
    dangerous = [
        name
        for name in server_functions
        if name.startswith(("lo_", "pg_read_", "pg_ls_", "pg_stat_get_", "pg_stat_reset", "binary_upgrade_"))
        or "_to_xml" in name
        or "replication" in name
        or "wal" in name
    ]
    assert len(dangerous) > 150
    harmless = "pg_is_wal_replay_paused"  # of a standby, and pgAdmin's second question
    assert [name for name in dangerous if server_functions[name]] == [harmless]


def test_functions_that_describe_by_oid_are_guarded_elsewhere() -> None:
    """A name on this list that no rule guards would answer for anybody's objects."""
    assert builtin.GUARDED_BY_OID <= catalog_functions.GUARDED | object_names.GUARDED
