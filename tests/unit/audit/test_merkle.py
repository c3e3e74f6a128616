"""Merkle trees against the vectors of RFC 6962's reference code; maps that show what is in them and what is not."""

from __future__ import annotations

from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.audit.merkle import (
    EMPTY,
    MerkleTree,
    inclusion_proof,
    map_proof,
    map_root,
    merkle_root,
    node_hash,
    root_of_proof,
    tenant_value,
)

ENTRIES = [
    bytes.fromhex(text)
    for text in (
        "", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f",
    )
]  # fmt: skip
ROOTS = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
"""Of the first 0, 1, 2 … of these (github.com/google/certificate-transparency, merkle_tree_test)."""


@pytest.mark.parametrize(("count", "root"), list(enumerate(ROOTS)))
def test_roots_of_the_reference(count: int, root: str) -> None:
    tree = MerkleTree()
    for entry in ENTRIES[:count]:
        tree.add(entry)
    assert tree.root().hex() == root
    assert merkle_root(ENTRIES[:count]).hex() == root


@given(st.integers(min_value=1, max_value=70), st.data())
def test_each_entry_is_shown_to_be_in_and_at_its_place_only(count: int, data: st.DataObject) -> None:
    entries = [sha256(bytes([number])).digest() for number in range(count)]
    root, index = merkle_root(entries), data.draw(st.integers(min_value=0, max_value=count - 1))
    path = inclusion_proof(entries, index)
    assert root_of_proof(entries[index], index, count, path) == root
    assert root_of_proof(b"other", index, count, path) != root
    for elsewhere in range(count):
        if elsewhere != index:
            assert root_of_proof(entries[index], elsewhere, count, path) != root
    assert root_of_proof(entries[index], index, count, [*path, EMPTY]) is None
    assert root_of_proof(entries[index], count, count, path) is None


_keys = st.binary(min_size=32, max_size=32) | st.integers(0, 255).map(lambda end: b"\0" * 31 + bytes([end]))


def root_by_proof(key: bytes, value: bytes | None, values: dict[bytes, bytes]) -> bytes:
    """What the independent verifier does."""
    proof = map_proof(values, key)
    node = EMPTY
    if value is not None:
        node = sha256(b"\0" + key + value).digest()
    elif proof.other is not None:
        assert proof.other[0] != key
        node = sha256(b"\0" + proof.other[0] + proof.other[1]).digest()
    for depth in reversed(range(len(proof.siblings))):
        bit = key[depth // 8] >> (7 - depth % 8) & 1
        sibling = proof.siblings[depth]
        node = node_hash(sibling, node) if bit else node_hash(node, sibling)
    return node


@given(st.dictionaries(_keys, st.binary(min_size=32, max_size=32), max_size=20), _keys)
def test_a_map_shows_what_it_has_and_what_it_has_not(values: dict[bytes, bytes], other: bytes) -> None:
    root = map_root(values)
    for key, value in values.items():
        assert root_by_proof(key, value, values) == root
        assert root_by_proof(key, None, values) != root
        assert root_by_proof(key, bytes(31) + b"x", values) != root
    if other not in values:
        assert root_by_proof(other, None, values) == root
        assert root_by_proof(other, bytes(32), values) != root


def test_a_map_of_none_is_empty() -> None:
    assert map_root({}) == EMPTY


@given(
    st.lists(st.binary(min_size=32, max_size=32), max_size=5), st.lists(st.binary(min_size=32, max_size=32), max_size=5)
)
def test_a_value_tells_its_lines_and_their_order(first: list[bytes], second: list[bytes]) -> None:
    assert (tenant_value(first) == tenant_value(second)) == (first == second)
