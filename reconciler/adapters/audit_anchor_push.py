"""Publishing the ref of the anchored checkpoints.

Separate from the anchor, which works without a network. The invariant: the push is not forced, so
that a server whose ref went elsewhere keeps it and we hear of it.
"""

from __future__ import annotations

from reconciler.adapters.git_pushing import PushRemote
from reconciler.core.errors import Refused
from reconciler.core.problems import printable


class AnchorRemote(PushRemote):
    """Where checkpoints are pushed to. `push` is what GitAnchor takes; blocks, in its thread."""

    def refused(self, reason: str) -> Refused:
        return Refused(
            f"{self} does not take the checkpoints: {printable(reason)}",
            hint="somebody else wrote that ref: compare it with ours before anything else",
        )
