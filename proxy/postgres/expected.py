"""What a backend is expected to say next: one entry per message sent to it that has an answer of its own.

The engine appends, the relay takes from the left as answers arrive. After an error in an extended request the
server skips to Sync, and so do the entries.
"""

from __future__ import annotations

from collections import deque
from typing import Final

from policy.errors import TenantGateError
from policy.sql.plan import Plan
from proxy.audit.parameters import Bound
from proxy.postgres.prepared import Prepared
from proxy.postgres.statements import SharedStatement
from proxy.session import Template

PARSE: Final = 0
BIND: Final = 1
DESCRIBE: Final = 2
CLOSE: Final = 3
EXECUTE: Final = 4
QUERY: Final = 5
SYNC: Final = 6
REFUSED: Final = 7
REFUSED_QUERY: Final = 8
PREFIX: Final = 9
SIMULATED: Final = 10


class Expected:
    """One answer to come.

    forward: the client sees the answer; an EXECUTE without is of ours, before a statement of the client's. name,
    prepared: what a Parse defines or a Close ends (None). shared: the statement that the backend is told of. error:
    what the client is told instead of the target's error (REFUSED, REFUSED_QUERY), or, of a PREFIX, what ends the
    session when it fails. reply: of SIMULATED, which no backend answers; of a BIND of ours, what the client gets in
    place of its answer. again: the client's message, where it may be handled again, since nothing of its request has
    run before it.
    PREFIX: messages of ours up to a ReadyForQuery, of whose answers the client sees nothing.
    """

    __slots__ = ("again", "error", "forward", "kind", "name", "prepared", "reply", "shared")

    def __init__(
        self,
        kind: int,
        *,
        forward: bool = True,
        name: bytes | None = None,
        prepared: Prepared | None = None,
        shared: SharedStatement | None = None,
        error: TenantGateError | None = None,
        reply: bytes = b"",
        again: bytes = b"",
    ) -> None:
        self.again = again
        self.kind = kind
        self.forward = forward
        self.name = name
        self.prepared = prepared
        self.shared = shared
        self.error = error
        self.reply = reply


class Running(Expected):
    """A statement, or the statements of one Query, under way on the backend. basis: the session's when it was sent.

    template: what was sent, to be rendered with `literals`; text: the client's query string. plan: the statement that
    runs now, number `index` of them, None for an empty query string. started, deadline: seconds of the engine's clock.
    max_rows: of an Execute, 0 for all. own_copy: a COPY under a name that only the gateway knows. from_query: it stands
    for a Query of the client. failed: a Query's statement ended in an error, the rest is not run. stage, copied: of a
    COPY that is several statements, how many have ended, and what the last one counted. bound: what its parameters are.
    about: for the audit, such as the query of a cursor. request: its number where the audit log has requests. turn_s:
    how long a lane worked for it, negative: it is on no lane. rows_left, bytes_left: that its result may still have,
    bytes_left negative: any number; cut: it had more, after rows_shown and bytes_shown.
    """

    __slots__ = (
        "about",
        "basis",
        "bound",
        "bytes_left",
        "bytes_shown",
        "copied",
        "cut",
        "deadline",
        "failed",
        "from_query",
        "index",
        "literals",
        "max_rows",
        "own_copy",
        "plan",
        "request",
        "rows_left",
        "rows_shown",
        "stage",
        "start_bytes",
        "started",
        "template",
        "text",
        "turn_s",
    )

    def __init__(
        self, kind: int, template: Template, literals: tuple[str, ...], text: str, started: float, deadline: float
    ) -> None:
        self.kind = kind
        self.forward = True
        self.name = None
        self.prepared = None
        self.shared = None
        self.error = None
        self.reply = b""
        self.again = b""
        self.basis = 0
        self.template = template
        self.literals = literals
        self.text = text
        self.started = started
        self.deadline = deadline
        self.index = 0
        self.plan = template.first
        self.start_bytes = 0
        self.max_rows = 0
        self.own_copy = False
        self.from_query = False
        self.failed = False
        self.stage = 0
        self.copied = 0
        self.bound: Bound | None = None
        self.about: dict[str, str] | None = None
        self.request = 0
        self.turn_s = -1.0
        self.rows_left = self.bytes_left = -1
        self.rows_shown = self.bytes_shown = 0
        self.cut = False

    @property
    def plans(self) -> tuple[Plan, ...]:
        return self.template.compiled.plans

    @property
    def rewritten(self) -> str:
        """What was sent in place of the client's text, empty when that is the same."""
        return self.template.text(self.literals) if self.template.rewritten else ""

    def advance(self) -> None:
        """The statement that ran has ended; the next one begins."""
        self.index += 1
        self.stage = 0
        if self.about is not None:
            self.about.pop("changes", None)
        plans = self.template.compiled.plans
        self.plan = plans[self.index] if self.index < len(plans) else None


EXPECT_SYNC: Final = Expected(SYNC)
EXPECT_CLOSE: Final = Expected(CLOSE)
SWALLOW_CLOSE: Final = Expected(CLOSE, forward=False)
SWALLOW_PREFIX: Final = Expected(PREFIX, forward=False)

ExpectedQueue = deque[Expected]
