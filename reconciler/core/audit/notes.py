"""Signed notes and checkpoints, as C2SP signed-note and tlog-checkpoint define them.

Separate from the tree, because a checkpoint is how one tree head travels: over Git, by mail, to a
witness. The invariant: a text is returned as trusted only after an Ed25519 signature over it by a
key that the caller named was verified.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import (
    Ed25519PrivateKey,
    Ed25519PublicKey,
)

from reconciler.core.audit.merkle import HASH_SIZE

_ED25519 = b"\x01"
_SIGNATURE = "\N{EM DASH} "
_MAX_NOTE = 1_000_000
_NAME = re.compile(r"[^\s+\x00-\x1f\x7f]+")
_SIZE = re.compile(r"0|[1-9][0-9]{0,18}")
_SKEY = "PRIVATE+KEY+"


class NoteError(ValueError):
    """A note, key or checkpoint is malformed, or not signed by a key we trust."""


@dataclass(frozen=True, slots=True)
class Verifier:
    """The public half of a key, under the name by which it signs."""

    name: str
    public_key: bytes

    @property
    def key_id(self) -> bytes:
        return hashlib.sha256(self.name.encode() + b"\n" + _ED25519 + self.public_key).digest()[:4]

    @property
    def vkey(self) -> str:
        """The text form that people put in configuration."""
        encoded = base64.b64encode(_ED25519 + self.public_key).decode()
        return f"{self.name}+{self.key_id.hex()}+{encoded}"

    @classmethod
    def parse(cls, vkey: str) -> Verifier:
        """Inverse of `vkey`. Raises NoteError on anything else, other algorithms included."""
        name, _, rest = vkey.strip().partition("+")
        key_id, _, encoded = rest.partition("+")
        key = unbase64(encoded)
        if not _NAME.fullmatch(name) or len(key) != 33 or key[:1] != _ED25519:
            raise NoteError("not an Ed25519 verifier key of the form name+id+key")
        verifier = cls(name, key[1:])
        if verifier.key_id.hex() != key_id:
            raise NoteError(f"verifier key of {name}: the id does not belong to the key")
        return verifier

    def accepts(self, *, text: bytes, signature: bytes) -> bool:
        try:
            Ed25519PublicKey.from_public_bytes(self.public_key).verify(signature, text)
        except (InvalidSignature, ValueError):
            return False
        return True


@dataclass(frozen=True, slots=True)
class Signer:
    """A private key under its name. Never shown: `repr` leaves the seed out."""

    name: str
    seed: bytes = field(repr=False)

    @property
    def verifier(self) -> Verifier:
        return Verifier(self.name, self._key().public_key().public_bytes_raw())

    @property
    def skey(self) -> str:
        """The text form in which the key is kept; the counterpart of `Verifier.vkey`."""
        encoded = base64.b64encode(_ED25519 + self.seed).decode()
        return f"{_SKEY}{self.name}+{self.verifier.key_id.hex()}+{encoded}"

    @classmethod
    def parse(cls, skey: str) -> Signer:
        """Inverse of `skey`. Raises NoteError on anything else; the message holds no key."""
        name, _, rest = skey.strip().removeprefix(_SKEY).partition("+")
        key_id, _, encoded = rest.partition("+")
        key = unbase64(encoded)
        if not skey.startswith(_SKEY) or len(key) != 33 or key[:1] != _ED25519:
            raise NoteError(f"not an Ed25519 signing key of the form {_SKEY}name+id+key")
        signer = cls.named(name, key[1:])
        if signer.verifier.key_id.hex() != key_id:
            raise NoteError(f"signing key of {name}: the id does not belong to the key")
        return signer

    @classmethod
    def named(cls, name: str, seed: bytes) -> Signer:
        if not _NAME.fullmatch(name):
            raise NoteError(f"{name!r} cannot name a key: it is empty or has a space or a plus")
        return cls(name, seed)

    def signed(self, text: str) -> bytes:
        """The note of `text`, which ends in a newline, with this one signature."""
        assert text.endswith("\n"), "the text of a note ends in a newline"
        signature = self.verifier.key_id + self._key().sign(text.encode())
        line = f"{_SIGNATURE}{self.name} {base64.b64encode(signature).decode()}\n"
        return f"{text}\n{line}".encode()

    def _key(self) -> Ed25519PrivateKey:
        return Ed25519PrivateKey.from_private_bytes(self.seed)


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The head of a tree, and the note that signs it."""

    origin: str
    size: int
    root: bytes
    note: bytes


def open_note(note: bytes, verifiers: Iterable[Verifier]) -> str:
    """The text of `note`, once a signature by one of `verifiers` was found good.

    Raises:
        NoteError: malformed, signed by nobody we know, or with a bad signature by one we know.
    """
    text, signatures = _parts(note)
    known = {(verifier.name, verifier.key_id): verifier for verifier in verifiers}
    good = 0
    for name, signature in signatures:
        verifier = known.get((name, signature[:4]))
        if verifier is None:
            continue
        if not verifier.accepts(text=text.encode(), signature=signature[4:]):
            raise NoteError(f"the signature of {name} is wrong")
        good += 1
    if not good:
        names = ", ".join(sorted(name for name, _ in known)) or "no key"
        raise NoteError(f"not signed by {names}")
    return text


def checkpoint_text(*, origin: str, size: int, root: bytes) -> str:
    return f"{origin}\n{size}\n{base64.b64encode(root).decode()}\n"


def open_checkpoint(note: bytes, verifiers: Iterable[Verifier]) -> Checkpoint:
    """The checkpoint in `note`, with a signature verified as `open_note` does."""
    return _checkpoint(open_note(note, verifiers), note)


def checkpoint_of(note: bytes) -> Checkpoint:
    """What `note` claims, its signatures unverified: for finding a place, never for trust."""
    return _checkpoint(_parts(note)[0], note)


def _checkpoint(text: str, note: bytes) -> Checkpoint:
    lines = text.removesuffix("\n").split("\n")
    if len(lines) < 3 or not all(lines):
        raise NoteError("not a checkpoint: it needs the lines origin, size and root")
    root = unbase64(lines[2])
    if len(root) != HASH_SIZE:
        raise NoteError("not a checkpoint: the root is not a SHA-256 hash")
    return Checkpoint(lines[0], decimal(lines[1]), root, note)


def _parts(note: bytes) -> tuple[str, list[tuple[str, bytes]]]:
    if len(note) > _MAX_NOTE:
        raise NoteError(f"a note of {len(note)} bytes is too large")
    try:
        whole = note.decode()
    except UnicodeDecodeError as error:
        raise NoteError("a note is UTF-8 text") from error
    if any(character < " " and character != "\n" for character in whole):
        raise NoteError("a note holds no control characters")
    text, blank, tail = whole.rpartition("\n\n")
    if not blank or not tail.endswith("\n"):
        raise NoteError("a note is text, an empty line and signatures")
    return f"{text}\n", [_signature(line) for line in tail[:-1].split("\n")]


def _signature(line: str) -> tuple[str, bytes]:
    name, space, encoded = line.removeprefix(_SIGNATURE).partition(" ")
    signature = unbase64(encoded)
    if not line.startswith(_SIGNATURE) or not space or len(signature) < 5:
        raise NoteError("a note has a malformed signature line")
    if not _NAME.fullmatch(name):
        raise NoteError("a note has a signature by a malformed name")
    return name, signature


def decimal(text: str) -> int:
    """The size or index that `text` is. Raises NoteError unless it is in its one written form."""
    if not _SIZE.fullmatch(text):
        raise NoteError(f"not a number without leading zeroes: {text[:40]!r}")
    return int(text)


def unbase64(text: str) -> bytes:
    """Strict: one text for each value, so that nothing can be changed without being noticed."""
    try:
        decoded = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise NoteError("not base64") from error
    if base64.b64encode(decoded).decode() != text:
        raise NoteError("not base64 in its one canonical form")
    return decoded
