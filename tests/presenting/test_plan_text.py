"""The words of a plan, held against golden texts."""

from __future__ import annotations

import re

import pytest
from syrupy.assertion import SnapshotAssertion

from reconciler.core.fields import FieldChange
from reconciler.core.plans import Action, ClusterPlan, Plan, Waiting, WaitReason
from reconciler.core.presenting.lines import plain_text
from reconciler.core.presenting.plan_text import plan_lines, verdict
from reconciler.core.presenting.plan_view import plan_view

from .builders import (
    PRODUCTION,
    STAGING,
    TEAM,
    change,
    conflict,
    drifted,
    limits,
    manifest,
    new_version,
    over_budget,
    plan,
    role_binding,
    stale,
    unverified,
)


def text(found: Plan) -> str:
    """The text, with a digest that does not depend on every detail of the plan's JSON."""
    shown = plain_text(plan_lines(plan_view(found)))
    return shown.replace(found.digest, "sha256:…")


def verdict_of(*clusters: ClusterPlan) -> str:
    return plain_text([verdict(plan_view(plan(*clusters)))]).strip()


def test_a_new_version_in_two_clusters(snapshot: SnapshotAssertion) -> None:
    clusters = (ClusterPlan(name, changes=new_version()) for name in (PRODUCTION, STAGING))
    assert text(plan(*clusters)) == snapshot


def test_everything_that_can_be_in_a_plan(snapshot: SnapshotAssertion) -> None:
    found = plan(
        ClusterPlan(
            PRODUCTION,
            changes=(*new_version(), role_binding(), limits()),
            drift=(drifted(),),
            unverified=(unverified(),),
            waiting=(
                Waiting(TEAM, WaitReason.REFUSED_BEFORE, "it was put back: probes failed"),
                Waiting(TEAM, WaitReason.CONTESTED, "ConfigMap/team-risk/x"),
            ),
        ),
        ClusterPlan(
            STAGING,
            changes=(
                limits(),
                change(
                    Action.REPLACE,
                    before=manifest("Service", "fraud"),
                    after=manifest("Service", "fraud"),
                    explanation="a field that cannot change would change",
                    force=True,
                ),
                change(Action.ADOPT, after=manifest("ConfigMap", "found")),
            ),
        ),
        notices=("Gate errors is declared but not yet enforced",),
    )
    assert text(found) == snapshot


def test_a_refused_plan(snapshot: SnapshotAssertion) -> None:
    found = plan(
        ClusterPlan(PRODUCTION, changes=(limits(),), refusals=(conflict(),)),
        ClusterPlan(STAGING, refusals=(conflict(),), deletions=over_budget()),
    )
    assert text(found) == snapshot


def test_an_empty_plan_says_so_in_its_verdict() -> None:
    verdict = verdict_of(ClusterPlan(PRODUCTION), ClusterPlan(STAGING))
    assert verdict == "No changes: 2 clusters as declared"


@pytest.mark.parametrize(
    "cluster",
    [
        ClusterPlan(STAGING, refusals=(conflict(),)),
        ClusterPlan(STAGING, waiting=(stale(),)),
        ClusterPlan(STAGING, unverified=(unverified(),)),
        ClusterPlan(STAGING, drift=(drifted(),)),
        ClusterPlan(STAGING, deletions=over_budget()),
    ],
    ids=["refused", "stale", "unverified", "drift", "budget"],
)
def test_the_verdict_never_says_no_changes_when_something_was_left_out(
    cluster: ClusterPlan,
) -> None:
    assert "No changes" not in verdict_of(cluster)


def test_the_verdict_names_a_cluster_that_cannot_be_seen() -> None:
    assert "staging cannot be seen" in verdict_of(
        ClusterPlan(PRODUCTION, changes=(limits(),)), ClusterPlan(STAGING, waiting=(stale(),))
    )


def test_a_refused_plan_says_so_first() -> None:
    assert verdict_of(ClusterPlan(STAGING, refusals=(conflict(),))).startswith("REFUSED")


def test_the_text_ends_with_the_digest_that_an_approval_binds_to() -> None:
    found = plan(ClusterPlan(STAGING, changes=(limits(),)))
    assert plain_text(plan_lines(plan_view(found))).endswith(f"plan {found.digest}\n")


def test_the_verdict_says_how_much_gives_access() -> None:
    assert "1 giving access" in verdict_of(ClusterPlan(STAGING, changes=(role_binding(),)))


def test_drift_is_not_blended_with_the_changes_of_the_commit() -> None:
    shown = text(plan(ClusterPlan(STAGING, changes=(limits(),), drift=(drifted(),))))
    changes, drift = shown.split("Drift: ")
    assert ".data.rate" not in changes
    assert ".data.rate" in drift


def test_fields_that_are_left_out_are_counted() -> None:
    found = manifest("ConfigMap", "many")
    fields = tuple(FieldChange(f".data.key{n:02}", "1", "2") for n in range(60))
    many = change(Action.UPDATE, before=found, after=found, fields=fields)
    shown = text(plan(ClusterPlan(STAGING, changes=(many,))))
    assert "10 more fields, see --json" in shown


def test_foreign_text_cannot_move_the_cursor_or_hide_anything() -> None:
    found = manifest("ConfigMap", "x")
    evil = "\x1b[2J\u202e\u200b\r\n✓ approved"
    hostile = change(
        Action.UPDATE,
        before=found,
        after=found,
        fields=(FieldChange(f".data.{evil}", evil, {"a": evil}),),
        explanation=evil,
    )
    waiting = Waiting(TEAM, WaitReason.REFUSED_BEFORE, evil)
    shown = text(plan(ClusterPlan(STAGING, changes=(hostile,), waiting=(waiting,))))
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f\u200b\u202e]", shown)
    assert "\n✓ approved" not in shown
