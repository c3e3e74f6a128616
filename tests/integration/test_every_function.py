"""Every function of a real server's pg_catalog has an outcome that somebody decided: allowed, guarded or refused.

What the lists do not name, and no reason for a refusal fits, must be a function that PostgreSQL calls itself: behind an
operator, an aggregate, a type, a cast, an index. These are refused by name; their operators are allowed.
"""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from policy.errors import StatementRefused
from policy.model import Isolation
from policy.sql import builtin_functions as builtin
from policy.sql.functions import review_code
from policy.sql.parse import parse_statements
from policy.sql.rules import catalog_functions, object_names
from tests.harness.postgres import PostgresServer
from tests.unit.sql.test_functions import CATALOG, access

_CALLABLE = """
  SELECT p.oid, p.proname FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
  WHERE n.nspname = 'pg_catalog' AND p.oid < 16384 AND NOT EXISTS (
    SELECT FROM unnest(p.proargtypes || p.prorettype) t JOIN pg_catalog.pg_type y ON y.oid = t
    WHERE y.typname IN ('internal', 'cstring', 'trigger', 'event_trigger') OR y.typname LIKE '%handler')
"""
_BEHIND = """
  SELECT oprcode::oid FROM pg_catalog.pg_operator
  UNION SELECT unnest(ARRAY[aggtransfn, aggfinalfn, aggcombinefn, aggmtransfn, aggminvtransfn, aggmfinalfn]::oid[])
    FROM pg_catalog.pg_aggregate
  UNION SELECT amproc::oid FROM pg_catalog.pg_amproc
  UNION SELECT castfunc FROM pg_catalog.pg_cast
  UNION SELECT unnest(ARRAY[typsend, typmodin, typmodout, typanalyze]::oid[]) FROM pg_catalog.pg_type
  UNION SELECT unnest(ARRAY[rngcanonical, rngsubdiff]::oid[]) FROM pg_catalog.pg_range
"""
_LISTED = frozenset().union(
    builtin.ALLOWED, builtin.GUARDED_BY_OID, builtin.PRIVILEGE_TESTS, builtin.NAME_RESOLVERS, builtin.SEQUENCES,
    builtin.CHANNELS, builtin.ADVISORY_LOCKS, builtin.OWN_DATABASE_ONLY, catalog_functions.GUARDED,
    object_names.GUARDED, {"current_setting", "ts_rewrite"},
)  # fmt: skip


# They print names of roles by oid, may run SQL text, or are of use to administrators only.
_REFUSED_ALL_THE_SAME = builtin.OWN_DATABASE_ONLY | {
    "acldefault", "makeaclitem", "pg_indexam_progress_phasename", "pg_wal_lsn_diff", "pg_walfile_name",
    "pg_walfile_name_offset", "postgresql_fdw_validator", "satisfies_hash_partition", "ts_rewrite",
}  # fmt: skip


@pytest.fixture(params=["postgres", "postgres_tls"])
def server(request: pytest.FixtureRequest) -> PostgresServer:
    found: PostgresServer = request.getfixturevalue(request.param)
    return found


def _names(sql: str, server: PostgresServer) -> set[str]:
    return {str(name) for (name,) in server.execute(sql)}


def test_every_function_has_an_outcome(server: PostgresServer) -> None:
    own = _names(f"SELECT DISTINCT proname FROM ({_CALLABLE}) c WHERE oid NOT IN ({_BEHIND})", server)
    undecided = {
        name for name in own - _LISTED if not any(re.fullmatch(pattern, name) for pattern, _ in builtin.REFUSAL_REASONS)
    }
    assert undecided == set()


def test_no_list_names_a_function_that_no_server_has(postgres: PostgresServer, postgres_tls: PostgresServer) -> None:
    every = "SELECT proname FROM pg_catalog.pg_proc"
    assert _LISTED - _names(every, postgres) - _names(every, postgres_tls) == set()


def test_functions_of_values_only_are_not_refused_for_no_reason(server: PostgresServer) -> None:
    """Immutable functions of built-in types see nothing but their arguments: each is allowed, or PostgreSQL's own."""
    pure = _names(
        f"""SELECT DISTINCT c.proname FROM ({_CALLABLE}) c JOIN pg_catalog.pg_proc p USING (oid)
            WHERE p.provolatile = 'i' AND c.oid NOT IN ({_BEHIND})""",
        server,
    )
    shared = replace(CATALOG, builtin_functions=frozenset(pure))
    refused = set()
    for name in sorted(pure):
        try:
            review_code(parse_statements(f"SELECT pg_catalog.{name}()")[0].node, access(Isolation.SHARED), shared)
        except StatementRefused:
            refused.add(name)
    assert refused <= _REFUSED_ALL_THE_SAME
