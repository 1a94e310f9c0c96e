"""Fields that the policy gives up are in no manifest."""

from __future__ import annotations

import pytest

from reconciler.core.compiling import Compilation
from reconciler.core.identifiers import ClusterName, ObjectKey
from reconciler.core.manifests import JsonObject
from tests.desired.builders import (
    DIGEST,
    MODEL,
    POLICY,
    ROLLOUT,
    codes,
    compiled,
    config_map,
    repository,
)

STAGING = ClusterName("staging-1")

WEB = f"""\
apiVersion: apps/v1
kind: Deployment
metadata: {{name: web, namespace: team-risk, annotations: {{x/y: "1"}}}}
spec:
  replicas: 3
  selector: {{matchLabels: {{app: web}}}}
  template:
    metadata: {{labels: {{app: web}}}}
    spec:
      containers:
      - {{name: one, image: "registry.example.com/one@{DIGEST}", args: [a, b, c]}}
      - {{name: two, image: "registry.example.com/two@{DIGEST}"}}
"""


def ignoring(*fields: str, kind: str = "Deployment.apps", name: str = "'*'") -> dict:
    rule = f"  ignore:\n  - {{kind: {kind}, name: {name}, fields: [{', '.join(fields)}]}}\n"
    tree = repository(
        platform__web__web=WEB, models=MODEL, rollouts=ROLLOUT, platform__web__c=config_map("c")
    )
    return {**tree, "fairlead.yaml": POLICY + rule}


def bodies(compilation: Compilation) -> dict[ObjectKey, JsonObject]:
    units = compilation.state.units.items()
    return {
        key: manifest.body
        for (cluster, _), unit in units
        if cluster == STAGING
        for key, manifest in unit.manifests.items()
    }


def web(compilation: Compilation) -> JsonObject:
    return bodies(compilation)[ObjectKey("apps", "Deployment", "team-risk", "web")]


def test_an_ignored_field_of_a_plain_manifest_is_left_out() -> None:
    spec = web(compiled(ignoring("/spec/replicas")))["spec"]
    assert sorted(spec) == ["selector", "template"]


def test_an_ignored_field_of_what_a_rollout_renders_is_left_out() -> None:
    found = bodies(compiled(ignoring("/spec/replicas")))
    deployments = [body for key, body in found.items() if key.kind == "Deployment"]
    assert len(deployments) == 2
    assert not any("replicas" in body["spec"] for body in deployments)


def test_objects_of_other_names_keep_the_field() -> None:
    assert web(compiled(ignoring("/spec/replicas", name="api-*")))["spec"]["replicas"] == 3


def test_objects_of_other_kinds_keep_the_field() -> None:
    tree = ignoring("/data/value", kind="ConfigMap.example.com")
    assert bodies(compiled(tree))[ObjectKey("", "ConfigMap", "team-risk", "c")]["data"]


def test_items_of_a_list_are_numbered_as_they_are_declared() -> None:
    args = "/spec/template/spec/containers/0/args"
    spec = web(compiled(ignoring(f"{args}/0", f"{args}/1")))["spec"]
    assert spec["template"]["spec"]["containers"][0]["args"] == ["c"]


def test_a_slash_in_a_name_is_written_as_in_any_json_pointer() -> None:
    assert web(compiled(ignoring("/metadata/annotations/x~1y")))["metadata"]["annotations"] == {}


def test_ignoring_what_is_not_declared_changes_nothing() -> None:
    assert web(compiled(ignoring("/spec/paused/x", "/spec/replicas/0"))) == web(
        compiled(ignoring("/spec/paused"))
    )


def test_a_new_rule_leaves_the_field_out_of_files_that_did_not_change() -> None:
    before = ignoring("/spec/paused")
    first = compiled(before)
    second = compiled(ignoring("/spec/replicas"), before=before, previous=first)
    assert "replicas" not in web(second)["spec"]


@pytest.mark.parametrize(
    "pointer",
    ["/metadata/name", "/metadata/labels", "/metadata/labels/fairlead.dev~1repository", "/kind"],
)
def test_what_an_object_is_known_by_cannot_be_ignored(pointer: str) -> None:
    assert codes(ignoring(pointer)) != []
