"""Cases of the corpus that are known not to be stopped or not to work yet, each with the reason why.

A case that is listed here and does well makes its test fail, so that the lists stay true.
"""

from __future__ import annotations

_GLOBAL_KEY = "a key over all tenants is an oracle: the schema's matter (doctor; or default_only in the policy)"

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

KNOWN_FULL_OF_ANY_ROLE: dict[str, str] = {
    "FUNC-050": "bounded by the tenant's statement timeout; a role may be denied function:pg_sleep:call",
    "SESS-023": "statement_timeout is the session's own; the tenant's limit is kept by the gateway",
    "START-015": "asked for a password, the runner waits; who has one and names no tenant gets the 3D000",
}
KNOWN_FULL: dict[str, str] = KNOWN_FULL_OF_ANY_ROLE | {
    "SESS-018": "SET ROLE is refused, so RESET ROLE changes nothing; current_user is the gateway's role",
}
"""Attacks of the other categories (tests/security/test_gateway_corpus_full.py)."""

KNOWN_CORRECTNESS: dict[str, str] = {
    "COR-077": "the column's default calls a function that reads all tenants' rows: it would store one of them",
}
"""Benign cases that a running gateway answers differently from a database with acme's rows only."""

KNOWN_REFLECTION: dict[str, str] = {}
"""Questions of tools to the catalogs that are refused."""
