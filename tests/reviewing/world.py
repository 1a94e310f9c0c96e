"""A forge beside the world of the engine: people propose, review and merge, and a bot answers.

Builders for tests of reviews. Everything but the forge, Git and the clusters is the real thing.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

from reconciler.adapters.forge_memory import MemoryForge
from reconciler.adapters.proposals_memory import MemoryProposals
from reconciler.adapters.publisher_memory import MemoryPublisher
from reconciler.core.change_requests import Check, CheckState, Permission, ReviewState
from reconciler.core.identifiers import CommitSha
from reconciler.core.reviewed import pull_ref
from reconciler.engine.driving import Engine
from reconciler.engine.looking import Instruments
from reconciler.engine.reviewing import Reviewer
from reconciler.engine.reviewing_presenting import ReviewOptions
from reconciler.ports import Clock
from reconciler.surfaces.engine_status import EngineStatus
from reconciler.wiring.reviewing import ReviewPorts, reviewer_of
from tests.engine.rollout_world import RolloutWorld
from tests.engine.world import config_map

POLL_SECONDS = 30.0


class ClockedForge(MemoryForge):
    """Whose people live in the time of the test."""

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self._clock = clock
        self.opened: Callable[[int, str], None] = lambda number, branch: None
        """Told of pull requests that we open."""

    def _time(self) -> str:
        return self._clock.now().isoformat()

    async def open_pull_request(self, *, branch: str, base: str, title: str, body: str) -> int:
        number = await super().open_pull_request(branch=branch, base=base, title=title, body=body)
        self.opened(number, branch)
        return number


@dataclass
class Counted:
    """What the metrics would have."""

    plans: list[tuple[str, float]] = field(default_factory=list)
    troubles: list[str] = field(default_factory=list)

    def plan_made(self, result: str, seconds: float) -> None:
        self.plans.append((result, seconds))

    def review_trouble(self, code: str) -> None:
        self.troubles.append(code)


class ReviewWorld(RolloutWorld):
    """With a forge, where ada writes, grace owns, and mallory is a stranger."""

    def __init__(self, *clusters: str) -> None:
        super().__init__(*clusters)
        self.forge = ClockedForge(self.clock)
        self.proposals = MemoryProposals(self.repository)
        self.publisher = MemoryPublisher(self.repository)
        self.proposer = MemoryProposer(self)
        self.counted = Counted()
        self.forge.opened = self._opened
        for login, permission in (
            ("ada", Permission.WRITE),
            ("grace", Permission.MAINTAIN),
            ("mallory", Permission.READ),
        ):
            self.forge.permit(login, permission)

    async def engine(self, **replaced: object) -> Engine:
        instruments = Instruments(self.replicas, self, publisher=self.publisher)
        return await super().engine(**{"instruments": instruments, **replaced})

    def _opened(self, number: int, branch: str) -> None:
        """A forge knows the heads of branches."""
        head = {**self.publisher.branches, **self.proposer.branches}[branch]
        self.proposals.heads[pull_ref(number)] = head
        self.forge.push(number, head)
        self.forge.move_base(self.head)

    # What people do

    def commit(
        self, files: Mapping[str, bytes | None], *, on: CommitSha | None = None
    ) -> CommitSha:
        """A commit that no branch has."""
        return self.repository.commit_on(
            on or self.head, files, message="change", author="Ada", email="ada@example.com"
        )

    @property
    def head(self) -> CommitSha:
        assert self.repository.head
        return self.repository.head

    def open(
        self,
        files: Mapping[str, bytes | None] | None = None,
        *,
        author: str = "ada",
        fork: bool = False,
        on: CommitSha | None = None,
        title: str = "Change a model",
    ) -> int:
        """A pull request with one commit."""
        head = self.commit(files or {"apps/a/more.yaml": config_map("more")}, on=on)
        number = self.forge.open(head, base=self.head, author=author, fork=fork, title=title)
        self.proposals.heads[pull_ref(number)] = head
        return number

    def push_to(self, number: int, files: Mapping[str, bytes | None]) -> CommitSha:
        """Another commit on its branch."""
        head = self.commit(files, on=self.proposals.heads[pull_ref(number)])
        self.proposals.heads[pull_ref(number)] = head
        self.forge.push(number, head)
        return head

    def push_to_branch(self, files: Mapping[str, bytes | None]) -> CommitSha:
        made = self.push(files)
        self.forge.move_base(made)
        return made

    async def merge(self, number: int) -> CommitSha:
        """As the forge merges: the commit that the plan was of, on the branch."""
        head = self.proposals.heads[pull_ref(number)]
        await self.proposals.fetch()
        await self.proposals.fetch_ref(pull_ref(number))
        merged = await self.proposals.merged(self.head, head)
        self.repository.rewrite(merged)
        self.forge.merge(number, merged)
        self.forge.move_base(merged)
        return merged

    def approve(self, number: int, author: str = "grace") -> int:
        return self.forge.review(number, author, ReviewState.APPROVED)

    # What runs

    @asynccontextmanager
    async def reviewing(
        self, engine: Engine, *, poll: float = POLL_SECONDS, **options: str
    ) -> AsyncIterator[Reviewer]:
        status = EngineStatus(engine, repository=self.repository_name, clock=self.clock)
        reviewer = reviewer_of(
            ReviewPorts(self.forge, self.proposals, self.store, self.proposer, self.publisher),
            engine,
            name=self.repository_name,
            statuses=lambda: status.status().rollouts,
            clock=self.clock,
            options=ReviewOptions(poll_seconds=poll, **options),  # type: ignore[arg-type]
            tally=self.counted,
        )
        task = asyncio.create_task(reviewer.run())
        try:
            yield reviewer
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    @asynccontextmanager
    async def both(self, **options: str) -> AsyncIterator[tuple[Engine, Reviewer]]:
        """Engine and reviewer, once what is on the branch was applied."""
        async with self.running() as engine:
            await self.until_applied(engine, self.head)
            async with self.reviewing(engine, **options) as reviewer:
                yield engine, reviewer

    # What is seen

    def check(self, number: int) -> Check | None:
        """That of the newest head."""
        return self.forge.check(self.proposals.heads[pull_ref(number)], "fairlead")

    def state(self, number: int) -> CheckState | None:  # type: ignore[override]
        found = self.check(number)
        return found.state if found else None

    def title(self, number: int) -> str:
        found = self.check(number)
        return found.title if found else ""

    def comment(self, number: int) -> str:
        """The one comment that is ours."""
        found = self.forge.ours(number)
        assert len(found) == 1, [comment.body for comment in found]
        return found[0].body

    async def until_state(self, number: int, *states: CheckState, seconds: float = 900.0) -> None:
        await self.until(lambda: self.state(number) in states, seconds=seconds)

    async def until_title(self, number: int, part: str) -> None:
        await self.until(lambda: part in self.title(number))

    async def settled(self, reviewer: Reviewer) -> None:
        """Everything was looked at, and nothing is being planned."""
        reviewer.hint()
        await asyncio.sleep(3 * POLL_SECONDS)
        await self.until(lambda: not reviewer.planning)


class MemoryProposer:
    """Branches with commits for people to merge."""

    def __init__(self, world: ReviewWorld) -> None:
        self._world = world
        self.branches: dict[str, CommitSha] = {}

    async def propose(
        self, branch: str, files: Mapping[str, bytes], *, on: CommitSha, message: str
    ) -> CommitSha:
        made = self._world.repository.commit_on(
            on, files, message=message, author="Fairlead", email="fairlead@example.com"
        )
        return self.branches.setdefault(branch, made)
