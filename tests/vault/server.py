"""A real Vault of the tests' own: in memory, unsealed, on a port that was free.

It has what people would have set up before the daemon comes: a key-value engine at `kv`, the
Kubernetes method at `kubernetes`, and the policy of docs/secrets.md for the daemon.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import requests

from reconciler.sandbox.supervisor import die_with_parent
from tests.ports import free_port

VERBS = {"read": "GET", "list": "LIST", "delete": "DELETE"}
PLUGIN = "vault-plugin-auth-kubernetes"
ROOT_TOKEN = "root-of-the-tests"
DOCUMENTED = Path(__file__).parents[2] / "docs" / "secrets.md"


@dataclass(slots=True)
class RealVault:
    """What a test may do to it, with every right. `program` is also its agent."""

    address: str
    audit_file: Path
    program: Path
    root_token: str = field(default=ROOT_TOKEN, repr=False)
    _forgotten: int = 0

    def ask(self, verb: str, path: str, body: Any = None, *, token: str = "") -> requests.Response:
        return requests.request(
            verb,
            f"{self.address}/v1/{path}",
            json=body,
            headers={"X-Vault-Token": token or self.root_token},
            timeout=10,
        )

    def write(self, path: str, body: Any) -> Any:
        answer = self.ask("POST", path, body)
        assert answer.ok, f"{path}: {answer.text}"
        return answer.json() if answer.content else None

    def read(self, path: str) -> Any:
        answer = self.ask("GET", path)
        return answer.json()["data"] if answer.ok else None

    def remove(self, path: str) -> None:
        assert self.ask("DELETE", path).ok

    def asked(self) -> list[tuple[str, str]]:
        """What tokens of the daemon asked for since `forget`, as the audit device has it."""
        entries = map(json.loads, self.audit_file.read_text().splitlines())
        ours = [
            (VERBS.get(entry["request"]["operation"], "POST"), entry["request"]["path"])
            for entry in entries
            if entry["type"] == "request"
            and "fairlead" in entry.get("auth", {}).get("policies", ())
        ]
        return ours[self._forgotten :]

    def forget(self) -> None:
        self._forgotten += len(self.asked())

    def clean(self) -> None:
        """As it was after it was set up, but for keys and values."""
        for name in self._names("sys/policies/acl"):
            if name not in ("root", "default", "fairlead"):
                self.remove(f"sys/policies/acl/{name}")
        for name in self._names("auth/kubernetes/role"):
            self.remove(f"auth/kubernetes/role/{name}")
        self.forget()

    def _names(self, path: str) -> list[str]:
        answer = self.ask("LIST", path)
        return list(answer.json()["data"]["keys"]) if answer.ok else []

    def daemon_token(self) -> str:
        """A new one, with the policy that the documentation gives the daemon."""
        answer = self.write("auth/token/create", {"policies": ["fairlead"], "ttl": "1h"})
        return str(answer["auth"]["client_token"])

    def login(self, role: str, jwt: str) -> requests.Response:
        return requests.post(
            f"{self.address}/v1/auth/kubernetes/login", json={"role": role, "jwt": jwt}, timeout=10
        )


@contextmanager
def running(vault: Path, plugin: Path, directory: Path) -> Iterator[RealVault]:
    """Ready to be asked. Nothing of it stays."""
    plugins, log = directory / "plugins", directory / "log"
    plugins.mkdir()
    # A link would not do: Vault insists on a file in its directory.
    shutil.copy(plugin, plugins / PLUGIN)
    (directory / "settings.hcl").write_text(f'plugin_directory = "{plugins.resolve()}"\n')
    # Vault takes port 0, and tells nobody which one it got.
    address = f"127.0.0.1:{free_port()}"
    with log.open("wb") as output:
        server = subprocess.Popen(
            [
                vault,
                "server",
                "-dev",
                f"-dev-root-token-id={ROOT_TOKEN}",
                f"-dev-listen-address={address}",
                "-dev-no-store-token",
                f"-config={directory / 'settings.hcl'}",
            ],
            cwd=directory,
            env={"HOME": str(directory), "PATH": os.environ["PATH"], "SKIP_SETCAP": "1"},
            stdout=output,
            stderr=subprocess.STDOUT,
            preexec_fn=die_with_parent(),  # noqa: PLW1509 - it calls only prctl
        )
    try:
        real = RealVault(f"http://{address}", directory / "audit.log", vault)
        _wait(lambda: _is_ready(real), log)
        _set_up(real, plugins / PLUGIN)
        yield real
    finally:
        server.kill()
        server.wait()


def _set_up(real: RealVault, plugin: Path) -> None:
    digest = hashlib.sha256(plugin.read_bytes()).hexdigest()
    real.write(f"sys/plugins/catalog/auth/{PLUGIN}", {"sha256": digest, "command": PLUGIN})
    real.write("sys/auth/kubernetes", {"type": PLUGIN})
    real.write("sys/mounts/kv", {"type": "kv", "options": {"version": "2"}})
    real.write("sys/policies/acl/fairlead", {"policy": documented_policy()})
    options = {"file_path": str(real.audit_file), "log_raw": "true"}
    real.write("sys/audit/file", {"type": "file", "options": options})


def documented_policy() -> str:
    """What the documentation says that the daemon needs, all of it together."""
    return "\n".join(re.findall(r"```hcl\n(.*?)```", DOCUMENTED.read_text(), re.DOTALL))


def _is_ready(real: RealVault) -> bool:
    try:
        return real.ask("GET", "sys/health").status_code == 200
    except requests.RequestException:
        return False


def _wait(condition: Callable[[], object], log: Path) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, f"Vault does not answer:\n{log.read_text()}"
        time.sleep(0.02)
