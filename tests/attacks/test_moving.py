"""Tighten before widen: on the way between two states nobody ever has more than the two give."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from reconciler.core.desired import DesiredState
from reconciler.core.identifiers import ObjectKey
from reconciler.core.manifests import Manifest
from reconciler.core.ordering import Wave, stepping_stone, wave_of, write_order
from tests.attacks.objects import allowed
from tests.attacks.states import PARAMETERS, about_access, acts, first_state, next_state, tree
from tests.desired.builders import compiled
from tests.engine.world import cluster_document, policy

STATES = 40
ORDERS = 2
ACTS = acts()
RULES = policy(extra=f"  authorizer: {{namespace: {PARAMETERS}}}\n").replace(
    b"[team-*, agent-*]", b"[team-*, agent-*, parameters]"
)


def manifests(tree: Mapping[str, str]) -> dict[ObjectKey, Manifest]:
    return manifests_of({"fairlead.yaml": RULES, **tree})


def manifests_of(files: Mapping[str, str | bytes]) -> dict[ObjectKey, Manifest]:
    """All of one cluster."""
    declared = {"one.yaml": cluster_document("one", env="one"), **files}
    state: DesiredState = compiled(declared).state
    return {
        key: manifest for unit in state.units.values() for key, manifest in unit.manifests.items()
    }


def writes(
    old: Mapping[ObjectKey, Manifest], new: Mapping[ObjectKey, Manifest], order: random.Random
) -> Iterator[tuple[ObjectKey, Manifest | None]]:
    """Each write of the move, in one of the orders in which they may come."""
    steps: list[tuple[Wave, ObjectKey, Manifest | None]] = []
    for key in old.keys() | new.keys():
        before, after = old.get(key), new.get(key)
        if before and after and before.digest == after.digest:
            continue
        if (stone := stepping_stone(before, after)) is not None:
            steps.append((Wave.TIGHTENING, key, stone))
        steps.append((wave_of(before=before, after=after), key, after))
    for wave in Wave:
        now = {key: manifest for at, key, manifest in steps if at is wave}
        for group in write_order(now, wave):
            for key in order.sample(list(group), len(group)):
                yield key, now[key]


@pytest.mark.parametrize("seed", range(4))
def test_no_write_gives_what_neither_state_allows(seed: int) -> None:
    chance = random.Random(seed)
    state = first_state(chance)
    here, moved = manifests(tree(state)), 0
    for number in range(STATES):
        state = next_state(chance, state)
        there = manifests(tree(state))
        for _ in range(ORDERS):
            moved += walk(here, there, chance, f"{seed}: to state {number}")
            moved += walk(there, here, chance, f"{seed}: back from state {number}")
        here = there
    assert moved > STATES


def walk(
    old: Mapping[ObjectKey, Manifest],
    new: Mapping[ObjectKey, Manifest],
    chance: random.Random,
    label: str,
) -> int:
    """Move, and count the writes that changed what is allowed."""
    objects: dict[ObjectKey, Any] = {key: manifest.body for key, manifest in old.items()}
    before = allowed(objects, ACTS)
    ends = before | allowed({key: manifest.body for key, manifest in new.items()}, ACTS)
    moved = 0
    for key, manifest in writes(old, new, chance):
        if manifest is None:
            del objects[key]
        else:
            objects[key] = manifest.body
        if not about_access(key):
            continue
        now = allowed(objects, ACTS)
        assert now <= ends, f"{label}: {key} gives {sorted(now - ends)[0]}"
        moved += now != before
        before = now
    assert objects == {key: manifest.body for key, manifest in new.items()}
    return moved
