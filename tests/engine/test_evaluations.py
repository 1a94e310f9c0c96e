"""Evaluations of real requests to replicas: what is no answer yet is asked again."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from reconciler.adapters.evaluating import Evaluators
from reconciler.adapters.replicas_memory import Asked
from reconciler.core.errors import FairleadError
from reconciler.engine.driving import Engine
from reconciler.engine.looking import Instruments
from reconciler.ports import Answer
from tests.engine.rollout_world import GATE, RolloutWorld
from tests.engine.test_rollouts import started

pytestmark = pytest.mark.looptime

GOLDEN = """\
apiVersion: fairlead.dev/v1alpha1
kind: Evaluation
metadata: {name: golden}
spec:
  owner: team-risk
  golden:
    items:
    - {name: one, request: {inputs: []}, answer: {outputs: []}}
    - {name: two, request: {inputs: []}, answer: {outputs: []}}
"""
ANSWERS = GATE.replace("name: errors", "name: answers").replace(
    "{errorRate: {atMost: 5%}}", "{evaluation: {name: golden}}"
)
STEPS = "    canary: {steps: [{weight: 5%, requests: 20}, {weight: 100%}]}\n    deadline: 10m\n"


class Inferring(RolloutWorld):
    """`says` are the answers of v2 to inferences, one after the other; then it is right."""

    def __init__(self, *says: int) -> None:
        super().__init__()
        self.says = list(says)

    def _respond(self, asked: Asked) -> Answer | FairleadError | None:
        if asked.path == "/metrics":
            return super()._respond(asked)
        is_new = asked.replica.name.startswith("fraud-v2-")
        status = self.says.pop(0) if is_new and self.says else 200
        return Answer(status, b'{"outputs": []}')


@asynccontextmanager
async def evaluated(world: Inferring) -> AsyncIterator[Engine]:
    instruments = Instruments(world.replicas, Evaluators())
    files = {"gates/answers.yaml": ANSWERS, "evaluations/golden.yaml": GOLDEN}
    async with world.running(instruments=instruments) as engine:
        await started(world, engine, strategy=STEPS, gates="[answers]", files=files)
        yield engine


@pytest.mark.parametrize("busy", [408, 429, 502, 503, 504])
async def test_a_version_that_is_busy_is_asked_again(busy: int) -> None:
    world = Inferring(busy, busy, busy)
    async with evaluated(world) as engine:
        await world.until_serving(engine, "v2")


async def test_a_version_that_breaks_gave_the_wrong_answer() -> None:
    world = Inferring(500, 500)
    async with evaluated(world) as engine:
        await world.until(lambda: world.state(engine).failure is not None)
        assert "2 became wrong" in world.state(engine).failure.reason
