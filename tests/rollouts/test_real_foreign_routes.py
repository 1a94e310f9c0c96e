"""Rules of others in the route of a rollout, on a real API server and through a real gateway."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import pytest

from reconciler.core.errors import Outdated
from reconciler.core.rendering.release import MODEL_LABEL, ROLLOUT_LABEL, VERSION_LABEL
from reconciler.core.rollouts.states import Phase
from reconciler.sandbox.traffic import Cohort, Traffic
from tests.contracts.cluster_worlds import RealWorld
from tests.rollouts.real_world import COHORTS, RealTraffic

ROUTES = "gateway.networking.k8s.io/v1"
READERS = Cohort("readers", 0.2, {"x-app": "docs"})


class SharedWorld(RealTraffic):
    """A team beside the rollout: its own pods, a Service, and rules in the rollout's route."""

    def __init__(self, plane: Any) -> None:
        super().__init__(plane)
        self.others = RealWorld(plane)

    async def close(self) -> None:
        await self.others.cluster.close()
        await super().close()

    async def start_docs(self) -> None:
        selector = {ROLLOUT_LABEL: "docs", VERSION_LABEL: "docs"}
        template = {
            "metadata": {"labels": {**selector, MODEL_LABEL: "fraud"}},
            "spec": {
                "containers": [
                    {
                        "name": "model",
                        "image": "registry.example.com/model",
                        "ports": [{"name": "http", "containerPort": 8000}],
                    }
                ]
            },
        }
        spec = {"selector": {"matchLabels": selector}, "template": template}
        await self.others.apply_as("team", self.named("apps/v1", "Deployment", "docs", spec))
        ports = [{"name": "http", "port": 80, "targetPort": "http"}]
        spec = {"selector": selector, "ports": ports}
        await self.others.apply_as("team", self.named("v1", "Service", "docs", spec))

    def named(self, api_version: str, kind: str, name: str, spec: Any = None) -> dict[str, Any]:
        metadata = {"name": name, "namespace": self.team}
        body = {"apiVersion": api_version, "kind": kind, "metadata": metadata}
        return {**body, "spec": spec} if spec else body

    def rule(self, app: str) -> dict[str, Any]:
        header = {"type": "Exact", "name": "x-app", "value": app}
        path = {"type": "PathPrefix", "value": "/"}
        return {
            "matches": [{"path": path, "headers": [header]}],
            "backendRefs": [
                {"group": "", "kind": "Service", "name": "docs", "port": 80, "weight": 1}
            ],
        }

    async def edit_route(self, change: Any) -> None:
        """As `kubectl edit` does; its user tries again when somebody else was faster."""
        while True:
            with suppress(Outdated):
                body = self.named(ROUTES, "HTTPRoute", "fraud")
                return await self.others.edit_as("kubectl-edit", body, change)

    async def apply_rule(self, rule: Any) -> None:
        """As an operator does that applies the whole list with a rule of its own, by force."""
        first, *rest = (await self.route())["spec"]["rules"]
        rules = [first, rule, *rest]
        body = self.named(ROUTES, "HTTPRoute", "fraud", {"rules": rules})
        await self.others.apply_as("docs-operator", body)

    async def until_docs_answer(self) -> None:
        async with asyncio.timeout(30):
            while True:
                async with self.requests(READERS) as readers:
                    await readers.answered(20)
                if set(readers.record.counts().by_version) == {"docs"}:
                    return

    def requests(self, *cohorts: Cohort) -> Traffic:
        return Traffic(
            self.plane.gateway_address,
            "fraud",
            host=self.host,
            rate=200.0,
            cohorts=cohorts,
            seed=1,
        )


@pytest.fixture
async def world(gateway_plane) -> AsyncIterator[SharedWorld]:
    made = SharedWorld(gateway_plane)
    try:
        yield made
    finally:
        await made.close()


async def test_requests_of_others_reach_them_throughout_a_canary(world: SharedWorld) -> None:
    async with world.running() as engine:
        first = world.declare("v1")
        await world.soon(lambda: engine.books.position.applied.get("one") == first)
        await world.until_reached()
        await world.start_docs()

        def change(body: Any) -> None:
            body["spec"]["rules"].insert(0, world.rule("docs"))
            body["spec"]["rules"][-1]["timeouts"] = {"request": "9s"}

        await world.edit_route(change)
        await world.until_docs_answer()
        async with world.requests(*COHORTS, READERS) as users:
            await users.answered(100)
            world.declare("v2")
            await world.soon(lambda: world.state(engine).phase is Phase.STEPPING)
            await world.apply_rule(world.rule("more"))
            await world.soon(lambda: world.state(engine).phase is Phase.WATCHED)
            await world.until_shares({"v2": 100})
            await users.answered(200)
        assert users.record.counts().dropped == 0
        readers = users.record.counts(cohort="readers")
        assert (set(readers.by_version), set(readers.by_status)) == ({"docs"}, {200})
        rules = (await world.route())["spec"]["rules"]
        assert rules[:2] == [world.rule("docs"), world.rule("more")]
        assert rules[-1]["timeouts"] == {"request": "9s"}


async def test_rules_and_weights_that_others_write_while_we_do_end_as_both_want(
    world: SharedWorld,
) -> None:
    async with world.running() as engine:
        first = world.declare("v1")
        await world.soon(lambda: engine.books.position.applied.get("one") == first)
        apps = [f"app-{number}" for number in range(8)]

        async def visit() -> None:
            for app in apps:
                await world.edit_route(lambda body, app=app: added(body, world.rule(app)))

        async def spoil() -> None:
            """Each of these is put back, and none of them for a rule of others."""
            for _ in range(3):
                await world.edit_route(spoiled)
                await world.until_shares({"v1": 100})

        await asyncio.gather(visit(), spoil())
        theirs = [world.rule(app) for app in reversed(apps)]
        rules = (await world.route())["spec"]["rules"]
        assert [rule for rule in rules if rule in theirs] == theirs
        assert await world.shares() == {"v1": 100}


def added(body: Any, rule: Any) -> None:
    body["spec"]["rules"].insert(0, rule)


def spoiled(body: Any) -> None:
    body["spec"]["rules"][-1]["backendRefs"][0]["weight"] = 1
