"""Cursors that a session declared in SQL, by name, with the basis (proxy/session.py) that their query was judged by.

A cursor shows what its query was rewritten to when it was declared, so FETCH from one that an older policy judged is
refused, unless it would be declared so today: WITH HOLD it could outlive any change of the session's rights.
"""

from __future__ import annotations

from policy.errors import InvalidStatement, UnsupportedStatement
from policy.sql.plan import Plan
from proxy.postgres.expected import Running
from proxy.postgres.judged import Judged, StillBecomes, judged

_MAX_NAMES = 10_000


class SqlCursors:
    """Names as PostgreSQL keeps them (63 bytes). What is declared counts from when it is sent: fetches may follow it
    unanswered; what stood under the name before counts until the target has said that it is gone."""

    __slots__ = ("_declared", "_held", "_queries", "_sent")

    def __init__(self) -> None:
        self._declared: dict[str, Judged] = {}
        self._sent: dict[str, int] = {}
        self._queries: dict[str, str] = {}  # by name, the DECLARE that came last
        self._held: dict[str, None] = {}  # names only; an empty dict is a third of an empty set

    def admit(self, plan: Plan, basis: int, still_becomes: StillBecomes) -> None:
        """May this DECLARE or FETCH go on? Raises InvalidStatement (34000) or UnsupportedStatement (54000)."""
        action, *names = plan.session_action
        if action == "declare":
            if len(self._sent) + len(self._declared) >= _MAX_NAMES:
                raise UnsupportedStatement("too many cursors", sqlstate="54000", hint="CLOSE some.")
            self._sent[names[0]] = basis
            if names[0] not in self._declared:
                self._queries[names[0]] = plan.original
        elif action == "fetch":
            known = self._declared.get(names[0])
            now = None if known is None else known.again(basis, still_becomes)
            if (known is not None and now is None) or self._sent.get(names[0], basis) != basis:
                raise InvalidStatement(
                    f'cursor "{names[0]}" was opened under an older policy',
                    sqlstate="34000",
                    hint="CLOSE it and declare it again.",
                )
            if now is not None:
                self._declared[names[0]] = now

    def query_of(self, name: str) -> str:
        """The DECLARE of this cursor, "" when there is none."""
        return self._queries.get(name, "")

    def apply(self, plan: Plan, running: Running) -> None:
        """It was done."""
        action, *names = plan.session_action
        if action == "declare":
            self._sent.pop(names[0], None)
            self._declared[names[0]] = judged(running)
            if "hold" in names[1:]:
                self._held[names[0]] = None
        elif action == "close":
            self._declared.pop(names[0], None)
            self._queries.pop(names[0], None)
            self._held.pop(names[0], None)
        elif action in ("close_all", "discard_all"):
            self._declared.clear()
            self._queries.clear()
            self._held.clear()

    def end_transaction(self) -> None:
        """Nothing is under way, and no transaction is open: cursors without HOLD are gone."""
        if self._declared or self._sent:
            self._sent.clear()
            self._declared = {name: known for name, known in self._declared.items() if name in self._held}
            self._queries = {name: text for name, text in self._queries.items() if name in self._declared}
