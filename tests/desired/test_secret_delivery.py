"""Who may read what follows from the documents together, and what cannot be delivered is told."""

from __future__ import annotations

from datetime import date

import pytest

from reconciler.core.access.differences import difference
from reconciler.core.access.permissions import permissions
from reconciler.core.approvals.loosening import loosened
from reconciler.core.approvals.widening import widenings
from reconciler.core.identifiers import ClusterName, UnitName
from tests.desired.builders import POLICY, ROLLOUT, codes, compiled
from tests.desired.secrets import AGENT, REFERENCES, STORE, clusters, model, with_secrets

VAULT = ClusterName("vault-main")
DAY, AFTER = date(2027, 6, 30), date(2027, 7, 1)
FRAUD = "rollout/fraud-detector"


def sentences(before: dict[str, str | bytes], after: dict[str, str | bytes]) -> tuple[str, ...]:
    old, new = (permissions(compiled(tree).state.access, DAY) for tree in (before, after))
    return difference(old, new).sentences


def test_a_new_secret_is_told_as_what_the_rollout_gains() -> None:
    ways = {"vault": "agent", "aws": "csi"}
    before, after = with_secrets(**ways), with_secrets("hf-token", "search", **ways)
    assert sentences(before, after) == (
        "Rollout fraud-detector may now read secrets aws:prod/search/reranker and "
        "vault:kv/risk/fraud",
    )
    assert sentences(after, before) == (
        "Rollout fraud-detector may no longer read secrets aws:prod/search/reranker and "
        "vault:kv/risk/fraud",
    )


def test_what_becomes_readable_widens_and_a_revert_of_a_removal_does_too() -> None:
    without, reading = with_secrets(vault="csi"), with_secrets("hf-token", vault="csi")
    states = [compiled(tree).state for tree in (without, reading)]
    assert widenings(states[0], states[1]) == (
        "Rollout fraud-detector gains read secrets vault:kv/risk/fraud",
    )
    assert not widenings(states[1], states[0])


def test_another_version_of_the_model_gains_nothing() -> None:
    before = with_secrets("hf-token", vault="agent")
    after = {**before, "rollouts.yaml": ROLLOUT.replace("version: v3", "version: v4")}
    assert sentences(before, after) == ()
    assert compiled(before).state.units[VAULT, UnitName("secrets/fraud-detector")].digest == (
        compiled(after).state.units[VAULT, UnitName("secrets/fraud-detector")].digest
    )


def test_a_secret_that_is_delivered_nowhere_is_no_permission_and_is_told() -> None:
    state = compiled(with_secrets("hf-token", "search", vault="agent")).state
    assert state.readers == {FRAUD: {"vault:kv/risk/fraud"}}
    assert [note for note in state.notices if "secret" in note] == [
        "secret hf-token of Model fraud-detector is not delivered in staging-1: no secretDelivery "
        "there has vault",
        "secret search of Model fraud-detector is not delivered in production-1, staging-1: no "
        "secretDelivery there has aws",
    ]


def test_an_agent_reads_what_its_scope_lists_while_it_holds() -> None:
    access = compiled(with_secrets(vault="external-secrets", agents=AGENT)).state.access
    listed = {"vault:kv/risk/eval/*", "vault:kv/risk/judge"}
    assert permissions(access, DAY).secrets == {"agent/eval-bot": listed}
    assert permissions(access, AFTER).secrets == {}


def test_an_agent_has_its_rights_in_the_store_and_its_way_at_home() -> None:
    units = compiled(with_secrets(vault="external-secrets", agents=AGENT)).state.units
    name = UnitName("agent/eval-bot")
    stored = units[VAULT, name].manifests
    assert {(key.kind, key.name) for key in stored} == {
        ("VaultPolicy", "acme.agent.eval-bot"),
        ("VaultKubernetesRole", "acme.agent.eval-bot"),
    }
    home = {
        key.kind: m.body for key, m in units[ClusterName("production-1"), name].manifests.items()
    }
    remote = [{"extract": {"key": "risk/judge"}}]
    assert home["ExternalSecret"]["spec"]["dataFrom"] == remote  # type: ignore[index,call-overload]
    annotations = home["Namespace"]["metadata"]["annotations"]  # type: ignore[index,call-overload]
    assert annotations["fairlead.dev/secret-audience"] == "vault"  # type: ignore[index,call-overload]
    staging = {key.kind for key in units[ClusterName("staging-1"), name].manifests}
    assert "ExternalSecret" not in staging


def test_an_agent_is_told_that_nothing_of_aws_comes() -> None:
    scope = AGENT.replace('"vault:kv/risk/judge"', '"aws:prod/judge"')
    notices = compiled(with_secrets(vault="csi", aws="csi", agents=scope)).state.notices
    assert any("eval-bot lists secrets of AWS" in note for note in notices)


def test_a_store_has_nothing_but_rights() -> None:
    units = compiled(with_secrets("hf-token", vault="agent", agents=AGENT)).state.units
    stored = {
        key.kind
        for (cluster, _), unit in units.items()
        if cluster == VAULT
        for key in unit.manifests
    }
    assert stored == {"VaultPolicy", "VaultKubernetesRole"}


def test_compiling_a_change_gives_what_compiling_from_nothing_gives() -> None:
    trees = [
        with_secrets("hf-token", vault="agent", agents=AGENT),
        with_secrets("hf-token", "feature-store", vault="csi", agents=AGENT),
        with_secrets(vault="csi"),
        with_secrets("licence", vault="external-secrets", agents=AGENT),
    ]
    previous, before = None, None
    for tree in trees:
        previous = compiled(tree, before=before, previous=previous)
        whole = compiled(tree).state
        assert {k: u.digest for k, u in previous.state.units.items()} == {
            k: u.digest for k, u in whole.units.items()
        }
        before = tree


DEFAULT = """\
apiVersion: fairlead.dev/v1alpha1
kind: Repository
metadata: {name: acme}
spec:
  clusters: {labels: {fleet: acme}}
  allow: {namespaces: [team-*, agent-*]}
  defaults: {secretDelivery: {vault: {method: csi, store: vault-main}}}
"""
UNMARKED = STORE.replace('spec: {vault: {address: "https://vault.example.com:8200"}}', "spec: {}")
ANONYMOUS = STORE.replace('{address: "https://vault.example.com:8200"}', "{}")


@pytest.mark.parametrize(
    ("code", "files"),
    [
        ("unknown-store", {"clusters": clusters("agent", store="")}),
        ("unknown-store", {"clusters": clusters("agent", store=UNMARKED)}),
        (
            "store-without-address",
            {"clusters": clusters("external-secrets", store=ANONYMOUS)},
        ),
        ("shared-store", {"fairlead": DEFAULT}),
        ("store-selected", {"rollouts": ROLLOUT.replace("env: staging", "fleet: acme")}),
    ],
    ids=["undeclared", "no-store", "no-address", "two-clusters", "a-wave"],
)
def test_what_could_not_be_delivered_is_refused(code: str, files: dict[str, str]) -> None:
    assert code in codes(with_secrets("hf-token", **{"clusters": clusters(), **files}))


def test_a_default_serves_the_one_cluster_that_there_is() -> None:
    only = clusters().partition("---\n")[2]
    rollout = ROLLOUT.replace("  - clusters: {env: staging}\n", "")
    tree = with_secrets("hf-token", clusters=only, fairlead=DEFAULT, rollouts=rollout)
    assert FRAUD in compiled(tree).state.readers


@pytest.mark.parametrize(
    "text",
    [
        "vault:kv#token",
        "vault:kv/a#token@0",
        "vault:kv/a#token@latest",
        "vault:kv/a/../b c#token",
        "aws:prod/a#token@7",
        'vault:kv/a"b#token',
    ],
)
def test_a_reference_that_no_store_could_follow_is_refused(text: str) -> None:
    wanted = model("hf-token").replace(REFERENCES["hf-token"], text.replace('"', '\\"'))
    assert "field-value" in codes(with_secrets(models=wanted))


def test_a_variable_that_a_secret_needs_is_refused_for_anything_else() -> None:
    taken = model("hf-token").replace("port: 8000", "port: 8000\n      env: {HF_TOKEN_FILE: /x}")
    assert codes(with_secrets(models=taken)) == ["field-value"]


LIMITED = """\
    secrets:
    - {namespaces: [team-*], from: ["vault:kv/risk/*"]}
    - {namespaces: [agent-eval-bot], from: ["vault:kv/risk/eval/*", "vault:kv/risk/judge"]}
"""


def limited(secrets: str = LIMITED) -> str:
    return POLICY.replace(
        "  allow: {namespaces: [team-*, agent-*, monitoring]}\n",
        f"  allow:\n    namespaces: [team-*, agent-*]\n{secrets}",
    )


def test_what_the_policy_lets_a_namespace_read_may_be_named() -> None:
    compiled(with_secrets("hf-token", vault="agent", agents=AGENT, fairlead=limited()))


@pytest.mark.parametrize(
    ("names", "scope"),
    [
        (["licence"], AGENT),
        (["search"], AGENT),
        (["hf-token"], AGENT.replace("risk/judge", "risk/fraud")),
        (["hf-token"], AGENT.replace("eval/*", "*")),
    ],
    ids=["another-engine", "another-store", "another-path", "more-than-a-pattern"],
)
def test_what_the_policy_does_not_let_it_read_may_not(names: list[str], scope: str) -> None:
    tree = with_secrets(*names, vault="agent", agents=scope, fairlead=limited())
    assert [code for code in codes(tree) if code != "access-tests-missing"] == [
        "secret-not-allowed"
    ]


def test_nobody_allows_a_secret_and_names_it_in_the_same_commit() -> None:
    rules = compiled(with_secrets(fairlead=limited())).state.policy
    wider = limited(LIMITED.replace("vault:kv/risk/*", "vault:other/*"))
    tree = with_secrets("licence", vault="agent", fairlead=wider)
    assert codes(tree, rules=rules) == ["secret-not-allowed"]
    assert codes(tree) == []
    assert "the policy allows other secrets" in loosened(rules, compiled(tree).state.policy)
