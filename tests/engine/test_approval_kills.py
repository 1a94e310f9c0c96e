"""A daemon that is killed at any write on the way from a push to what was approved."""

from __future__ import annotations

from contextlib import suppress

import pytest

from reconciler.core.audit.records import Verb
from reconciler.core.identifiers import ClusterName
from tests.engine.mortality import Killed, Life, MortalCluster, MortalStore
from tests.engine.test_approvals import PEOPLE, WIDER
from tests.engine.test_break_glass import GIVEN, NOOR, Burning, glass
from tests.engine.world import World

pytestmark = pytest.mark.looptime


class Emergency(Burning):
    """A commit that widens is approved, and the glass is broken after it, until it is over."""

    def __init__(self) -> None:
        super().__init__()
        self.wider = self.sign({"models.yaml": WIDER})
        self.broken = self.sign({"emergencies/incident.yaml": glass(self, lasts="60")})
        self.repository.rewrite(self.first)
        self.quiet = 0
        """Points before anything waits for anybody."""

    async def live(self, dies_at: int | None) -> int:
        """The points that a daemon passes, which is dead in the end or has seen it all."""
        life = Life(dies_at)
        ports = {
            "store": MortalStore(self.store, life),
            "clusters": {n: MortalCluster(c, life, self.store) for n, c in self.clusters.items()},
        }
        with suppress(Killed):
            async with self.running(approvals=self.approvals, **ports) as engine:
                for commit in (self.first, self.wider, self.broken):
                    self.repository.rewrite(commit)
                    await self.until(
                        lambda: life.dead or engine.books.position.held or done(engine)
                    )
                    if commit == self.wider:
                        self.approve(commit)
                    if commit == self.broken:
                        self.approve(commit, by=NOOR, upon=self.wider)
                    wanted = commit
                    await self.until(lambda: life.dead or applied(engine, wanted))  # noqa: B023
                    if life.dead:
                        break
                    if commit == self.first:
                        self.quiet = life.points
                await self.until(lambda: life.dead or GIVEN not in self.objects(), seconds=3600)
        return life.points


def applied(engine, commit) -> bool:
    return engine.books.position.applied.get(ClusterName("one")) == commit


def done(engine) -> bool:
    position = engine.books.position
    return position.accepted == engine.branch.head


EACH = 5
"""Of so many points one is tried: all of them take half a minute."""


async def test_a_kill_on_the_way_lets_nothing_pass_that_was_not_approved() -> None:
    whole = Emergency()
    points = await whole.live(None)
    assert points > whole.quiet + 20
    for point in range(whole.quiet, points, EACH):
        world = Emergency()
        await world.live(point)
        # Nobody approves anything after the crash but what was about to be.
        world.repository.rewrite(world.wider)
        world.approve(world.wider)
        async with world.running(approvals=world.approvals) as engine:
            if engine.books.position.accepted != world.broken:
                await world.until_applied(engine, world.wider)
                world.repository.rewrite(world.broken)
                world.approve(world.broken, by=NOOR, upon=world.wider)
            await world.until_applied(engine, world.broken)
            await world.until(lambda: GIVEN not in world.objects(), seconds=3600)  # noqa: B023
            await world.until_async(lambda: nothing_pending(world))  # noqa: B023
        assert PEOPLE in world.objects()
        await require_approved(world)


async def nothing_pending(world: World) -> bool:
    return not await world.store.pending()


async def require_approved(world: World) -> None:
    accepted = [r for r in await world.records() if r.verb is Verb.ACCEPT]
    commits = [record.commit for record in accepted]
    assert len(commits) == len(set(commits)), "each was accepted once"
    for record in accepted[1:]:
        assert record.detail["approved"]["approvals"], "nothing passed without an approval"
    assert sum(r.verb is Verb.BREAK_GLASS for r in await world.records()) == 1
