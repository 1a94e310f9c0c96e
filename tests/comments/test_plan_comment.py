"""What a comment says of a plan, and that it always fits."""

from __future__ import annotations

import itertools
import random
import re
from dataclasses import replace

import pytest
from syrupy.assertion import SnapshotAssertion

from reconciler.core.fields import FieldChange
from reconciler.core.identifiers import ClusterName, ObjectKey, UnitName
from reconciler.core.plans import Action, Change, ClusterPlan, Refusal, Waiting, WaitReason
from reconciler.core.presenting.comment_facts import Request
from reconciler.core.presenting.plan_comment import BUDGET, LEAST_BUDGET
from tests.presenting.builders import (
    BASE,
    HEAD,
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
    role_binding,
    stale,
    unverified,
)

from .builders import REQUEST, Case, case_of, planned, risk_team, state
from .hostile import hostile_texts
from .trees import Tree


def readable(case: Case) -> str:
    """The comment, with a digest that does not depend on every detail of the plan's JSON."""
    return case.comment().replace(case.plan.digest, "sha256:…")


def two(*changes: Change, request: Request = REQUEST) -> Case:
    clusters = (ClusterPlan(name, changes=changes) for name in (PRODUCTION, STAGING))
    return planned(*clusters, request=request)


def many(count: int, *, text: str = "value") -> tuple[Change, ...]:
    """So many changes, of all that can happen to an object, in units of a hundred."""
    found = []
    for number in range(count):
        before = manifest("ConfigMap", f"settings-{number}", key=text)
        after = manifest("ConfigMap", f"settings-{number}", key=text + "s")
        action = (Action.UPDATE, Action.CREATE, Action.DELETE)[number % 3]
        found.append(
            change(
                action,
                before=None if action is Action.CREATE else before,
                after=None if action is Action.DELETE else after,
                unit=UnitName(f"manifests/platform/{number // 100}"),
                fields=(FieldChange(".data.key", text, text + "s"),),
            )
        )
    return tuple(found)


def test_a_small_change(snapshot: SnapshotAssertion) -> None:
    case = two(limits(), request=replace(REQUEST, waits=(), approved=("ada",)))
    assert readable(case) == snapshot


def test_a_canary(snapshot: SnapshotAssertion) -> None:
    waits = ("1 of team-risk, because rollouts/risk/fraud-detector.yaml changes",)
    request = replace(REQUEST, waits=waits)
    case = case_of(state(**risk_team()), state(**risk_team(version="v4")), request=request)
    assert readable(case).split("#### Differences")[0] == snapshot


def test_a_refusal(snapshot: SnapshotAssertion) -> None:
    case = planned(
        ClusterPlan(PRODUCTION, changes=(limits(),), refusals=(conflict(),)),
        ClusterPlan(STAGING, refusals=(conflict(),), deletions=over_budget()),
    )
    assert readable(case) == snapshot


def test_a_deletion(snapshot: SnapshotAssertion) -> None:
    gone = risk_team()
    del gone["rollouts"]
    assert readable(case_of(state(**risk_team()), state(**gone))) == snapshot


def test_everything_that_can_be_in_a_plan(snapshot: SnapshotAssertion) -> None:
    case = planned(
        ClusterPlan(
            PRODUCTION,
            changes=(*new_version(), role_binding(), limits()),
            drift=(drifted(),),
            unverified=(unverified(),),
        ),
        ClusterPlan(STAGING, waiting=(stale(),)),
        notices=("Gate drift is declared but not yet enforced",),
        rolling=("reranker: v1 → v2: 5 % of the requests, all requests; judged by errors",),
        request=replace(REQUEST, moved=("base", "cluster staging"), answers=("Planned again.",)),
    )
    assert readable(case) == snapshot


def test_a_fork_that_was_compared_offline(snapshot: SnapshotAssertion) -> None:
    request = replace(REQUEST, offline=True, fork=True)
    case = case_of(state(**risk_team()), state(**risk_team(version="v4")), request=request)
    assert readable(case).split("#### Differences")[0] == snapshot


def test_an_empty_plan_says_that_nothing_changes() -> None:
    first = planned(ClusterPlan(PRODUCTION), ClusterPlan(STAGING)).comment().splitlines()[0]
    assert first == "### ✅ No changes: 2 clusters as declared"


NOT_EMPTY = {
    "refused": ClusterPlan(STAGING, refusals=(conflict(),)),
    "unseen": ClusterPlan(STAGING, waiting=(stale(),)),
    "unverified": ClusterPlan(STAGING, unverified=(unverified(),)),
    "drift": ClusterPlan(STAGING, drift=(drifted(),)),
    "over budget": ClusterPlan(STAGING, deletions=over_budget()),
    "waiting": ClusterPlan(
        STAGING, waiting=(Waiting(TEAM, WaitReason.REFUSED_BEFORE, "it was put back"),)
    ),
}


@pytest.mark.parametrize("cluster", NOT_EMPTY.values(), ids=NOT_EMPTY)
def test_what_was_left_out_never_reads_as_no_changes(cluster: ClusterPlan) -> None:
    comment = planned(ClusterPlan(PRODUCTION), cluster).comment()
    assert "no changes" not in comment.lower()
    assert "✅" not in comment


def test_an_offline_plan_without_changes_does_not_read_as_no_changes() -> None:
    case = planned(request=replace(REQUEST, offline=True))
    assert case.comment().startswith("### ⚠️ No cluster was asked: both commits declare the same")


def test_a_plan_of_no_cluster_is_unknown() -> None:
    assert planned().comment().startswith("### ⚠️ Unknown: no cluster is concerned")


def test_a_truncated_plan_says_how_much_is_missing_and_where_it_is() -> None:
    comment = planned(ClusterPlan(STAGING, changes=many(3_000))).comment()
    assert "Not shown here for length:" in comment
    assert "of 3,000 differences" in comment
    assert "(https://fairlead.example.com/pr/7)" in comment.splitlines()[-1]
    assert f"fairlead plan {HEAD[:10]} --json" in comment


def test_what_is_cut_is_what_matters_least() -> None:
    fields = (FieldChange(".spec.x", "1", "2"),)
    route = manifest("HTTPRoute", "fraud", group="gateway.networking.k8s.io")
    traffic = change(Action.UPDATE, before=route, after=route, fields=fields)
    comment = planned(ClusterPlan(STAGING, changes=(*many(2_000), traffic))).comment()
    folds = [part for part in comment.splitlines() if part.startswith("<details>")]
    assert "deleted" in folds[0]
    assert "HTTPRoute" in folds[1]


def test_the_verdict_stands_in_the_first_line_and_the_facts_in_twelve() -> None:
    case = planned(
        ClusterPlan(PRODUCTION, changes=(*new_version(), role_binding(), limits())),
        ClusterPlan(STAGING, drift=(drifted(),), waiting=(stale(),)),
        request=replace(REQUEST, moved=("base",), waits=("1 of team-risk",), approved=("ada",)),
    )
    above = case.comment().split("####")[0]
    assert above.count("\n- ") <= 12
    assert len(case.comment().split("\n- **Plan:**")[0].encode()) < 2_000


@pytest.mark.parametrize("count", [1, 10, 100, 1_000, 10_000])
def test_s12_a_plan_of_any_size_is_whole_markdown_within_the_budget(count: int) -> None:
    comment = planned(ClusterPlan(STAGING, changes=many(count))).comment()
    assert len(comment.encode()) <= BUDGET
    assert Tree(comment).balanced


def test_s12_every_size_around_the_budget_is_whole() -> None:
    case = planned(ClusterPlan(STAGING, changes=many(60), drift=(drifted(),)))
    view, impact = case.view, case.impact
    whole = len(case.comment().encode())
    around = (LEAST_BUDGET + 20, whole, whole + 900)
    for budget in (found + step for found in around for step in range(-20, 20)):
        comment = plan_of(view, impact, budget)
        tree = Tree(comment)
        assert len(comment.encode()) <= budget
        assert tree.balanced
        assert tree.shape.count("details") == tree.shape.count("/details")


def plan_of(view: object, impact: object, budget: int) -> str:
    from reconciler.core.presenting.plan_comment import plan_comment

    return plan_comment(view, impact, request=REQUEST, budget=budget)  # type: ignore[arg-type]


@pytest.mark.parametrize("length", range(15_000, 15_012))
def test_s12_a_value_of_any_length_is_whole(length: int) -> None:
    text = "`~<é" * (length // 4) + "x" * (length % 4)
    comment = planned(ClusterPlan(STAGING, changes=many(30, text=text))).comment()
    assert len(comment.encode()) <= BUDGET
    assert Tree(comment).balanced


def hostile_case(texts: list[str]) -> Case:
    """A plan with foreign text wherever a plan can hold some."""
    draw = itertools.cycle(texts)
    found = manifest("ConfigMap", "x")
    hostile = change(
        Action.UPDATE,
        before=found,
        after=found,
        unit=UnitName(next(draw)),
        fields=(
            FieldChange(f".data.{next(draw)}", next(draw), next(draw)),
            FieldChange(".data.lines", f"a\n{next(draw)}", f"b\n{next(draw)}"),
        ),
        explanation=next(draw),
    )
    created = change(Action.CREATE, after=manifest("ConfigMap", "y", key=next(draw)))
    refusal = Refusal(
        UnitName(next(draw)), ObjectKey("", "ConfigMap", "n", next(draw)), "invalid", next(draw)
    )
    waiting = Waiting(UnitName(next(draw)), WaitReason.CONTESTED, next(draw))
    cluster = ClusterPlan(
        ClusterName(next(draw)), (hostile, created), (drifted(),), (refusal,), waiting=(waiting,)
    )
    return planned(
        cluster,
        notices=(next(draw),),
        rolling=(next(draw),),
        request=replace(REQUEST, waits=(next(draw),), approved=(next(draw),), moved=(next(draw),)),
    )


def test_s10_hostile_plans_have_the_tree_of_harmless_ones() -> None:
    # A plan is JSON, which cannot hold half a character.
    texts = [told.replace("\ud800", "") or "-" for told in hostile_texts(6_000, seed=20)]
    harmless = Tree(hostile_case(["x"]).comment()).shape
    for start in range(0, len(texts) - 20, 20):
        tree = Tree(hostile_case(texts[start : start + 20]).comment())
        assert tree.shape == harmless, ascii(texts[start : start + 20])
        assert tree.links == ["https://fairlead.example.com/pr/7"]


def test_the_same_plan_is_the_same_comment_a_thousand_times() -> None:
    case = two(*new_version(), role_binding(), limits())
    view, impact = case.view, case.impact
    first = plan_of(view, impact, BUDGET)
    assert all(plan_of(view, impact, BUDGET) == first for _ in range(1_000))


def test_the_order_in_which_changes_were_found_does_not_matter() -> None:
    changes = [*new_version(), role_binding(), limits(), *many(30)]
    first = planned(ClusterPlan(STAGING, changes=tuple(changes)))
    for seed in range(10):
        random.Random(seed).shuffle(changes)
        other = planned(ClusterPlan(STAGING, changes=tuple(changes)))
        assert readable(other) == readable(first)


def test_the_order_of_the_clusters_does_not_matter() -> None:
    clusters = [
        ClusterPlan(
            ClusterName(f"c{number}"),
            changes=(*new_version(), limits(number % 3)),
            refusals=(conflict(),),
            waiting=(stale(),) if number % 2 else (),
            unverified=(unverified(),),
            deletions=over_budget(),
        )
        for number in range(8)
    ]
    first = readable(planned(*clusters))
    for seed in range(10):
        random.Random(seed).shuffle(clusters)
        assert readable(planned(*clusters)) == first


@pytest.mark.slow
def test_a_hundred_thousand_units_fit_and_are_counted() -> None:
    one = limits()
    changes = (replace(one, unit=UnitName(f"manifests/{n}")) for n in range(100_000))
    comment = planned(ClusterPlan(STAGING, changes=tuple(changes))).comment()
    assert len(comment.encode()) <= BUDGET
    assert re.search(r"and 99,\d{3} more, left out here for length", comment)
    assert Tree(comment).balanced


def test_changes_that_are_the_same_in_many_clusters_are_shown_once() -> None:
    clusters = (ClusterPlan(ClusterName(f"c{n}"), changes=(limits(),)) for n in range(12))
    comment = planned(*clusters).comment()
    assert comment.count("<details>") == 1
    assert "the same in <code>c0</code>" in comment
    assert "and 8 more" in comment


def test_fields_that_are_hidden_are_counted() -> None:
    assert "14 fields hidden" in two(limits()).comment()


def test_a_text_of_many_lines_is_compared_line_by_line() -> None:
    found = manifest("ConfigMap", "prompt")
    lines = [f"line {number}" for number in range(50)]
    fields = (FieldChange(".data.text", "\n".join(lines), "\n".join([*lines[:25], "new"])),)
    comment = two(change(Action.UPDATE, before=found, after=found, fields=fields)).comment()
    assert "+   new" in comment
    assert "line 3\n" not in comment


def test_an_object_that_is_created_is_shown_whole_without_its_secrets() -> None:
    made = manifest("ConfigMap", "new", password="correct-horse", level="info")
    comment = two(change(Action.CREATE, after=made)).comment()
    assert "+   level: info" in comment
    assert "correct-horse" not in comment


def test_the_comment_names_the_digest_that_an_approval_binds_to() -> None:
    case = two(limits())
    assert case.plan.digest in case.comment()
    assert BASE[:10] in case.comment()
