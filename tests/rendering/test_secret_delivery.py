"""Secrets reach pods by what the cluster has installed, and by nothing of ours."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from syrupy.assertion import SnapshotAssertion

from reconciler.core.desired import Unit
from reconciler.core.identifiers import ClusterName, UnitName
from reconciler.core.kinds.references import SecretReference
from reconciler.core.secret_versions import NO_BOOK, Pin
from tests.desired.builders import compiled
from tests.desired.kserve import KSERVE_MODEL, KSERVE_ROLLOUT
from tests.desired.secrets import REFERENCES, model, with_secrets
from tests.rendering.cases import UNIT, bodies_of

STORE = (ClusterName("vault-main"), UnitName("secrets/fraud-detector"))
WAYS = {
    "agent": {"vault": "agent"},
    "csi": {"vault": "csi", "aws": "csi"},
    "external-secrets": {"vault": "external-secrets", "aws": "external-secrets"},
}
CHANGED = {"Deployment", "ServiceAccount", "SecretProviderClass", "SecretStore", "ExternalSecret"}


def units(*names: str, **ways: str) -> dict[tuple[ClusterName, UnitName], Unit]:
    return dict(compiled(with_secrets(*names, **ways)).state.units)


def pod(unit: Unit) -> Any:
    (body,) = (m.body for key, m in unit.manifests.items() if key.kind == "Deployment")
    template: Any = body["spec"]
    return template["template"]


@pytest.mark.parametrize("way", WAYS)
def test_what_is_rendered_is_as_reviewed(way: str, snapshot: SnapshotAssertion) -> None:
    found = units(*REFERENCES, **WAYS[way])
    bodies = [
        *(body for body in bodies_of(found[UNIT]) if body["kind"] in CHANGED),
        *bodies_of(found[STORE]),
    ]
    assert yaml.safe_dump_all(bodies, sort_keys=True) == snapshot


@pytest.mark.parametrize("way", WAYS)
def test_no_secret_object_and_no_value_is_ever_rendered(way: str) -> None:
    for unit in units(*REFERENCES, **WAYS[way]).values():
        assert not [key for key in unit.manifests if (key.group, key.kind) == ("", "Secret")]


@pytest.mark.parametrize("way", WAYS)
def test_no_pod_gets_a_token_that_the_api_server_takes(way: str) -> None:
    spec = pod(units(*REFERENCES, **WAYS[way])[UNIT])["spec"]
    assert spec["automountServiceAccountToken"] is False
    tokens = [
        source["serviceAccountToken"]
        for volume in spec["volumes"]
        for source in volume.get("projected", {}).get("sources", ())
    ]
    assert all(token["audience"] == "vault" for token in tokens)
    assert all(token["expirationSeconds"] == 600 for token in tokens)


def test_a_model_without_secrets_is_rendered_as_it_was_without_a_store() -> None:
    with_store, without = units(vault="agent", aws="csi"), units()
    assert with_store[UNIT].digest == without[UNIT].digest
    assert STORE not in with_store


def test_a_cluster_without_delivery_gets_nothing_of_it() -> None:
    found = units("hf-token", vault="agent")
    staging = found[ClusterName("staging-1"), UNIT[1]]
    assert pod(staging) == pod(units()[staging.cluster, staging.name])


def test_a_store_lets_read_each_path_once_and_nothing_else() -> None:
    (policy,) = (
        m.body["spec"]
        for key, m in units(*REFERENCES, vault="csi")[STORE].manifests.items()
        if key.kind == "VaultPolicy"
    )
    assert policy == {
        "policy": 'path "kv/data/risk/features" { capabilities = ["read"] }\n'
        'path "kv/data/risk/fraud" { capabilities = ["read"] }\n'
        'path "other/data/shared" { capabilities = ["read"] }\n'
    }


def test_another_version_of_a_secret_is_another_pod_by_every_way() -> None:
    for ways in WAYS.values():
        tree = with_secrets("hf-token", **ways)
        later = {**tree, "models.yaml": model("hf-token").replace("@7", "@8")}
        before, after = compiled(tree).state.units, compiled(later).state.units
        assert pod(before[UNIT]) != pod(after[UNIT])
        assert before.get(STORE) == after.get(STORE)


def test_an_agent_stays_only_where_a_newer_version_may_come() -> None:
    once = "vault.hashicorp.com/agent-pre-populate-only"
    for names, stays in ((["hf-token"], False), (["hf-token", "licence"], True)):
        annotations = pod(units(*names, vault="agent")[UNIT])["metadata"]["annotations"]
        assert (once not in annotations) is stays


def test_what_was_decided_is_delivered_where_the_reference_names_no_version() -> None:
    reference = REFERENCES["licence"]
    pins = NO_BOOK.with_([Pin("Model/fraud-detector@v3", "vault/vault-main", reference, "4")])
    tree = with_secrets("licence", vault="agent")
    unit = compiled(tree, pins=pins).state.units[UNIT]
    annotations = pod(unit)["metadata"]["annotations"]
    assert annotations["fairlead.dev/secrets"] == "licence@4"
    assert "?version=4" in annotations["vault.hashicorp.com/agent-inject-template-licence"]


def test_kserve_hands_the_same_to_its_predictor() -> None:
    tree = with_secrets(
        vault="csi",
        models=model("hf-token", template=KSERVE_MODEL),
        rollouts=KSERVE_ROLLOUT.replace("fleet: acme", "env: production"),
    )
    unit = compiled(tree).state.units[UNIT]
    (body,) = (m.body for key, m in unit.manifests.items() if key.kind == "InferenceService")
    predictor: Any = body["spec"]
    (container,) = predictor["predictor"]["containers"]
    path = "/var/run/secrets/fairlead.dev/vault"
    assert {"name": "HF_TOKEN_FILE", "value": f"{path}/hf-token"} in container["env"]
    assert path in [mount["mountPath"] for mount in container["volumeMounts"]]
    assert "vault-secrets" in [volume["name"] for volume in predictor["predictor"]["volumes"]]


@pytest.mark.parametrize("text", REFERENCES.values())
def test_a_reference_reads_as_it_was_written(text: str) -> None:
    assert str(SecretReference.parse(text)) == text
