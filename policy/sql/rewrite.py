"""Splice edits into the client's text: what is not edited stays as the client wrote it, character by character.

The result is a tuple of pieces (policy/sql/plan.py): client text keeps its offset in the client's query string, so
that a target's error position can be mapped back, and, for plans kept by shape, client literals become slots.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from policy.errors import UnsupportedStatement
from policy.sql.plan import ClientText, Piece, Slot, SlotKind


@dataclass(frozen=True, slots=True)
class Edit:
    """Replace `text[start:end]` by pieces; start == end inserts.

    other: of two insertions that enclose text, where the other one is; closing: it is the second of them. At one offset
    closings come first, then plain insertions as registered, then openings, then the replacement that begins there.
    What encloses less stands inside; of two that enclose the same, the one that was registered first.
    """

    start: int
    end: int
    pieces: tuple[Piece, ...]
    closing: bool = False
    other: int = 0


def splice(text: str, start: int, end: int, edits: Sequence[Edit]) -> tuple[Piece, ...]:
    """Apply edits to `text[start:end]`. Raises UnsupportedStatement when two edits overlap or leave the range."""
    out: list[Piece] = []
    at = start
    for edit in _ordered(edits):
        if edit.start < at or edit.end > end:
            raise UnsupportedStatement("statement could not be rewritten safely", position=edit.start + 1)
        if edit.start > at:
            out.append(ClientText(text[at : edit.start], at))
        out.extend(edit.pieces)
        at = edit.end
    if at < end:
        out.append(ClientText(text[at:end], at))
    return tuple(out)


def _ordered(edits: Sequence[Edit]) -> list[Edit]:
    def key(item: tuple[int, Edit]) -> tuple[int, int, int, int]:
        number, edit = item
        if edit.closing:
            return (edit.start, 0, -edit.other, number)
        if edit.other:
            return (edit.start, 2, -edit.other, -number)
        return (edit.start, 3 if edit.end > edit.start else 1, 0, number)

    return [edit for _, edit in sorted(enumerate(edits), key=key)]


def with_literal_slots(pieces: Iterable[Piece], literals: Sequence[tuple[int, int]]) -> tuple[Piece, ...]:
    """Cut client text at its literals: number n, at offsets `literals[n]` of the query string, is LITERAL slot n."""
    out: list[Piece] = []
    for piece in pieces:
        if isinstance(piece, ClientText):
            out.extend(_cut(piece, literals))
        else:
            out.append(piece)
    return tuple(out)


def _cut(piece: ClientText, literals: Sequence[tuple[int, int]]) -> Iterable[Piece]:
    at = piece.offset
    last = piece.offset + len(piece.text)
    for index, (start, end) in enumerate(literals):
        if end <= at or start >= last:
            continue
        if start > at:
            yield ClientText(piece.text[at - piece.offset : start - piece.offset], at)
        yield Slot(SlotKind.LITERAL, index=index)
        at = end
    if at < last:
        yield ClientText(piece.text[at - piece.offset :], at)
