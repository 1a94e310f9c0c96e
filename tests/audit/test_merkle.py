"""The tree, against published values and against the definition."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.core.audit import merkle

# The leaves that Certificate Transparency implementations share as a test tree, and its roots for
# each size from 1 to 8: RFC 6962 hashes that anybody can recompute with sha256sum.
LEAVES = [
    bytes.fromhex(leaf)
    for leaf in (
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    )
]
ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]

SIZES = st.integers(1, 600)


def by_definition(hashes: Sequence[bytes]) -> bytes:
    """MTH of RFC 6962 section 2.1, written as it is there."""
    if not hashes:
        return hashlib.sha256(b"").digest()
    if len(hashes) == 1:
        return hashes[0]
    split = 1
    while split * 2 < len(hashes):
        split *= 2
    return merkle.node_hash(by_definition(hashes[:split]), by_definition(hashes[split:]))


def leaf_hashes(size: int) -> list[bytes]:
    return [merkle.leaf_hash(str(number).encode()) for number in range(size)]


def stored(hashes: Sequence[bytes]) -> merkle.Reader:
    """What a store keeps of a tree."""
    levels: dict[int, list[bytes]] = {0: list(hashes)}
    for tile in merkle.Frontier().extended(hashes)[1]:
        levels.setdefault(tile.level, []).append(tile.hash)
    return lambda level, start, stop: levels.get(level, [])[start:stop]


@pytest.mark.parametrize(
    ("computed", "published"),
    [
        (merkle.EMPTY_ROOT, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
        (
            merkle.leaf_hash(b""),
            "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        ),
        (
            merkle.leaf_hash(b"L123456"),
            "395aa064aa4c29f7010acfe3f25db9485bbd4b91897b6ad7ad547639252b4d56",
        ),
        (
            merkle.node_hash(b"N123", b"N456"),
            "aa217fe888e47007fa15edab33c2b492a722cb106c64667fc2b044444de66bbb",
        ),
    ],
)
def test_hashes_are_those_of_rfc_6962(computed: bytes, published: str) -> None:
    assert computed.hex() == published


@pytest.mark.parametrize("size", range(1, 9))
def test_roots_are_the_published_ones(size: int) -> None:
    frontier, _ = merkle.Frontier().extended(map(merkle.leaf_hash, LEAVES[:size]))
    assert frontier.root.hex() == ROOTS[size - 1]


@given(SIZES)
def test_the_root_is_the_one_of_the_definition(size: int) -> None:
    hashes = leaf_hashes(size)
    assert merkle.Frontier().extended(hashes)[0].root == by_definition(hashes)


@given(st.lists(st.integers(0, 300), max_size=6))
def test_a_tree_grown_in_steps_is_the_tree_grown_at_once(steps: list[int]) -> None:
    hashes = leaf_hashes(sum(steps))
    frontier, tiles, position = merkle.Frontier(), [], 0
    for step in steps:
        frontier, filled = frontier.extended(hashes[position : position + step])
        tiles += filled
        position += step
    assert (frontier, tuple(tiles)) == merkle.Frontier().extended(hashes)


def test_a_tile_hash_is_the_root_of_its_256_leaves() -> None:
    hashes = leaf_hashes(1000)
    _, filled = merkle.Frontier().extended(hashes)
    assert [(tile.level, tile.index) for tile in filled] == [(1, 0), (1, 1), (1, 2)]
    assert filled[1].hash == by_definition(hashes[256:512])


def test_upper_tile_levels_are_written_when_they_are_full() -> None:
    _, filled = merkle.Frontier().extended([b"x" * 32] * 65_537)
    assert [(tile.level, tile.index) for tile in filled[-2:]] == [(1, 255), (2, 0)]


@given(SIZES, st.data())
def test_any_earlier_frontier_can_be_read_from_stored_hashes(
    size: int, data: st.DataObject
) -> None:
    hashes = leaf_hashes(size)
    earlier = data.draw(st.integers(0, size))
    expected, _ = merkle.Frontier().extended(hashes[:earlier])
    assert merkle.frontier_at(stored(hashes), earlier) == expected


def test_missing_hashes_are_noticed() -> None:
    with pytest.raises(LookupError, match="tile level 0"):
        merkle.frontier_at(stored(leaf_hashes(10)), 11)


@given(SIZES, st.data())
def test_inclusion_proofs_verify(size: int, data: st.DataObject) -> None:
    hashes = leaf_hashes(size)
    index = data.draw(st.integers(0, size - 1))
    proof = merkle.inclusion_proof(stored(hashes), index=index, size=size)
    root = by_definition(hashes)
    assert merkle.includes(leaf=hashes[index], index=index, size=size, proof=proof, root=root)


@given(SIZES, st.data())
def test_consistency_proofs_verify(new: int, data: st.DataObject) -> None:
    hashes = leaf_hashes(new)
    old = data.draw(st.integers(1, new))
    proof = merkle.consistency_proof(stored(hashes), old=old, new=new)
    assert merkle.is_consistent(
        old=old,
        new=new,
        old_root=by_definition(hashes[:old]),
        new_root=by_definition(hashes),
        proof=proof,
    )


def mutations(proof: Sequence[bytes], roots: Sequence[bytes]) -> list[tuple[bytes, ...]]:
    """The ways in which the vectors of transparency-dev/merkle spoil a proof."""
    garbage = b"g" * 32
    flipped = [
        (*proof[:i], bytes([node[0] ^ 16]) + node[1:], *proof[i + 1 :])
        for i, node in enumerate(proof)
    ]
    swapped = [(*proof[:i], proof[i + 1], proof[i], *proof[i + 2 :]) for i in range(len(proof) - 1)]
    shorter = [tuple(proof[1:]), tuple(proof[:-1]), (*proof[:-1], proof[-1][:-1])] if proof else []
    longer = [(extra, *proof) for extra in (garbage, b"", *roots)]
    longer += [(*proof, extra) for extra in (garbage, b"", *roots)]
    return [*flipped, *swapped, *shorter, *longer]


@settings(max_examples=50)
@given(st.integers(2, 300), st.data())
def test_spoilt_inclusion_proofs_are_refused(size: int, data: st.DataObject) -> None:
    hashes, index = leaf_hashes(size), data.draw(st.integers(0, size - 1))
    root, leaf = by_definition(hashes), hashes[index]
    proof = merkle.inclusion_proof(stored(hashes), index=index, size=size)
    good = (index, size, proof, root, leaf)
    spoilt = [(index, size, bad, root, leaf) for bad in mutations(proof, [root, leaf])]
    spoilt += [(index + step, size, proof, root, leaf) for step in (-1, 1, size)]
    spoilt += [(index ^ 2, size, proof, root, leaf), (index, index, proof, root, leaf)]
    spoilt += [(index, 0, proof, root, leaf), (index, -1, proof, root, leaf)]
    spoilt += [(index, size, proof, leaf, leaf), (index, size, proof, root, root)]
    spoilt += [(index, size, proof, b"", leaf), (index, size, proof, root, b"")]
    accepted = [case for case in [good, *spoilt] if includes(*case)]
    assert accepted == [good]


def includes(index: int, size: int, proof: Sequence[bytes], root: bytes, leaf: bytes) -> bool:
    return merkle.includes(leaf=leaf, index=index, size=size, proof=proof, root=root)


@settings(max_examples=50)
@given(st.integers(2, 300), st.data())
def test_spoilt_consistency_proofs_are_refused(new: int, data: st.DataObject) -> None:
    hashes, old = leaf_hashes(new), data.draw(st.integers(1, new - 1))
    before, after = by_definition(hashes[:old]), by_definition(hashes)
    proof = merkle.consistency_proof(stored(hashes), old=old, new=new)
    good = (old, new, before, after, proof)
    spoilt = [(old, new, before, after, bad) for bad in mutations(proof, [before, after])]
    spoilt += [(old, new, after, before, proof), (old, new, before, before, proof)]
    spoilt += [(new, old, after, before, proof), (0, new, before, after, proof)]
    spoilt += [(0, new, merkle.EMPTY_ROOT, after, ()), (-old, new, before, after, proof)]
    spoilt += [(old, new, before, after, ()), (old, new, b"", after, proof)]
    accepted = [case for case in [good, *spoilt] if is_consistent(*case)]
    assert accepted == [good]


def is_consistent(
    old: int, new: int, old_root: bytes, new_root: bytes, proof: Sequence[bytes]
) -> bool:
    return merkle.is_consistent(old=old, new=new, old_root=old_root, new_root=new_root, proof=proof)


def test_a_tree_is_consistent_with_itself_and_with_no_other_of_its_size() -> None:
    one, other = by_definition(leaf_hashes(5)), by_definition(leaf_hashes(6))
    assert is_consistent(5, 5, one, one, ())
    assert not is_consistent(5, 5, one, other, ())
    assert not is_consistent(5, 5, one, one, (one,))


def test_the_empty_tree_has_one_root() -> None:
    assert is_consistent(0, 0, merkle.EMPTY_ROOT, merkle.EMPTY_ROOT, ())
    assert not is_consistent(0, 0, b"x" * 32, b"x" * 32, ())
