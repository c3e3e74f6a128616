"""Cases of the corpus that are known not to be stopped or not to work yet, each with the reason why.

A case that is listed here and does well makes its test fail, so that the lists stay true.
"""

from __future__ import annotations

_GLOBAL_KEY = (
    "existence oracle of a key that is unique over all tenants: a matter of the schema, for the linter (doctor)"
)

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

_EARLIER = "a step before the attack is refused or answers nothing: the runner has no value to go on with"
KNOWN_FULL: dict[str, str] = {
    "NAME-063": _EARLIER,
    "CAT-045": _EARLIER,
    "SESS-026": _EARLIER,
    "DDL-003": "the victim's INSERT meets a row of its own: the temporary table that would take it is refused",
    "FUNC-050": "pg_sleep is bounded by the tenant's statement timeout",
    "SESS-018": "RESET ROLE changes nothing: SET ROLE is refused; current_user shows the gateway's role",
    "SESS-023": "statement_timeout is the session's own; the tenant's limit is kept by the gateway",
    "START-015": "asked for a password, the runner waits: nothing is served without one",
    "START-045": "the TLS handshake ends without plaintext; the runner knows another wording",
    "MODE-012": "the schema change is the case's own first step, as superuser",
}
"""Attacks of the other categories (tests/security/test_gateway_corpus_full.py)."""

KNOWN_CORRECTNESS: dict[str, str] = {
    "COR-077": "the column's default calls a function that reads all tenants: refused",
}
"""Benign cases that a running gateway answers differently from a database with acme's rows only."""

KNOWN_REFLECTION: dict[str, str] = {}
"""Questions of tools to the catalogs that are refused."""
