"""What a backend is expected to say next: one entry per message sent to it that has an answer of its own.

The engine appends, the relay takes from the left as answers arrive. After an error in an extended request the
server skips to Sync, and so do the entries.
"""

from __future__ import annotations

from collections import deque

from policy.errors import TenantGateError
from policy.sql.plan import Plan
from proxy.postgres.prepared import Prepared
from proxy.session import Template

PARSE, BIND, DESCRIBE, CLOSE, EXECUTE, QUERY, SYNC, REFUSED, REFUSED_QUERY = range(9)


class Expected:
    """One answer to come.

    forward: the client sees the answer. name, prepared: what a Parse defines or a Close ends (None). error: what the
    client is told instead of the target's error (REFUSED, REFUSED_QUERY).
    """

    __slots__ = ("error", "forward", "kind", "name", "prepared")

    def __init__(
        self,
        kind: int,
        *,
        forward: bool = True,
        name: bytes | None = None,
        prepared: Prepared | None = None,
        error: TenantGateError | None = None,
    ) -> None:
        self.kind = kind
        self.forward = forward
        self.name = name
        self.prepared = prepared
        self.error = error


class Running(Expected):
    """A statement, or the statements of one Query, under way on the backend.

    template: what was sent, to be rendered with `literals`; text: the client's query string. plan: the statement that
    runs now, number `index` of them, None for an empty query string. started, deadline: seconds of the engine's clock.
    max_rows: of an Execute, 0 for all. own_copy: a COPY under a name that only the gateway knows. failed: a Query's
    statement ended in an error, the rest is not run.
    """

    __slots__ = (
        "deadline",
        "failed",
        "index",
        "literals",
        "max_rows",
        "own_copy",
        "plan",
        "start_bytes",
        "started",
        "template",
        "text",
    )

    def __init__(
        self, kind: int, template: Template, literals: tuple[str, ...], text: str, started: float, deadline: float
    ) -> None:
        self.kind = kind
        self.forward = True
        self.name = None
        self.prepared = None
        self.error = None
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
        self.failed = False

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
        plans = self.template.compiled.plans
        self.plan = plans[self.index] if self.index < len(plans) else None


class KnownParse:
    """A Parse that was judged: what is sent for it and what is expected then. `generation`: of that policy."""

    __slots__ = ("entry", "generation", "sent")

    def __init__(self, entry: Expected, sent: bytes, generation: int) -> None:
        self.entry = entry
        self.sent = sent
        self.generation = generation


EXPECT_BIND = Expected(BIND, name=b"")
EXPECT_DESCRIBE = Expected(DESCRIBE)
EXPECT_SYNC = Expected(SYNC)
EXPECT_CLOSE = Expected(CLOSE)
SWALLOW_CLOSE = Expected(CLOSE, forward=False)
SWALLOW_BIND = Expected(BIND, forward=False)

ExpectedQueue = deque[Expected]
