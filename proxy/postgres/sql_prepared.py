"""Statements that a session prepared in SQL (PREPARE … AS), by name, with what judged them.

EXECUTE of a statement that an older policy or catalog judged goes on if the statement would still be sent as it was;
else it is refused, for it would run what was rewritten under that policy.
"""

from __future__ import annotations

from policy.errors import InvalidStatement, UnsupportedStatement
from policy.sql.plan import Plan, StatementKind
from proxy.postgres.expected import Running
from proxy.postgres.judged import Judged, StillBecomes, judged
from proxy.postgres.prepared import PreparedStatements
from proxy.postgres.reserved_names import SHARED_PREFIX
from proxy.session import Session

_MAX_NAMES = 10_000
_NAMING = ("prepare", "execute", "deallocate")
_EXECUTABLE = (StatementKind.READ, StatementKind.WRITE)


class SqlPrepared:
    """Names as PostgreSQL keeps them (63 bytes)."""

    __slots__ = ("_known",)

    def __init__(self) -> None:
        self._known: dict[str, Judged] = {}

    def has(self, name: str) -> bool:
        return name in self._known

    def admit(
        self,
        plan: Plan,
        protocol_statements: PreparedStatements,
        session: Session,
        still_becomes: StillBecomes,
    ) -> None:
        """May this PREPARE, EXECUTE or DEALLOCATE go on? Raises InvalidStatement or UnsupportedStatement."""
        action, *names = plan.session_action
        if action in _NAMING and names[0].startswith(SHARED_PREFIX):
            raise InvalidStatement("prepared statement name is reserved", sqlstate="26000")
        if action == "prepare" and len(self._known) >= _MAX_NAMES:
            raise UnsupportedStatement("too many prepared statements", sqlstate="54000", hint="DEALLOCATE some.")
        if action == "prepare" and protocol_statements.is_taken(names[0].encode()):
            raise InvalidStatement(f'prepared statement "{names[0]}" already exists', sqlstate="42P05")
        if action != "execute":
            return
        known = self._known.get(names[0])
        if known is None:
            prepared = protocol_statements.find(names[0].encode())
            if any(plan.kind not in _EXECUTABLE for plan in prepared.template.compiled.plans):
                raise UnsupportedStatement(
                    "EXECUTE runs SELECT, INSERT, UPDATE and DELETE only",
                    hint="Run this statement through the extended protocol, as it was prepared.",
                )
            if prepared.generation == session.generation or still_becomes(prepared.text, prepared.sent):
                return
        elif (now := known.again(session.basis, still_becomes)) is not None:
            self._known[names[0]] = now
            return
        raise InvalidStatement(
            f'prepared statement "{names[0]}" was prepared under an older policy',
            sqlstate="26000",
            hint="DEALLOCATE and PREPARE it again.",
        )

    def apply(self, plan: Plan, protocol_statements: PreparedStatements, running: Running) -> None:
        """It was done. Statements of SQL and of the protocol share their names on the target."""
        action, *names = plan.session_action
        if action == "prepare":
            self._known[names[0]] = judged(running)
            protocol_statements.forget(names[0].encode())
        elif action == "deallocate":
            self._known.pop(names[0], None)
            protocol_statements.forget(names[0].encode())
        elif action in ("deallocate_all", "discard_all"):
            self._known.clear()
            protocol_statements.forget_all()
