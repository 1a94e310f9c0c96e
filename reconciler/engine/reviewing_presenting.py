"""Presenting: the comment, the check and the record of a change request, in the order that is safe.

Separate from the loop that says when, because the order is the point. The invariants: what people
can approve is remembered before their approval is looked at; a check becomes a success only after
the plan that it is about was shown; and what has not changed is not written again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import structlog

from reconciler.core.approving import with_reviews
from reconciler.core.change_requests import Check, CheckState, ReviewRecord
from reconciler.core.presenting.review_texts import (
    cancelled,
    check_of,
    comment_of,
    placeholder,
    request_of,
)
from reconciler.core.reviewed import Judgement, judged
from reconciler.engine.reviewing_cases import Case
from reconciler.forge_ports import Forge, ReviewStore
from reconciler.ports import Clock

log = structlog.get_logger()

MOST_ANSWERS = 3


@dataclass(frozen=True, slots=True)
class ReviewOptions:
    """How change requests are looked at. `page_url` is where the status page is; empty for none."""

    branch: str = "main"
    poll_seconds: float = 30.0
    page_url: str = ""
    check: str = "fairlead"

    def pull_url(self, number: int) -> str:
        return f"{self.page_url}/pr/{number:d}" if self.page_url else ""

    def rollout_url(self, name: str) -> str:
        return f"{self.page_url}/rollouts/{name}" if self.page_url else ""


class Presenter:
    """Puts on the forge what is known of a case."""

    def __init__(
        self, forge: Forge, store: ReviewStore, clock: Clock, options: ReviewOptions
    ) -> None:
        self._forge = forge
        self._store = store
        self._clock = clock
        self._options = options

    async def begin(self, case: Case) -> None:
        """Mark the head as being planned: what was said of it before no longer holds."""
        url = self._options.pull_url(case.number)
        await self._put(case, placeholder(case.pull, name=self._options.check, url=url))

    async def abandon(self, check: Check) -> None:
        """A newer push came while that commit was planned."""
        if check.state is CheckState.RUNNING:
            await self._forge.put_check(cancelled(check))

    async def show(self, case: Case) -> Judgement:
        """Comment, record and check of what was found out. Call it with the case's lock held."""
        reviewed, record = case.reviewed, case.record
        assert reviewed is not None, "there is something to show"
        case.unshown = True
        case.consent = reviewed.consent(record.approvals, author=case.pull.author)
        case.judgement = judged(reviewed, case.consent)
        case.asked = request_of(
            reviewed,
            case.consent,
            record.approvals,
            fork=case.pull.fork,
            url=self._options.pull_url(case.number),
            answers=case.answers,
        )
        await self._comment(case, comment_of(reviewed, case.asked))
        if case.record.plan != reviewed.digest:
            now = self._clock.now().isoformat()
            await self.keep(case, plan=reviewed.digest, shown=now, rollouts=reviewed.rollouts)
        if case.record.key != reviewed.key:
            await self.keep(case, key=reviewed.key)
        await self._put(
            case,
            check_of(
                reviewed,
                case.judgement,
                case.asked,
                name=self._options.check,
                commit=reviewed.key.head,
            ),
        )
        case.unshown = False
        return case.judgement

    async def attend(self, case: Case) -> bool:
        """Look at the reviews; whether other approvals stand than before."""
        approvals = with_reviews(case.record, await self._forge.reviews(case.number))
        if approvals == case.record.approvals:
            return False
        await self.keep(case, approvals=approvals)
        return True

    def answer(self, case: Case, words: str) -> None:
        """Have a line stand in our comment when it is next shown."""
        case.answers = (*case.answers, words)[-MOST_ANSWERS:]

    async def say(self, number: int, body: str) -> None:
        """A comment of its own."""
        await self._forge.put_comment(number, body, known=None)

    async def keep(self, case: Case, **changes: Any) -> None:
        """Change the record, durably."""
        record = replace(case.record, **changes)
        await self._store.keep_review(record)
        case.record = record

    async def records(self) -> Sequence[ReviewRecord]:
        return tuple((await self._store.reviews()).values())

    async def _comment(self, case: Case, body: str) -> None:
        if body == case.body:
            return
        made = await self._forge.put_comment(case.number, body, known=case.record.comment)
        case.body = body
        if made != case.record.comment:
            await self.keep(case, comment=made)

    async def _put(self, case: Case, check: Check) -> None:
        if check != case.check:
            await self._forge.put_check(check)
            case.check = check
            log.info("check.put", number=case.number, state=str(check.state), title=check.title)
