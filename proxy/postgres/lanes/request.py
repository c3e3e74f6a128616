"""A request on a lane: one statement of one session, from the client's bytes to the end of its reply."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

from proxy.postgres.expected import Running
from proxy.postgres.statements import SharedStatement
from proxy.session import Template

if TYPE_CHECKING:
    from proxy.postgres.lanes.lane import Lane


class LaneOwner(Protocol):
    """The session that asked. Called in the event loop; must not raise."""

    def lane_moved(self, lane: Lane) -> None:
        """The request is on another lane now."""
        ...

    def lane_output(self, data: bytes) -> None:
        """A part of a long reply."""
        ...

    def lane_done(self, request: LaneRequest, reply: bytes, rows: int) -> None:
        """The reply is whole; `reply` is what `lane_output` has not brought yet."""
        ...

    def lane_again(self, request: LaneRequest) -> None:
        """Nothing of a reply was shown and the statement had no effect: run it without a lane."""
        ...

    def lane_lost(self, request: LaneRequest) -> None:
        """The backend broke in the middle of a reply."""
        ...

    def lane_error(self, fields: dict[str, bytes], tag: bytes) -> bytes:
        """An ErrorResponse (b"E") or NoticeResponse (b"N") as this client may see it."""
        ...


class LaneRequest(Running):
    """statement, message: what is sent (Bind to Sync). data: the client's bytes, to run it without a lane.

    simple: of the simple protocol, so that the client sees neither ParseComplete nor BindComplete. describes: asks for
    the RowDescription. parsing: a Parse of ours was sent before. keeps_parse: the client sent one, too, and waits for
    its ParseComplete. parts, held_bytes: of the reply, kept back so that a failure can still be hidden. shown: the
    client has seen a part. cut: which ends within a message. troubled: an error came. retires: the target does not take
    the statement any more.
    """

    __slots__ = (
        "cut",
        "data",
        "describes",
        "error_sqlstate",
        "held_bytes",
        "keeps_parse",
        "message",
        "owner",
        "parsing",
        "parts",
        "retires",
        "rows",
        "shown",
        "simple",
        "size",
        "statement",
        "troubled",
    )

    def __init__(
        self,
        kind: int,
        template: Template,
        literals: tuple[str, ...],
        text: str,
        started: float,
        deadline: float,
        statement: SharedStatement,
        message: bytes,
        data: bytes,
        owner: LaneOwner,
    ) -> None:
        super().__init__(kind, template, literals, text, started, deadline)
        self.statement = statement
        self.message = message
        self.data = data
        self.owner: LaneOwner | None = owner
        self.simple = False
        self.describes = False
        self.keeps_parse = False
        self.begin()

    def begin(self) -> None:
        """Nothing of a reply has come yet."""
        self.parsing = False
        self.parts: list[bytes] | None = None
        self.held_bytes = 0
        self.size = 0
        self.rows = 0
        self.shown = False
        self.cut = False
        self.troubled = False
        self.retires = False
        self.error_sqlstate = ""
        self.turn_s = 0.0

    def ghost(self) -> LaneRequest:
        """What stands in this one's place on a lane when its reply is not wanted any more."""
        ghost = LaneRequest(self.kind, self.template, (), "", self.started, 0.0, self.statement, b"", b"", _NOBODY)
        ghost.owner = None
        ghost.simple, ghost.describes, ghost.keeps_parse = self.simple, self.describes, self.keeps_parse
        ghost.parsing = self.parsing
        return ghost


class _Nobody:
    """Owner of what nobody waits for."""

    def lane_moved(self, lane: Lane) -> None: ...
    def lane_output(self, data: bytes) -> None: ...
    def lane_done(self, request: LaneRequest, reply: bytes, rows: int) -> None: ...
    def lane_again(self, request: LaneRequest) -> None: ...
    def lane_lost(self, request: LaneRequest) -> None: ...
    def lane_error(self, fields: dict[str, bytes], tag: bytes) -> bytes:
        return b""


_NOBODY: Final = _Nobody()
