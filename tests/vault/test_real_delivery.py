"""A real Vault gives what pods ask it for, by its own agent or as its CSI provider asks."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from reconciler.core.identifiers import ClusterName, UnitName
from tests.desired.builders import compiled
from tests.desired.secrets import with_secrets

from .server import RealVault

pytestmark = pytest.mark.vault

PLACE = (ClusterName("production-1"), UnitName("rollout/fraud-detector"))
STORE = (ClusterName("vault-main"), UnitName("secrets/fraud-detector"))
NAME = "acme.rollout.fraud-detector"
ANNOTATION = "vault.hashicorp.com/agent-inject"


def fetched(vault: RealVault, directory: Path, *names: str) -> tuple[dict[str, str], str]:
    """What the agent writes for a model that wants these secrets, and what it says of it."""
    units = compiled(with_secrets(*names, vault="agent")).state.units
    (pods,) = (m.body for key, m in units[PLACE].manifests.items() if key.kind == "Deployment")
    (policy,) = (m.body for key, m in units[STORE].manifests.items() if key.kind == "VaultPolicy")
    vault.write(f"sys/policies/acl/{NAME}", policy["spec"])
    token = vault.write("auth/token/create", {"policies": [NAME], "ttl": "5m"})
    (directory / "token").write_text(token["auth"]["client_token"])
    method = {"type": "token_file", "config": {"token_file_path": str(directory / "token")}}
    files = {name: directory / name for name in names}
    settings = {
        "vault": {"address": vault.address},
        "exit_after_auth": True,
        "auto_auth": {"method": [method]},
        "template_config": {"exit_on_retry_failure": True},
        "template": [
            {"contents": template(pods, name), "destination": str(file)}
            for name, file in files.items()
        ],
    }
    (directory / "agent.json").write_text(json.dumps(settings))
    done = subprocess.run(
        [vault.program, "agent", f"-config={directory / 'agent.json'}"],
        env={"HOME": str(directory)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=30,
    )
    written = {name: file.read_text() for name, file in files.items() if file.exists()}
    return written, done.stdout


def template(deployment: Any, name: str) -> str:
    annotations = deployment["spec"]["template"]["metadata"]["annotations"]
    return str(annotations[f"{ANNOTATION}-template-{name}"])


def test_each_file_has_the_value_of_its_key_in_the_version_that_is_named(
    real_vault: RealVault, tmp_path: Path
) -> None:
    for version in range(1, 9):
        real_vault.write("kv/data/risk/fraud", {"data": {"hf_token": f"number {version}"}})
    real_vault.write("kv/data/risk/features", {"data": {"token.v2": "the current one"}})
    written, said = fetched(real_vault, tmp_path, "hf-token", "feature-store")
    assert written == {"hf-token": "number 7", "feature-store": "the current one"}, said


def test_a_key_that_is_not_there_gives_no_file(real_vault: RealVault, tmp_path: Path) -> None:
    real_vault.write("kv/data/risk/features", {"data": {"another": "value"}})
    written, said = fetched(real_vault, tmp_path, "feature-store")
    assert written == {}
    assert "there is no key token.v2" in said


def test_the_path_that_the_csi_provider_asks_for_gives_the_version_that_is_named(
    real_vault: RealVault,
) -> None:
    for version in range(1, 9):
        real_vault.write("kv/data/risk/fraud", {"data": {"hf_token": f"number {version}"}})
    units = compiled(with_secrets("hf-token", vault="csi")).state.units
    (body,) = (
        m.body for key, m in units[PLACE].manifests.items() if key.kind == "SecretProviderClass"
    )
    spec: Any = body["spec"]
    (wanted,) = json.loads(spec["parameters"]["objects"])
    assert real_vault.read(wanted["secretPath"])["data"] == {wanted["secretKey"]: "number 7"}
