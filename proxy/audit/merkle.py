"""Hash trees of sealed segments. Pure: digests in, digests out; all hashes are SHA-256 and 32 bytes.

`MerkleTree`: over a segment's lines in order, hashed as in RFC 9162 section 2.1.1 (RFC 6962): a leaf is H(0 ‖ entry), a
node H(1 ‖ left ‖ right), so that neither can pass for the other. An entry is a line's `hash`, as 32 bytes.

The tenant map: which tenants have lines in a segment, and which lines. Each tenant has one place, found by the bits of
its key from the root down, so there cannot be a second record of it, and an empty place shows that there is none. A
subtree of one leaf is that leaf, H(0 ‖ key ‖ value); one of none is 32 zero bytes; else a node H(1 ‖ left ‖ right).
The value is H(2 ‖ count ‖ entries): all of the tenant's lines, and no more. Keys tell nothing of names (signing.py).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from itertools import zip_longest
from typing import Final

EMPTY: Final = b"\0" * 32
_LEAF: Final = b"\0"
_NODE: Final = b"\1"
_VALUE: Final = b"\2"


def node_hash(left: bytes, right: bytes) -> bytes:
    return sha256(_NODE + left + right).digest()


class MerkleTree:
    """Grows by one entry at a time, and keeps no more than one digest per level."""

    __slots__ = ("_peaks", "count")

    def __init__(self) -> None:
        self.count = 0
        self._peaks: list[bytes] = []  # of perfect subtrees, the largest first

    def add(self, entry: bytes) -> None:
        node = sha256(_LEAF + entry).digest()
        size, peaks = self.count, self._peaks
        while size & 1:
            node = sha256(_NODE + peaks.pop() + node).digest()
            size >>= 1
        peaks.append(node)
        self.count += 1

    def root(self) -> bytes:
        """Of no entries it is the hash of nothing."""
        if not self._peaks:
            return sha256(b"").digest()
        node = self._peaks[-1]
        for left in self._peaks[-2::-1]:
            node = node_hash(left, node)
        return node


def merkle_root(entries: Sequence[bytes]) -> bytes:
    """The root over all entries at once: as `MerkleTree`, in a third of its time."""
    if not entries:
        return sha256(b"").digest()
    level = [sha256(_LEAF + entry).digest() for entry in entries]
    while len(level) > 1:
        pairs = iter(level)
        odd = level[-1] if len(level) & 1 else None
        level = [sha256(_NODE + left + right).digest() for left, right in zip(pairs, pairs, strict=False)]
        if odd is not None:
            level.append(odd)
    return level[0]


def inclusion_proof(entries: Sequence[bytes], index: int) -> list[bytes]:
    """The audit path of entry number `index` from 0 (RFC 9162 section 2.1.3.1), from the leaf up."""
    level = [sha256(_LEAF + entry).digest() for entry in entries]
    path: list[bytes] = []
    while len(level) > 1:
        neighbour = index ^ 1
        if neighbour < len(level):
            path.append(level[neighbour])
        pairs = zip_longest(level[::2], level[1::2])
        level = [left if right is None else node_hash(left, right) for left, right in pairs]
        index >>= 1
    return path


def root_of_proof(entry: bytes, index: int, count: int, path: Sequence[bytes]) -> bytes | None:
    """The root that an audit path leads to (RFC 9162 section 2.1.3.2); None when it does not fit the tree's size."""
    if not 0 <= index < count:
        return None
    node, last, steps = sha256(_LEAF + entry).digest(), count - 1, list(path)
    while last:
        if index & 1 or index < last:
            if not steps:
                return None
            other = steps.pop(0)
            node = node_hash(other, node) if index & 1 else node_hash(node, other)
        index >>= 1
        last >>= 1
    return None if steps else node


def tenant_value(entries: Sequence[bytes]) -> bytes:
    """What the map holds of a tenant: how many lines it has in the segment, and which."""
    return sha256(_VALUE + len(entries).to_bytes(8, "big") + b"".join(entries)).digest()


def map_root(values: Mapping[bytes, bytes]) -> bytes:
    """The root of the map from keys to values."""
    return _subtree(sorted(values.items()), 0)


@dataclass(frozen=True, slots=True)
class MapProof:
    """The way from the root of a map to where a key has its place.

    siblings: from the root down. other: the key and value of another leaf that is alone there; None when the key's own
    is there, or nothing is.
    """

    siblings: list[bytes]
    other: tuple[bytes, bytes] | None


def map_proof(values: Mapping[bytes, bytes], key: bytes) -> MapProof:
    """Shows that the map has `key` with its value, or that it has not."""
    leaves, siblings, depth = sorted(values.items()), list[bytes](), 0
    while len(leaves) > 1:
        at = _split(leaves, depth)
        left, right = leaves[:at], leaves[at:]
        ours, other = (right, left) if _bit(key, depth) else (left, right)
        siblings.append(_subtree(other, depth + 1))
        leaves, depth = ours, depth + 1
    alone = leaves[0] if leaves and leaves[0][0] != key else None
    return MapProof(siblings, alone)


def _subtree(leaves: list[tuple[bytes, bytes]], depth: int) -> bytes:
    if not leaves:
        return EMPTY
    if len(leaves) == 1:
        return sha256(_LEAF + leaves[0][0] + leaves[0][1]).digest()
    at = _split(leaves, depth)
    return node_hash(_subtree(leaves[:at], depth + 1), _subtree(leaves[at:], depth + 1))


def _split(leaves: list[tuple[bytes, bytes]], depth: int) -> int:
    """How many of these, which are sorted and agree before bit `depth`, have a 0 there."""
    low, high = 0, len(leaves)
    while low < high:
        middle = (low + high) // 2
        if _bit(leaves[middle][0], depth):
            high = middle
        else:
            low = middle + 1
    return low


def _bit(key: bytes, depth: int) -> int:
    return key[depth >> 3] >> (7 - (depth & 7)) & 1
