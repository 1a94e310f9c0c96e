"""Commits that were pushed wait for whom the policy in force names, and go on by themselves."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest

from reconciler.adapters.approvals_memory import MemoryApprovals
from reconciler.adapters.publisher_memory import MemoryPublisher
from reconciler.core.approvals.people import Person
from reconciler.core.approvals.statements import Approval
from reconciler.core.audit.records import Verb
from reconciler.core.errors import Unavailable
from reconciler.core.identifiers import CommitSha
from reconciler.engine.approving import UNDOES
from reconciler.engine.driving import Engine
from reconciler.engine.looking import Instruments
from tests.engine.rollout_world import RolloutWorld
from tests.engine.test_access import BINDING, MODEL, PEOPLE, SCOPE
from tests.engine.world import World, config_map, policy

pytestmark = pytest.mark.looptime

ADA: Person = ("ada@example.com", "ada")
GRACE: Person = ("grace@example.com", "grace")
LINUS: Person = ("linus@example.com", "linus")

RULES = """\
  signatures: {required: true}
  approvals:
    widerAccess: {count: 1, by: [platform]}
    people: {platform: [ada, grace, linus], owner: [noor]}
"""
OWNED = RULES + "  owners: [{path: apps, owners: [owner]}]\n"
PLATFORM = b"""\
apiVersion: fairlead.dev/v1alpha1
kind: Role
metadata: {name: platform}
spec: {groups: [platform], allow: [{resources: [pods], verbs: [get], namespaces: [team-a]}]}
"""
WIDER = MODEL.replace(b"actions: [infer]", b"actions: [infer, promote]")
NARROWER = MODEL.replace(b"agent/bot, owner", b"owner")
BARE = (
    b"apiVersion: fairlead.dev/v1alpha1\nkind: Cluster\nmetadata: {name: one, labels: {env: one}}"
)


class Pushing(World):
    """Commits are signed by the people who push them."""

    def __init__(self, rules: str = RULES) -> None:
        super().__init__()
        self.approvals = MemoryApprovals()
        self.first = self.sign(
            {
                "fairlead.yaml": policy(extra=rules),
                "clusters/one.yaml": BARE,
                "models.yaml": MODEL,
                "agents.yaml": SCOPE,
                "platform.yaml": PLATFORM,
                "apps/a/settings.yaml": config_map("settings"),
            }
        )

    def sign(self, files: dict[str, bytes | None], by: Person = ADA) -> CommitSha:
        return self.repository.push(files, signer=by[0], person=by)

    def approve(
        self,
        commit: CommitSha,
        by: Person = GRACE,
        *,
        upon: CommitSha | None = None,
        ends: timedelta = timedelta(hours=1),
    ) -> None:
        tree = next(c.tree for c in self.repository.line(commit) if c.sha == commit)
        until = self.clock.now() + ends
        self.approvals.give(
            Approval(by, tree, upon or self.first, "acme", f"key of {by[0]}", until)
        )

    @asynccontextmanager
    async def in_force(self) -> AsyncIterator[Engine]:
        """An engine that has applied the first commit."""
        async with self.running(approvals=self.approvals) as engine:
            await self.until_applied(engine, self.first)
            yield engine

    async def until_held(self, engine: Engine, commit: CommitSha) -> str:
        await self.until(lambda: engine.books.position.held == commit)
        return engine.books.position.waits_for

    async def verbs(self) -> list[Verb]:
        decisive = (Verb.ACCEPT, Verb.REFUSE, Verb.AWAIT)
        return [record.verb for record in await self.records() if record.verb in decisive]


async def test_a_commit_that_widens_is_held_and_nothing_of_it_applies() -> None:
    world = Pushing()
    async with world.in_force() as engine:
        before = len(world.writes())
        wider = world.sign(
            {"models.yaml": WIDER, "apps/a/settings.yaml": config_map("settings", "2")}
        )
        waits = await world.until_held(engine, wider)
        assert "Role owner gains promote on fraud@v1" in waits
        assert "waits for approval: 1 of platform" in waits
        assert f"fairlead approve {wider[:10]} --base {world.first[:10]}" in waits
        await asyncio.sleep(600)
        assert engine.books.position.accepted == world.first
        assert world.writes()[before:] == []
        assert await world.verbs() == [Verb.ACCEPT, Verb.AWAIT]


async def test_a_held_commit_goes_on_by_itself_when_it_is_approved() -> None:
    world = Pushing()
    async with world.in_force() as engine:
        wider = world.sign({"models.yaml": WIDER})
        await world.until_held(engine, wider)
        world.approve(wider)
        await world.until_applied(engine, wider)
        assert engine.books.position.held is None
        accepted = [r for r in await world.records() if r.verb is Verb.ACCEPT][-1]
        approved = accepted.detail["approved"]
        assert approved["approvals"][0]["person"] == "grace@example.com"
        assert approved["gains"] == ["Role owner gains promote on fraud@v1"]
        assert approved["signers"] == ["ada@example.com"]


async def test_an_approval_from_before_the_push_is_enough() -> None:
    world = Pushing()
    async with world.in_force() as engine:
        wider = world.sign({"models.yaml": WIDER})
        world.approve(wider)
        await world.until_applied(engine, wider)
        assert await world.verbs() == [Verb.ACCEPT, Verb.ACCEPT]


async def test_what_gives_nobody_more_asks_nobody() -> None:
    world = Pushing()
    async with world.in_force() as engine:
        narrower = world.sign({"models.yaml": NARROWER, "agents.yaml": None})
        await world.until_applied(engine, narrower)
        assert BINDING not in world.objects()
        assert world.approvals.asked == 0


async def test_the_revert_of_a_narrowing_is_held() -> None:
    world = Pushing()
    async with world.in_force() as engine:
        narrower = world.sign({"models.yaml": NARROWER, "agents.yaml": None})
        await world.until_applied(engine, narrower)
        back = world.sign({"models.yaml": MODEL, "agents.yaml": SCOPE})
        waits = await world.until_held(engine, back)
        assert "agent bot gains" in waits
        world.approve(back, upon=narrower)
        await world.until_applied(engine, back)


async def test_the_revert_of_a_held_commit_needs_nobody() -> None:
    """So that what must be taken away is not kept waiting by what somebody wants to give."""
    world = Pushing()
    async with world.in_force() as engine:
        await world.until_held(engine, world.sign({"models.yaml": WIDER}))
        narrower = world.sign({"models.yaml": NARROWER, "agents.yaml": None})
        await world.until_applied(engine, narrower)


async def test_attack_14_an_agent_that_edits_its_own_scope_gains_nothing() -> None:
    """Its key may sign commits; it is nobody who may approve them."""
    world = Pushing()
    robot: Person = ("bot@agents.example.com",)
    async with world.in_force() as engine:
        more = SCOPE.replace(b"actions: [infer]", b"actions: [infer, promote]")
        pushed = world.sign({"agents.yaml": more}, by=robot)
        waits = await world.until_held(engine, pushed)
        assert "agent bot gains promote on fraud@v1" in waits
        world.approve(pushed, by=robot)
        await world.until(lambda: "their own change" in engine.books.position.waits_for)
        assert engine.books.position.accepted == world.first


async def test_attack_24_an_approval_in_a_message_counts_for_nothing() -> None:
    """Whatever a commit says of itself, its author wrote it."""
    world = Pushing()
    async with world.in_force() as engine:
        wider = world.repository.push(
            {"models.yaml": WIDER},
            message="wider\n\nFairlead-Approval: grace@example.com\nApproved-by: grace",
            author="grace",
            email="grace@example.com",
            signer=ADA[0],
            person=ADA,
        )
        await world.until_held(engine, wider)
        await asyncio.sleep(600)
        assert engine.books.position.accepted == world.first


async def test_attack_25_an_approval_by_the_authors_second_key_is_none() -> None:
    world = Pushing()
    async with world.in_force() as engine:
        wider = world.sign({"models.yaml": WIDER})
        await world.until_held(engine, wider)
        world.approve(wider, by=("ada", "ada@home.example", "ada@example.com"))
        await world.until(lambda: "is of their own change" in engine.books.position.waits_for)
        assert engine.books.position.accepted == world.first
        assert (await world.verbs())[-1] is Verb.AWAIT


async def test_the_rules_that_judge_are_those_in_force() -> None:
    """A commit that lowers the quorum needs the quorum that it lowers."""
    world = Pushing()
    async with world.in_force() as engine:
        bare = world.sign({"fairlead.yaml": policy(), "models.yaml": WIDER})
        waits = await world.until_held(engine, bare)
        assert "commits need no signature any more" in waits
        world.approve(bare)
        await world.until_applied(engine, bare)


async def test_owners_of_a_path_have_to_approve_what_is_pushed_there() -> None:
    world = Pushing(OWNED)
    noor: Person = ("noor",)
    async with world.in_force() as engine:
        changed = world.sign({"apps/a/settings.yaml": config_map("settings", "2")})
        waits = await world.until_held(engine, changed)
        assert "1 of owner, because apps/a/settings.yaml changes" in waits
        world.approve(changed)
        await asyncio.sleep(60)
        assert world.value("settings") == "1"
        world.approve(changed, by=noor)
        await world.until_applied(engine, changed)


async def test_an_approval_stands_when_others_pushed_upon_the_commit() -> None:
    world = Pushing()
    async with world.in_force() as engine:
        wider = world.sign({"models.yaml": WIDER})
        await world.until_held(engine, wider)
        later = world.sign({"apps/a/settings.yaml": config_map("settings", "2")}, by=LINUS)
        await world.until_held(engine, later)
        world.approve(wider)
        await world.until_applied(engine, later)
        accepted = [r.commit for r in await world.records() if r.verb is Verb.ACCEPT]
        assert accepted == [world.first, wider, later]


async def test_an_approval_that_ended_or_is_of_another_base_keeps_nothing_going() -> None:
    world = Pushing()
    async with world.in_force() as engine:
        wider = world.sign({"models.yaml": WIDER})
        await world.until_held(engine, wider)
        world.approve(wider, ends=timedelta(seconds=-1))
        world.approve(wider, by=LINUS, upon=CommitSha("c" * 40))
        await world.until(lambda: "has ended" in engine.books.position.waits_for)
        assert "is upon cccccccccc, which is not in force" in engine.books.position.waits_for
        assert engine.books.position.accepted == world.first


async def test_who_cannot_be_asked_has_not_approved() -> None:
    world = Pushing()
    async with world.in_force() as engine:
        wider = world.sign({"models.yaml": WIDER})
        world.approve(wider)
        world.approvals.fail(*[Unavailable("away")] * 3)
        await world.until_held(engine, wider)
        await world.until_applied(engine, wider)


async def test_a_daemon_that_dies_between_approval_and_apply_carries_on() -> None:
    world = Pushing()
    async with world.in_force() as engine:
        wider = world.sign({"models.yaml": WIDER})
        await world.until_held(engine, wider)
    world.approve(wider)
    async with world.running(approvals=world.approvals) as engine:
        await world.until(lambda: engine.books.position.accepted == wider)
    # Dead again, as soon as it was accepted: what was let pass is not asked for again.
    async with world.running() as engine:
        await world.until_applied(engine, wider)
        assert PEOPLE in world.objects()
    assert await world.verbs() == [Verb.ACCEPT, Verb.AWAIT, Verb.ACCEPT]


async def test_a_restart_does_not_tell_of_the_same_wait_twice() -> None:
    world = Pushing()
    async with world.in_force() as engine:
        wider = world.sign({"models.yaml": WIDER})
        await world.until_held(engine, wider)
    async with world.running(approvals=world.approvals):
        await asyncio.sleep(60)
    assert await world.verbs() == [Verb.ACCEPT, Verb.AWAIT]


class Owned(RolloutWorld):
    """A rollout that only its owners may move, and a daemon that signs its reverts."""

    def __init__(self) -> None:
        super().__init__()
        self.approvals = MemoryApprovals()
        self.publisher = MemoryPublisher(self.repository, signer="fairlead@example.com")
        self.errors["v2"] = 1.0

    def push(self, files: Mapping[str, bytes | None], *, message: str = "change") -> CommitSha:
        changed = {**files, "platform.yaml": PLATFORM}
        if rules := changed.get("fairlead.yaml"):
            owners = "  owners: [{path: rollouts, owners: [platform]}]\n"
            changed["fairlead.yaml"] = rules + (RULES + owners).encode()
        return self.repository.push(changed, message=message, signer=ADA[0], person=ADA)

    async def engine(self, **replaced: object) -> Engine:
        instruments = Instruments(self.replicas, self, publisher=self.publisher)
        return await super().engine(instruments=instruments, approvals=self.approvals, **replaced)


def approve(world: Owned, commit: CommitSha, upon: CommitSha) -> None:
    tree = next(known.tree for known in world.repository.line(commit))
    until = world.clock.now() + timedelta(hours=1)
    world.approvals.give(Approval(GRACE, tree, upon, "acme", "key", until))


async def test_the_revert_of_what_a_gate_refused_waits_for_no_owner() -> None:
    world = Owned()
    async with world.running() as engine:
        first = world.declare("v1")
        await world.until_applied(engine, first)
        guilty = world.declare("v2")
        await world.until(lambda: engine.books.position.held == guilty)
        approve(world, guilty, first)
        await world.until(lambda: world.repository.head != guilty)
        back = world.repository.head
        await world.until_applied(engine, back)
    [accepted] = [r for r in await world.records() if (r.verb, r.commit) == (Verb.ACCEPT, back)]
    assert accepted.detail["approved"]["exempt"] == UNDOES


async def test_a_revert_by_its_message_alone_waits_for_the_owners() -> None:
    """Anybody can write that a commit undoes what failed; what it does is what counts."""
    world = Owned()
    world.publisher.protect("main")
    async with world.running() as engine:
        first = world.declare("v1")
        await world.until_applied(engine, first)
        guilty = world.declare("v2")
        approve(world, guilty, first)
        await world.until(lambda: world.state(engine).failure is not None)
        text = world.repository.files(guilty)["rollouts/fraud.yaml"].content
        forged = world.push(
            {"rollouts/fraud.yaml": text.replace(b"version: v2", b"version: v3")},
            message=f'Revert "fraud v2"\n\nThis reverts commit {guilty}.',
        )
        await world.until(lambda: engine.books.position.held == forged)


async def test_without_signed_commits_a_push_is_applied_as_before() -> None:
    world = Pushing(RULES.replace("required: true", "required: false"))
    async with world.in_force() as engine:
        assert any("what is pushed past is applied" in n for n in engine.reconciler.plan.notices)
        wider = world.sign({"models.yaml": WIDER})
        await world.until_applied(engine, wider)
