"""What must stay true of rendered models, whatever else changes."""

from __future__ import annotations

from typing import Any

import pytest

from tests.desired.builders import CLUSTERS, MODEL, ROLLOUT, compiled, repository
from tests.rendering.cases import GPU_MODEL, GPU_ROLLOUT, LONG, UNIT, rendered


def bodies(**files: str) -> dict[tuple[str, str], Any]:
    return dict(rendered(**files))


def pod(**files: str) -> Any:
    (deployment,) = (body for (kind, _), body in bodies(**files).items() if kind == "Deployment")
    return deployment["spec"]["template"]["spec"]


def test_a_version_has_a_deployment_a_service_and_a_budget_of_its_own() -> None:
    names = {key for key in bodies() if key[1].endswith("-v3")}
    assert names == {
        ("Deployment", "fraud-detector-v3"),
        ("Service", "fraud-detector-v3"),
        ("PodDisruptionBudget", "fraud-detector-v3"),
    }


def test_promotion_changes_only_where_traffic_goes_among_what_is_shared() -> None:
    before, after = bodies(), bodies(rollouts=ROLLOUT.replace("v3", "v4"))
    changed = {key for key in before.keys() & after.keys() if before[key] != after[key]}
    assert changed == {("HTTPRoute", "fraud-detector"), ("Service", "fraud-detector")}


def test_a_rollout_back_to_an_earlier_version_gives_the_bytes_of_before() -> None:
    tree = repository(models=MODEL, rollouts=ROLLOUT)
    later = {**tree, "rollouts.yaml": ROLLOUT.replace("v3", "v4")}
    first = compiled(tree)
    second = compiled(later, before=tree, previous=first)
    third = compiled(tree, before=later, previous=second)
    assert third.state.units[UNIT].digest == first.state.units[UNIT].digest
    assert second.state.units[UNIT].digest != first.state.units[UNIT].digest


def test_the_selector_of_a_deployment_matches_its_pods_and_its_service() -> None:
    found = bodies()
    deployment = found["Deployment", "fraud-detector-v3"]["spec"]
    selector = deployment["selector"]["matchLabels"]
    assert selector.items() <= deployment["template"]["metadata"]["labels"].items()
    assert found["Service", "fraud-detector-v3"]["spec"]["selector"] == selector


def test_pods_do_not_carry_the_labels_that_our_watches_filter_by() -> None:
    labels = bodies()["Deployment", "fraud-detector-v3"]["spec"]["template"]["metadata"]["labels"]
    assert not {"fairlead.dev/repository", "fairlead.dev/unit"} & labels.keys()


def test_the_route_gives_the_version_all_the_traffic() -> None:
    (rule,) = bodies()["HTTPRoute", "fraud-detector"]["spec"]["rules"]
    assert rule["backendRefs"] == [{"name": "fraud-detector-v3", "port": 80, "weight": 100}]


def test_a_route_is_at_one_listener_where_the_gateway_is_named_with_it() -> None:
    named = CLUSTERS.replace("namespace: gateways}", "namespace: gateways, listener: http}")
    spec = bodies(clusters=named)["HTTPRoute", "fraud-detector"]["spec"]
    assert spec["parentRefs"] == [
        {"name": "public", "namespace": "gateways", "sectionName": "http"}
    ]


def test_no_route_where_no_gateway_is_known_or_none_is_asked_for() -> None:
    without_gateway = CLUSTERS.replace("spec: {gateway: {name: public, namespace: gateways}}", "")
    without_route = MODEL.partition("    route:")[0]
    for files in ({"clusters": without_gateway}, {"models": without_route}):
        assert ("HTTPRoute", "fraud-detector") not in bodies(**files)


def test_a_single_replica_has_no_disruption_budget_to_block_drains() -> None:
    model = MODEL.replace("    container:", "    replicas: 1\n    container:")
    assert not [name for name in bodies(models=model) if name[0] == "PodDisruptionBudget"]


def test_the_artifact_is_mounted_read_only_by_digest() -> None:
    spec = pod()
    (volume,) = (v for v in spec["volumes"] if "image" in v)
    (mount,) = (m for m in spec["containers"][0]["volumeMounts"] if m["name"] == volume["name"])
    assert "@sha256:" in volume["image"]["reference"]
    assert mount["readOnly"] is True


def test_a_request_left_out_equals_its_limit() -> None:
    resources = pod(models=GPU_MODEL, rollouts=GPU_ROLLOUT)["containers"][0]["resources"]
    assert resources == {
        "requests": {"cpu": "4", "memory": "64Gi", "nvidia.com/gpu": "2"},
        "limits": {"memory": "64Gi", "nvidia.com/gpu": "2"},
    }


def test_nodes_with_the_device_are_tolerated() -> None:
    assert pod(models=GPU_MODEL, rollouts=GPU_ROLLOUT)["tolerations"] == [
        {"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}
    ]


def test_variables_keep_their_order_because_they_may_refer_to_each_other() -> None:
    env = pod(models=GPU_MODEL, rollouts=GPU_ROLLOUT)["containers"][0]["env"]
    assert [variable["name"] for variable in env] == ["LOG_LEVEL", "HOME", "CACHE"]


def test_a_change_of_the_owner_restarts_nothing() -> None:
    before = bodies()["Deployment", "fraud-detector-v3"]["spec"]
    after = bodies(models=MODEL.replace("owner: team-risk", "owner: team-fraud"))
    assert after["Deployment", "fraud-detector-v3"]["spec"] == before


@pytest.mark.parametrize("kind", ["Deployment", "Service"])
def test_long_names_stay_distinct_and_short_enough(kind: str) -> None:
    names = []
    for version in ("v3", "v4"):
        files = {
            "models": MODEL.replace("fraud-detector", LONG),
            "rollouts": ROLLOUT.replace("fraud-detector", LONG).replace("v3", version),
        }
        names += [name for found, name in bodies(**files) if found == kind and name != LONG]
    assert len(set(names)) == 2
    assert max(map(len, names)) <= 63
