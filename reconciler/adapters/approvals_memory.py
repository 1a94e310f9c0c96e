"""The Approvals port in memory: `give` and `know` play people.

Separate because virtual time needs approvals without references and keys. The invariant: it passes
the contract suite of the real one, and whoever gave an approval is known by the names in it.
"""

from __future__ import annotations

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from datetime import datetime

from reconciler.core.approvals.people import Person, same
from reconciler.core.approvals.statements import Approval
from reconciler.core.errors import FairleadError
from reconciler.core.identifiers import TreeId


class MemoryApprovals:
    """Everybody who gave an approval is known by the names in it."""

    def __init__(self) -> None:
        self.asked = 0
        self._given: list[Approval] = []
        self._people: list[Person] = []
        self._failures: list[FairleadError] = []

    def give(self, approval: Approval) -> None:
        self.know(approval.person)
        self._given.append(approval)

    def know(self, person: Person) -> None:
        self._people.append(person)

    def fail(self, *errors: FairleadError) -> None:
        """Let the next questions raise these errors, one each."""
        self._failures.extend(errors)

    async def given(
        self,
        trees: AbstractSet[TreeId],
        *,
        now: datetime,  # noqa: ARG002  Keys are always good here.
    ) -> Sequence[Approval]:
        self.asked += 1
        if self._failures:
            raise self._failures.pop(0)
        return tuple(approval for approval in self._given if approval.tree in trees)

    async def person(self, name: str) -> Person:
        return next((person for person in self._people if same(person, (name,))), ())
