"""A rollout in somebody's name: it begins as theirs, and goes on without them."""

from __future__ import annotations

import pytest

from reconciler.core.errors import Forbidden
from reconciler.core.identifiers import CommitSha, ObjectKey
from reconciler.core.manifests import JsonObject
from tests.engine.rollout_world import ROUTE, RolloutWorld
from tests.engine.test_authors import ALICE, PEOPLE, ROOT
from tests.engine.world import deployment_key

pytestmark = pytest.mark.looptime


class Signed(RolloutWorld):
    """Whoever is `signer` pushes."""

    signer = ROOT.signer

    def push(self, files, *, message: str = "change", signer: str | None = None) -> CommitSha:
        return super().push(files, message=message, signer=signer or self.signer)

    def writers(self, key: ObjectKey) -> list[str]:
        """As whom an object was written, one after the other."""
        return [
            request.asker
            for request in self.cluster.requests
            if request.verb in ("apply", "delete") and request.key == key
        ]

    def keep_alice_out(self) -> None:
        def permits(asker: str, verb: str, body: JsonObject) -> None:
            if asker == ALICE.user:
                raise Forbidden(f"{verb}: {asker} has left")

        self.cluster.permits = permits


async def test_the_first_write_is_the_authors_and_the_steps_are_the_daemons() -> None:
    world = Signed()
    first = world.declare("v1")
    async with world.running(people=PEOPLE) as engine:
        await world.until_applied(engine, first)
        world.cluster.requests.clear()
        world.signer = ALICE.signer
        second = world.declare("v2")
        await world.until_serving(engine, "v2")
        await world.until_applied(engine, second)
        assert set(world.writers(deployment_key("fraud-v2"))) == {ALICE.user}
        steps = world.writers(ROUTE)
        assert steps[0] == ALICE.user
        assert set(steps[1:]) == {""}
        # The version before is taken away by the rollout, after its time.
        assert set(world.writers(deployment_key("fraud-v1"))) <= {""}


async def test_a_rollout_of_somebody_who_left_is_still_stopped() -> None:
    world = Signed()
    first = world.declare("v1")
    async with world.running(people=PEOPLE) as engine:
        await world.until_applied(engine, first)
        world.signer = ALICE.signer
        world.declare("v2")
        await world.until(lambda: world.shares() == {"v1": 95, "v2": 5})
        world.keep_alice_out()
        world.errors["v2"] = 1.0
        await world.until_serving(engine, "v1")
        assert world.state(engine).failure is not None


async def test_a_rollout_that_its_author_may_not_begin_changes_nothing() -> None:
    world = Signed()
    first = world.declare("v1")
    async with world.running(people=PEOPLE) as engine:
        await world.until_applied(engine, first)
        world.keep_alice_out()
        world.signer = ALICE.signer
        await world.until_refused(engine, world.declare("v2"))
        assert f"{ALICE.signer} may not" in engine.books.position.explanation
        assert world.shares() == {"v1": 100}
