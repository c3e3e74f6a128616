"""COPY … FROM STDIN under way: client messages in, messages for the target out, rows stamped or checked."""

from __future__ import annotations

from policy.errors import TenantGateError
from policy.sql.plan import CopyStamp
from proxy.errors import RemoteProtocolError
from proxy.postgres.copy_stamp import CopyStamper
from proxy.postgres.wire import messages
from proxy.postgres.wire.framing import HEADER_BYTES

_COPY_DATA, _COPY_DONE, _COPY_FAIL = b"dcf"


class CopyIn:
    """Lifetime: from CopyInResponse to the client's CopyDone or CopyFail, or to our refusal.

    `received`: bytes of data that the client sent. `finished`: the target has been told how it ends. `failure`: what
    the client is told in place of the target's error.
    """

    __slots__ = ("_stamper", "failure", "finished", "received")

    def __init__(self, stamp: CopyStamp | None, tenant_value: str) -> None:
        self._stamper = CopyStamper(stamp, tenant_value) if stamp is not None else None
        self.finished = False
        self.received = 0
        self.failure: TenantGateError | None = None

    def client_message(self, tag: int, message: bytes) -> bytes:
        """What goes to the target for this message. Raises RemoteProtocolError when it has no place in a COPY: the
        session ends, as on a PostgreSQL server, and nothing behind it is taken for statements."""
        try:
            return self._handle(tag, message)
        except RemoteProtocolError:
            raise
        except TenantGateError as error:
            self.finished = True
            self.failure = error
            return messages.encode_copy_fail("refused by tenantgate")

    def _handle(self, tag: int, message: bytes) -> bytes:
        if tag == _COPY_DATA:
            self.received += len(message) - HEADER_BYTES
            if self._stamper is None:
                return message
            stamped = self._stamper.feed(message[HEADER_BYTES:])
            return messages.encode_copy_data(stamped) if stamped else b""
        if tag == _COPY_DONE:
            messages.decode_empty(message, "CopyDone")
            self.finished = True
            rest = self._stamper.finish() if self._stamper is not None else b""
            return (messages.encode_copy_data(rest) if rest else b"") + message
        if tag == _COPY_FAIL:
            messages.decode_copy_fail(message)
            self.finished = True
            return message
        raise RemoteProtocolError(f"unexpected message type 0x{tag:02X} during COPY from stdin")
