"""Which rights follow from what is declared and set, and the command that prints them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from reconciler.core.authorship import Author, People
from reconciler.core.errors import Misconfigured
from reconciler.core.identifiers import ClusterName
from reconciler.core.needed_rights import (
    WHOLE_CLUSTER,
    Feature,
    Rule,
    Setup,
    needed_rights,
    resource_of,
)
from reconciler.core.presenting.rights_text import rights_objects
from reconciler.core.rights import excessive_rights
from reconciler.surfaces.rights_command import rights_command
from reconciler.wiring.people import rights_tools
from tests.desired.builders import CLUSTERS, POLICY, compiled

STAGING = ClusterName("staging-1")
ALICE = Author("alice@example.com", "oidc:alice", ("oidc:researchers",))
RBAC = "rbac.authorization.k8s.io"
MAP = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, namespace: team-a}\ndata: {a: b}\n"
NAMESPACE = "apiVersion: v1\nkind: Namespace\nmetadata: {name: team-a}\n"
BINDING = f"""\
apiVersion: {RBAC}/v1
kind: RoleBinding
metadata: {{name: viewers, namespace: team-a}}
roleRef: {{apiGroup: {RBAC}, kind: ClusterRole, name: view}}
subjects: [{{apiGroup: {RBAC}, kind: Group, name: "oidc:viewers"}}]
"""
SETUP = Setup(STAGING)


def features(setup: Setup = SETUP, **files: str) -> dict[str, Feature]:
    allowed = f"allow: {{kinds: [RoleBinding.{RBAC}], "
    tree = {"fairlead.yaml": POLICY.replace("allow: {", allowed), "clusters.yaml": CLUSTERS}
    tree |= {f"platform/a/{name}.yaml": text for name, text in files.items()}
    return {found.name: found for found in needed_rights(compiled(tree).state, setup)}


def test_what_is_declared_may_be_seen_everywhere_and_written_where_it_is() -> None:
    found = features(map=MAP, namespace=NAMESPACE)
    assert found["watch"].rules == {
        WHOLE_CLUSTER: (Rule("", ("configmaps", "namespaces"), ("get", "list", "watch")),)
    }
    assert found["apply"].rules == {
        WHOLE_CLUSTER: (Rule("", ("namespaces",), ("patch",), ("team-a",)),),
        "team-a": (Rule("", ("configmaps",), ("create", "patch", "delete")),),
    }
    assert found.keys() == {"watch", "apply"}


def test_a_role_of_somebody_else_is_bound_by_its_name() -> None:
    rules = features(binding=BINDING)["access"].rules["team-a"]
    assert Rule(RBAC, ("clusterroles",), ("bind",), ("view",)) in rules


def test_people_are_named_and_written_for_where_something_is_theirs() -> None:
    people = People({ALICE.signer: ALICE}, frozenset({STAGING}))
    rules = features(replace(SETUP, people=people), map=MAP)["authors"].rules
    named = {rule.resources[0]: (rule.verbs, rule.names) for rule in rules[WHOLE_CLUSTER]}
    assert named["users"] == (("impersonate:user-info",), (ALICE.user,))
    assert named["groups"] == (("impersonate:user-info",), ALICE.groups)
    assert [rule.resources for rule in rules["team-a"]] == [("configmaps",)]
    elsewhere = People({ALICE.signer: ALICE}, frozenset({ClusterName("production-1")}))
    assert "authors" not in features(replace(SETUP, people=elsewhere), map=MAP)


def test_no_right_that_is_printed_is_too_much() -> None:
    people = People({ALICE.signer: ALICE}, frozenset({STAGING}))
    setup = replace(SETUP, people=people, leases=("fairlead-system", ("fairlead-acme",)))
    found = features(setup, map=MAP, namespace=NAMESPACE, binding=BINDING).values()
    objects = rights_objects([*found], account=("fairlead-system", "fairlead"))
    rules = [rule for _, body in objects for rule in body.get("rules") or []]
    assert rules
    assert excessive_rights(rules) == ()


@pytest.mark.parametrize(
    ("kind", "resource"),
    [
        ("Deployment", "deployments"),
        ("NetworkPolicy", "networkpolicies"),
        ("Ingress", "ingresses"),
        ("Endpoints", "endpoints"),
        ("InferenceService", "inferenceservices"),
    ],
)
def test_kinds_are_named_as_kubernetes_names_them(kind: str, resource: str) -> None:
    assert resource_of(kind) == resource


def run(tmp_path: Path, clusters: str, *options: str) -> Result:
    file = tmp_path / "settings.yaml"
    file.write_text(
        f"repository: {{name: acme, url: ./r}}\nclusters: [{clusters}]\n", encoding="utf-8"
    )
    tree = tmp_path / "tree"
    tree.mkdir(exist_ok=True)
    for name, text in {"fairlead.yaml": POLICY, "clusters.yaml": CLUSTERS}.items():
        (tree / name).write_text(text, encoding="utf-8")
    arguments = [str(tree), "--config", str(file), *options]
    return CliRunner().invoke(rights_command, arguments, obj=rights_tools())


ONE = "{name: staging-1, inCluster: true}"
STORE = "{name: vault, vault: {address: 'https://v', tokenFile: t}}"


def test_the_lease_of_a_store_lies_in_the_first_cluster(tmp_path: Path) -> None:
    printed = run(tmp_path, f"{ONE}, {STORE}").output
    assert "resourceNames: [fairlead-acme, fairlead-acme.vault]" in printed


def test_which_of_several_clusters_has_to_be_said(tmp_path: Path) -> None:
    two = f"{ONE}, {{name: production-1, inCluster: true}}"
    failed = run(tmp_path, two)
    assert isinstance(failed.exception, Misconfigured)
    assert "staging-1" in failed.exception.hint
    assert run(tmp_path, two, "--cluster", "staging-1").exit_code == 0
    assert run(tmp_path, two, "--cluster", "other").exit_code == 2


def test_an_account_has_a_namespace(tmp_path: Path) -> None:
    assert run(tmp_path, ONE, "--account", "fairlead").exit_code == 2
