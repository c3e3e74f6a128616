"""Cases of the corpus that are known not to be stopped or not to work yet, each with the reason why.

A case that is listed here and does well makes its test fail, so that the lists stay true.
"""

from __future__ import annotations

_GLOBAL_KEY = (
    "existence oracle of a key that is unique over all tenants: a matter of the schema, for the linter (doctor)"
)
_VIEW = "views are denied until they are expanded to their tables: next issue"

KNOWN_COMPILED: dict[str, str] = {
    "FUNC-050": "pg_sleep is bounded by the tenant's statement timeout, which the data plane sets",
    "SESS-023": "statement_timeout is the session's own; the tenant's limit is kept by the data plane",
}
"""Attacks that get through the rewriting alone (tests/security/test_compile_corpus.py)."""

KNOWN_ATTACKS: dict[str, str] = {
    "DML-042": _GLOBAL_KEY,
    "DML-043": _GLOBAL_KEY,
}
"""Attacks that get through a running gateway."""

KNOWN_CORRECTNESS: dict[str, str] = {
    "COR-050": _VIEW,
    "COR-051": _VIEW,
    "COR-062": "TABLESAMPLE samples the rows of all tenants: refused on tenant tables",
    "COR-063": "ctid tells where rows of others stand: refused on tenant tables",
    "COR-077": "the column's default calls a function that reads all tenants: refused",
    "COR-091": "MERGE on tenant tables: next issue",
    "COR-099": "a sequence shared by all tenants counts their rows: refused",
}
"""Benign cases that a running gateway answers differently from a database with acme's rows only."""

KNOWN_REFLECTION: dict[str, str] = {}
"""Questions of tools to the catalogs that are refused."""
