"""What every Cluster does, in memory and on a real API server."""

from __future__ import annotations

from typing import Any, cast

import pytest

from reconciler.core.errors import Conflict, Immutable, Invalid, Missing, Refused
from reconciler.core.identifiers import ObjectKey

from .cluster_worlds import (
    Body,
    World,
    config_map,
    container,
    deployment,
    key_of,
    owned_by,
    unique,
)


async def apply(world: World, body: Body, **options: bool) -> Any:
    return await world.cluster.apply(body, dry_run=options.pop("dry_run", False), **options)


async def live(world: World, body: Body) -> Any:
    return await world.cluster.get(key_of(body), body["apiVersion"])


# Applying


async def test_applying_owns_what_it_says_and_nothing_else(world: World, namespace: str) -> None:
    body = deployment("web", namespace, container("main", ports=[{"containerPort": 8000}]))
    applied = await apply(world, body)
    template = "f:spec/f:template"
    main = f'{template}/f:spec/f:containers/k:{{"name":"main"}}'
    port = f'{main}/f:ports/k:{{"containerPort":8000,"protocol":"TCP"}}'
    assert owned_by(applied, "fairlead") == {
        "f:spec/f:selector",
        f"{template}/f:metadata/f:labels/f:app",
        f"{main}/f:name",
        f"{main}/f:image",
        f"{port}/f:containerPort",
    }


async def test_applying_returns_the_object_as_stored(world: World, namespace: str) -> None:
    body = config_map("settings", namespace, {"a": "1"})
    assert await apply(world, body) == await live(world, body)


async def test_applying_the_same_again_writes_nothing(world: World, namespace: str) -> None:
    body = config_map("settings", namespace, {"a": "1"})
    assert await apply(world, body) == await apply(world, body)


async def test_a_changed_specification_is_a_new_generation(world: World, namespace: str) -> None:
    await apply(world, deployment("web", namespace, replicas=1))
    applied = await apply(world, deployment("web", namespace, replicas=2))
    assert applied["metadata"]["generation"] == 2


async def test_defaults_of_the_server_belong_to_nobody(world: World, namespace: str) -> None:
    applied = await apply(world, deployment("web", namespace))
    assert applied["spec"]["replicas"] == 1
    assert "f:spec/f:replicas" not in owned_by(applied, "fairlead")


async def test_a_conflict_names_manager_and_field(world: World, namespace: str) -> None:
    body = deployment("web", namespace, replicas=2)
    await apply(world, body)
    await world.edit_as("autoscaler", body, lambda b: b["spec"].update(replicas=7))
    with pytest.raises(Conflict) as caught:
        await apply(world, body)
    assert [(c.field, c.manager) for c in caught.value.causes] == [(".spec.replicas", "autoscaler")]


async def test_a_conflict_says_where_in_a_list(world: World, namespace: str) -> None:
    body = deployment("web", namespace)
    await apply(world, body)

    def edit(live: Body) -> None:
        live["spec"]["template"]["spec"]["containers"][0]["image"] = "elsewhere"

    await world.edit_as("kubectl", body, edit)
    with pytest.raises(Conflict) as caught:
        await apply(world, body)
    fields = [cause.field for cause in caught.value.causes]
    assert fields == ['.spec.template.spec.containers[name="main"].image']


async def test_a_conflict_with_an_applier_names_it_as_well(world: World, namespace: str) -> None:
    await world.apply_as("helm", config_map("settings", namespace, {"a": "theirs"}))
    with pytest.raises(Conflict) as caught:
        await apply(world, config_map("settings", namespace, {"a": "ours"}))
    assert [cause.manager for cause in caught.value.causes] == ["helm"]


async def test_a_conflict_changes_nothing(world: World, namespace: str) -> None:
    await world.apply_as("helm", config_map("settings", namespace, {"a": "theirs"}))
    before = await live(world, config_map("settings", namespace, {}))
    with pytest.raises(Conflict):
        await apply(world, config_map("settings", namespace, {"a": "ours", "b": "new"}))
    assert await live(world, config_map("settings", namespace, {})) == before


async def test_saying_what_another_manager_says_shares_the_field(
    world: World, namespace: str
) -> None:
    body = config_map("settings", namespace, {"a": "1"})
    await world.apply_as("helm", body)
    applied = await apply(world, body)
    assert owned_by(applied, "helm") == owned_by(applied, "fairlead") == {"f:data/f:a"}


async def test_forcing_takes_the_field_from_its_manager(world: World, namespace: str) -> None:
    await world.apply_as("helm", config_map("settings", namespace, {"a": "theirs", "b": "kept"}))
    applied = await apply(world, config_map("settings", namespace, {"a": "ours"}), force=True)
    assert applied["data"] == {"a": "ours", "b": "kept"}
    assert owned_by(applied, "helm") == {"f:data/f:b"}


async def test_an_edit_takes_the_field_from_us(world: World, namespace: str) -> None:
    body = config_map("settings", namespace, {"a": "1", "b": "2"})
    await apply(world, body)
    await world.edit_as("kubectl", body, lambda b: b["data"].update(a="edited"))
    edited = await live(world, body)
    assert owned_by(edited, "fairlead") == {"f:data/f:b"}
    assert owned_by(edited, "kubectl") == {"f:data/f:a"}


async def test_what_is_no_longer_applied_is_removed(world: World, namespace: str) -> None:
    await apply(world, config_map("settings", namespace, {"a": "1", "b": "2"}))
    applied = await apply(world, config_map("settings", namespace, {"a": "1"}))
    assert applied["data"] == {"a": "1"}


async def test_what_another_manager_owns_too_stays(world: World, namespace: str) -> None:
    both = config_map("settings", namespace, {"a": "1", "b": "2"})
    await world.apply_as("helm", both)
    await apply(world, both)
    applied = await apply(world, config_map("settings", namespace, {"a": "1"}))
    assert applied["data"] == {"a": "1", "b": "2"}


async def test_a_default_comes_back_when_a_field_is_given_up(world: World, namespace: str) -> None:
    await apply(world, deployment("web", namespace, replicas=3))
    applied = await apply(world, deployment("web", namespace))
    assert applied["spec"]["replicas"] == 1


async def test_containers_of_others_stay_when_ours_go(world: World, namespace: str) -> None:
    ours = deployment("web", namespace, container("main"), container("helper"))
    await apply(world, ours)

    def add_sidecar(body: Body) -> None:
        body["spec"]["template"]["spec"]["containers"].append(container("sidecar"))

    await world.edit_as("injector", ours, add_sidecar)
    applied = await apply(world, deployment("web", namespace, container("main")))
    containers = applied["spec"]["template"]["spec"]["containers"]
    assert [c["name"] for c in containers] == ["main", "sidecar"]


async def test_an_item_goes_with_its_owner_whatever_others_set_in_it(
    world: World, namespace: str
) -> None:
    ours = deployment("web", namespace, container("main"), container("helper"))
    await apply(world, ours)

    def tune(body: Body) -> None:
        body["spec"]["template"]["spec"]["containers"][1]["workingDir"] = "/srv"

    await world.edit_as("tuner", ours, tune)
    applied = await apply(world, deployment("web", namespace, container("main")))
    containers = applied["spec"]["template"]["spec"]["containers"]
    assert [c["name"] for c in containers] == ["main"]
    assert owned_by(applied, "tuner") == set()


async def test_items_of_others_follow_the_item_they_came_after(
    world: World, namespace: str
) -> None:
    ours = deployment("web", namespace, container("a"), container("c"))
    await apply(world, ours)

    def add_sidecar(body: Body) -> None:
        body["spec"]["template"]["spec"]["containers"].append(container("sidecar"))

    await world.edit_as("injector", ours, add_sidecar)
    reordered = deployment("web", namespace, container("b"), container("c"), container("a"))
    applied = await apply(world, reordered)
    containers = applied["spec"]["template"]["spec"]["containers"]
    assert [c["name"] for c in containers] == ["b", "c", "sidecar", "a"]


async def test_an_atomic_field_is_owned_and_replaced_whole(world: World, namespace: str) -> None:
    body: Body = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "web", "namespace": namespace},
        "spec": {"selector": {"app": "web", "tier": "a"}, "ports": [{"port": 80}]},
    }
    await apply(world, body)
    body["spec"]["selector"] = {"app": "web"}
    applied = await apply(world, body)
    assert applied["spec"]["selector"] == {"app": "web"}
    assert "f:spec/f:selector" in owned_by(applied, "fairlead")


# Dry runs


async def test_a_dry_run_shows_the_result_and_leaves_nothing(world: World, namespace: str) -> None:
    body = config_map("settings", namespace, {"a": "1"})
    shown = await apply(world, body, dry_run=True)
    assert shown["data"] == {"a": "1"}
    assert await live(world, body) is None


async def test_a_dry_run_of_a_change_leaves_the_object(world: World, namespace: str) -> None:
    before = await apply(world, config_map("settings", namespace, {"a": "1"}))
    body = config_map("settings", namespace, {"a": "2"})
    shown = await apply(world, body, dry_run=True)
    assert shown["data"] == {"a": "2"}
    assert await live(world, body) == before


async def test_a_dry_run_meets_the_same_conflicts(world: World, namespace: str) -> None:
    await world.apply_as("helm", config_map("settings", namespace, {"a": "theirs"}))
    with pytest.raises(Conflict):
        await apply(world, config_map("settings", namespace, {"a": "ours"}), dry_run=True)


# Refusals


@pytest.mark.parametrize("dry_run", [True, False])
async def test_an_absent_namespace_is_named(world: World, dry_run: bool) -> None:
    absent = unique("absent")
    with pytest.raises(Missing, match=f"namespace {absent} does not exist"):
        await apply(world, config_map("settings", absent, {}), dry_run=dry_run)


async def test_a_kind_that_is_not_served_is_named(world: World, namespace: str) -> None:
    body: Body = {
        "apiVersion": "example.com/v1",
        "kind": "Widget",
        "metadata": {"name": "w", "namespace": namespace},
    }
    with pytest.raises(Missing, match=r"does not serve Widget in example\.com/v1"):
        await apply(world, body)


async def test_a_missing_namespace_field_is_told_before_it_is_asked(world: World) -> None:
    body = config_map("settings", "", {})
    with pytest.raises(Invalid, match="needs a namespace"):
        await apply(world, body)


async def test_an_immutable_field_is_told_apart(world: World, namespace: str) -> None:
    await apply(world, deployment("web", namespace))
    changed = deployment("web", namespace)
    changed["spec"]["selector"]["matchLabels"]["more"] = "x"
    changed["spec"]["template"]["metadata"]["labels"]["more"] = "x"
    with pytest.raises(Immutable) as caught:
        await apply(world, changed)
    assert [cause.field for cause in caught.value.causes] == [".spec.selector"]


async def test_a_frozen_config_map_is_immutable(world: World, namespace: str) -> None:
    await apply(world, {**config_map("settings", namespace, {"a": "1"}), "immutable": True})
    with pytest.raises(Immutable):
        await apply(world, {**config_map("settings", namespace, {"a": "2"}), "immutable": True})


async def test_a_value_of_the_wrong_type_is_invalid_and_not_shown(
    world: World, namespace: str
) -> None:
    with pytest.raises(Invalid) as caught:
        await apply(world, config_map("settings", namespace, {"a": 271828}))
    assert [cause.field for cause in caught.value.causes] == [".data.a"]
    assert "271828" not in f"{caught.value} {caught.value.causes}"


async def test_a_required_field_that_lacks_is_invalid(world: World, namespace: str) -> None:
    body = deployment("web", namespace)
    del body["spec"]["selector"]
    with pytest.raises(Invalid) as caught:
        await apply(world, body)
    assert ".spec.selector" in [cause.field for cause in caught.value.causes]


# Reading and deleting


async def test_what_does_not_exist_reads_as_none(world: World, namespace: str) -> None:
    assert await live(world, config_map("nothing", namespace, {})) is None


async def test_deleting_removes_that_incarnation(world: World, namespace: str) -> None:
    body = config_map("settings", namespace, {})
    uid = (await apply(world, body))["metadata"]["uid"]
    assert await world.cluster.delete(key_of(body), "v1", uid=uid) is True
    assert await live(world, body) is None


async def test_deleting_another_incarnation_is_refused(world: World, namespace: str) -> None:
    body = config_map("settings", namespace, {})
    uid = (await apply(world, body))["metadata"]["uid"]
    await world.cluster.delete(key_of(body), "v1", uid=uid)
    await apply(world, body)
    with pytest.raises(Refused):
        await world.cluster.delete(key_of(body), "v1", uid=uid)
    assert await live(world, body) is not None


async def test_deleting_what_is_gone_says_so(world: World, namespace: str) -> None:
    key = ObjectKey("", "ConfigMap", namespace, "nothing")
    assert await world.cluster.delete(key, "v1", uid="any") is False


async def test_a_finalizer_keeps_a_deleted_object(world: World, namespace: str) -> None:
    body = config_map("settings", namespace, {}, finalizers=["example.com/hold"])
    uid = (await apply(world, body))["metadata"]["uid"]
    assert await world.cluster.delete(key_of(body), "v1", uid=uid) is True
    held = await live(world, body)
    assert "deletionTimestamp" in held["metadata"]
    await world.edit_as("controller", body, lambda b: b["metadata"].pop("finalizers"))
    assert await live(world, body) is None


async def test_rights_are_told(world: World) -> None:
    rules = await world.cluster.rights("default")
    assert any("*" in cast("list[str]", rule["verbs"]) for rule in rules)
