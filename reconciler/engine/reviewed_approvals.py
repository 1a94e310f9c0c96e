"""The Approvals port with the reviews of a forge besides: what people approved before the merge.

Separate from what asks the forge, which runs beside the engine and may be away. The invariants: a
review is of the plan that its author saw, so it counts for the tree and base of that plan alone;
and of whom the allowed signers do not know by that login, nobody can tell who else they are.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from collections.abc import Set as AbstractSet
from datetime import datetime

from reconciler.approval_ports import Approvals
from reconciler.core.approvals.people import Person
from reconciler.core.approvals.statements import Approval
from reconciler.core.identifiers import TreeId
from reconciler.forge_ports import ReviewStore


class ReviewedApprovals:
    """Signed approvals, and what is remembered of reviews in `store`."""

    def __init__(self, signed: Approvals, store: ReviewStore, *, repository: str) -> None:
        self._signed = signed
        self._store = store
        self._repository = repository

    async def given(self, trees: AbstractSet[TreeId], *, now: datetime) -> Sequence[Approval]:
        signed = await self._signed.given(trees, now=now)
        return (*signed, *[approval async for approval in self._reviewed(trees)])

    async def person(self, name: str) -> Person:
        return await self._signed.person(name)

    async def _reviewed(self, trees: AbstractSet[TreeId]) -> AsyncIterator[Approval]:
        for number, record in sorted((await self._store.reviews()).items()):
            for given in record.approvals:
                tree = given.key.tree
                if tree is not None and tree in trees and given.plan == record.plan:
                    yield Approval(
                        await self.person(given.author),
                        tree,
                        given.key.base,
                        self._repository,
                        f"review {given.review} of pull request {number} by {given.author}",
                    )
