"""What the policy is there to stop, and attempts to get around the policy itself."""

from __future__ import annotations

import pytest

from tests.engine.world import config_map, deployment

from .estate import GOOD, POLICY, Siege

pytestmark = pytest.mark.asyncio(loop_scope="module")

FILE = "apps/web/x.yaml"
LOOSE = POLICY.replace(b"[team-*]", b"['*']").replace(
    b"kinds: [", b"kinds: [ClusterRoleBinding.rbac.authorization.k8s.io, "
)
ADMIN = b"""\
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: x}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: cluster-admin}
subjects: [{kind: User, name: mallory, apiGroup: rbac.authorization.k8s.io}]
"""
OUTSIDE = config_map("x", namespace="kube-system")


def cluster_wide(version: str, kind: str) -> bytes:
    return f"apiVersion: {version}\nkind: {kind}\nmetadata: {{name: x}}\n".encode()


@pytest.mark.parametrize("namespace", ["kube-system", "default", "xteam-a", "fairlead"])
async def test_another_namespace_is_refused(siege: Siege, namespace: str) -> None:
    commit = siege.origin.push({FILE: config_map("x", namespace=namespace)})
    await siege.resists(commit, ("namespace-not-allowed", FILE, 3))


@pytest.mark.parametrize(
    ("version", "kind", "code"),
    [
        ("rbac.authorization.k8s.io/v1", "ClusterRole", "kind-not-allowed"),
        ("rbac.authorization.k8s.io/v1", "clusterrole", "namespace-missing"),
        ("RBAC.authorization.k8s.io/v1", "ClusterRole", "field-value"),
        ("apiextensions.k8s.io/v1", "CustomResourceDefinition", "kind-not-allowed"),
        ("admissionregistration.k8s.io/v1", "MutatingWebhookConfiguration", "kind-not-allowed"),
        ("apiregistration.k8s.io/v1", "APIService", "kind-not-allowed"),
        ("v1", "Node", "kind-not-allowed"),
        ("v1", "Namespace", "namespace-not-allowed"),
        ("example.com/v1", "Widget", "kind-not-allowed"),
        ("resource.k8s.io/v1", "DeviceClass", "kind-not-allowed"),
        ("fairlead.dev/v1alpha1", "Repository", "misplaced-document"),
    ],
)
async def test_a_kind_that_is_not_listed_is_refused(
    siege: Siege, version: str, kind: str, code: str
) -> None:
    refusal = await siege.resists(siege.origin.push({FILE: cluster_wide(version, kind)}))
    assert {path for _, path, _ in refusal.problems} == {FILE}
    if kind != "Repository":
        assert code in {problem[0] for problem in refusal.problems}


async def test_a_policy_cannot_be_loosened_and_used_at_once(siege: Siege) -> None:
    commit = siege.origin.push({"fairlead.yaml": LOOSE, FILE: OUTSIDE, "apps/z/y.yaml": ADMIN})
    await siege.resists(
        commit, ("namespace-not-allowed", FILE, 3), ("kind-not-allowed", "apps/z/y.yaml", 2)
    )


async def test_a_refused_loosening_does_not_count_for_the_next_commit(siege: Siege) -> None:
    await siege.refuses(siege.origin.push({"fairlead.yaml": LOOSE, FILE: OUTSIDE}))
    await siege.resists(
        siege.origin.push({"README.md": b"again"}), ("namespace-not-allowed", FILE, 3)
    )


async def test_the_budget_that_judges_a_deletion_is_not_its_own(siege: Siege) -> None:
    gone = dict.fromkeys([f"apps/web/{name}.yaml" for name in "cdefghij"])
    generous = POLICY.replace(b"20%", b"100%")
    commit = siege.origin.push({"fairlead.yaml": generous, **gone})
    refusal = await siege.resists(commit, code="refused")
    assert "8 of 10 objects would be lost, the budget is 2" in refusal.explanation


async def test_manifests_that_the_policy_no_longer_names_are_not_deleted_silently(
    siege: Siege,
) -> None:
    commit = siege.origin.push({"fairlead.yaml": POLICY.replace(b"apps/*", b"elsewhere/*")})
    await siege.resists(commit)


async def test_excluding_everything_deletes_nothing(siege: Siege) -> None:
    commit = siege.origin.push({"fairlead.yaml": POLICY + b"  exclude: [apps]\n"})
    refusal = await siege.resists(commit, code="refused")
    assert "would be lost" in refusal.explanation


async def test_hiding_the_files_deletes_nothing(siege: Siege) -> None:
    moved = {f".apps/web/{n}.yaml": GOOD[f"apps/web/{n}.yaml"] for n in "abcdefghij"}
    gone = dict.fromkeys([f"apps/web/{n}.yaml" for n in "abcdefghij"])
    refusal = await siege.resists(siege.origin.push({**moved, **gone}), code="refused")
    assert "would be lost" in refusal.explanation


async def test_an_empty_tree_deletes_nothing(siege: Siege) -> None:
    commit = siege.origin.push_tree(siege.origin.raw_tree())
    await siege.resists(commit, ("repository-missing", "fairlead.yaml", None))


@pytest.mark.parametrize("renamed", ["Fairlead.yaml", "fairlead.yml", "sub/fairlead.yaml"])
async def test_a_policy_that_went_elsewhere_deletes_nothing(siege: Siege, renamed: str) -> None:
    commit = siege.origin.push({"fairlead.yaml": None, renamed: POLICY})
    await siege.resists(commit, ("repository-missing", "fairlead.yaml", None))


async def test_a_renamed_repository_is_refused(siege: Siege) -> None:
    commit = siege.origin.push({"fairlead.yaml": POLICY.replace(b"{name: acme}", b"{name: evil}")})
    refusal = await siege.resists(commit, code="renamed")
    assert "keep metadata.name" in refusal.explanation


async def test_a_commit_without_its_cluster_deletes_nothing(siege: Siege) -> None:
    commit = siege.origin.push({"clusters/one.yaml": None})
    await siege.resists(commit, ("no-cluster", "fairlead.yaml", 7))


async def test_five_thousand_refusals_are_explained_in_a_few_lines(siege: Siege) -> None:
    """Every object is declared in a namespace that does not exist."""
    files = {
        f"apps/u{n % 500}/{n}.yaml": deployment(f"d{n}", namespace="team-x") for n in range(5000)
    }
    refusal = await siege.refuses(siege.origin.push(files), code="refused")
    assert "and 499 more" in refusal.explanation
    assert len(refusal.explanation) < 1000
    assert len(str(refusal.detail)) < 20_000
    await siege.goes_on()


async def test_five_thousand_problems_are_explained_in_a_few_lines(siege: Siege) -> None:
    files = {f"apps/u/{n}.yaml": config_map('"\\e[31m"') for n in range(5000)}
    refusal = await siege.resists(siege.origin.push(files))
    assert "and 4999 more" in refusal.explanation
    assert len(refusal.problems) == 50
