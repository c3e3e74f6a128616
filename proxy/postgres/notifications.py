"""Notifications of the target, as the session gets them: of its tenant's channels only, under the client's names.

Source: protocol documentation, NotificationResponse; policy/sql/namespaces.py for the names.
"""

from __future__ import annotations

import struct

from policy.errors import UnsupportedStatement
from policy.sql.namespaces import client_channel, is_shortened, target_channel
from proxy.postgres.wire.framing import HEADER_BYTES
from proxy.postgres.wire.messages import encode
from proxy.session import Session

_MAX_SHORTENED = 10_000
_process_id = struct.Struct("!I")


class Notifications:
    """Lifetime: the session. own_database: channels are the tenant's as they are."""

    __slots__ = ("_own_database", "_session", "_shortened")

    def __init__(self, session: Session, *, own_database: bool) -> None:
        self._session = session
        self._own_database = own_database
        self._shortened: dict[str, str] = {}

    def listen(self, name: str) -> None:
        """LISTEN `name` is about to be sent. Raises UnsupportedStatement (54000) when there are too many."""
        if self._own_database or not is_shortened(name):
            return
        if len(self._shortened) >= _MAX_SHORTENED:
            raise UnsupportedStatement("too many channels with long names", sqlstate="54000", hint="Use shorter names.")
        self._shortened[target_channel(self._session.values.namespace, name)] = name

    def present(self, message: bytes, backend_pid: int) -> bytes:
        """What the client gets of a NotificationResponse; nothing when the channel is not its tenant's.

        Clients tell their own notifications by the process id, so the session's backend goes by the id that the
        client was given for it; that of another session cannot be mistaken for it.
        """
        pid = _process_id.unpack_from(message, HEADER_BYTES)[0]
        channel, _, payload = message[HEADER_BYTES + _process_id.size :].partition(b"\0")
        name = channel if self._own_database else self._own_name(channel)
        if name is None:
            return b""
        own = self._session.process_id
        shown = own if pid == backend_pid else 0 if pid == own else pid
        return encode(b"A", _process_id.pack(shown) + name + b"\0" + payload)

    def _own_name(self, channel: bytes) -> bytes | None:
        name = client_channel(self._session.values.namespace, channel.decode("utf-8", "replace"), self._shortened)
        return None if name is None else name.encode()
