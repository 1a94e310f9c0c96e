"""The signing key of the log, in a file.

Separate because it is the one secret that the daemon makes itself. The invariants: the key is
never overwritten, is readable by its owner only, and appears in no message.
"""

from __future__ import annotations

import os
import secrets
from contextlib import suppress
from pathlib import Path

from reconciler.core.audit.notes import NoteError, Signer
from reconciler.core.errors import Misconfigured
from reconciler.core.problems import printable

_SEED_BYTES = 32


def verifier_file(path: Path) -> Path:
    """Where the public half of the key in `path` lies: for everybody to read and pass on."""
    return path.with_suffix(".vkey")


def load_signer(path: Path, *, name: str) -> Signer:
    """The key in `path`, which signs as `name`; made when the file does not exist yet.

    The verifier key is written beside it.

    Raises:
        Misconfigured: the file cannot be used, belongs to another log or is open to others, or
            `name` cannot name a key.
    """
    try:
        if not path.exists():
            _create(path, Signer.named(name, secrets.token_bytes(_SEED_BYTES)))
        signer = _read(path)
        _publish(signer, verifier_file(path))
    except NoteError as error:
        raise Misconfigured(f"the audit key {path}: {error}") from error
    except OSError as error:
        raise Misconfigured(
            f"the audit key {path} cannot be used: {error.strerror}",
            hint="give the daemon's user its directory",
        ) from error
    if signer.name != name:
        raise Misconfigured(
            f"the audit key {path} signs as {printable(signer.name)!r}, the settings say {name!r}",
            hint="a log keeps its name for good; give another log another key file",
        )
    return signer


def _read(path: Path) -> Signer:
    if path.stat().st_mode & 0o077:
        raise Misconfigured(f"the audit key {path} can be read by others", hint=f"chmod 600 {path}")
    return Signer.parse(path.read_text(encoding="utf-8"))


def _publish(signer: Signer, path: Path) -> None:
    text = f"{signer.verifier.vkey}\n"
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")


def _create(path: Path, signer: Signer) -> None:
    """Complete or not at all, also when the machine stops; whoever is first wins."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(f"{signer.skey}\n")
            file.flush()
            os.fsync(file.fileno())
        with suppress(FileExistsError):
            path.hardlink_to(draft)
    finally:
        draft.unlink()
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
