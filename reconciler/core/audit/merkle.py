"""The Merkle tree over the log: hashes, roots, inclusion and consistency proofs.

Separate from what the leaves mean and from where hashes are stored: callers hand in a `Reader`.
Hashing is RFC 6962 section 2.1; stored hashes are those of C2SP tlog-tiles, which keeps every
eighth height of the tree, so that a log of n leaves stores n + n/255 hashes and writes none of
them twice. The invariant: verification shares no code with the making of proofs beyond the two
hash functions.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

TILE_HEIGHT = 8
TILE_WIDTH = 1 << TILE_HEIGHT
HASH_SIZE = 32

EMPTY_ROOT = hashlib.sha256(b"").digest()

Reader: TypeAlias = "Callable[[int, int, int], Sequence[bytes]]"
"""`read(level, start, stop)` gives the stored hashes of a tile level; level 0 holds the leaves'."""


def leaf_hash(content: bytes) -> bytes:
    return hashlib.sha256(b"\x00" + content).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()


@dataclass(frozen=True, slots=True)
class TileHash:
    """The root of a full tile, which is a hash of the tile level above it."""

    level: int
    index: int
    hash: bytes


@dataclass(frozen=True, slots=True)
class Frontier:
    """All of a tree that is needed to add leaves to it.

    `peaks` are the roots of the perfect subtrees that the tree consists of, widest first; there
    is one for each binary digit 1 of `size`.
    """

    size: int = 0
    peaks: tuple[bytes, ...] = ()

    @property
    def root(self) -> bytes:
        return _folded(self.peaks)

    def extended(self, hashes: Iterable[bytes]) -> tuple[Frontier, tuple[TileHash, ...]]:
        """The tree with these leaf hashes added, and the tiles that became full by it."""
        peaks, size = list(self.peaks), self.size
        filled: list[TileHash] = []
        for leaf in hashes:
            node, index, height = leaf, size, 0
            while index & 1:
                node = node_hash(peaks.pop(), node)
                index >>= 1
                height += 1
                if height % TILE_HEIGHT == 0:
                    filled.append(TileHash(height // TILE_HEIGHT, index, node))
            peaks.append(node)
            size += 1
        return Frontier(size, tuple(peaks)), tuple(filled)


def frontier_at(read: Reader, size: int) -> Frontier:
    """The frontier of the tree of the first `size` leaves."""
    return Frontier(size, tuple(_peaks(read, 0, size)))


def root_at(read: Reader, size: int) -> bytes:
    return frontier_at(read, size).root


def inclusion_proof(read: Reader, *, index: int, size: int) -> tuple[bytes, ...]:
    """PATH of RFC 6962 section 2.1.1 for leaf `index` in the tree of the first `size` leaves."""
    assert 0 <= index < size, f"leaf {index} is not in a tree of {size}"
    begin, end = 0, size
    path: list[bytes] = []
    while end - begin > 1:
        split = _split(begin, end)
        if index < split:
            path.append(_range_hash(read, split, end))
            end = split
        else:
            path.append(_range_hash(read, begin, split))
            begin = split
    return tuple(reversed(path))


def consistency_proof(read: Reader, *, old: int, new: int) -> tuple[bytes, ...]:
    """PROOF of RFC 6962 section 2.1.2; empty when either tree is empty or both are the same."""
    assert 0 <= old <= new, f"a tree of {new} leaves cannot extend one of {old}"
    if old in (0, new):
        return ()
    begin, end, is_old_tree = 0, new, True
    path: list[bytes] = []
    while end != old:
        split = _split(begin, end)
        if old <= split:
            path.append(_range_hash(read, split, end))
            end = split
        else:
            path.append(_range_hash(read, begin, split))
            begin, is_old_tree = split, False
    if not is_old_tree:
        path.append(_range_hash(read, begin, end))
    return tuple(reversed(path))


def includes(*, leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes) -> bool:
    """Whether `proof` shows that the leaf hash `leaf` is at `index`: RFC 9162 section 2.1.3.2."""
    if not 0 <= index < size or any(len(node) != HASH_SIZE for node in (leaf, root, *proof)):
        return False
    position, last, computed = index, size - 1, leaf
    for sibling in proof:
        if last == 0:
            return False
        if position & 1 or position == last:
            computed = node_hash(sibling, computed)
            while not position & 1 and position:
                position, last = position >> 1, last >> 1
        else:
            computed = node_hash(computed, sibling)
        position, last = position >> 1, last >> 1
    return last == 0 and computed == root


def is_consistent(
    *, old: int, new: int, old_root: bytes, new_root: bytes, proof: Sequence[bytes]
) -> bool:
    """Whether `proof` shows that the tree of `new` leaves extends that of `old`.

    RFC 9162 section 2.1.4.2. False from an empty tree to any other: nothing can be proved there,
    so a caller that accepts it says so itself.
    """
    if old == new:
        return not proof and old_root == new_root and (old > 0 or old_root == EMPTY_ROOT)
    if any(len(node) != HASH_SIZE for node in (old_root, new_root, *proof)):
        return False
    if not 0 < old < new or not proof:
        return False
    return _roots_agree(old, new, old_root, new_root, proof)


def _roots_agree(
    old: int, new: int, old_root: bytes, new_root: bytes, proof: Sequence[bytes]
) -> bool:
    # A perfect old tree is itself the first node of the proof, which is therefore left out of it.
    path = [old_root, *proof] if old & (old - 1) == 0 else list(proof)
    position, last = old - 1, new - 1
    while position & 1:
        position, last = position >> 1, last >> 1
    old_computed = new_computed = path[0]
    for sibling in path[1:]:
        if last == 0:
            return False
        if position & 1 or position == last:
            old_computed = node_hash(sibling, old_computed)
            new_computed = node_hash(sibling, new_computed)
            while not position & 1 and position:
                position, last = position >> 1, last >> 1
        else:
            new_computed = node_hash(new_computed, sibling)
        position, last = position >> 1, last >> 1
    return last == 0 and old_computed == old_root and new_computed == new_root


def _split(begin: int, end: int) -> int:
    """Where a tree divides: after the largest power of two that is smaller than its width."""
    return begin + (1 << ((end - begin - 1).bit_length() - 1))


def _range_hash(read: Reader, begin: int, end: int) -> bytes:
    return _folded(_peaks(read, begin, end))


def _peaks(read: Reader, begin: int, end: int) -> list[bytes]:
    peaks: list[bytes] = []
    while begin < end:
        height = (end - begin).bit_length() - 1
        peaks.append(_subtree(read, height, begin >> height))
        begin += 1 << height
    return peaks


def _subtree(read: Reader, height: int, index: int) -> bytes:
    """The root of the perfect subtree of 2**height leaves that is the index-th of its height."""
    level, above = divmod(height, TILE_HEIGHT)
    hashes = list(read(level, index << above, (index + 1) << above))
    if len(hashes) != 1 << above:
        raise LookupError(
            f"tile level {level} lacks hashes from {index << above} to {(index + 1) << above}"
        )
    while len(hashes) > 1:
        hashes = [node_hash(hashes[i], hashes[i + 1]) for i in range(0, len(hashes), 2)]
    return hashes[0]


def _folded(peaks: Sequence[bytes]) -> bytes:
    if not peaks:
        return EMPTY_ROOT
    root = peaks[-1]
    for peak in reversed(peaks[:-1]):
        root = node_hash(peak, root)
    return root
