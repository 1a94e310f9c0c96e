"""What every Cluster tells those who watch it, in memory and on a real API server."""

from __future__ import annotations

from contextlib import aclosing
from typing import Any, cast

from reconciler.core.identifiers import ObjectKey
from reconciler.ports import Gone, Interrupted, Listed, Seen

from .cluster_worlds import (
    CONFIG_MAPS,
    Body,
    Reading,
    World,
    after_interruption,
    config_map,
    key_of,
    names_in,
    resource_of,
)


async def apply(world: World, body: Body, **options: bool) -> Any:
    return await world.cluster.apply(body, dry_run=options.pop("dry_run", False), **options)


async def live(world: World, body: Body) -> Any:
    return await world.cluster.get(key_of(body), body["apiVersion"])


SELECTOR = "example.com/watched=yes"
LABELS = {"example.com/watched": "yes"}


def watched(name: str, namespace: str, value: str = "1") -> Body:
    return config_map(name, namespace, {"a": value}, labels=LABELS | {"example.com/in": namespace})


async def watch(world: World, namespace: str) -> Any:
    resource = await resource_of(world.cluster, CONFIG_MAPS)
    selector = f"{SELECTOR},example.com/in={namespace}"
    return aclosing(cast(Any, world.cluster.watch(resource, selector=selector)))


async def test_a_watch_lists_what_exists_then_says_so(world: World, namespace: str) -> None:
    await apply(world, watched("a", namespace))
    await apply(world, watched("b", namespace))
    await apply(world, config_map("unlabelled", namespace, {}))
    async with await watch(world, namespace) as events:
        listed = await Reading(events).until_type(Listed)
    assert names_in(listed, Seen) == ["a", "b"]


async def test_listed_objects_say_what_they_are(world: World, namespace: str) -> None:
    await apply(world, watched("a", namespace))
    async with await watch(world, namespace) as events:
        seen = (await Reading(events).until_type(Seen))[0]
    assert isinstance(seen, Seen)
    assert (seen.body["apiVersion"], seen.body["kind"]) == ("v1", "ConfigMap")


async def test_a_watch_tells_changes_in_their_order(world: World, namespace: str) -> None:
    async with await watch(world, namespace) as events:
        reading = Reading(events)
        await reading.until_type(Listed)
        uid = (await apply(world, watched("a", namespace)))["metadata"]["uid"]
        await apply(world, watched("b", namespace))
        await apply(world, watched("a", namespace, "2"))
        key = ObjectKey("", "ConfigMap", namespace, "a")
        await world.cluster.delete(key, "v1", uid=uid)
        told = await reading.until_type(Gone)
    assert [(type(e).__name__, e.body["metadata"]["name"]) for e in told] == [  # type: ignore
        ("Seen", "a"),
        ("Seen", "b"),
        ("Seen", "a"),
        ("Gone", "a"),
    ]


async def test_an_object_that_loses_its_label_is_gone(world: World, namespace: str) -> None:
    body = watched("a", namespace)
    await apply(world, body)
    async with await watch(world, namespace) as events:
        reading = Reading(events)
        await reading.until_type(Listed)
        await world.edit_as("kubectl", body, lambda b: b["metadata"].pop("labels"))
        told = await reading.until_type(Gone)
    assert names_in(told, Gone) == ["a"]


async def test_an_apply_without_effect_is_not_told(world: World, namespace: str) -> None:
    await apply(world, watched("a", namespace))
    async with await watch(world, namespace) as events:
        reading = Reading(events)
        await reading.until_type(Listed)
        await apply(world, watched("a", namespace))
        await apply(world, watched("b", namespace))
        told = await reading.until_type(Seen)
    assert names_in(told, Seen) == ["b"]


async def test_versions_of_an_object_in_a_watch_grow(world: World, namespace: str) -> None:
    async with await watch(world, namespace) as events:
        reading = Reading(events)
        await reading.until_type(Listed)
        for value in "123":
            await apply(world, watched("a", namespace, value))
        told = await reading.until(lambda e: isinstance(e, Seen) and e.body["data"] == {"a": "3"})
    versions = [int(cast(Any, e).body["metadata"]["resourceVersion"]) for e in told]
    assert versions == sorted(versions)


async def test_after_an_outage_everything_is_listed_anew(world: World, namespace: str) -> None:
    await apply(world, watched("stays", namespace))
    async with await watch(world, namespace) as events:
        reading = Reading(events)
        await reading.until_type(Listed)
        async with world.outage():
            await reading.until_type(Interrupted)
        told = await reading.until_type(Listed)
    assert names_in(after_interruption([Interrupted(""), *told]), Seen) == ["stays"]
