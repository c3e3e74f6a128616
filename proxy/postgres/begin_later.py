"""A BEGIN that is answered here and goes to the backend with the request behind it, in one write.

That is one turn less for each transaction, and who begins one and thinks holds no backend. Nothing tells it from
outside but that the transaction's `now()` is the time of its first statement. Where no backend is to be had for that
one, the transaction has failed, as after any other error: all is refused until ROLLBACK.
"""

from __future__ import annotations

import re
from typing import Final

from proxy.postgres import expected
from proxy.postgres.conversation import FAILED, IDLE, IN_TRANSACTION, REFUSALS
from proxy.postgres.expected import Running
from proxy.postgres.shared_runs import SharedRuns
from proxy.postgres.wire import messages, replies
from proxy.session import Template

_QUERY: Final = ord("Q")
_SYNC: Final = ord("S")
_TERMINATE: Final = ord("X")
_SHORT: Final = 40  # bytes of a Query message that may be a mere COMMIT
_END: Final = re.compile(rb"\s*(COMMIT|END|ROLLBACK|ABORT)(\s+(WORK|TRANSACTION))?\s*;?\s*", re.IGNORECASE)
_COMMITS: Final = (b"COMMIT", b"END")


class BeginLater(SharedRuns):
    """`begun` (Conversation): there is a BEGIN that waits."""

    __slots__ = ()

    def _may_begin_later(self, template: Template) -> bool:
        """Whether this Query is a mere BEGIN, with nothing under way and no backend that it could go to at once."""
        if not template.begins or self.backend is not None or self._lanes is None or self._untried is not None:
            return False
        if self.status != IDLE or self._in_request or self.recorder.records_requests:
            return False
        return self._judge.codec is None and not self._encoding_open

    def _begin_later(self, template: Template, text: str) -> None:
        """It was admitted: answer it."""
        self.begun = True
        self._answer(template, text, b"BEGIN", IN_TRANSACTION)

    def _has_begun(self, tag: int, message: bytes) -> bool:
        """A message comes behind a BEGIN that waits: whether the transaction is open now, and the message's turn."""
        if tag == _TERMINATE:
            return True
        if tag == _SYNC and message == messages.SYNC:  # nothing of its request has reached a backend
            self.skipping = self._in_request = False
            self.client_write(replies.ready(self.status))
            return False
        if tag == _QUERY and len(message) < _SHORT and self._ends_at_once(message):
            return False
        return self._has_backend(message)

    def _ends_at_once(self, message: bytes) -> bool:
        """Whether it ends the transaction in which nothing was done, or which has failed for want of a backend; then it
        was answered."""
        found = _END.fullmatch(messages.decode_query(message))
        if found is None:
            return False
        try:
            text = self._judge.decode(messages.decode_query(message))
            template, _ = self._judge.judge(text)
            if not template.plain:
                return False
            self._admit(template)
        except REFUSALS:
            return False  # it is refused again, in the transaction
        commits = found[1].upper() in _COMMITS and self.status != FAILED
        self.begun = False
        self._answer(template, text, b"COMMIT" if commits else b"ROLLBACK", IDLE)
        return True

    def _answer(self, template: Template, text: str, tag: bytes, status: int) -> None:
        """Record a statement that was admitted as done, and tell the client so."""
        complete = messages.encode(b"C", tag + b"\0")
        running = Running(expected.QUERY, template, (), text, self.clock(), 0.0)
        running.basis = self.session.basis
        self._running -= 1
        self.session.usage.end_statement()
        self.recorder.ended(self.session, running, "ok", "", 0, len(complete))
        self.status = status
        notices = self.take_notices() if self.session.usage.alerts.count != self.session.alerts_seen else b""
        self.client_write(complete + notices + replies.ready(status))
        self.settled()
