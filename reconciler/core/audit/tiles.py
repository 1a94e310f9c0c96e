"""The files of C2SP tlog-tiles: which a log of a given size has, and what is in them.

Separate from the tree, which knows hashes and no files. The invariant: the size of a log alone
decides which files it consists of, so that a missing or additional file is noticed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from reconciler.core.audit.merkle import HASH_SIZE, TILE_HEIGHT, TILE_WIDTH


class BundleError(ValueError):
    """A tile or an entry bundle is not what its name says."""


@dataclass(frozen=True, slots=True)
class Tile:
    """`width` hashes of one level from `start` on; narrower than 256 only at the right edge."""

    level: int
    index: int
    width: int

    @property
    def start(self) -> int:
        return self.index * TILE_WIDTH

    @property
    def stop(self) -> int:
        return self.start + self.width

    @property
    def path(self) -> str:
        return f"tile/{self.level}/{self._place}"

    @property
    def entries_path(self) -> str:
        """The bundle of the records whose hashes this tile of level 0 holds."""
        return f"tile/entries/{self._place}"

    @property
    def _place(self) -> str:
        digits = f"{self.index:03d}"
        digits = digits.zfill(-(-len(digits) // 3) * 3)
        groups = [digits[i : i + 3] for i in range(0, len(digits), 3)]
        name = "/".join([*(f"x{group}" for group in groups[:-1]), groups[-1]])
        return name if self.width == TILE_WIDTH else f"{name}.p/{self.width}"


def tiles_of(size: int) -> Iterator[Tile]:
    """Every tile of a log of `size` records, level by level."""
    level = 0
    while size >> (TILE_HEIGHT * level):
        yield from level_tiles(size, level)
        level += 1


def level_tiles(size: int, level: int) -> Iterator[Tile]:
    full, rest = divmod(size >> (TILE_HEIGHT * level), TILE_WIDTH)
    for index in range(full):
        yield Tile(level, index, TILE_WIDTH)
    if rest:
        yield Tile(level, full, rest)


def bundle(entries: Iterable[bytes]) -> bytes:
    return b"".join(len(entry).to_bytes(2, "big") + entry for entry in entries)


def entries_of(content: bytes) -> list[bytes]:
    """Inverse of `bundle`. Raises BundleError when the lengths do not add up."""
    entries: list[bytes] = []
    position = 0
    while position < len(content):
        end = position + 2 + int.from_bytes(content[position : position + 2], "big")
        if position + 2 > len(content) or end > len(content):
            raise BundleError(f"the bundle ends inside its entry {len(entries)}")
        entries.append(content[position + 2 : end])
        position = end
    return entries


def hashes_of(content: bytes) -> Sequence[bytes]:
    """The hashes in a tile. Raises BundleError when it holds a part of one."""
    if len(content) % HASH_SIZE:
        raise BundleError(f"a tile of {len(content)} bytes does not hold whole hashes")
    return [content[i : i + HASH_SIZE] for i in range(0, len(content), HASH_SIZE)]
