"""Cursors of lists: opaque, signed, and good for the list that gave them alone.

A cursor says where the next page begins. Its signature covers who asks, of which list and with which filters, so that
it cannot be made up, changed, or carried to another tenant's list.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from admin.api.problems import ApiProblem

_MAC_BYTES = 16
_MAX_CHARACTERS = 1024


@dataclass(frozen=True, slots=True)
class CursorScope:
    """What a cursor is good for. filters: the query's, without limit and cursor."""

    subject: str
    tenant: str | None
    path: str
    filters: Mapping[str, str]

    def encode(self) -> bytes:
        parts = [self.subject, self.tenant, self.path, sorted(self.filters.items())]
        return json.dumps(parts, ensure_ascii=True).encode()


@dataclass(frozen=True, slots=True)
class CursorSigner:
    """key: of this process, or configured where several processes answer for one address."""

    key: bytes = field(repr=False)

    def seal(self, inner: str, scope: CursorScope) -> str:
        """The cursor to hand out for a place in the list."""
        data = inner.encode()
        return base64.urlsafe_b64encode(self._mac(data, scope) + data).decode().rstrip("=")

    def open(self, cursor: str, scope: CursorScope) -> str:
        """The place. Raises ApiProblem (400) for what this signer has not handed out for this list."""
        try:
            if len(cursor) > _MAX_CHARACTERS or not cursor.isascii():
                raise ValueError
            raw = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
            if base64.urlsafe_b64encode(raw).decode().rstrip("=") != cursor:
                raise ValueError  # another spelling of the same bytes
            inner = raw[_MAC_BYTES:].decode()
        except (ValueError, binascii.Error):
            raise _foreign() from None
        if not hmac.compare_digest(raw[:_MAC_BYTES], self._mac(raw[_MAC_BYTES:], scope)):
            raise _foreign()
        return inner

    def _mac(self, data: bytes, scope: CursorScope) -> bytes:
        covered = scope.encode()
        message = len(covered).to_bytes(4) + covered + data
        return hmac.digest(self.key, message, hashlib.sha256)[:_MAC_BYTES]


def _foreign() -> ApiProblem:
    hint = "Take next_cursor of the page before, with the same filters; after a restart begin at the first page."
    return ApiProblem(400, "bad-cursor", "the cursor is not one of this list", hint=hint)
