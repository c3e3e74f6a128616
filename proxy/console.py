"""Sessions of the admin database: SHOW and KILL by simple query, nothing else."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Coroutine
from dataclasses import dataclass

from policy.errors import TenantGateError, UnsupportedStatement
from policy.model import Principal
from proxy.errors import LocalProtocolError, RemoteProtocolError
from proxy.postgres.admin_console import ConsoleState, kill_refused, killed, rows_of, session_to_kill, table, view_of
from proxy.postgres.errors import error_reply
from proxy.postgres.wire import messages, replies
from proxy.postgres.wire.framing import MessageReader
from proxy.workers.peers import Peers
from proxy.workers.rows import LOCAL_VIEWS, merge_rows

MAX_COMMAND_BYTES = 10_000
_MAX_WAITING = 100  # messages behind a command that other workers are asked for
_EXTENDED = frozenset(b"PBDECHF")


@dataclass(frozen=True, slots=True)
class Others:
    """The other workers, whose rows are shown, too, and what a session needs that waits for them."""

    peers: Peers
    spawn: Callable[[Coroutine[object, object, None]], None]
    fail: Callable[[BaseException], None]


class ConsoleSession:
    """The handler of one frontend after login; it has no backend and no tenant."""

    mid_message = farewell = False

    def __init__(
        self,
        principal: Principal,
        write: Callable[[bytes], None],
        state: ConsoleState,
        others: Others | None = None,
    ) -> None:
        self.principal = principal
        self._write = write
        self._state = state
        self._others = others
        self._asking = False
        self._waiting: deque[tuple[int, bytes]] = deque()
        self._reader = MessageReader(MAX_COMMAND_BYTES)
        self._skipping = False
        self.ended = False
        self.ddl_pending = False

    def client_data(self, data: bytes) -> None:
        for tag, message in self._reader.feed(data):
            if self._asking:
                if len(self._waiting) >= _MAX_WAITING:
                    raise RemoteProtocolError("too many messages behind a command")
                self._waiting.append((tag, message))
            else:
                self._handle(tag, message)
            if self.ended:
                return

    def backend_data(self, data: bytes) -> None:
        raise LocalProtocolError("the admin console has no backend")

    def client_reads(self, reads: bool) -> None:
        """Replies are short; what is not read waits in the transport."""

    def discard(self) -> None:
        """Nothing to let go."""

    def _handle(self, tag: int, message: bytes) -> None:
        if tag == ord("X"):
            self.ended = True
        elif tag == ord("S"):
            self._skipping = False
            self._reply(replies.READY_IDLE)
        elif self._skipping:
            return
        elif tag == ord("Q"):
            self._run(messages.decode_query(message).decode("utf-8", "replace"))
        elif tag in _EXTENDED:
            self._skipping = tag != ord("F")
            error = UnsupportedStatement(
                "the admin database speaks the simple query protocol only", hint="Use psql, or simple queries."
            )
            self._reply(error_reply(error) + (b"" if self._skipping else replies.READY_IDLE))
        else:
            raise RemoteProtocolError(f"invalid frontend message type {tag}")

    def _run(self, text: str) -> None:
        session = session_to_kill(text)
        if session is None:
            self._show(text)
        elif not self._state.may_kill(self.principal):
            self._reply(kill_refused() + replies.READY_IDLE)
        elif self._others is None:
            self._reply(killed(self._state.kill(session), session) + replies.READY_IDLE)
        else:
            self._ask(self._kill_anywhere(session, self._others))

    def _show(self, text: str) -> None:
        view = view_of(text)
        if isinstance(view, bytes):
            self._reply(view + replies.READY_IDLE)
        elif self._others is None or view in LOCAL_VIEWS:
            self._reply(table(view, rows_of(view, self._state)) + replies.READY_IDLE)
        else:
            self._ask(self._show_all(view, self._others))

    def _ask(self, work: Coroutine[object, object, bytes]) -> None:
        """Reply what the other workers say; until then what the client sends waits."""
        assert self._others is not None
        self._asking = True
        self._others.spawn(self._answer(work, self._others))

    async def _show_all(self, view: str, others: Others) -> bytes:
        """The rows of all workers."""
        return table(view, merge_rows(view, await others.peers.rows(view)))

    async def _kill_anywhere(self, session: str, others: Others) -> bytes:
        return killed(await others.peers.kill(session), session)

    async def _answer(self, work: Coroutine[object, object, bytes], others: Others) -> None:
        """Reply, then go on with what the client has sent meanwhile."""
        self._reply(await work + replies.READY_IDLE)
        self._asking = False
        try:
            while self._waiting and not self._asking and not self.ended:
                self._handle(*self._waiting.popleft())
        except TenantGateError as error:
            others.fail(error)

    def _reply(self, data: bytes) -> None:
        self._write(data)
