"""The in-memory cluster does what a real one does, over histories that nobody thought of."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from reconciler.core.errors import Conflict, Invalid

from .cluster_worlds import (
    Body,
    MemoryWorld,
    RealWorld,
    World,
    container,
    deployment,
    key_of,
    owned_by,
    unique,
)

pytestmark = pytest.mark.cluster

COLLECTIONS = ("f:annotations", "f:containers", "f:env", "f:ports")
"""Whoever updates also owns the empty collection that he began; nothing depends on that."""

MANAGERS = ("helm", "kubectl", "injector")

_names = st.sampled_from(["a", "b", "c"])
_values = st.sampled_from(["1", "2"])
_env = st.dictionaries(_names, _values, min_size=1, max_size=2).map(
    lambda values: [{"name": name, "value": value} for name, value in values.items()]
)
_ports = st.lists(st.sampled_from([80, 81]), unique=True, min_size=1, max_size=2).map(
    lambda numbers: [{"containerPort": number} for number in numbers]
)


@st.composite
def _containers(draw: st.DrawFn) -> list[Body]:
    names = draw(st.lists(_names, unique=True, min_size=1, max_size=3))
    fields = st.fixed_dictionaries(
        {"image": _values.map(lambda value: f"registry.example.com/{value}")},
        optional={"env": _env, "ports": _ports, "args": st.lists(_values, min_size=1, max_size=2)},
    )
    return [container(name, **draw(fields)) for name in names]


@dataclass(frozen=True)
class Step:
    """One write: by us, by another applier, or by an editor who replaces the containers."""

    manager: str
    containers: list[Body]
    annotations: dict[str, str]
    replicas: int | None
    force: bool


def _step(manager: str, **container: object) -> Step:
    containers: list[Body] = [{"name": "a", "image": "registry.example.com/1", **container}]
    return Step(manager, containers, {"a": "1"}, None, force=False)


_ITEM_WITH_A_VALUE_OF_ANOTHER = [
    _step("fairlead"),
    _step("fairlead", env=[{"name": "a", "value": "2"}]),
    _step("kubectl", env=[{"name": "a", "value": "1"}]),
    _step("fairlead"),
]
"""The item goes with us who made it, and so does the list, though the value was another's."""

_steps = st.builds(
    Step,
    manager=st.sampled_from(["fairlead", "fairlead", *MANAGERS]),
    containers=_containers(),
    annotations=st.dictionaries(_names, _values, min_size=1, max_size=2),
    replicas=st.sampled_from([None, 1, 2]),
    force=st.booleans(),
)


def _body(step: Step, namespace: str) -> Body:
    spec = {} if step.replicas is None else {"replicas": step.replicas}
    body = deployment("web", namespace, *step.containers, **spec)
    body["metadata"]["annotations"] = step.annotations
    return body


async def _take(world: World, step: Step, namespace: str) -> list[tuple[str, str]]:
    """Do it; returns why it was refused."""
    body = _body(step, namespace)
    exists = await world.cluster.get(key_of(body), body["apiVersion"]) is not None
    try:
        if step.manager == "fairlead":
            await world.cluster.apply(body, dry_run=False, force=step.force)
        elif step.manager == "helm" or not exists:
            await world.apply_as("helm", body)
        else:
            await world.edit_as(step.manager, body, lambda live: _edit(live, body))
    except (Conflict, Invalid) as refusal:
        return sorted((cause.field, cause.manager) for cause in refusal.causes)
    return []


def _edit(live: Body, wanted: Body) -> None:
    live["metadata"]["annotations"] = wanted["metadata"]["annotations"]
    live["spec"]["replicas"] = wanted["spec"].get("replicas", 1)
    live["spec"]["template"]["spec"]["containers"] = wanted["spec"]["template"]["spec"][
        "containers"
    ]


def _essence(body: Any) -> Body:
    return {
        "annotations": body["metadata"].get("annotations", {}),
        "generation": body["metadata"]["generation"],
        "spec": body["spec"],
        "owned": {
            manager: {path for path in owned_by(body, manager) if not path.endswith(COLLECTIONS)}
            for manager in ("fairlead", *MANAGERS)
        },
    }


@pytest.fixture
def loop_for_examples() -> Any:
    with asyncio.Runner() as runner:
        yield runner


@settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    print_blob=True,
)
@given(steps=st.lists(_steps, min_size=1, max_size=6))
@example(steps=_ITEM_WITH_A_VALUE_OF_ANOTHER)
def test_memory_and_reality_agree_on_any_history(
    api_server: Any, loop_for_examples: asyncio.Runner, steps: list[Step]
) -> None:
    loop_for_examples.run(_compare(api_server, steps))


async def _compare(api_server: Any, steps: list[Step]) -> None:
    worlds: list[World] = [MemoryWorld(), RealWorld(api_server)]
    namespace = unique("agreement")
    for world in worlds:
        body: Body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}
        await world.cluster.apply(body, dry_run=False)
    try:
        for step in steps:
            outcomes = []
            for world in worlds:
                refusals = await _take(world, step, namespace)
                key = key_of(_body(step, namespace))
                live = await world.cluster.get(key, "apps/v1")
                outcomes.append((refusals, _essence(live)))
            assert outcomes[0] == outcomes[1]
    finally:
        for world in worlds:
            await world.cluster.close()
