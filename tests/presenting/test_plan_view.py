"""What a reader of a plan sees, and in which order."""

from __future__ import annotations

import itertools

import pytest

from reconciler.core.fields import FieldChange
from reconciler.core.plans import Action, ClusterPlan
from reconciler.core.presenting.plan_view import Importance, plan_view

from .builders import (
    FRAUD,
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


def test_a_plan_without_anything_is_empty() -> None:
    assert plan_view(plan(ClusterPlan(STAGING))).empty


def test_a_plan_without_clusters_is_not_called_empty() -> None:
    assert not plan_view(plan()).empty


@pytest.mark.parametrize(
    "cluster",
    [
        ClusterPlan(STAGING, changes=(role_binding(),)),
        ClusterPlan(STAGING, drift=(drifted(),)),
        ClusterPlan(STAGING, refusals=(conflict(),)),
        ClusterPlan(STAGING, unverified=(unverified(),)),
        ClusterPlan(STAGING, waiting=(stale(),)),
        ClusterPlan(STAGING, deletions=over_budget()),
        ClusterPlan(STAGING, changes=(change(Action.ADOPT, after=manifest("ConfigMap", "found")),)),
        ClusterPlan(
            STAGING, changes=(change(Action.FORGET, before=manifest("ConfigMap", "gone")),)
        ),
    ],
    ids=["change", "drift", "refusal", "unverified", "waiting", "budget", "adopted", "forgotten"],
)
def test_a_plan_with_anything_at_all_is_not_empty(cluster: ClusterPlan) -> None:
    assert not plan_view(plan(ClusterPlan(PRODUCTION), cluster)).empty


def test_the_same_change_in_two_clusters_is_shown_once() -> None:
    view = plan_view(
        plan(
            ClusterPlan(PRODUCTION, changes=(limits(),)), ClusterPlan(STAGING, changes=(limits(),))
        )
    )
    [unit] = view.units
    [found] = unit.changes
    assert found.clusters == (PRODUCTION, STAGING)


def test_changes_that_differ_between_clusters_are_shown_apart() -> None:
    view = plan_view(
        plan(
            ClusterPlan(PRODUCTION, changes=(limits(5),)),
            ClusterPlan(STAGING, changes=(limits(6),)),
        )
    )
    [unit] = view.units
    assert [found.clusters for found in unit.changes] == [(PRODUCTION,), (STAGING,)]


def test_objects_are_counted_in_every_cluster() -> None:
    view = plan_view(
        plan(
            ClusterPlan(PRODUCTION, changes=(limits(),)), ClusterPlan(STAGING, changes=(limits(),))
        )
    )
    assert view.counts == {Action.UPDATE: 2}


def test_deletions_come_first_then_permissions_then_traffic_then_workloads() -> None:
    view = plan_view(plan(ClusterPlan(STAGING, changes=(*new_version(), role_binding(), limits()))))
    assert [unit.unit for unit in view.units] == [FRAUD, TEAM]
    assert [found.importance for unit in view.units for found in unit.changes] == [
        Importance.DELETION,
        Importance.TRAFFIC,
        Importance.WORKLOADS,
        Importance.PERMISSIONS,
        Importance.WORKLOADS,
    ]


def test_order_does_not_depend_on_the_order_of_the_plan() -> None:
    changes = (*new_version(), role_binding())
    views = [
        plan_view(plan(ClusterPlan(STAGING, changes=order))).units
        for order in itertools.permutations(changes)
    ]
    assert all(view == views[0] for view in views)


def test_a_new_version_is_the_headline() -> None:
    view = plan_view(
        plan(
            ClusterPlan(PRODUCTION, changes=new_version()),
            ClusterPlan(STAGING, changes=new_version()),
        )
    )
    assert view.units[0].headline == "fraud-detector: v2 → v3 in production, staging"


def test_a_first_version_is_called_new() -> None:
    first = change(Action.CREATE, after=manifest("Service", "fraud", version="v1"))
    view = plan_view(plan(ClusterPlan(STAGING, changes=(first,))))
    assert view.units[0].headline == "fraud-detector: v1, new in staging"


def test_a_version_that_goes_for_good_is_called_removed() -> None:
    last = change(Action.DELETE, before=manifest("Service", "fraud", version="v1"))
    view = plan_view(plan(ClusterPlan(STAGING, changes=(last,))))
    assert view.units[0].headline == "fraud-detector: v1 removed in staging"


def test_a_change_within_one_version_is_headed_by_the_unit() -> None:
    same = manifest("Service", "fraud", version="v1")
    view = plan_view(
        plan(ClusterPlan(STAGING, changes=(change(Action.UPDATE, before=same, after=same),)))
    )
    assert view.units[0].headline == f"{FRAUD} in staging"


def test_values_that_may_be_credentials_do_not_reach_the_view() -> None:
    found = manifest("ConfigMap", "config")
    secret = change(
        Action.UPDATE,
        before=found,
        after=found,
        fields=(FieldChange(".data.password", "correct horse", "battery staple"),),
    )
    shown = repr(plan_view(plan(ClusterPlan(STAGING, changes=(secret,)))))
    assert "horse" not in shown
    assert "staple" not in shown


def test_units_that_wait_for_the_same_reason_are_one_line() -> None:
    view = plan_view(plan(ClusterPlan(STAGING, waiting=(stale(FRAUD), stale(TEAM)))))
    [waiting] = view.waiting
    assert waiting.units == (FRAUD, TEAM)


def test_a_cluster_that_cannot_be_seen_is_named() -> None:
    assert plan_view(plan(ClusterPlan(STAGING, waiting=(stale(),)))).unseen == (STAGING,)


def test_an_exhausted_deletion_budget_refuses_the_plan() -> None:
    assert plan_view(plan(ClusterPlan(STAGING, deletions=over_budget()))).refused
