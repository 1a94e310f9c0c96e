"""The words of a status."""

from __future__ import annotations

from dataclasses import replace

import orjson
import pytest
from syrupy.assertion import SnapshotAssertion

from reconciler.core.identifiers import CommitSha, ObjectKey
from reconciler.core.ledger import Ledger, Position, Standing, UnitState
from reconciler.core.plans import Waiting, WaitReason
from reconciler.core.presenting.lines import plain_text
from reconciler.core.presenting.status_text import status_lines
from reconciler.core.standing import (
    ClusterFacts,
    ClusterState,
    Status,
    cluster_status,
    status_from_json,
    status_json,
)

from .builders import BASE, FRAUD, HEAD, PRODUCTION, STAGING, TEAM

POSITION = Position(
    accepted=HEAD,
    applied={STAGING: HEAD, PRODUCTION: BASE},
    since={STAGING: "2027-01-01T10:00:00+00:00"},
)
SETTLED = UnitState(FRAUD, Standing.SETTLED, HEAD)


def ledger(*units: UnitState) -> Ledger:
    return Ledger(STAGING, {}, {state.unit: state for state in units})


def state(facts: ClusterFacts, position: Position = POSITION) -> ClusterState:
    return cluster_status(facts, position).state


def status(*facts: ClusterFacts, **rest: object) -> Status:
    made = Status(
        repository="ml-platform",
        time="2027-01-01T12:00:00+00:00",
        running=True,
        head=HEAD,
        accepted=HEAD,
        refused=None,
        explanation="",
        clusters=tuple(cluster_status(each, POSITION) for each in facts),
        fetch_age_seconds=2.0,
    )
    return replace(made, **rest)  # type: ignore[arg-type]


FINE = ClusterFacts(ledger(SETTLED), leading=True)


def test_a_settled_cluster_at_the_wanted_commit_is_as_declared() -> None:
    assert state(FINE) is ClusterState.AS_DECLARED


def test_a_unit_that_waits_for_a_newer_state_counts_once() -> None:
    waiting = Waiting(FRAUD, WaitReason.CLUSTER_STALE, "connection refused")
    found = cluster_status(replace(FINE, waiting=(waiting,)), POSITION)
    assert (found.settled_units, len(found.unsettled_units)) == (0, 1)


def test_a_settled_cluster_that_cannot_be_seen_is_stale() -> None:
    assert state(replace(FINE, trouble="connection refused")) is ClusterState.STALE


def test_a_cluster_at_an_older_commit_is_progressing() -> None:
    assert state(FINE, replace(POSITION, applied={})) is ClusterState.PROGRESSING


def test_a_cluster_with_nothing_accepted_is_not_as_declared() -> None:
    assert state(FINE, Position()) is ClusterState.PROGRESSING


@pytest.mark.parametrize(
    ("standing", "expected"),
    [
        (Standing.HELD, ClusterState.HELD),
        (Standing.REFUSED, ClusterState.REFUSED),
        (Standing.WAITING, ClusterState.WAITING),
        (Standing.PROGRESSING, ClusterState.PROGRESSING),
    ],
)
def test_one_unit_that_is_not_settled_decides_for_the_cluster(
    standing: Standing, expected: ClusterState
) -> None:
    assert state(ClusterFacts(ledger(SETTLED, UnitState(TEAM, standing)))) is expected


def test_a_contested_object_keeps_a_cluster_from_being_as_declared() -> None:
    contested = (ObjectKey("", "ConfigMap", "team-risk", "limits"),)
    assert state(replace(FINE, contested=contested)) is ClusterState.CONTESTED


def test_a_unit_that_a_plan_passed_over_is_shown_with_the_reason() -> None:
    waiting = Waiting(TEAM, WaitReason.EARLIER_STAGE, "staging comes first")
    found = cluster_status(replace(FINE, waiting=(waiting,)), POSITION)
    [unit] = found.unsettled_units
    assert (unit.unit, unit.explanation) == (TEAM, "staging comes first")


@pytest.mark.parametrize(
    "change",
    [
        {"running": False},
        {"fetch_trouble": "no answer"},
        {"head": BASE},
        {"head": None},
        {"clusters": ()},
    ],
    ids=["not running", "cannot fetch", "a newer head", "never fetched", "no cluster"],
)
def test_nothing_counts_as_declared_while_something_is_unknown(change: dict[str, object]) -> None:
    assert status(FINE).as_declared
    assert not replace(status(FINE), **change).as_declared  # type: ignore[arg-type]


def test_a_commit_that_was_seen_and_not_judged_is_pending() -> None:
    next_one = CommitSha("d" * 40)
    assert status(FINE, head=next_one).pending == next_one


def test_a_status_survives_its_json() -> None:
    held = UnitState(TEAM, Standing.HELD, explanation="probes failed")
    found = status(FINE, ClusterFacts(ledger(held), trouble="gone"), refused=BASE)
    assert status_from_json(orjson.dumps(status_json(found))) == found


def test_status_from_json_refuses_another_version() -> None:
    body = {**status_json(status(FINE)), "version": 2}
    with pytest.raises(ValueError, match="version"):
        status_from_json(orjson.dumps(body))


def test_a_status_in_which_all_is_well(snapshot: SnapshotAssertion) -> None:
    assert plain_text(status_lines(status(FINE))) == snapshot


def test_a_status_with_every_trouble(snapshot: SnapshotAssertion) -> None:
    units = (
        SETTLED,
        UnitState(
            TEAM,
            Standing.HELD,
            refused_commit=HEAD,
            explanation="Deployment/team-risk/server: probes fail",
        ),
    )
    contested = (ObjectKey("", "ConfigMap", "team-risk", "limits"),)
    lost = ClusterFacts(
        Ledger(PRODUCTION), "connection refused", trouble_since="2027-01-01T11:00:00+00:00"
    )
    found = status(
        lost,
        ClusterFacts(ledger(*units), leading=True, contested=contested),
        refused=BASE,
        explanation="models/x.yaml:3:1 unknown field",
        fetch_trouble="the remote does not answer",
        notices=("Gate errors is declared but not yet enforced",),
    )
    assert plain_text(status_lines(found)) == snapshot


def test_a_commit_that_waits_for_approval_is_neither_pending_nor_refused() -> None:
    told = "Role owner gains infer; waits for approval: 1 of platform"
    held = replace(status(), accepted=BASE, held=HEAD, waits_for=told)
    assert held.pending is None
    assert not held.as_declared
    text = plain_text(status_lines(held))
    assert f", {HEAD[:10]} waits for approval" in text.splitlines()[0]
    assert f"held       {HEAD[:10]}  {told}" in text
    assert status_from_json(orjson.dumps(status_json(held))) == held


def test_without_a_daemon_the_first_lines_say_that_nothing_is_known() -> None:
    shown = plain_text(status_lines(status(FINE, running=False, head=None)))
    assert shown.startswith("ml-platform: unknown\nNo daemon answers.")
