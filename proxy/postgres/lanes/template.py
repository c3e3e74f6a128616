"""A session's query string as a shared prepared statement: which one, and the Bind that runs it.

Literals of the client and values of the session are parameters in text format; see policy/sql/lanes.py.
"""

from __future__ import annotations

import struct
from typing import Final

from policy.model import Principal, Tenant
from policy.sql.lanes import UNKNOWN, ParameterForm, literal_type
from policy.sql.plan import Slot, SlotKind, SlotValues, fill_slot
from proxy.postgres.statements import SharedStatement, StatementBook
from proxy.postgres.wire import messages

_pack_count = struct.Struct("!H").pack
_pack_oid = struct.Struct("!I").pack
_pack_length = struct.Struct("!I").pack
_NULL: Final = b"\xff\xff\xff\xff"
_ALL_TEXT: Final = b"\0\0"
DESCRIBE_PORTAL: Final = messages.encode(b"D", b"P\0")
EXECUTE_ALL: Final = messages.encode(b"E", b"\0\0\0\0\0")
_RUN: Final = EXECUTE_ALL + messages.SYNC
_DESCRIBE_AND_RUN: Final = DESCRIBE_PORTAL + _RUN


class SharedTemplate:
    """Lifetime: as the session's template that it is made from."""

    __slots__ = ("_book", "_constants", "_count", "_form", "_kept", "_statement", "_types", "_values")

    def __init__(
        self, form: ParameterForm, book: StatementBook, values: SlotValues, principal: Principal, tenant: Tenant
    ) -> None:
        self._form = form
        self._book = book
        self._values = values
        self._count = _pack_count(len(form.parameters))
        # By parameter: its value with its length in front, or the number of the client's literal that brings it.
        self._constants: list[bytes | int] = [_constant(slot, principal, tenant) for slot in form.parameters]
        self._kept = any(isinstance(piece, Slot) and piece.kind is SlotKind.LITERAL for piece in form.pieces)
        self._statement: SharedStatement | None = None
        self._types = b""

    def statement(self, literals: tuple[str, ...]) -> SharedStatement:
        """The shared statement that runs this query string with these literals."""
        found = self._statement
        if found is not None and not found.retired:
            return found
        types = self._parameter_types(literals)
        found = self._book.statement(self._text(literals), types)
        if not self._kept and not self._types_vary(types):
            self._statement = found
        return found

    def message(self, statement: SharedStatement, literals: tuple[str, ...], *, describes: bool = False) -> bytes:
        """Bind, Describe if the RowDescription is not known, Execute, Sync."""
        parts: list[bytes] = [b"\0", statement.name, b"\0", _ALL_TEXT, self._count]
        for constant in self._constants:
            if isinstance(constant, int):
                literal = literals[constant]
                if literal[0] == "'":
                    literal = literal[1:-1].replace("''", "'")
                value = literal.encode()
                parts.append(_pack_length(len(value)))
                parts.append(value)
            else:
                parts.append(constant)
        parts.append(_ALL_TEXT)
        body = b"".join(parts)
        return b"B" + _pack_length(len(body) + 4) + body + (_DESCRIBE_AND_RUN if describes else _RUN)

    def literal_number(self, parameter: int) -> int | None:
        """The number of the client's literal that parameter $1, $2 … stands for, None when it is a value of ours."""
        constant = self._constants[parameter - 1] if 0 < parameter <= len(self._constants) else b""
        return constant if isinstance(constant, int) else None

    def _text(self, literals: tuple[str, ...]) -> str:
        return "".join(
            piece if isinstance(piece, str) else fill_slot(piece, self._values, literals) for piece in self._form.pieces
        )

    def _parameter_types(self, literals: tuple[str, ...]) -> bytes:
        types = [
            literal_type(literals[slot.index]) if slot.kind is SlotKind.LITERAL else UNKNOWN
            for slot in self._form.parameters
        ]
        return self._count + b"".join(_pack_oid(oid) for oid in types)

    def _types_vary(self, types: bytes) -> bool:
        """A number that is no int4 may be an int8 or a numeric the next time; a shape tells int4 from others."""
        return not all(types[at : at + 4] in _FIXED for at in range(2, len(types), 4))


_FIXED: Final = (_pack_oid(UNKNOWN), _pack_oid(23))


def _constant(slot: Slot, principal: Principal, tenant: Tenant) -> bytes | int:
    value: str | None
    if slot.kind is SlotKind.LITERAL:
        return slot.index
    if slot.kind is SlotKind.TENANT:
        value = tenant.value
    elif slot.kind is SlotKind.SUBJECT:
        value = principal.subject
    else:
        value = principal.attributes.get(slot.name)
    if value is None:
        return _NULL
    encoded = value.encode()
    return _pack_length(len(encoded)) + encoded
