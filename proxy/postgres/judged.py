"""What a session left on its backend by SQL, a prepared statement or a cursor: what judged it, and how to look again.

It is kept as it was sent. When policy or the catalog has changed since, it may be used if the client's text would still
be sent so; else it would run, or show, what was rewritten under an older policy.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from proxy.postgres.expected import Running

StillBecomes = Callable[[str, str], bool]  # the client's text, what was sent for it


@dataclass(frozen=True, slots=True)
class Judged:
    """basis: the session's (proxy/session.py) then. text: the client's, "" when not known; sent: what it became."""

    basis: int
    text: str = ""
    sent: str = ""

    def again(self, basis: int, still_becomes: StillBecomes) -> Judged | None:
        """The same under the session's basis of now; None when it may not be used any more."""
        if self.basis == basis:
            return self
        if self.text and still_becomes(self.text, self.sent):
            return Judged(basis, self.text, self.sent)
        return None


def judged(running: Running) -> Judged:
    """A statement that was done. Of several in one query string, its own part of the text is not known."""
    if len(running.plans) != 1:
        return Judged(running.basis)
    return Judged(running.basis, running.text, running.template.text(running.literals))
