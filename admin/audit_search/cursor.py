"""Cursors of a search: where the next page begins, signed, and good for the same question of the same asker only.

A cursor tells nothing but an id of the index. It is bound to the query and the scope by the signature, so that one that
was changed, or that another tenant's auditor took, is refused and not just answered with that asker's own events.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import struct
from typing import Final

from admin.audit_search.query import BadQuery

_ID: Final = struct.Struct("!Q")
_MAC_BYTES: Final = 16


def encode_cursor(key: bytes, last_id: int, digest: str) -> str:
    """A cursor that goes on after `last_id` in the query of `digest`."""
    head = _ID.pack(last_id)
    return base64.urlsafe_b64encode(head + _mac(key, head, digest)).decode()


def decode_cursor(key: bytes, cursor: str, digest: str) -> int:
    """The id to go on after. Raises BadQuery."""
    try:
        data = base64.b64decode(cursor.encode("ascii"), altchars=b"-_", validate=True)
    except ValueError:
        data = b""
    head, mac = data[: _ID.size], data[_ID.size :]
    if len(data) != _ID.size + _MAC_BYTES or not hmac.compare_digest(mac, _mac(key, head, digest)):
        raise BadQuery(
            "this cursor does not belong to this search",
            hint="A cursor goes with the search, and the rights, that it came from; begin with the first page.",
        )
    return int(_ID.unpack(head)[0])


def _mac(key: bytes, head: bytes, digest: str) -> bytes:
    return hmac.digest(key, head + digest.encode(), hashlib.sha256)[:_MAC_BYTES]
