"""Which rules judge a change."""

from __future__ import annotations

from reconciler.core.kinds.repository import RepositorySpec
from tests.desired.builders import (
    MODEL,
    POLICY,
    ROLLOUT,
    codes,
    compile_tree,
    compiled,
    config_map,
    repository,
)

CLUSTER_ROLE = """\
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: "fairlead:reader"}
rules: []
"""
NODE_CLASS = "apiVersion: example.com/v1\nkind: NodeClass\nmetadata: {name: big}\n"


def rules(policy: str = POLICY) -> RepositorySpec:
    return compiled({**repository(), "fairlead.yaml": policy}).state.policy


def listing(*kinds: str) -> str:
    return POLICY.replace("monitoring]}", f"monitoring], kinds: [{', '.join(kinds)}]}}")


def test_a_namespace_outside_the_policy_is_refused() -> None:
    tree = repository(platform__x__a=config_map("a", namespace="kube-system"))
    _, problems = compile_tree(tree)
    assert [(p.code, p.location) for p in problems] == [
        ("namespace-not-allowed", "platform/x/a.yaml:5:14")
    ]


def test_the_namespace_of_a_rollout_is_judged_too() -> None:
    rollout = ROLLOUT.replace("team-risk", "kube-system")
    assert codes(repository(models=MODEL, rollouts=rollout)) == ["namespace-not-allowed"]


def test_a_namespace_object_is_judged_by_its_name() -> None:
    namespace = "apiVersion: v1\nkind: Namespace\nmetadata: {name: kube-public}\n"
    assert codes(repository(platform__x__a=namespace)) == ["namespace-not-allowed"]
    allowed = namespace.replace("kube-public", "team-new")
    assert codes(repository(platform__x__a=allowed)) == []


def test_a_privileged_kind_needs_to_be_listed() -> None:
    tree = repository(platform__x__role=CLUSTER_ROLE)
    assert codes(tree) == ["kind-not-allowed"]
    tree["fairlead.yaml"] = listing("ClusterRole.rbac.authorization.k8s.io")
    assert codes(tree) == []


def test_an_unknown_kind_without_namespace_needs_to_be_listed() -> None:
    tree = repository(platform__x__class=NODE_CLASS)
    assert codes(tree) == ["kind-not-allowed"]
    tree["fairlead.yaml"] = listing("NodeClass.example.com")
    assert codes(tree) == []


def test_nobody_allows_something_and_uses_it_in_the_same_commit() -> None:
    tree = repository(platform__x__role=CLUSTER_ROLE)
    tree["fairlead.yaml"] = listing("ClusterRole.rbac.authorization.k8s.io")
    _, problems = compile_tree(tree, rules=rules())
    assert [problem.code for problem in problems] == ["kind-not-allowed"]
    assert "must be merged and applied first" in problems[0].hint


def test_what_the_policy_in_force_allows_may_be_used() -> None:
    tree = repository(platform__x__role=CLUSTER_ROLE)
    tree["fairlead.yaml"] = listing("ClusterRole.rbac.authorization.k8s.io")
    assert codes(tree, rules=rules(tree["fairlead.yaml"])) == []


def test_nobody_forbids_what_the_same_commit_still_has() -> None:
    tree = repository(platform__x__a=config_map("a", namespace="monitoring"))
    before = compiled(tree)
    after = {**tree, "fairlead.yaml": POLICY.replace(", monitoring", "")}
    found = codes(after, before=tree, previous=before, rules=before.state.policy)
    assert found == ["namespace-not-allowed"]


def test_a_cluster_outside_the_policy_is_refused() -> None:
    tree = repository(models=MODEL, rollouts=ROLLOUT)
    tree["fairlead.yaml"] = POLICY.replace("labels: {fleet: acme}", "names: [staging-1]")
    _, problems = compile_tree(tree)
    assert [(p.code, p.path) for p in problems] == [("cluster-not-allowed", "rollouts.yaml")]


def test_a_cluster_must_be_allowed_before_it_is_targeted() -> None:
    narrow = rules(POLICY.replace("labels: {fleet: acme}", "names: [staging-1]"))
    tree = repository(platform__x__a=config_map("a"))
    _, problems = compile_tree(tree, rules=narrow)
    assert [(p.code, p.path) for p in problems] == [("cluster-not-allowed", "fairlead.yaml")]


def test_the_policy_may_allow_a_cluster_that_is_to_come() -> None:
    tree = repository()
    tree["fairlead.yaml"] = POLICY.replace(
        "labels: {fleet: acme}", "names: [staging-1, production-1, production-2]"
    )
    assert compiled(tree).state.notices == (
        "the policy allows cluster production-2, which no file declares",
    )
