"""What is loaded stays as it is, down to the byte, while traffic moves over it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from reconciler.core.identifiers import ClusterName, ObjectKey
from reconciler.core.ledger import Ledger
from reconciler.core.manifests import Manifest
from reconciler.core.rollouts.revising import revised
from reconciler.core.rollouts.staging import applied_target, stage
from reconciler.core.rollouts.states import Failure, Kept, Phase, RolloutState
from tests.rollouts.builders import NOW
from tests.rollouts.commits import (
    PRODUCTION,
    STAGING,
    UNIT,
    declared,
    ledger,
    ledgers,
    selected,
    staged,
    target,
    versions,
    weights,
)

FIRST, SECOND = declared("v1"), declared("v2")
V1, V2 = target(FIRST), target(SECOND)
APPLIED, BOTH = ledgers(FIRST), ledgers(FIRST, SECOND)

SETTLED = RolloutState("fraud", stable=V1, proven=(V1,))
STARTING = replace(SETTLED, candidate=V2, phase=Phase.STARTING, entered=NOW)
STEPS = [replace(STARTING, phase=Phase.STEPPING, step=step) for step in range(3)]
SECOND_WAVE = [replace(state, wave=1) for state in (STARTING, *STEPS)]
WATCHED = RolloutState("fraud", stable=V2, phase=Phase.WATCHED, kept=(Kept(V1, NOW, proven=True),))
FAILED = replace(
    SETTLED,
    kept=(Kept(V2, NOW + 15, proven=False),),
    failure=Failure(V2, NOW, "gate errors failed", "errors"),
)
POSITIONS = {
    "starting": STARTING,
    **{f"step {state.step + 1}": state for state in STEPS},
    **{f"wave 2, {state.phase} {state.step + 1}": state for state in SECOND_WAVE},
    "watched": WATCHED,
    "failed": FAILED,
}


def positions() -> pytest.MarkDecorator:
    return pytest.mark.parametrize("state", POSITIONS.values(), ids=POSITIONS.keys())


def of_version(manifests: dict[ObjectKey, Manifest], version: str) -> dict[ObjectKey, bytes]:
    return {
        key: manifest.content
        for key, manifest in manifests.items()
        if f'"fairlead.dev/model-version":"{version}"' in manifest.content.decode()
        and key.name.startswith(f"fraud-{version}")
    }


@positions()
@pytest.mark.parametrize("cluster", [STAGING, PRODUCTION])
@pytest.mark.parametrize("version", ["v1", "v2"])
def test_nothing_of_a_loaded_version_changes(
    state: RolloutState, cluster: ClusterName, version: str
) -> None:
    unit = staged(SECOND, state, BOTH, cluster=cluster)
    before = of_version(
        {k: e.applied.manifest for k, e in BOTH[cluster].entries.items() if e.applied}, version
    )
    assert before
    found = of_version(dict(unit.manifests), version)
    assert found in ({}, before)


@positions()
def test_a_later_edit_of_the_model_leaves_the_version_before_alone(state: RolloutState) -> None:
    """The commit gives its new version another image, and would give it to v1 as well."""
    edited = declared("v2", image="cd", replicas=9)
    unit = staged(edited, state, BOTH)
    before = {k: e.applied.manifest for k, e in APPLIED[STAGING].entries.items() if e.applied}
    assert of_version(dict(unit.manifests), "v1") == of_version(before, "v1")


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        (STARTING, {"v1": 100, "v2": 0}),
        (STEPS[0], {"v1": 95, "v2": 5}),
        (STEPS[1], {"v1": 75, "v2": 25}),
        (STEPS[2], {"v1": 0, "v2": 100}),
        (WATCHED, {"v2": 100, "v1": 0}),
        (FAILED, {"v1": 100, "v2": 0}),
    ],
)
def test_the_route_says_where_the_position_is(
    state: RolloutState, expected: dict[str, int]
) -> None:
    assert weights(staged(SECOND, state, BOTH)) == expected


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        (STARTING, "v1"),
        *((state, "v1") for state in STEPS[:2]),
        (STEPS[2], "v2"),
        (WATCHED, "v2"),
        (FAILED, "v1"),
    ],
)
def test_callers_inside_the_cluster_get_the_version_that_has_most(
    state: RolloutState, expected: str
) -> None:
    assert selected(staged(SECOND, state, BOTH)) == expected


@pytest.mark.parametrize("state", [STARTING, *STEPS], ids=lambda s: f"{s.phase} {s.step}")
def test_a_later_wave_runs_the_version_before_alone(state: RolloutState) -> None:
    unit = staged(SECOND, state, APPLIED, cluster=PRODUCTION)
    assert (versions(unit), weights(unit)) == ({"v1"}, {"v1": 100})


@pytest.mark.parametrize("state", SECOND_WAVE, ids=lambda s: f"{s.phase} {s.step}")
def test_an_earlier_wave_keeps_the_version_before_without_traffic(state: RolloutState) -> None:
    unit = staged(SECOND, state, BOTH)
    assert (versions(unit), weights(unit)) == ({"v1", "v2"}, {"v1": 0, "v2": 100})


# What is only kept


def test_a_version_that_is_only_kept_is_not_made_anew_when_it_is_gone() -> None:
    assert versions(staged(SECOND, FAILED, APPLIED)) == {"v1"}


def test_a_version_that_is_only_kept_gets_no_traffic() -> None:
    assert weights(staged(FIRST, FAILED, BOTH)) == {"v1": 100, "v2": 0}


def test_a_version_that_is_no_longer_kept_goes() -> None:
    assert versions(staged(SECOND, replace(FAILED, kept=()), BOTH)) == {"v1"}


# Clusters that never had the version before


@pytest.mark.parametrize("known", [{}, {STAGING: Ledger(STAGING)}, ledgers(SECOND)])
@pytest.mark.parametrize("state", STEPS, ids=lambda s: f"step {s.step + 1}")
def test_a_new_cluster_runs_the_new_version_alone_in_its_turn(
    known: dict[ClusterName, Ledger], state: RolloutState
) -> None:
    unit = staged(SECOND, state, known)
    assert (versions(unit), weights(unit)) == ({"v2"}, {"v2": 100})


def test_a_new_cluster_starts_the_new_version_with_the_others() -> None:
    """A start waits for the replicas of every cluster: they have to be asked for."""
    assert versions(staged(SECOND, STARTING, {})) == {"v2"}


@pytest.mark.parametrize("state", [STARTING, *STEPS], ids=lambda s: f"{s.phase} {s.step}")
def test_a_new_cluster_of_a_later_wave_runs_nothing_yet(state: RolloutState) -> None:
    assert not staged(SECOND, state, {}, cluster=PRODUCTION).manifests


def test_a_new_cluster_does_not_get_what_failed() -> None:
    assert not staged(SECOND, FAILED, {}).manifests


def test_a_new_cluster_gets_the_version_that_the_commit_leads_to() -> None:
    assert versions(staged(SECOND, WATCHED, {})) == {"v2"}


# Whole states


def test_a_rollout_that_ended_is_as_declared() -> None:
    whole = stage(FIRST, {"fraud": SETTLED}, APPLIED)
    assert whole.state is FIRST or whole.state.units == FIRST.units
    assert not whole.fallback


def test_a_rollout_without_a_state_is_as_declared() -> None:
    assert stage(SECOND, {}, APPLIED).state.units == SECOND.units


@positions()
def test_the_fallback_is_the_version_before_with_everything(state: RolloutState) -> None:
    whole = stage(SECOND, {"fraud": state}, BOTH)
    assert state.stable is not None
    found = weights(whole.fallback[(STAGING, UNIT)])
    assert found[state.stable.version] == 100
    assert sum(found.values()) == 100


@positions()
def test_what_is_only_kept_need_not_be_healthy(state: RolloutState) -> None:
    whole = stage(SECOND, {"fraud": state}, BOTH)
    kept = {kept.target.version for kept in state.kept}
    assert not versions(whole.needed[(STAGING, UNIT)]) & kept


@positions()
def test_a_position_waits_for_no_earlier_wave_of_its_own(state: RolloutState) -> None:
    whole = stage(SECOND, {"fraud": state}, BOTH)
    assert {unit.stage for _, unit in whole.state.places_of("fraud")} == {0}


@positions()
def test_staging_again_gives_the_same_digests(state: RolloutState) -> None:
    once, again = (stage(SECOND, {"fraud": state}, BOTH).state for _ in range(2))
    assert [unit.digest for _, unit in once.places_of("fraud")] == [
        unit.digest for _, unit in again.places_of("fraud")
    ]


@pytest.mark.parametrize(
    ("state", "words"),
    [
        (STARTING, "version v2 is on its way"),
        (FAILED, "version v2 was taken back: gate errors failed"),
        (WATCHED, None),
    ],
)
def test_people_are_told_where_the_commit_is_not_true(
    state: RolloutState, words: str | None
) -> None:
    assert stage(SECOND, {"fraud": state}, BOTH).unfinished.get((STAGING, UNIT)) == words


def test_after_its_revert_a_commit_is_true() -> None:
    reverted = revised(FAILED, V1, gradual=True, now=NOW)
    assert not stage(FIRST, {"fraud": reverted}, BOTH).unfinished


# Builds


def test_the_number_of_replicas_is_no_part_of_a_build() -> None:
    assert target(declared("v2", replicas=7)).is_same(V2)


def test_the_image_is_part_of_a_build() -> None:
    assert not target(declared("v2", image="cd")).is_same(V2)


def test_each_version_has_its_own_build() -> None:
    assert V1.build != V2.build


@pytest.mark.parametrize(("known", "version"), [(APPLIED, "v1"), (BOTH, "v2")])
def test_the_ledgers_tell_what_serves(known: dict[ClusterName, Ledger], version: str) -> None:
    found = applied_target(SECOND, SECOND.rollouts["fraud"], known)
    assert found is not None
    assert found.is_same({"v1": V1, "v2": V2}[version])


def test_empty_ledgers_tell_of_no_version() -> None:
    assert applied_target(SECOND, SECOND.rollouts["fraud"], {}) is None


def test_what_another_unit_applied_serves_nothing_here() -> None:
    other = {
        key: replace(entry, unit="rollout/other") for key, entry in ledger(FIRST).entries.items()
    }
    known = {STAGING: Ledger(STAGING, other)}
    assert applied_target(SECOND, SECOND.rollouts["fraud"], known) is None
