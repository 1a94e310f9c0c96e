"""Differences of real objects: what an API server stored, and what others did to it."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import orjson
import pytest

from reconciler.core.diffing import (
    ABSENT,
    NOTHING_OWNED,
    FieldChange,
    FieldSet,
    field_changes,
    intent_changes,
    owned_digest,
    owned_fields,
    restarts,
)
from reconciler.core.identifiers import DocumentPath
from reconciler.core.manifests import JsonObject, Manifest, Source, manifest_of
from reconciler.core.problems import Span

OBSERVED = Path(__file__).parent / "observed"


def observed(name: str) -> JsonObject:
    return cast(JsonObject, orjson.loads((OBSERVED / f"{name}.json").read_bytes()))


def part(body: JsonObject, *names: str) -> JsonObject:
    for name in names:
        body = cast(JsonObject, body[name])
    return body


def container(body: JsonObject, name: str) -> JsonObject:
    pod = part(body, "spec", "template", "spec")
    return next(c for c in cast("list[JsonObject]", pod["containers"]) if c["name"] == name)


def manifest(**fields: object) -> Manifest:
    body = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "m"}, **fields}
    return manifest_of(cast(JsonObject, body), Source(DocumentPath("a.yaml"), Span(1, 1, 1, 1)))


def paths(changes: tuple[FieldChange, ...]) -> list[str]:
    return [change.path for change in changes]


def test_the_fields_applied_under_our_name_are_ours() -> None:
    fields = owned_fields(observed("configmap"))
    assert fields is not None
    assert set(fields["f:data"]) == {"f:logging.level", "f:model.json", "f:threshold"}


def test_updates_under_our_name_are_not_ours() -> None:
    body = observed("configmap")
    for entry in cast("list[JsonObject]", part(body, "metadata")["managedFields"]):
        entry["operation"] = "Update"
    assert owned_fields(body) is None
    assert owned_digest(body) == NOTHING_OWNED


def test_a_subresource_under_our_name_is_not_ours() -> None:
    body = observed("configmap")
    for entry in cast("list[JsonObject]", part(body, "metadata")["managedFields"]):
        entry["subresource"] = "status"
    assert owned_fields(body) is None


@pytest.mark.parametrize("name", ["configmap", "deployment", "service", "pdb"])
def test_the_digest_survives_another_commit_and_source(name: str) -> None:
    before, after = observed(name), observed(name)
    annotations = cast(JsonObject, part(after, "metadata").setdefault("annotations", {}))
    annotations["fairlead.dev/commit"] = "f" * 40
    annotations["fairlead.dev/source"] = "elsewhere.yaml:1"
    assert owned_digest(before) == owned_digest(after)


def test_the_digest_does_not_depend_on_having_provenance_at_all() -> None:
    body = observed("configmap")
    fields = owned_fields(body)
    assert fields is not None
    before = owned_digest(body)
    del part(body, "metadata")["annotations"]
    del fields["f:metadata"]["f:annotations"]
    assert owned_digest(body) == before


def test_a_change_of_status_and_generation_keeps_the_digest() -> None:
    before, after = observed("deployment"), observed("deployment")
    after["status"] = {"observedGeneration": 9, "replicas": 2}
    part(after, "metadata").update(resourceVersion="999", generation=9)
    assert owned_digest(before) == owned_digest(after)


def test_a_sidecar_that_another_manager_injects_keeps_the_digest() -> None:
    before, after = observed("deployment"), observed("deployment")
    containers = cast("list[JsonObject]", part(after, "spec", "template", "spec")["containers"])
    containers.insert(0, {"name": "sidecar", "image": "mesh:1"})
    assert owned_digest(before) == owned_digest(after)


def test_a_field_that_another_manager_sets_in_our_empty_object_keeps_the_digest() -> None:
    """`emptyDir: {}` is ours to exist; its sizeLimit belongs to who set it."""
    before, after = observed("deployment-edited"), observed("deployment-edited")
    volumes = cast("list[JsonObject]", part(after, "spec", "template", "spec")["volumes"])
    assert volumes[0]["emptyDir"] == {"sizeLimit": "1Gi"}
    volumes[0]["emptyDir"] = {"sizeLimit": "2Gi"}
    assert owned_digest(before) == owned_digest(after)


def test_a_change_inside_an_atomic_object_of_ours_moves_the_digest() -> None:
    before, after = observed("deployment"), observed("deployment")
    part(after, "spec", "selector", "matchLabels")["app.kubernetes.io/name"] = "other"
    assert owned_digest(before) != owned_digest(after)


def test_an_edit_of_our_field_moves_the_digest() -> None:
    assert owned_digest(observed("configmap")) != owned_digest(observed("configmap-edited"))


def test_items_that_share_an_associative_key_both_count() -> None:
    before, after = observed("deployment"), observed("deployment")
    for body, second in ((before, "b"), (after, "c")):
        env = cast("list[JsonObject]", container(body, "model")["env"])
        env += [{"name": "LOG_LEVEL", "value": second}]
    assert owned_digest(before) != owned_digest(after)
    assert field_changes(before, after)[0]


def test_a_creation_shows_what_we_set_and_counts_what_the_server_added() -> None:
    changes, hidden = field_changes(None, observed("service"))
    assert ".spec.ports[port=80,protocol=TCP].targetPort" in paths(changes)
    assert ".spec.clusterIP" not in paths(changes)
    assert all(change.before is ABSENT for change in changes)
    # clusterIP, clusterIPs[0], internalTrafficPolicy, ipFamilies[0], ipFamilyPolicy,
    # sessionAffinity, type
    assert hidden == 7


def test_the_name_of_an_item_is_in_the_path_and_not_listed_again() -> None:
    changes, _ = field_changes(None, observed("deployment"))
    assert not [
        path for path in paths(changes) if path.endswith(("[name=model].name", ".mountPath"))
    ]


def test_an_item_that_has_nothing_but_a_name_is_listed_as_itself() -> None:
    body = observed("deployment")
    pod = part(body, "spec", "template", "spec")
    pod["imagePullSecrets"] = [{"name": "registry"}]
    fields: FieldSet = {'k:{"name":"registry"}': {".": {}, "f:name": {}}}
    before = observed("deployment")
    ours = owned_fields(body)
    assert ours is not None
    ours["f:spec"]["f:template"]["f:spec"]["f:imagePullSecrets"] = fields
    path = ".spec.template.spec.imagePullSecrets[name=registry]"
    assert field_changes(before, body) == ((FieldChange(path, ABSENT, {"name": "registry"}),), 0)
    assert field_changes(body, before) == ((FieldChange(path, {"name": "registry"}, ABSENT),), 0)


def test_a_change_shows_additions_removals_and_new_values() -> None:
    changes, hidden = field_changes(observed("deployment-edited"), observed("deployment-dry-run"))
    model = ".spec.template.spec.containers[name=model]"
    assert paths(changes) == [
        ".spec.replicas",
        f"{model}.args",
        f"{model}.env[name=LOG_LEVEL].value",
        f"{model}.env[name=MODEL_VERSION].value",
        f"{model}.image",
    ]
    assert (changes[0].before, changes[0].after) == (5, 2)
    assert (changes[3].before, changes[3].after) == ("v3", ABSENT)
    assert hidden == 0


def test_what_others_changed_is_counted_and_not_shown() -> None:
    changes, hidden = field_changes(observed("deployment"), observed("deployment-edited"))
    assert not [path for path in paths(changes) if "sidecar" in path or "sizeLimit" in path]
    assert hidden > 0


@pytest.mark.parametrize(
    "name", ["configmap", "configmap-edited", "deployment", "deployment-edited"]
)
def test_an_object_does_not_differ_from_itself(name: str) -> None:
    after = observed(name)
    part(after, "metadata").update(resourceVersion="1", generation=77, uid="x")
    after["status"] = {}
    cast(JsonObject, part(after, "metadata")["annotations"])["fairlead.dev/commit"] = "0" * 40
    assert field_changes(observed(name), after) == ((), 0)


def test_a_number_is_not_the_boolean_that_python_holds_equal_to_it() -> None:
    before, after = observed("deployment"), observed("deployment")
    before["spec"] = {**part(before, "spec"), "replicas": 1}
    after["spec"] = {**part(after, "spec"), "replicas": True}
    assert paths(field_changes(before, after)[0]) == [".spec.replicas"]


def test_paths_quote_what_could_be_taken_for_another_path() -> None:
    body = observed("configmap")
    hostile = "x].data\u202e\x1b[31m"
    part(body, "data")[hostile] = "v"
    fields = owned_fields(body)
    assert fields is not None
    fields["f:data"][f"f:{hostile}"] = {}
    changed = [path for path in paths(field_changes(None, body)[0]) if "x]" in path]
    assert changed == ['.data["x].data\\u202e\\u001b[31m"]']


def test_a_change_of_the_pod_template_restarts() -> None:
    changes, _ = field_changes(observed("deployment"), observed("deployment-dry-run"))
    assert restarts(changes)


def test_a_change_of_scale_does_not_restart() -> None:
    assert not restarts([FieldChange(".spec.replicas", 1, 2)])
    assert not restarts([FieldChange(".spec.templateName", "a", "b")])


def test_intent_pairs_items_by_name() -> None:
    one = manifest(spec={"containers": [{"name": "a", "image": "1"}, {"name": "b", "image": "1"}]})
    two = manifest(spec={"containers": [{"name": "b", "image": "2"}]})
    assert intent_changes(one, two) == (
        FieldChange(".spec.containers[name=a].image", "1", ABSENT),
        FieldChange(".spec.containers[name=b].image", "1", "2"),
    )


def test_intent_pairs_nameless_items_by_position_where_lengths_agree() -> None:
    one = manifest(spec={"rules": [{"weight": 95}, {"weight": 5}]})
    two = manifest(spec={"rules": [{"weight": 75}, {"weight": 25}]})
    assert paths(intent_changes(one, two)) == [".spec.rules[0].weight", ".spec.rules[1].weight"]


def test_intent_shows_another_order_of_the_same_items() -> None:
    items = [{"name": "a"}, {"name": "b"}]
    changes = intent_changes(manifest(spec=items), manifest(spec=items[::-1]))
    assert paths(changes) == [".spec"]


def test_intent_shows_a_list_of_plain_values_whole() -> None:
    changes = intent_changes(manifest(spec={"args": ["a"]}), manifest(spec={"args": ["a", "b"]}))
    assert changes == (FieldChange(".spec.args", ["a"], ["a", "b"]),)


def test_intent_of_a_creation_mirrors_that_of_a_deletion() -> None:
    whole = manifest(spec={"replicas": 1, "containers": [{"name": "a", "image": "1"}]})
    created, deleted = intent_changes(None, whole), intent_changes(whole, None)
    assert paths(created) == paths(deleted) == [".spec.containers[name=a].image", ".spec.replicas"]
    assert all(change.after is ABSENT for change in deleted)


def test_intent_shows_a_new_api_version() -> None:
    one = manifest(spec={})
    two = manifest_of({**one.body, "apiVersion": "apps/v2"}, one.source)
    assert intent_changes(one, two) == (FieldChange(".apiVersion", "apps/v1", "apps/v2"),)


def test_equal_declarations_do_not_differ() -> None:
    assert intent_changes(manifest(spec={"a": [1]}), manifest(spec={"a": [1]})) == ()
