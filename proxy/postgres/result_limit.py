"""The limit of bytes that policies put on a result: rows beyond it do not reach the client, nor are they kept.

It stands before the relay while its statement is under way and drops whole rows; what else the target says passes. Then
the statement ends in an error, whether the target has stopped by then or not (relay.py, engine.py).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from policy.errors import StatementRefused
from proxy.postgres.wire.framing import HEADER_BYTES, length_at

APPROVAL: Final = "tenantgate.approval"
_ROW: Final = ord("D")
_COPY_DATA: Final = ord("d")


class ResultTooLarge(StatementRefused):
    """A policy's limit on the bytes of a result was reached (54000)."""

    kind = "denied"
    default_sqlstate = "54000"


def too_large(limit: int, policies: str) -> ResultTooLarge:
    """The error that ends the statement."""
    return ResultTooLarge(
        f"the result is larger than {limit} bytes",
        detail=f"Policy {policies} limits it. The rows before are not all.",
        hint="Ask for fewer rows or columns.",
    )


class ResultLimit:
    """Lifetime: one running statement.

    skip: bytes of a message under way that the relay has yet to get; held: the beginning of a message that it has got.
    exceeded: rows were dropped; `on_exceeded` was called then.
    """

    __slots__ = ("_drop", "_header", "_left", "_on_exceeded", "_pass", "_passed", "exceeded")

    def __init__(self, limit: int, skip: int, held: bytes, on_exceeded: Callable[[], None]) -> None:
        self._left = limit
        self._on_exceeded = on_exceeded
        self._pass = skip
        self._drop = 0
        self._header = held  # of the next message, of which the relay has `_passed` bytes
        self._passed = len(held)
        self.exceeded = False
        if len(held) >= HEADER_BYTES:
            self._pass = 1 + length_at(held, 1) - len(held)
            self._header, self._passed = b"", 0

    def cut(self, data: bytes) -> bytes:
        """What of a chunk goes on."""
        if self._header:
            data = self._header + data
            self._header = b""
        size, position, start = len(data), 0, self._passed
        out: list[bytes] = []
        whole = self._passed > 0  # its beginning was shown: the first message passes as it is
        self._passed = 0
        while position < size:
            if self._drop:
                position = start = self._drop_from(data, position, size)
            elif self._pass:
                step = min(self._pass, size - position)
                self._pass -= step
                position += step
            elif size - position < HEADER_BYTES:
                self._header, self._passed = data[position:], max(0, start - position)
                break
            else:
                length = 1 + length_at(data, position + 1)
                if data[position] in (_ROW, _COPY_DATA) and not whole and self._is_too_much(length):
                    out.append(data[start:position])
                    start = position
                    self._drop = length
                else:
                    self._pass = length
                whole = False
        if start < position:
            out.append(data[start:position])
        return b"".join(out)

    def _drop_from(self, data: bytes, position: int, size: int) -> int:
        step = min(self._drop, size - position)
        self._drop -= step
        return position + step

    def _is_too_much(self, length: int) -> bool:
        if not self.exceeded and length <= self._left:
            self._left -= length
            return False
        if not self.exceeded:
            self.exceeded = True
            self._on_exceeded()
        return True
