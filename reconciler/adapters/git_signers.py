"""The file of allowed signers: who may sign with which key, and whose the keys are.

Separate from what is signed, commits and approvals, because both must mean the same people. The
invariant: the file is read again before each use, and one that cannot be used as a whole is not
used at all.
"""

from __future__ import annotations

from pathlib import Path

from reconciler.adapters.git_sshsig import AllowedSigner, read_allowed_signers
from reconciler.core.approvals.people import Listing, People
from reconciler.core.errors import Misconfigured
from reconciler.core.identifiers import DocumentPath


class AllowedSigners:
    """Belongs to one thread. `read` it before asking."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.people = People(())
        self._text = ""
        self._signers: dict[bytes, list[AllowedSigner]] = {}

    def read(self) -> bool:
        """Whether it says something else than before. Raises Misconfigured when it is no use."""
        try:
            text = self.file.read_text(encoding="utf-8")
        except (OSError, ValueError) as error:
            raise Misconfigured(
                f"cannot read the allowed signers {self.file}: {type(error).__name__}",
                hint="give the daemon's user a file as `man ssh-keygen`, ALLOWED SIGNERS, has it",
            ) from error
        if text == self._text:
            return False
        signers, problems = read_allowed_signers(text, path=DocumentPath(str(self.file)))
        if problems:
            raise Misconfigured(
                f"{problems[0].location}: {problems[0].message}",
                problems=problems,
            )
        self._text, self._signers = text, {}
        self.people = People(Listing(signer.names, signer.key) for signer in signers)
        for signer in signers:
            self._signers.setdefault(signer.key, []).append(signer)
        return True

    def of(self, key: bytes, *, namespace: str) -> list[AllowedSigner]:
        """The lines by which this key may sign for that purpose."""
        return [signer for signer in self._signers.get(key, ()) if signer.signs(namespace)]
