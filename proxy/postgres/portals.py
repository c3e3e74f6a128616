"""A session's portals: which statement a name stands for, and which request bound it.

Like names of statements, a portal that an earlier request bound can only be relied on when that request is answered.
"""

from __future__ import annotations

from typing import Final

from policy.errors import UnsupportedStatement
from policy.sql.plan import ClientText, CompiledQuery, Plan, StatementKind
from proxy.audit.parameters import Bound
from proxy.postgres.prepared import ANY_GENERATION, Prepared
from proxy.session import NO_VALUES, Template

_Portal = tuple[Prepared | None, int, Bound | None]
_NOTHING: Final[_Portal] = (None, 0, None)


class Portals:
    """Bounded by `limit` names. Portals end with their transaction."""

    __slots__ = ("_bound", "_limit")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._bound: dict[bytes, _Portal] = {}

    def __bool__(self) -> bool:
        return bool(self._bound)

    def bind(self, name: bytes, prepared: Prepared, request: int, bound: Bound | None) -> None:
        """A Bind was sent, with these parameters. Raises UnsupportedStatement (54000) when there are too many."""
        if len(self._bound) >= self._limit and name not in self._bound:
            raise UnsupportedStatement("too many open portals", sqlstate="54000", hint="Close portals.")
        self._bound[name] = (prepared, request, bound)

    def find(self, name: bytes) -> _Portal:
        """The statement, None when the protocol bound none under this name, the request that did, and with what."""
        return self._bound.get(name, _NOTHING)

    def drop(self, name: bytes) -> None:
        """It was closed."""
        self._bound.pop(name, None)

    def fail(self, name: bytes, request: int) -> None:
        """The Bind of `request` failed or was skipped: what the target has under this name is no longer known."""
        if self._bound.get(name, _NOTHING)[1] == request:
            self._bound.pop(name, None)

    def clear(self) -> None:
        self._bound.clear()

    def end_transaction(self, answered: int, *, all_answered: bool) -> None:
        """The transaction of all requests before number `answered` has ended."""
        if all_answered:
            self._bound.clear()
        elif self._bound:
            self._bound = {name: bound for name, bound in self._bound.items() if bound[1] >= answered}


def cursor(name: bytes) -> Prepared:
    """A portal that was not bound by the protocol: a cursor of SQL's DECLARE, judged when it was declared, or nothing
    (34000 from the target)."""
    shown = name.decode("utf-8", "replace")
    text = f'portal "{shown}"'
    plan = Plan(StatementKind.READ, "EXECUTE", (ClientText(text, 0),), text, session_action=("fetch", shown))
    return Prepared(text, b"\0\0", Template(CompiledQuery((plan,), by_shape=False), NO_VALUES), (), ANY_GENERATION)
