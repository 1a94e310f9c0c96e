"""A pull request where everything is real but GitHub, which is a stand-in that holds every request
to GitHub's own description: API server, gateway, model servers, users, and Git over HTTP.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path

import pygit2
from forge.github import StandIn
from forge.worlds import as_app
from git.builders import SourceRepository, serving

from reconciler.adapters.clocks import SystemClock
from reconciler.adapters.git_mirror import GitMirror
from reconciler.adapters.git_proposals import GitProposals
from reconciler.adapters.git_proposing import GitProposer
from reconciler.adapters.git_publishing import Committer, GitPublisher
from reconciler.adapters.git_remotes import GitSource
from reconciler.adapters.state_sql import open_state
from reconciler.core.identifiers import CommitSha
from reconciler.core.reviewed import pull_ref
from reconciler.engine.driving import Engine
from reconciler.engine.looking import Instruments
from reconciler.engine.reviewing import Reviewer
from reconciler.engine.reviewing_presenting import ReviewOptions
from reconciler.forge_ports import Forge
from reconciler.sandbox.control_plane import ControlPlane
from reconciler.surfaces.engine_status import EngineStatus
from reconciler.surfaces.page.application import Page
from reconciler.surfaces.page.facts import Sources
from reconciler.wiring.reviewing import ReviewPorts, reviewer_of
from tests.reviewing.world import Counted
from tests.rollouts.real_world import ONE, RealTraffic
from tests.surfaces.asgi import ask

OPTIONS = ReviewOptions(poll_seconds=0.5, page_url="https://fairlead.example.com")


class RealReviews(RealTraffic):
    """Everything below `directory`; made by `opened`."""

    def __init__(self, plane: ControlPlane, github: StandIn, directory: Path) -> None:
        super().__init__(plane)
        self.github = github
        self.directory = directory
        self.source = SourceRepository(directory / "served" / "config.git")
        self.source.repository.config["http.receivepack"] = "true"
        self.forge: Forge
        self.mirror: GitMirror
        self.proposals: GitProposals
        self.publisher: GitPublisher
        self.proposer: GitProposer

    @classmethod
    @asynccontextmanager
    async def opened(
        cls, plane: ControlPlane, github: StandIn, directory: Path
    ) -> AsyncIterator[RealReviews]:
        world = cls(plane, github, directory)
        async with AsyncExitStack() as stack:
            stack.push_async_callback(world.close)
            server = stack.enter_context(serving(directory / "served"))
            source = GitSource(url=f"{server.url}/config.git")
            committer = Committer("Fairlead", "fairlead@example.com")
            world.forge = await stack.enter_async_context(as_app(github, directory, SystemClock()))
            world.mirror = GitMirror(source, directory / "mirror.git")
            world.proposals = GitProposals(source, directory / "proposals.git")
            world.publisher = GitPublisher(source, directory / "reverts", committer)
            world.proposer = GitProposer(source, directory / "offers", committer)
            for part in (world.mirror, world.proposals, world.publisher, world.proposer):
                stack.callback(part.close)
            world.store = await open_state(str(directory / "state.db"))  # type: ignore[assignment]
            stack.push_async_callback(world.store.close)
            syncing = asyncio.create_task(world._show_branches())
            stack.callback(syncing.cancel)
            yield world

    async def engine(self, **replaced: object) -> Engine:
        ports = {
            "repository": self.mirror,
            "instruments": Instruments({ONE: self.replicas}, self, publisher=self.publisher),
        }
        return await super().engine(**{**ports, **replaced})

    def push(self, files: Mapping[str, bytes | None], *, message: str = "change") -> CommitSha:
        made = self.source.push(files, message=message)
        self.github.people.move_base(made)
        return made

    def propose(self, files: Mapping[str, bytes | None], **said: str) -> int:
        """A pull request of one commit, as people make one."""
        base = self.source.head
        assert base
        head = self.source.push(files)
        self.source.rewrite(base)
        number = self.github.people.open(head, base=base, **said)
        self._refer(pull_ref(number), head)
        return number

    def merge(self, number: int) -> CommitSha:
        repository, head = self.source.repository, self.github.people.pulls[number].head
        assert self.source.head
        ours, theirs = (repository[sha].peel(pygit2.Commit) for sha in (self.source.head, head))
        tree = repository.merge_commits(ours, theirs).write_tree(repository)
        parents = [str(ours.id), str(theirs.id)]
        made = self.source.push_tree(tree, message=f"Merge #{number}", parents=parents)
        self.github.people.merge(number, made)
        return made

    async def _show_branches(self) -> None:
        """What GitHub does by itself: it knows every branch, and has a reference for each pull."""
        people = self.github.people
        while True:
            for name in list(self.source.repository.references):
                if name.startswith("refs/heads/"):
                    target = str(self.source.repository.references[name].target)
                    people.branches[name.removeprefix("refs/heads/")] = target
            for number, pull in list(people.pulls.items()):
                if pull.state == "open" and pull.branch in people.branches:
                    pull.head = people.branches[pull.branch]
                    self._refer(pull_ref(number), CommitSha(pull.head))
            await asyncio.sleep(0.05)

    def _refer(self, name: str, head: CommitSha) -> None:
        self.source.repository.references.create(name, pygit2.Oid(hex=head), force=True)

    @asynccontextmanager
    async def reviewing(self, engine: Engine) -> AsyncIterator[tuple[Reviewer, Page]]:
        status = EngineStatus(engine, repository=self.team, clock=self.clock)
        reviewer = reviewer_of(
            ReviewPorts(self.forge, self.proposals, self.store, self.proposer, self.publisher),
            engine,
            name=self.team,
            statuses=lambda: status.status().rollouts,
            clock=self.clock,
            options=OPTIONS,
            tally=Counted(),
        )
        task = asyncio.create_task(reviewer.run())
        sources = Sources(
            engine,
            status,
            self.store,
            self.mirror,
            self.clock,
            pulls=reviewer,
        )
        try:
            yield reviewer, Page(sources, repository=self.team)
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    # What is seen on GitHub

    def conclusion(self, number: int) -> str:
        """What the check of the head says: its status, or its conclusion once it has one."""
        head = self.github.people.pulls[number].head
        runs = [run for run in self.github.people.runs if run.fields["head_sha"] == head]
        if not runs:
            return ""
        return str(runs[-1].fields.get("conclusion") or runs[-1].fields["status"])

    def title(self, number: int) -> str:
        head = self.github.people.pulls[number].head
        runs = [run for run in self.github.people.runs if run.fields["head_sha"] == head]
        return str((runs[-1].fields.get("output") or {}).get("title", "")) if runs else ""

    def comments(self, number: int) -> list[str]:
        """Those of ours, oldest first."""
        said = self.github.people.comments.values()
        ours = [c for c in said if c.number == number and (c.author or "").endswith("[bot]")]
        return [comment.body for comment in ours]

    def deployed(self, commit: str) -> list[str]:
        return [
            str(status["state"])
            for deployment in self.github.people.deployed
            if deployment.fields.get("ref") == commit
            for status in deployment.statuses
        ]

    async def page(self, page: Page, path: str) -> str:
        answer = await ask(page.application(), "GET", path, headers=[("host", "127.0.0.1")])
        assert answer.status == 200, (path, answer.status, answer.body[-1500:])
        return answer.body.decode()
