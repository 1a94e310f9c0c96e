"""Signing the head of the log, and anchoring it where the log cannot take it back.

Separate from the store, which holds no key, and from the anchor, which knows no tree. The
invariant: nothing is signed that does not extend both the checkpoint stored last and the one
anchored last; so a log that was rewritten, or restored from an old backup, signs nothing.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from reconciler.core.audit import merkle
from reconciler.core.audit.notes import (
    Checkpoint,
    NoteError,
    Signer,
    checkpoint_text,
    open_checkpoint,
)
from reconciler.core.errors import Corrupt
from reconciler.ports import AuditLog, CheckpointAnchor, Head

_COMPARE = "compare the log with its anchored checkpoints before anything else is appended"


@dataclass(slots=True)
class Checkpointer:
    """Publishes checkpoints of one log under one name and key. The name is the log's origin."""

    log: AuditLog
    signer: Signer
    anchor: CheckpointAnchor | None = None
    _one_at_a_time: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def publish(self) -> Checkpoint:
        """Sign the present head, store the checkpoint, anchor it; costs nothing when none is due.

        Raises:
            Corrupt: the log does not extend what was signed before. Nothing was signed.
            Transient: store or anchor did not answer. The next call makes up for it.
        """
        async with self._one_at_a_time:
            head = await self.log.head()
            stored = self._opened(await self.log.latest_checkpoint())
            anchored = self._opened(await self.anchor.latest() if self.anchor else None)
            await self._require_extension(stored, head)
            proof = await self._require_extension(anchored, head)
            if stored is None or stored.size != head.size:
                stored = self._signed(head)
                await self.log.keep_checkpoint(stored.size, stored.note)
            if self.anchor:
                await self.anchor.keep(stored.note, proof=proof)
            return stored

    def _signed(self, head: Head) -> Checkpoint:
        name = self.signer.name
        note = self.signer.signed(checkpoint_text(origin=name, size=head.size, root=head.root))
        return Checkpoint(name, head.size, head.root, note)

    def _opened(self, note: bytes | None) -> Checkpoint | None:
        if note is None:
            return None
        try:
            checkpoint = open_checkpoint(note, [self.signer.verifier])
        except NoteError as error:
            raise Corrupt(
                f"the last checkpoint of {self.signer.name} cannot be trusted: {error}",
                hint="restore the signing key that the log began with",
            ) from error
        if checkpoint.origin != self.signer.name:
            raise Corrupt(
                f"the last checkpoint is of the log {checkpoint.origin!r}, this one is "
                f"{self.signer.name!r}",
                hint="point the settings at the state and anchor that belong together",
            )
        return checkpoint

    async def _require_extension(self, before: Checkpoint | None, head: Head) -> tuple[bytes, ...]:
        """The proof that `head` extends `before`, verified."""
        if before is None or before.size == 0:
            return ()
        if before.size > head.size:
            raise Corrupt(
                f"the log has {head.size} records, and {before.size} were signed already",
                hint=_COMPARE,
            )
        proof = tuple(await self.log.consistency(old=before.size, new=head.size))
        if not merkle.is_consistent(
            old=before.size,
            new=head.size,
            old_root=before.root,
            new_root=head.root,
            proof=proof,
        ):
            raise Corrupt(
                f"the log of {head.size} records does not extend the {before.size} signed before",
                hint=_COMPARE,
            )
        return proof
