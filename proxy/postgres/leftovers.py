"""What code of the database's owner, or a sequence, leaves on a backend, and how it is taken away.

A client's own doings are known from its plans. What a trigger does, or a function that the policy lists, is not: it may
make a temporary table, set a setting, open a cursor. And `currval` tells the number that the backend took last, whoever
it was for. So a backend on which such a statement ran is swept before it serves again; the plans tell which those are
(policy/sql/plan.py). Session-level advisory locks of such code stay: nothing but DISCARD ALL takes them.
"""

from __future__ import annotations

from policy.sql.plan import NUMBERS
from proxy.postgres.backend import BackendConnection

_NUMBERS = ("DISCARD SEQUENCES",)
_ANYTHING = (*_NUMBERS, "CLOSE ALL", "UNLISTEN *", "DISCARD TEMP", "RESET ALL")


def take_leftovers(backend: BackendConnection) -> list[str]:
    """The statements that sweep a backend; it is then taken to be swept, and its settings to be those of its start."""
    left, backend.left = backend.left, 0
    if left == NUMBERS:
        return [*_NUMBERS]
    if left:
        backend.settings = {}
        return [*_ANYTHING]
    return []
