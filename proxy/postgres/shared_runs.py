"""A client's Query that runs as a shared prepared statement on the session's own backend: no parsing, seldom planning.

What goes to a lane reads only and may fail: it is run again. Here it may write, and a transaction is open, so nothing
may fail that would not fail as text. A statement is therefore tried first: a target parses and describes it, unseen,
between two requests. Only what was taken, has shown to be fast and small, and answers no rows or does so within a
transaction is run this way. The client sees what it would see of its text, and errors have its positions.
"""

from __future__ import annotations

import re
from typing import Final

from policy.sql.shape import literal_spans
from proxy.lease import Lease
from proxy.postgres import expected
from proxy.postgres.conversation import IDLE, IN_TRANSACTION, Equipment
from proxy.postgres.expected import EXPECT_SYNC, Expected, Running
from proxy.postgres.lanes.rider import LaneRider
from proxy.postgres.lanes.template import SharedTemplate
from proxy.postgres.settings import SessionSettings
from proxy.postgres.statements import SharedStatement
from proxy.postgres.wire import messages
from proxy.session import Session, Template

_PARAMETER: Final = re.compile(rb"unnamed portal parameter \$([0-9]+)")


class SharedRuns(LaneRider):
    """`_untried`: a statement that a target should be asked about."""

    __slots__ = ("_untried",)

    def __init__(self, session: Session, lease: Lease, settings: SessionSettings, equipment: Equipment) -> None:
        super().__init__(session, lease, settings, equipment)
        self._untried: SharedStatement | None = None

    def _may_run_shared(self, template: Template, statement: SharedStatement) -> bool:
        """Whether the next Query may run as this statement. Without lanes every text goes as it is."""
        if self._lanes is None or not statement.proven or statement.refused or self._portals or self._is_asked():
            return False
        if self.altered:
            return False
        if self._judge.codec is not None or self._encoding_open:
            return False
        if self.status != IN_TRANSACTION and (self.status != IDLE or not template.writes):
            return False  # the transaction has failed; or it reads by itself, which lanes are for
        if not statement.described:
            self._untried = statement
            return False
        return self.status == IN_TRANSACTION or statement.row_description is None

    def _is_asked(self) -> bool:
        """Something of the client's is under way, so the transaction's status is not known."""
        return bool(self.queue) and self.queue[-1].kind != expected.PREFIX

    def _run_shared(
        self,
        shared: SharedTemplate,
        statement: SharedStatement,
        template: Template,
        literals: tuple[str, ...],
        text: str,
    ) -> None:
        """Bind, Execute and Sync in place of a Query."""
        backend = self.backend
        assert backend is not None
        if not backend.statements.has(statement.name, self._request):
            self._close_on_backend(backend.statements.add(statement.name, self._request))
            self.queue.append(Expected(expected.PARSE, forward=False, shared=statement))
            self._out.append(statement.parse)
        described = statement.row_description or b""
        self.queue.append(Expected(expected.BIND, forward=False, shared=statement, reply=described))
        running = self._begin(expected.EXECUTE, template, literals, text)
        running.from_query = True
        running.shared = statement
        self._request += 1
        self.queue.append(EXPECT_SYNC)
        self._out.append(shared.message(statement, literals))

    def _try_statement(self) -> None:
        """Before a request: have the target parse and describe the statement that waits for it."""
        statement, backend = self._untried, self.backend
        assert statement is not None
        assert backend is not None
        if self.status != IDLE or self._in_request or self._is_asked():
            return
        self._untried = None
        if statement.described or statement.retired:
            return
        closing = b"".join(messages.encode_close_statement(name) for name in backend.statements.add(statement.name))
        self.queue.append(Expected(expected.PREFIX, forward=False, shared=statement))
        describe = messages.encode(b"D", b"S" + statement.name + b"\0")
        self._out.append(closing + statement.parse + describe + messages.SYNC)

    def trial_failed(self, statement: SharedStatement) -> None:
        """The target would not have it: it runs as text for ever."""
        statement.refused = True
        if self.backend is not None:
            self.backend.statements.remove(statement.name)

    def place_of_parameter(self, context: bytes) -> int:
        """Where the literal stands, in the client's text, that a parameter of `context` (the error's) brought; or 0."""
        running = next((entry for entry in self.queue if isinstance(entry, Running)), None)
        found = _PARAMETER.match(context)
        if running is None or found is None:
            return 0
        shared = running.template.shared
        number = shared.literal_number(int(found[1])) if isinstance(shared, SharedTemplate) else None
        spans = literal_spans(running.text)
        return spans[number][0] + 1 if number is not None and number < len(spans) else 0
