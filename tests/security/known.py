"""Cases of the corpus that are known not to be stopped or not to work yet, each with the reason why.

A case that is listed here and does well makes its test fail, so that the lists stay true.
"""

from __future__ import annotations

KNOWN_COMPILED: dict[str, str] = {
    "FUNC-050": "pg_sleep is bounded by the tenant's statement timeout, which the data plane sets",
    "SESS-023": "statement_timeout is a session's own; the tenant's limit is kept by the data plane",
}
"""Attacks that get through the rewriting alone (tests/security/test_compile_corpus.py)."""

KNOWN_ATTACKS: dict[str, str] = {}
"""Attacks that get through a running gateway."""

KNOWN_CORRECTNESS: dict[str, str] = {}
"""Benign cases that a running gateway answers differently from a database with acme's rows only."""
