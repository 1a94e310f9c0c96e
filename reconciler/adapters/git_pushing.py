"""The remote side of what is written to Git.

Separate from the fetching (git_remotes.py), which every command does, while few may write. The
invariant: a push is never forced, and is one ref that moves or does not; so nothing that somebody
else wrote is lost, and nothing is half done.
"""

from __future__ import annotations

import os
import subprocess

import pygit2

from reconciler.adapters.git_remotes import Remote, Scheme, _Callbacks
from reconciler.core.errors import FairleadError, Misconfigured, Refused
from reconciler.core.problems import printable

# libgit2 1.x says one or the other, by whether it has the remote's commit at all.
_NOT_FAST_FORWARD = ("non-fastforwardable", "not present locally")


class PushRemote(Remote):
    """A remote that can be pushed to. Blocks; belongs to one thread."""

    def push(self, repository: pygit2.Repository, refspec: str) -> None:
        """Push one ref of `repository`.

        Raises Refused when the remote's ref is not an ancestor of ours, or when the remote does
        not take it; otherwise as `fetch` does.
        """
        if self.scheme is Scheme.LOCAL:
            self._push_by_git(repository, refspec)
            return
        callbacks = _PushCallbacks(self)
        try:
            with self._session() as url:
                remote = repository.remotes.create_anonymous(url)
                remote.push([refspec], callbacks=callbacks, proxy=True)
        except FairleadError:
            raise
        except (pygit2.GitError, OSError, KeyError, ValueError) as error:
            text = str(error)
            if any(sign in text for sign in _NOT_FAST_FORWARD):
                raise self.refused(text) from error
            raise self.translated(error, secret=callbacks.secret) from None

    def refused(self, reason: str) -> Refused:
        return Refused(
            f"{self} does not take the commit: {printable(reason)}",
            hint="see what protects the branch, and who may push to it",
        )

    def _push_by_git(self, repository: pygit2.Repository, refspec: str) -> None:
        """Push to a repository on this machine.

        libgit2 would run none of its hooks there, and overwrite what came between its look and
        its write.
        """
        command = ["git", f"--git-dir={repository.path}", "push", "--no-verify", "--porcelain"]
        environment = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        try:
            done = subprocess.run(
                [*command, self._path, refspec],
                capture_output=True,
                text=True,
                errors="replace",
                timeout=self.source.fetch_seconds,
                env=environment,
                check=False,
            )
        except FileNotFoundError:
            raise Misconfigured(
                f"git is needed to push to {self}, which is on this machine", hint="install git"
            ) from None
        except (OSError, subprocess.TimeoutExpired) as error:
            raise self.translated(OSError(f"git push: {type(error).__name__}")) from None
        if done.returncode:
            raise self._failure(done.stdout, done.stderr)

    def _failure(self, printed: str, complained: str) -> FairleadError:
        rejected = [line.split("\t")[-1] for line in printed.splitlines() if line.startswith("!")]
        said = [line[8:] for line in complained.splitlines() if line.startswith("remote: ")]
        if rejected:
            return self.refused(" ".join([*rejected, *map(str.strip, said)]))
        return self.translated(OSError(" ".join(complained.split())))


class _PushCallbacks(_Callbacks):
    """Also listens to what the server says while it judges the push."""

    def __init__(self, remote: PushRemote) -> None:
        super().__init__(remote)
        self._push_remote = remote
        self._said = ""

    def sideband_progress(self, string: str) -> None:
        super().sideband_progress(string)
        self._said += string

    def push_update_reference(self, _refname: str, message: str | None) -> None:
        if message is not None:
            raise self._push_remote.refused(" ".join([message, *self._said.split()]))
