"""What must be first is first: seen in the order of the writes."""

from __future__ import annotations

import pytest

from reconciler.core.ledger import Standing
from tests.engine.world import (
    STUCK,
    World,
    config_map,
    config_map_key,
    deployment,
    deployment_key,
    namespace,
    role,
)

pytestmark = pytest.mark.looptime


def service(name: str, ns: str = "team-a") -> bytes:
    return (
        f"apiVersion: v1\nkind: Service\nmetadata: {{name: {name}, namespace: {ns}}}\n"
        f"spec: {{selector: {{app: {name}}}, ports: [{{port: 80}}]}}\n"
    ).encode()


def route(name: str, ns: str = "team-a") -> bytes:
    return (
        "apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\n"
        f"metadata: {{name: {name}, namespace: {ns}}}\n"
        f"spec: {{parentRefs: [{{name: gateway}}], rules: [{{backendRefs: "
        f"[{{name: {name}, port: 80}}]}}]}}\n"
    ).encode()


def network_policy(name: str, ns: str = "team-a") -> bytes:
    return (
        "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\n"
        f"metadata: {{name: {name}, namespace: {ns}}}\n"
        "spec: {podSelector: {}, policyTypes: [Ingress]}\n"
    ).encode()


DEFINITION = b"""\
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: widgets.example.com}
spec:
  group: example.com
  scope: Namespaced
  names: {plural: widgets, singular: widget, kind: Widget}
  versions:
  - name: v1
    served: true
    storage: true
    schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}
"""

WIDGET = b"""\
apiVersion: example.com/v1
kind: Widget
metadata: {name: w, namespace: team-a}
spec: {size: 1}
"""


async def test_a_new_namespace_and_what_is_in_it_come_in_one_commit() -> None:
    world = World()
    async with world.running() as engine:
        first = world.start_repository(
            {
                "apps/web/a.yaml": config_map("a", namespace="team-new"),
                "apps/web/ns.yaml": namespace("team-new"),
            }
        )
        await world.until_applied(engine, first)
        assert [name for _, name in world.writes()] == ["Namespace/team-new", "ConfigMap/a"]


async def test_a_plan_says_what_could_not_be_verified_because_its_namespace_is_new() -> None:
    world = World()
    async with world.running() as engine:
        first = world.start_repository(
            {
                "apps/web/a.yaml": config_map("a", namespace="team-new"),
                "apps/web/ns.yaml": namespace("team-new"),
            }
        )
        await world.until_applied(engine, first)
        (unverified,) = engine.reconciler.plan.clusters[0].unverified
        assert unverified.key == config_map_key("a", "team-new")


async def test_a_definition_and_its_custom_resource_come_in_one_commit() -> None:
    world = World()
    async with world.running() as engine:
        first = world.start_repository({"apps/web/crd.yaml": DEFINITION, "apps/web/w.yaml": WIDGET})
        await world.until_applied(engine, first)
        assert [name for _, name in world.writes()] == [
            "CustomResourceDefinition/widgets.example.com",
            "Widget/w",
        ]


async def test_a_custom_resource_of_a_new_type_is_kept_in_place_like_any_other() -> None:
    world = World()
    async with world.running() as engine:
        first = world.start_repository({"apps/web/crd.yaml": DEFINITION, "apps/web/w.yaml": WIDGET})
        await world.until_applied(engine, first)
        (key,) = [key for key in world.objects() if key.kind == "Widget"]
        world.cluster.delete_as_other(key)
        await world.until(lambda: world.cluster.peek(key) is not None)


async def test_configuration_is_before_workloads_and_those_before_their_routes() -> None:
    world = World()
    async with world.running() as engine:
        first = world.start_repository(
            {
                "apps/web/a.yaml": route("web"),
                "apps/web/b.yaml": deployment("web"),
                "apps/web/c.yaml": config_map("web"),
                "apps/web/d.yaml": service("web"),
            }
        )
        await world.until_applied(engine, first)
        kinds = [name.partition("/")[0] for _, name in world.writes()]
        assert set(kinds[:2]) == {"ConfigMap", "Service"}
        assert kinds[2:] == ["Deployment", "HTTPRoute"]


async def test_a_route_waits_until_its_workload_is_healthy() -> None:
    world = World()
    async with world.running() as engine:
        world.start_repository(
            {"apps/web/a.yaml": route("web"), "apps/web/b.yaml": deployment("web", STUCK)}
        )
        await world.until_standing(engine, "web", Standing.HELD)
        assert ("apply", "HTTPRoute/web") not in world.writes()


async def test_a_route_waits_for_its_workload_also_after_a_restart() -> None:
    world = World()
    world.start_repository(
        {"apps/web/a.yaml": route("web"), "apps/web/b.yaml": deployment("web", STUCK)}
    )
    async with world.running():
        await world.until(lambda: world.cluster.peek(deployment_key("web")) is not None)
    async with world.running() as engine:
        await world.until_standing(engine, "web", Standing.HELD)
        assert ("apply", "HTTPRoute/web") not in world.writes()


async def test_deletions_come_last_and_traffic_is_taken_away_before_workloads() -> None:
    world = World()
    async with world.running() as engine:
        files = {
            "apps/web/a.yaml": route("web"),
            "apps/web/b.yaml": deployment("web"),
            "apps/web/c.yaml": config_map("web"),
        }
        await world.until_applied(engine, world.start_repository(files))
        before = len(world.writes())
        gone = dict.fromkeys(files, None)
        second = world.push({**gone, "apps/web/n.yaml": config_map("next")})
        await world.until_applied(engine, second)
        assert world.writes()[before:] == [
            ("delete", "HTTPRoute/web"),
            ("apply", "ConfigMap/next"),
            ("delete", "Deployment/web"),
            ("delete", "ConfigMap/web"),
        ]


async def test_restrictions_are_before_workloads_and_grants_after_what_is_restricted() -> None:
    world = World()
    async with world.running() as engine:
        first = world.start_repository(
            {
                "apps/web/a.yaml": role("reader", "get"),
                "apps/web/b.yaml": deployment("web"),
                "apps/web/c.yaml": network_policy("closed"),
            }
        )
        await world.until_applied(engine, first)
        kinds = [name.partition("/")[0] for _, name in world.writes()]
        assert kinds.index("NetworkPolicy") < kinds.index("Deployment")
        assert kinds.index("NetworkPolicy") < kinds.index("Role")


async def test_access_is_taken_before_other_access_is_given() -> None:
    world = World()
    async with world.running() as engine:
        first = world.start_repository(
            {
                "apps/web/a.yaml": role("one", "get"),
                "apps/web/b.yaml": role("two", "get", "list"),
            }
        )
        await world.until_applied(engine, first)
        before = len(world.writes())
        second = world.push(
            {
                "apps/web/a.yaml": role("one", "get", "list"),
                "apps/web/b.yaml": role("two", "get"),
            }
        )
        await world.until_applied(engine, second)
        assert world.writes()[before:] == [("apply", "Role/two"), ("apply", "Role/one")]


async def test_a_role_that_takes_and_gives_goes_through_what_both_states_allow() -> None:
    world = World()
    seen: list[list[str]] = []

    async with world.running() as engine:
        first = world.start_repository({"apps/web/a.yaml": role("one", "get", "list")})
        await world.until_applied(engine, first)

        def admission(body) -> None:
            if body["kind"] == "Role":
                seen.append(sorted(body["rules"][0]["verbs"]))

        world.cluster.admission = admission
        second = world.push({"apps/web/a.yaml": role("one", "get", "delete")})
        await world.until_applied(engine, second)
        dry_run, *written = seen
        assert dry_run == ["delete", "get"]
        assert written == [["get"], ["delete", "get"]]
