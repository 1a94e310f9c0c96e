"""Approvals of commits, in our words: who gave one outside the commits themselves.

Separate from ports.py, which the engine has whatever the policy asks. The invariant is that of
ports.py: a port raises only the errors of core/errors.py, and speaks in values of core.
"""

from __future__ import annotations

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from datetime import datetime
from typing import Protocol

from reconciler.core.approvals.people import Person
from reconciler.core.approvals.statements import Approval
from reconciler.core.identifiers import TreeId


class Approvals(Protocol):
    """Approvals of commits that people gave outside the commits themselves."""

    async def given(self, trees: AbstractSet[TreeId], *, now: datetime) -> Sequence[Approval]:
        """Those of these trees, by whom the allowed signers say and whose key is good at `now`.

        Whether they suffice, and for which change, is not asked here. Transient when nobody
        answers, Misconfigured when the allowed signers cannot be read.
        """
        ...

    async def person(self, name: str) -> Person:
        """All the names of whom the allowed signers know by this one; empty for a stranger."""
        ...
