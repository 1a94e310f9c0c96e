"""An export of the log: a directory that anybody can check with a key and without us.

Separate from the commands, because its layout is a contract: C2SP tlog-tiles with `checkpoint`,
`tile/` and `tile/entries/`, beside them every signed note in `checkpoints/`, the verifier key in
`vkey`, and `records.jsonl` with one record a line for people. The invariant: an export ends where
its checkpoint does, and each of its bytes is checked when it is read.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

from reconciler.core.audit import merkle
from reconciler.core.audit.comparing import Finding
from reconciler.core.audit.notes import NoteError, Verifier, checkpoint_of
from reconciler.core.audit.tiles import (
    BundleError,
    Tile,
    bundle,
    entries_of,
    hashes_of,
    level_tiles,
    tiles_of,
)
from reconciler.core.audit.verification import Anchor, Evidence
from reconciler.core.errors import Misconfigured, Missing
from reconciler.ports import AuditLog

CHECKPOINT = "checkpoint"
CHECKPOINTS = "checkpoints"
VKEY = "vkey"
RECORDS = "records.jsonl"

_PAGE = 1000


def note_path(size: int) -> str:
    return f"{CHECKPOINTS}/{size:020d}"


async def write_export(log: AuditLog, directory: Path, *, verifier: Verifier) -> int:
    """Write everything up to the last signed checkpoint; returns how many records that is.

    Raises:
        Missing: nothing was signed yet.
        Misconfigured: the directory holds something already.
    """
    note = await log.latest_checkpoint()
    if note is None:
        raise Missing(
            "the log has no signed checkpoint yet, so there is nothing that others could check",
            hint="wait for the daemon to sign one",
        )
    _make_room(directory)
    size = checkpoint_of(note).size
    for tile in tiles_of(size):
        _write(directory / tile.path, b"".join(await log.hashes(tile.level, tile.start, tile.stop)))
    await _write_records(log, directory, size)
    await _write_checkpoints(log, directory, size)
    _write(directory / VKEY, f"{verifier.vkey}\n".encode())
    _write(directory / CHECKPOINT, note)
    return size


def _make_room(directory: Path) -> None:
    if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
        raise Misconfigured(f"{directory} is not an empty directory", hint="name a new one")
    directory.mkdir(parents=True, exist_ok=True)


async def _write_records(log: AuditLog, directory: Path, size: int) -> None:
    with (directory / RECORDS).open("wb") as lines:
        for tile in level_tiles(size, 0):
            leaves = await log.leaves(tile.start, tile.width)
            _write(directory / tile.entries_path, bundle(leaves))
            lines.writelines(leaf + b"\n" for leaf in leaves)


async def _write_checkpoints(log: AuditLog, directory: Path, size: int) -> None:
    start = 0
    while start <= size and (notes := await log.checkpoints(start, _PAGE)):
        for note in notes:
            start = checkpoint_of(note).size + 1
            if start <= size + 1:
                _write(directory / note_path(start - 1), note)


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


@dataclass(slots=True)
class ExportReader:
    """Reads an export for `verify`; what is wrong with its files gathers in `findings`.

    The records are read as they are asked for, so `findings` is complete when they were.
    """

    directory: Path
    findings: list[Finding] = field(default_factory=list)

    def evidence(self, *, anchors: Sequence[Anchor] = ()) -> Evidence:
        size = self._size()
        logged = [entry for tile in level_tiles(size, 0) for entry in self._hashes(tile)]
        self._compare_upper_tiles(size, logged)
        notes = self._notes(size)
        return Evidence(self._leaves(size), notes, logged=logged, anchors=anchors)

    def require_key(self, verifier: Verifier) -> None:
        """The key in an export is a convenience: it must be the one that the caller trusts."""
        if self._read(VKEY) != f"{verifier.vkey}\n".encode():
            self._found("other-key", f"{VKEY} in the export is not the key that it is checked with")

    def _size(self) -> int:
        try:
            return checkpoint_of((self.directory / CHECKPOINT).read_bytes()).size
        except (OSError, NoteError) as error:
            raise Missing(
                f"{self.directory} is not an export of the audit log: its {CHECKPOINT} cannot be "
                f"read: {error}",
                hint="name a directory that `fairlead audit export` has written",
            ) from error

    def _notes(self, size: int) -> list[bytes]:
        latest = self._read(CHECKPOINT)
        folder = self.directory / CHECKPOINTS
        paths = sorted(path for path in folder.glob("*") if path.is_file())
        for path in paths:
            self._judge_note_name(path)
        names = {f"{CHECKPOINTS}/{path.name}" for path in paths}
        self._judge_names({*names, note_path(size)}, size)
        return [latest, *(path.read_bytes() for path in paths)]

    def _judge_note_name(self, path: Path) -> None:
        try:
            fits = note_path(checkpoint_of(path.read_bytes()).size).endswith(path.name)
        except NoteError:
            return  # Named by the verification of its signature.
        if not fits:
            self._found("misplaced", f"{CHECKPOINTS}/{path.name} is named for another size")

    def _judge_names(self, notes: set[str], size: int) -> None:
        expected = {CHECKPOINT, VKEY, RECORDS, *notes}
        expected |= {tile.path for tile in tiles_of(size)}
        expected |= {tile.entries_path for tile in level_tiles(size, 0)}
        found = {
            path.relative_to(self.directory).as_posix()
            for path in self.directory.rglob("*")
            if not path.is_dir()
        }
        for name in sorted(expected - found):
            self._found("missing-file", f"{name} is missing")
        for name in sorted(found - expected):
            self._found("additional-file", f"{name} does not belong to a log of {size} records")

    def _hashes(self, tile: Tile) -> Sequence[bytes]:
        try:
            hashes = hashes_of(self._read(tile.path))
        except BundleError as error:
            self._found("damaged-file", f"{tile.path}: {error}")
            return ()
        if len(hashes) != tile.width:
            self._found("damaged-file", f"{tile.path} holds {len(hashes)} hashes")
        return hashes

    def _compare_upper_tiles(self, size: int, logged: Sequence[bytes]) -> None:
        levels: dict[int, list[bytes]] = {}
        for tile_hash in merkle.Frontier().extended(logged)[1]:
            levels.setdefault(tile_hash.level, []).append(tile_hash.hash)
        for tile in tiles_of(size):
            expected = b"".join(levels.get(tile.level, [])[tile.start : tile.stop])
            if tile.level and self._read(tile.path) != expected:
                self._found("stored-hashes", f"{tile.path} is not made of the tiles below it")

    def _leaves(self, size: int) -> Iterator[bytes]:
        index, differs = 0, False
        with self._readable_copy() as lines:
            for tile in level_tiles(size, 0):
                for entry in self._entries(tile):
                    if lines.readline() != entry + b"\n" and not differs:
                        differs = True
                        self._found("readable-copy", f"{RECORDS} differs in record {index}", index)
                    yield entry
                    index += 1
            if lines.read(1) and not differs:
                self._found("readable-copy", f"{RECORDS} goes on after record {index - 1}", index)

    def _entries(self, tile: Tile) -> Sequence[bytes]:
        try:
            return entries_of(self._read(tile.entries_path))
        except BundleError as error:
            self._found("damaged-file", f"{tile.entries_path}: {error}", tile.start)
            return ()

    def _readable_copy(self) -> BinaryIO:
        path = self.directory / RECORDS
        return path.open("rb") if path.is_file() else BytesIO()

    def _read(self, name: str) -> bytes:
        """The content of a file; nothing when it is missing, which _judge_names reports."""
        path = self.directory / name
        return path.read_bytes() if path.is_file() else b""

    def _found(self, code: str, message: str, index: int | None = None) -> None:
        self.findings.append(Finding(code, message, index))
