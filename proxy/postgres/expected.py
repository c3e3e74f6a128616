"""What a backend is expected to say next: one entry per message sent to it that has an answer of its own.

The engine appends, the relay takes from the left as answers arrive. After an error in an extended request the
server skips to Sync, and so do the entries.
"""

from __future__ import annotations

from collections import deque

from policy.errors import TenantGateError
from policy.sql.plan import CompiledQuery, Plan
from proxy.postgres.prepared import Prepared

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

    started: loop time in seconds. text: the client's query string; rewritten: what was sent in its place,
    empty when that is the same. index: the statement
    of `plans` that is running. failed: a Query's statement ended in an error, the rest is not run.
    """

    __slots__ = (
        "compiled",
        "deadline",
        "failed",
        "index",
        "literals",
        "protocol",
        "rewritten",
        "start_bytes",
        "started",
        "text",
    )

    def __init__(
        self,
        kind: int,
        compiled: CompiledQuery,
        literals: tuple[str, ...],
        text: str,
        rewritten: str,
        started: float,
        deadline: float,
    ) -> None:
        self.kind = kind
        self.forward = True
        self.name = None
        self.prepared = None
        self.error = None
        self.compiled = compiled
        self.literals = literals
        self.text = text
        self.rewritten = rewritten
        self.started = started
        self.deadline = deadline
        self.index = 0
        self.start_bytes = 0
        self.failed = False

    @property
    def plan(self) -> Plan | None:
        """The plan of the statement that is running, None for an empty query string."""
        plans = self.compiled.plans
        return plans[self.index] if self.index < len(plans) else None


EXPECT_BIND = Expected(BIND)
EXPECT_DESCRIBE = Expected(DESCRIBE)
EXPECT_SYNC = Expected(SYNC)
EXPECT_CLOSE = Expected(CLOSE)
SWALLOW_CLOSE = Expected(CLOSE, forward=False)
SWALLOW_PARSE = Expected(PARSE, forward=False)

ExpectedQueue = deque[Expected]
