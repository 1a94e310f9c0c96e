"""Files that hold secrets, and what is said of one that cannot be read.

Separate because most adapters are given such files. The invariants: an error names the file and
none of its content; nothing is kept, so that a file that was renewed counts at the next use.
"""

from __future__ import annotations

from pathlib import Path

from reconciler.core.errors import Misconfigured


def text_of(file: Path) -> str:
    """All that is in it. Raises Misconfigured when it cannot be read as text."""
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        trouble = unreadable(file, error)
    # Out here, because an error of decoding holds what could not be decoded.
    raise trouble


def secret_in(file: Path) -> str:
    """The secret, without the line end that editors add."""
    return text_of(file).strip()


def unreadable(file: Path | None, error: Exception) -> Misconfigured:
    return Misconfigured(
        f"cannot read {file}: {type(error).__name__}",
        hint="give the daemon's user the right to read it",
    )
