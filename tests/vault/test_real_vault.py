"""The daemon with a real Vault: who may read after each commit, and what of it the daemon saw."""

from __future__ import annotations

import asyncio
import os
import secrets
import subprocess
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from reconciler.adapters.clocks import SystemClock
from reconciler.adapters.cluster_credentials import Kubeconfig
from reconciler.adapters.cluster_kubernetes import KubernetesCluster
from reconciler.adapters.cluster_vault import VaultCluster
from reconciler.adapters.vault_connection import TokenFile, VaultAccess, VaultConnection
from reconciler.core.identifiers import ClusterName
from reconciler.core.rights import excessive_rights
from reconciler.sandbox import ControlPlane
from tests.engine.world import policy
from tests.ports import free_port

from .server import RealVault
from .test_pinning import CLUSTERS, STORE, model, rollout

pytestmark = [pytest.mark.vault, pytest.mark.slow]

ROOT = Path(__file__).parents[2]
PLANTED = {
    "story/fraud": "planted-hf_QhZkTnWvRbXcYdLmPqSgUjEaFoItNr",
    "story/other": "planted-9f8e7d6c5b4a39281706f5e4d3c2b1a0",
    "story/eval": "planted-correct horse battery staple",
}
OURS = ("sys/policies/acl", "auth/kubernetes/role", "sys/capabilities-self", "kv/metadata")
NAME = "acme.rollout.fraud"
POLICY_PATH = f"sys/policies/acl/{NAME}"
SETTINGS = """\
directory: ./data
repository: {{name: acme, url: ./repository, poll: 100ms}}
clusters:
- {{name: one, kubeconfig: {kubeconfig}}}
- {{name: vault-main, vault: {{address: "{address}", tokenFile: ./token}}}}
lease: {{enabled: false}}
listen: 127.0.0.1:{port}
rights: unrestricted-for-development
log: {{format: json, level: debug}}
"""


@dataclass
class Told:
    """What came of the story. `may` says which status each request to Vault got."""

    may: dict[str, int] = field(default_factory=dict)
    lease: int = 0
    texts: list[str] = field(default_factory=list)
    pods: dict[str, str] = field(default_factory=dict)
    shown: dict[str, str] = field(default_factory=dict)
    asked: list[tuple[str, str]] = field(default_factory=list)


class Story:
    """A repository, a daemon, people in a cluster and people at Vault."""

    def __init__(self, plane: ControlPlane, vault: RealVault, directory: Path) -> None:
        self.plane, self.vault, self.directory = plane, vault, directory
        self.namespace = f"team-{secrets.token_hex(4)}"
        self.repository = directory / "repository"
        self.told = Told()
        access = Kubeconfig(plane.kubeconfig)
        self.cluster = KubernetesCluster(ClusterName("one"), access, clock=SystemClock())

    async def tell(self) -> Told:
        await self._prepare()
        port = free_port()
        (self.directory / "token").write_text(self.vault.daemon_token())
        settings = self.directory / "settings.yaml"
        settings.write_text(
            SETTINGS.format(kubeconfig=self.plane.kubeconfig, address=self.vault.address, port=port)
        )
        log = self.directory / "daemon.log"
        with log.open("wb") as output:
            daemon = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "reconciler", "run", "--config", str(settings)),
                cwd=ROOT,
                env={**os.environ, "PYTHONUNBUFFERED": "1"},
                stdout=output,
                stderr=output,
            )
        try:
            await self._commits(port)
        finally:
            daemon.terminate()
            await daemon.wait()
            await self.cluster.close()
        self.told.shown["log"] = log.read_text()
        for file in (self.directory / "data").rglob("*"):
            if file.is_file():
                self.told.shown[file.name] = file.read_bytes().decode(errors="replace")
        self.told.asked = self.vault.asked()
        return self.told

    async def _commits(self, port: int) -> None:
        self._commit({"model.yaml": model("kv/story/fraud#token")}, "first")
        await self._until(lambda: self._reads("fraud", "story/fraud", wanted=200))
        await self._ask_as_everybody()
        self.told.texts.append(self._text())
        await self._until(self._has_pods)
        drifted = f'{self._whole_text()}path "kv/data/*" {{ capabilities = ["read"] }}\n'
        self.vault.write(POLICY_PATH, {"policy": drifted})
        await self._look(port)
        await self._until(lambda: _now(self._text() == self.told.texts[0]))
        self._commit({"model.yaml": model()}, "without")
        await self._until(lambda: _now(self._text() == ""))
        await self._until(lambda: self._reads("fraud", "story/fraud", wanted=400))
        self._commit({"model.yaml": model("kv/story/fraud#token")}, "again")
        await self._until(lambda: self._reads("fraud", "story/fraud", wanted=200))
        self.told.texts.append(self._text())

    async def _ask_as_everybody(self) -> None:
        jwt = await self._jwt("fraud")
        answer = self.vault.login(NAME, jwt).json()["auth"]
        self.told.lease = answer["lease_duration"]
        token = answer["client_token"]
        for verb, path in (
            ("GET", "kv/data/story/fraud"),
            ("GET", "kv/data/story/other"),
            ("GET", "kv/metadata/story/fraud"),
            ("POST", "kv/data/story/fraud"),
            ("POST", "auth/token/create"),
        ):
            body = {"data": {"token": "another"}} if verb == "POST" else None
            self.told.may[f"{verb} {path}"] = self.vault.ask(
                verb, path, body, token=token
            ).status_code
        for who, audience in (("somebody", "vault"), ("fraud", "another")):
            refused = self.vault.login(NAME, await self._jwt(who, audience))
            self.told.may[f"login of {who} for {audience}"] = refused.status_code

    async def _look(self, port: int) -> None:
        """At everything that the daemon shows."""
        pages = ("/", "/rollouts", "/models/fraud", "/access", "/commits", "/audit", "/metrics")
        async with aiohttp.ClientSession() as session:
            for page in pages:
                async with session.get(f"http://127.0.0.1:{port}{page}") as answer:
                    assert answer.status == 200, page
                    self.told.shown[page] = await answer.text()
        for command in (["plan"], ["status"], ["audit", "list"]):
            shown = await asyncio.to_thread(
                subprocess.run,
                [sys.executable, "-m", "reconciler", *command, "--config", "settings.yaml"],
                cwd=self.directory,
                env={**os.environ, "PYTHONPATH": str(ROOT)},
                capture_output=True,
                text=True,
                check=False,
                timeout=60,
            )
            self.told.shown[" ".join(command)] = shown.stdout + shown.stderr

    async def _prepare(self) -> None:
        self.vault.clean()
        for path, value in PLANTED.items():
            self.vault.write(f"kv/data/{path}", {"data": {"token": value}})
        await self._declare("v1", "Namespace", {"name": self.namespace}, namespace="")
        for account in ("somebody", "reviewer"):
            await self._declare("v1", "ServiceAccount", {"name": account})
        subject = {"kind": "ServiceAccount", "name": "reviewer", "namespace": self.namespace}
        group = "rbac.authorization.k8s.io"
        role = {"apiGroup": group, "kind": "ClusterRole", "name": "system:auth-delegator"}
        await self._declare(
            f"{group}/v1",
            "ClusterRoleBinding",
            {"name": f"reviewer-{self.namespace}"},
            namespace="",
            roleRef=role,
            subjects=[subject],
        )
        self.vault.write(
            "auth/kubernetes/config",
            {
                "kubernetes_host": self.plane.server,
                "kubernetes_ca_cert": self.plane.certificate_authority.read_text(),
                "token_reviewer_jwt": await self._jwt("reviewer", ""),
                "disable_local_ca_jwt": True,
            },
        )
        self.repository.mkdir()
        self._git("init", "-q", "-b", "main")
        (self.repository / "fairlead.yaml").write_bytes(policy("one", STORE))
        (self.repository / "clusters.yaml").write_bytes(CLUSTERS)
        text = rollout("v1").replace(b"team-a", self.namespace.encode())
        (self.repository / "rollout.yaml").write_bytes(text)

    async def _declare(
        self,
        api_version: str,
        kind: str,
        metadata: dict[str, Any],
        *,
        namespace: str | None = None,
        **rest: Any,
    ) -> None:
        placed = self.namespace if namespace is None else namespace
        where = {"namespace": placed} if placed else {}
        body = {"apiVersion": api_version, "kind": kind, "metadata": {**metadata, **where}, **rest}
        await self.cluster.apply(body, dry_run=False)

    async def _jwt(self, account: str, audience: str = "vault") -> str:
        spec = {"expirationSeconds": 600, "audiences": [audience] if audience else []}
        made: Any = await self.cluster.connection.request(
            "POST",
            f"/api/v1/namespaces/{self.namespace}/serviceaccounts/{account}/token",
            doing="ask for a token",
            body={"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec},
        )
        return str(made["status"]["token"])

    async def _reads(self, account: str, path: str, *, wanted: int) -> bool:
        try:
            signed_in = self.vault.login(NAME, await self._jwt(account))
        except Exception:
            return False  # the account is not there yet
        if not signed_in.ok:
            return signed_in.status_code == wanted
        token = signed_in.json()["auth"]["client_token"]
        return self.vault.ask("GET", f"kv/data/{path}", token=token).status_code == wanted

    async def _has_pods(self) -> bool:
        found: Any = await self.cluster.connection.request(
            "GET",
            f"/apis/apps/v1/namespaces/{self.namespace}/deployments/fraud-v1",
            doing="look at the model",
        )
        self.told.pods = found["spec"]["template"]["metadata"]["annotations"]
        return bool(self.told.pods)

    def _whole_text(self) -> str:
        return str((self.vault.read(POLICY_PATH) or {}).get("policy", ""))

    def _text(self) -> str:
        return self._whole_text().partition("\n")[2]

    def _commit(self, files: dict[str, bytes], message: str) -> None:
        for name, content in files.items():
            (self.repository / name).write_bytes(content)
        self._git("add", "-A")
        self._git("commit", "-q", "-m", message)

    def _git(self, *arguments: str) -> None:
        identity = ("-c", "user.name=Test", "-c", "user.email=test@example.com")
        subprocess.run(["git", *identity, *arguments], cwd=self.repository, check=True)

    async def _until(self, condition: Callable[[], Awaitable[bool]]) -> None:
        async with asyncio.timeout(60):
            while not await condition():
                await asyncio.sleep(0.05)


async def _now(value: bool) -> bool:
    return value


@pytest.fixture(scope="module")
def told(
    control_plane: ControlPlane, real_vault: RealVault, tmp_path_factory: pytest.TempPathFactory
) -> Told:
    directory = tmp_path_factory.mktemp("story")
    return asyncio.run(Story(control_plane, real_vault, directory).tell())


def test_the_replicas_of_a_model_read_what_is_declared_and_nothing_else(told: Told) -> None:
    assert told.may == {
        "GET kv/data/story/fraud": 200,
        "GET kv/data/story/other": 403,
        "GET kv/metadata/story/fraud": 403,
        "POST kv/data/story/fraud": 403,
        "POST auth/token/create": 403,
        "login of somebody for vault": 403,
        "login of fraud for another": 403,
    }


def test_what_signed_in_lasts_minutes(told: Told) -> None:
    assert 0 < told.lease <= 900


def test_the_pods_are_told_the_version_that_the_real_metadata_have(told: Told) -> None:
    assert told.pods["fairlead.dev/secrets"].startswith("s0@")


def test_a_commit_that_takes_the_secret_away_takes_the_right_and_a_revert_gives_it_back(
    told: Told,
) -> None:
    first, again = told.texts
    assert first == again == 'path "kv/data/story/fraud" { capabilities = ["read"] }\n'


def test_no_value_comes_to_log_audit_state_plan_or_page(told: Told) -> None:
    assert {"log", "state.db", "/", "plan", "/metrics"} <= told.shown.keys()
    assert all(len(text) > 100 for name, text in told.shown.items() if name in ("log", "/", "plan"))
    found = [
        (name, path)
        for name, text in told.shown.items()
        for path, value in PLANTED.items()
        if value in text
    ]
    assert found == []


def test_the_daemon_touches_no_path_but_those_it_is_for(told: Told) -> None:
    assert len(told.asked) > 10
    strange = {path for _, path in told.asked if not path.startswith(OURS)}
    assert strange == set()
    assert {verb for verb, path in told.asked if path.startswith("kv/")} == {"GET"}


async def test_the_documented_policy_is_least_and_a_root_token_is_not(
    real_vault: RealVault, tmp_path: Path
) -> None:
    file = tmp_path / "token"
    for token, excessive in ((real_vault.daemon_token(), False), (real_vault.root_token, True)):
        file.write_text(token)
        access, clock = VaultAccess(real_vault.address, TokenFile(file)), SystemClock()
        connection = VaultConnection(access, clock)
        cluster = VaultCluster(ClusterName("vault-main"), connection, clock=clock)
        assert bool(excessive_rights(await cluster.rights(""))) is excessive
        await cluster.close()
