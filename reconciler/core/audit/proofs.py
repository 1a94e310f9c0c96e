"""Inclusion proofs as text: C2SP tlog-proof, which other tools read.

Separate from the tree because a proof on its own must convince somebody who has neither the log
nor this program. The invariant: parsing accepts exactly what formatting writes.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable
from dataclasses import dataclass

from reconciler.core.audit import merkle
from reconciler.core.audit.notes import (
    Checkpoint,
    NoteError,
    Verifier,
    decimal,
    open_checkpoint,
    unbase64,
)

_FIRST_LINE = "c2sp.org/tlog-proof@v1"
_EXTRA = "extra "
_INDEX = "index "


class ProofError(ValueError):
    """A proof is malformed or does not prove what it should."""


@dataclass(frozen=True, slots=True)
class Proof:
    """That the record `extra` is at `index` of the log whose head `note` signs."""

    index: int
    hashes: tuple[bytes, ...]
    note: bytes
    extra: bytes = b""

    def format(self) -> str:
        lines = [_FIRST_LINE]
        if self.extra:
            lines.append(f"{_EXTRA}{_base64(self.extra)}")
        lines.append(f"{_INDEX}{self.index}")
        lines += map(_base64, self.hashes)
        return "\n".join([*lines, "", self.note.decode()])

    @classmethod
    def parse(cls, text: str) -> Proof:
        """Inverse of `format`. Raises ProofError on anything else."""
        head, blank, note = text.partition("\n\n")
        first, *lines = head.split("\n")
        if first != _FIRST_LINE or not blank:
            raise ProofError(f"not a proof: it needs the line {_FIRST_LINE!r} and a checkpoint")
        try:
            extra = b""
            if lines and lines[0].startswith(_EXTRA):
                extra = unbase64(lines.pop(0).removeprefix(_EXTRA))
            if not lines or not lines[0].startswith(_INDEX):
                raise ProofError("not a proof: the line with the index is missing")
            index = decimal(lines[0].removeprefix(_INDEX))
            return cls(index, tuple(map(unbase64, lines[1:])), note.encode(), extra)
        except NoteError as error:
            raise ProofError(f"not a proof: {error}") from error


def verify_proof(proof: Proof, *, leaf: bytes, verifiers: Iterable[Verifier]) -> Checkpoint:
    """The checkpoint that `proof` shows the record `leaf` to be under.

    Raises:
        ProofError: the checkpoint is not signed by one of `verifiers`, or the hashes do not lead
            from the record to its root.
    """
    try:
        checkpoint = open_checkpoint(proof.note, verifiers)
    except NoteError as error:
        raise ProofError(f"the checkpoint of the proof: {error}") from error
    if not merkle.includes(
        leaf=merkle.leaf_hash(leaf),
        index=proof.index,
        size=checkpoint.size,
        proof=proof.hashes,
        root=checkpoint.root,
    ):
        raise ProofError(
            f"the record is not at index {proof.index} of the log of {checkpoint.size} records"
        )
    return checkpoint


def _base64(content: bytes) -> str:
    return base64.b64encode(content).decode()
