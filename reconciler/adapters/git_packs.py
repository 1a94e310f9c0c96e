"""Keeping the number of pack files small, which libgit2 leaves to others.

Separate because it knows the layout of a pack directory, which nothing else needs. Every fetch
leaves a pack, every lookup of an absent object searches them all. The invariant: a pack is
removed only after all its objects are in another one that is complete on disk.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pygit2

PACKS_LIMIT = 20
"""Packs to leave alone."""

_FANOUT = 8 + 255 * 4
_NAMES = 8 + 256 * 4


def consolidate(repository: pygit2.Repository, directory: Path) -> int:
    """Merge the small packs of `directory` when there are many; returns how many went away.

    Other handles of the repository may have to be opened again.
    """
    packs = sorted((pack.stat().st_size, pack) for pack in directory.glob("*.pack"))
    if len(packs) <= PACKS_LIMIT:
        return 0
    small = _small(packs)
    merged = pygit2.PackBuilder(repository)
    for pack in small:
        for oid in _objects(pack.with_suffix(".idx")):
            merged.add(oid)
    before = set(directory.glob("*.pack"))
    merged.write(str(directory))
    written = set(directory.glob("*.pack")) - before
    gone = [pack for pack in small if written and pack not in written]
    for pack in gone:
        # Without its index a pack is not looked at, so the index goes first.
        pack.with_suffix(".idx").unlink(missing_ok=True)
        pack.unlink(missing_ok=True)
    return len(gone)


def _small(packs: Sequence[tuple[int, Path]]) -> Sequence[Path]:
    """The smallest packs, up to the first that outweighs those before it.

    So sizes at least double from pack to pack (as with `git repack --geometric`): the number of
    packs grows with the logarithm of the history, and so does what each object costs.
    """
    total = 0
    small: list[Path] = []
    for size, pack in packs:
        if len(small) > 1 and size > total:
            break
        total += size
        small.append(pack)
    return small


def _objects(index: Path) -> Iterator[pygit2.Oid]:
    """Names in a version 2 index (gitformat-pack): fan-out table, then sorted names."""
    content = index.read_bytes()
    assert content[:8] == b"\xfftOc\x00\x00\x00\x02", f"{index} is not a version 2 pack index"
    count = int.from_bytes(content[_FANOUT : _FANOUT + 4], "big")
    for position in range(_NAMES, _NAMES + 20 * count, 20):
        yield pygit2.Oid(raw=content[position : position + 20])
