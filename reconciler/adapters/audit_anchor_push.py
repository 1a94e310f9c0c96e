"""Publishing the ref of the anchored checkpoints.

Separate from the anchor, which works without a network. The invariant: the push is not forced, so
that a server whose ref went elsewhere keeps it and we hear of it.
"""

from __future__ import annotations

import pygit2

from reconciler.adapters.git_remotes import Remote, _Callbacks
from reconciler.core.errors import FairleadError, Refused

# libgit2 1.x says one or the other, by whether it has the remote's commit at all.
_NOT_FAST_FORWARD = ("non-fastforwardable", "not present locally")


class AnchorRemote(Remote):
    """Where checkpoints are pushed to. `push` is what GitAnchor takes; blocks, in its thread."""

    def push(self, repository: pygit2.Repository, refspec: str) -> None:
        """Raises Refused when the remote's ref is not an ancestor of ours."""
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
            f"{self} does not take the checkpoints: {reason}",
            hint="somebody else wrote that ref: compare it with ours before anything else",
        )


class _PushCallbacks(_Callbacks):
    def __init__(self, remote: AnchorRemote) -> None:
        super().__init__(remote)
        self._anchor_remote = remote

    def push_update_reference(self, _refname: str, message: str | None) -> None:
        if message is not None:
            raise self._anchor_remote.refused(message)
