"""Code of a database's owner: what extensions that have been read may do, and what keeps the rest out."""

from __future__ import annotations

from dataclasses import replace

import pytest

from policy.access import NO_ACCESS, Access
from policy.errors import AccessDenied, StatementRefused
from policy.model import Isolation
from policy.sql import builtin_functions as builtin
from policy.sql.catalog import Catalog, Column, Relation, UserCast, UserFunction, UserOperator, UserType
from policy.sql.extensions import REVIEWED
from policy.sql.functions import review_code
from policy.sql.parse import parse_statements
from policy.sql.user_code import COMPARISONS, user_code_of
from tests.unit.sql.shop import CATALOG as SHOP
from tests.unit.sql.shop import rewritten

PLACES = Relation(1, "public", "places", "r", (Column("id", 23, "integer"), Column("at", 16500, "public.geom")))
PLAIN = Relation(2, "public", "plain", "r", (Column("id", 23, "integer"), Column("name", 25, "text")))
BASE = Catalog(
    version=1,
    database="x",
    server_version=180000,
    relations={("public", "places"): PLACES, ("public", "plain"): PLAIN},
    builtin_functions=builtin.ALLOWED | {"to_jsonb"},
    types=frozenset(
        {
            UserType(16500, "geom"),
            UserType(16501, "_geom", ("geom",)),
            UserType(16502, "safe_geom", ("geom",)),
            UserType(16503, "places", ("geom",)),
            UserType(16504, "mood"),
        }
    ),
)


def functions(*found: tuple[str, str]) -> Catalog:
    owned = frozenset(UserFunction("public", name, extension) for name, extension in found)
    return replace(BASE, user_functions=frozenset(name for name, _ in found), functions=owned)


def operators(*found: UserOperator) -> Catalog:
    return replace(BASE, user_operators=frozenset(o.name for o in found), operators=frozenset(found))


def casts(*found: UserCast) -> Catalog:
    return replace(BASE, casts=frozenset(found), user_casts=frozenset((c.source, c.target) for c in found))


def review(sql: str, catalog: Catalog, isolation: Isolation = Isolation.SHARED, *, ddl: bool = False) -> None:
    access = Access("test", isolation, "main", NO_ACCESS, {}, {}, ddl=ddl)
    review_code(parse_statements(sql)[0].node, access, catalog)


def refusal(sql: str, catalog: Catalog) -> AccessDenied:
    with pytest.raises(AccessDenied) as caught:
        review(sql, catalog)
    assert caught.value.hint
    assert caught.value.sqlstate == "42501"
    return caught.value


# -- functions ------------------------------------------------------------------------------------------------


def test_a_reviewed_function_of_its_extension() -> None:
    catalog = functions(("digest", "pgcrypto"))
    review("SELECT digest('a', 'sha256'), public.digest('a', 'md5')", catalog)
    refusal("SELECT other.digest('a', 'sha256')", catalog)


def test_a_user_function_of_the_same_name() -> None:
    for catalog in (functions(("digest", "")), functions(("digest", "pgcrypto"), ("digest", ""))):
        refusal("SELECT digest('a', 'sha256')", catalog)
        refusal("SELECT public.digest('a', 'sha256')", catalog)
    refusal("SELECT digest('a', 'b')", functions(("digest", "pg_trgm")))
    refusal("SELECT digest('a', 'b')", replace(BASE, user_functions=frozenset({"digest"})))


def test_overloads_of_built_ins() -> None:
    catalog = functions(("replace", "citext"), ("max", "citext"))
    review("SELECT replace('a', 'b', 'c'), max(1) FROM plain", catalog)
    named = replace(functions(("sum", "vector")), builtin_functions=BASE.builtin_functions - {"sum"})
    review("SELECT sum(1)", named)


@pytest.mark.parametrize(
    ("name", "extension"),
    [
        ("set_limit", "pg_trgm"),
        ("isn_weak", "isn"),
        ("uuid_generate_v1", "uuid-ossp"),
        ("crosstab", "tablefunc"),
        ("dblink", "dblink"),
        ("xpath_table", "xml2"),
        ("pgstattuple", "pgstattuple"),
        ("vector_accum", "vector"),
    ],
)
def test_functions_that_nobody_has_reviewed(name: str, extension: str) -> None:
    refusal(f"SELECT {name}('a')", functions((name, extension)))


def test_unaccent_with_a_dictionary_by_name() -> None:
    catalog = functions(("unaccent", "unaccent"))
    review("SELECT unaccent('é')", catalog)
    refusal("SELECT unaccent('x', 'é')", catalog)


def test_a_column_like_a_function() -> None:
    column, call = "SELECT s.delete FROM (SELECT 1 AS delete) s", "SELECT s.delete FROM (SELECT 1 AS x) s"
    review(call, functions(("delete", "hstore")))
    review(column, functions(("delete", "")))
    refusal(call, functions(("delete", "")))


def test_extensions_that_reach_out_are_on_no_list() -> None:
    reaching = "dblink postgres_fdw file_fdw xml2 adminpack tablefunc pg_stat_statements pgstattuple pgrowlocks plpgsql"
    assert REVIEWED.keys().isdisjoint(reaching.split())


def test_no_reviewed_function_passes_for_an_aggregate_or_window() -> None:
    """These run after the filters; only the extensions' own aggregates may go by such a name."""
    names = {name for names in REVIEWED.values() for name in names}
    assert names & (builtin.AGGREGATES | builtin.WINDOWS) == {"avg", "max", "min", "sum"}


# -- operators ------------------------------------------------------------------------------------------------

GEOM = UserOperator("public", "=", "geom", "geom", "postgis")


@pytest.mark.parametrize("extension", ["", "postgis", "pg_stat_statements"])
def test_an_operator_on_built_in_types(extension: str) -> None:
    catalog = operators(UserOperator("public", "=", extension=extension))
    for sql in ("SELECT 1 WHERE 1 = 1", "SELECT 1 WHERE 1 IN (1, 2)", "SELECT 1 FROM plain a JOIN plain b USING (id)"):
        refusal(sql, catalog)
    review("SELECT 1 OPERATOR(pg_catalog.=) 1", catalog)


@pytest.mark.parametrize("name", sorted(REVIEWED))
def test_operators_of_reviewed_extensions(name: str) -> None:
    found = (UserOperator("public", "=", "u", "u", name), UserOperator("public", "%", extension=name))
    catalog = operators(*found)
    review("SELECT 1 WHERE 1 = 1 AND 'a' % 'b' AND 'a' OPERATOR(public.%) 'b'", catalog)
    refusal("SELECT 1 WHERE 'a' OPERATOR(public.%%) 'b'", catalog)


def test_one_unreviewed_operator_of_a_name_is_enough() -> None:
    catalog = operators(UserOperator("public", "%", extension="pg_trgm"), UserOperator("public", "%"))
    refusal("SELECT 'a' % 'b'", catalog)
    refusal("SELECT 'a' OPERATOR(public.%) 'b'", catalog)


def test_a_comparison_of_a_type_that_does_not_occur() -> None:
    catalog = operators(GEOM)
    review("SELECT * FROM plain WHERE id = 1 AND name IN ('a', 'b') AND name = $1", catalog)
    for sql in (
        "SELECT * FROM places WHERE id = 1",
        "SELECT 1 FROM plain WHERE '1'::geom = '2'",
        "SELECT 1 FROM plain WHERE '{1}'::geom[] = '{2}'",
        "SELECT 1 FROM plain WHERE '{1}'::_geom = '{2}'",
        "SELECT 1 FROM plain WHERE '1'::public.safe_geom = '2'",
        "SELECT 1 FROM plain, (SELECT NULL::places AS p) s WHERE s.p = s.p",
        "WITH a AS (SELECT at FROM places) SELECT 1 FROM a WHERE at = at",
        "INSERT INTO places SELECT 1 WHERE 1 = 1",
    ):
        assert "operator = is not allowed" in refusal(sql, catalog).message


def test_a_parameter_cannot_bring_the_type() -> None:
    assert user_code_of(operators(GEOM)).parameter_types == {16500, 16501, 16502, 16503}
    assert user_code_of(BASE).parameter_types == frozenset()


def test_a_built_in_value_that_becomes_the_type_unasked() -> None:
    catalog = replace(
        operators(GEOM),
        casts=frozenset({UserCast("text", "geom", False, True, "implicit", runs_code=False, extension="postgis")}),
    )
    refusal("SELECT 1 FROM plain WHERE id = 1", catalog)


@pytest.mark.parametrize(
    "operator",
    [
        UserOperator("public", "&&", "geom", "geom"),  # 'a' && 'b' has no operator for text
        UserOperator("public", "=", "", "geom"),  # json_column = 'a'
        UserOperator("public", "@", "", "geom"),
    ],
)
def test_a_string_that_becomes_the_type_unasked(operator: UserOperator) -> None:
    refusal(f"SELECT 1 FROM plain WHERE name {operator.name} 'b'", operators(operator))


def test_own_databases_with_ddl_run_their_own_operators() -> None:
    review("SELECT 1 FROM places WHERE id = 1", operators(GEOM), Isolation.DATABASE, ddl=True)


def test_no_comparison_that_could_be_a_users_is_leakproof() -> None:
    plain, barrier = "SELECT id FROM orders WHERE id = 5", "OFFSET 0"
    own = frozenset({UserOperator("public", "=", "citext", "citext", "citext")})
    known = replace(SHOP, user_operators=frozenset({"="}), operators=own)
    assert barrier not in rewritten(plain, catalog=known)
    mixed = replace(known, operators=own | {UserOperator("public", "<", "", "citext", "citext")})
    assert barrier in rewritten(plain, catalog=mixed)


def test_an_extensions_function_is_not_leakproof() -> None:
    owned = frozenset(
        {UserFunction("public", "similarity", "pg_trgm"), UserFunction("public", "starts_with", "citext")}
    )
    catalog = replace(
        SHOP, user_functions=frozenset({"similarity"}), functions=owned, leakproof_functions=frozenset({"similarity"})
    )
    assert "CASE WHEN" in rewritten("SELECT id FROM orders WHERE similarity(status, 'x') > 0", catalog=catalog)
    assert "OFFSET 0" in rewritten(
        "SELECT 1 FROM (SELECT o.similarity AS x FROM orders o) s WHERE x > 1", catalog=catalog
    )


# -- casts ----------------------------------------------------------------------------------------------------


def test_a_cast_is_refused_where_it_could_be_applied() -> None:
    catalog = casts(UserCast("geom", "text", True, False, "explicit"))
    review("SELECT * FROM places", catalog)
    review("SELECT name::text FROM plain", catalog)
    review("INSERT INTO places (id) VALUES (1)", catalog)
    for sql in (
        "SELECT at::text FROM places",
        "SELECT text(at) FROM places",
        "SELECT (at).text FROM places",
        "SELECT CAST(s.at AS text) FROM (SELECT * FROM places) s",
        "SELECT '1'::geom::text",
        "SELECT ('{1}'::geom[])::text[]",
        "SELECT '1'::safe_geom::text",
    ):
        assert "from geom to text" in (refusal(sql, catalog).hint or "")


def test_an_assignment_cast() -> None:
    catalog = casts(UserCast("geom", "text", True, False, "assignment"))
    review("SELECT at FROM places", catalog)
    refusal("INSERT INTO plain (name) SELECT at FROM places", catalog)
    refusal("UPDATE plain SET name = (SELECT at FROM places LIMIT 1)", catalog)
    review("INSERT INTO plain (name) VALUES ('x')", catalog)


def test_an_implicit_cast() -> None:
    catalog = casts(UserCast("geom", "text", True, False, "implicit"))
    assert "relation places" in refusal("SELECT id FROM places", catalog).message
    review("SELECT * FROM plain", catalog)
    into = casts(UserCast("text", "geom", False, True, "implicit"))
    refusal("SELECT id FROM places", into)
    review("SELECT * FROM plain", into)


def test_casts_between_types_of_the_server() -> None:
    review("SELECT name FROM plain", casts(UserCast("text", "int4", False, False, "explicit")))
    refusal("SELECT name::int FROM plain", casts(UserCast("text", "int4", False, False, "explicit")))
    refusal("SELECT 1", casts(UserCast("text", "int4", False, False, "implicit")))
    refusal("UPDATE plain SET id = 1", casts(UserCast("text", "int4", False, False, "assignment")))


def test_to_json_applies_casts_to_json() -> None:
    catalog = casts(UserCast("geom", "jsonb", True, False, "explicit"))
    refusal("SELECT to_jsonb(p) FROM places p", catalog)
    review("SELECT to_jsonb(p) FROM plain p", catalog)


def test_casts_without_code_or_of_reviewed_extensions() -> None:
    without_code = UserCast("geom", "text", True, False, "implicit", runs_code=False)
    reviewed = UserCast("geom", "json", True, False, "assignment", extension="hstore")
    review("SELECT to_jsonb(at), at::text, at::json FROM places", casts(without_code, reviewed))


def test_every_comparison_has_its_text_operator() -> None:
    """On which rests that a string constant is never taken for a user type in one."""
    assert frozenset({"=", "<>", "<", "<=", ">", ">="}) == COMPARISONS


def test_refusals_are_statement_refusals() -> None:
    with pytest.raises(StatementRefused):
        rewritten("SELECT 1 WHERE 1 = 1", catalog=replace(SHOP, user_operators=frozenset({"="})))
