"""Sessions of the admin database: SHOW commands by simple query, nothing else."""

from __future__ import annotations

from collections.abc import Callable

from policy.errors import UnsupportedStatement
from policy.model import Principal
from proxy.errors import LocalProtocolError, RemoteProtocolError
from proxy.postgres.admin_console import ConsoleState, respond
from proxy.postgres.errors import error_reply
from proxy.postgres.wire import messages, replies
from proxy.postgres.wire.framing import MessageReader

MAX_COMMAND_BYTES = 10_000
_EXTENDED = frozenset(b"PBDECHF")


class ConsoleSession:
    """The handler of one frontend after login; it has no backend and no tenant."""

    mid_message = farewell = False

    def __init__(self, principal: Principal, write: Callable[[bytes], None], state: ConsoleState) -> None:
        self.principal = principal
        self._write = write
        self._state = state
        self._reader = MessageReader(MAX_COMMAND_BYTES)
        self._skipping = False
        self.ended = False
        self.ddl_pending = False

    def client_data(self, data: bytes) -> None:
        for tag, message in self._reader.feed(data):
            self._handle(tag, message)
            if self.ended:
                return

    def backend_data(self, data: bytes) -> None:
        raise LocalProtocolError("the admin console has no backend")

    def client_reads(self, reads: bool) -> None:
        """Replies are short; what is not read waits in the transport."""

    def _handle(self, tag: int, message: bytes) -> None:
        if tag == ord("X"):
            self.ended = True
        elif tag == ord("S"):
            self._skipping = False
            self._reply(replies.READY_IDLE)
        elif self._skipping:
            return
        elif tag == ord("Q"):
            text = messages.decode_query(message).decode("utf-8", "replace")
            self._reply(respond(text, self._state) + replies.READY_IDLE)
        elif tag in _EXTENDED:
            self._skipping = tag != ord("F")
            error = UnsupportedStatement(
                "the admin database speaks the simple query protocol only", hint="Use psql, or simple queries."
            )
            self._reply(error_reply(error) + (b"" if self._skipping else replies.READY_IDLE))
        else:
            raise RemoteProtocolError(f"invalid frontend message type {tag}")

    def _reply(self, data: bytes) -> None:
        self._write(data)
