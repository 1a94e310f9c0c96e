"""A version that grows slow while it is watched gives its traffic back."""

from __future__ import annotations

import asyncio

import pytest

from reconciler.adapters.replicas_memory import Asked
from reconciler.core.errors import FairleadError
from reconciler.core.rollouts.states import Phase
from reconciler.ports import Answer
from tests.engine.rollout_world import RolloutWorld

pytestmark = pytest.mark.looptime

GATE = """\
apiVersion: fairlead.dev/v1alpha1
kind: Gate
metadata: {name: fast}
spec: {latency: {quantile: 90%, atMost: 100ms, enforced: ENFORCED}}
"""


class TimedWorld(RolloutWorld):
    """Replicas that time their requests: all of a version that is `slow` take half a second."""

    def __init__(self) -> None:
        super().__init__()
        self.slow: set[str] = set()
        self._quick: dict[str, int] = {}
        self._known: dict[str, int] = {}

    def _respond(self, asked: Asked) -> Answer | FairleadError | None:
        answer = super()._respond(asked)
        if asked.path != "/metrics" or not isinstance(answer, Answer):
            return answer
        uid = asked.replica.uid
        total = self._counters[uid].total()
        new = total - self._known.get(uid, 0)
        self._known[uid] = total
        is_slow = any(f"fraud-{version}-" in asked.replica.name for version in self.slow)
        self._quick[uid] = self._quick.get(uid, 0) + (0 if is_slow else new)
        name = "model_infer_request_duration_seconds"
        lines = (
            f"# TYPE {name} histogram\n"
            f'{name}_bucket{{le="0.1"}} {self._quick[uid]}\n'
            f'{name}_bucket{{le="+Inf"}} {total}\n'
            f"{name}_count {total}\n"
        )
        return Answer(200, answer.body + lines.encode())


async def watched(world: TimedWorld, engine: object, *, enforced: str) -> None:
    said = {
        "files": {"gates/fast.yaml": GATE.replace("ENFORCED", enforced)},
        "gates": "[errors, fast]",
    }
    first = world.declare("v1", **said)
    await world.until_applied(engine, first)
    world.declare("v2", **said)
    await world.until(lambda: world.state(engine).phase is Phase.WATCHED)
    world.slow.add("v2")


async def test_a_watched_version_that_grows_slow_is_taken_back_where_that_is_enforced() -> None:
    world = TimedWorld()
    async with world.running() as engine:
        await watched(world, engine, enforced="true")
        await world.until_serving(engine, "v1")
        failure = world.state(engine).failure
        assert failure is not None
        assert (failure.gate, failure.step) == ("fast", "watched")


async def test_where_it_only_advises_the_version_stays() -> None:
    world = TimedWorld()
    async with world.running() as engine:
        await watched(world, engine, enforced="false")
        await asyncio.sleep(120)
        assert world.state(engine).failure is None
        assert world.shares() == {"v2": 100}
