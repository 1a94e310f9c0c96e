"""The daemon as people run it: a process, a Git repository, a real API server."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from reconciler.adapters.status_http import ask_status
from reconciler.core.standing import Status
from reconciler.sandbox import BinarySettings, Components, ControlPlane, artefacts, locate
from reconciler.surfaces.daemon import bound_socket

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "example-repo"
CLUSTERS = ("staging", "production")

SETTINGS = """\
directory: ./data
repository: {{name: {name}, url: ./repository, poll: 200ms}}
clusters:
- {{name: staging, kubeconfig: {kubeconfig}}}
lease: {{namespace: default}}
listen: 127.0.0.1:{port}
rights: unrestricted-for-development
log: {{format: json, level: debug}}
"""


@dataclass
class Daemon:
    """A process of `fairlead run`."""

    process: asyncio.subprocess.Process
    port: int
    name: str
    log: Path

    async def status(self) -> Status | None:
        return await ask_status("127.0.0.1", self.port, repository=self.name)

    async def until_staging_has(self, commit: str, *, seconds: float = 60) -> Status:
        """Wait until the commit is applied in staging, the only cluster that there is."""
        async with asyncio.timeout(seconds):
            while True:
                status = await self.status()
                staging = status and next(c for c in status.clusters if c.cluster == "staging")
                if status and staging and staging.applied == commit:
                    return status
                assert self.process.returncode is None, self.log.read_text()
                await asyncio.sleep(0.1)


class Workshop:
    """A clone of the example repository, cut down to one team, and the settings beside it."""

    def __init__(self, directory: Path, plane: ControlPlane, *, name: str) -> None:
        self.directory, self.name = directory, name
        self.repository = directory / "repository"
        with bound_socket("127.0.0.1", 0) as free:
            self.port = free.getsockname()[1]
        self.settings = directory / "settings.yaml"
        self.settings.write_text(
            SETTINGS.format(name=name, kubeconfig=plane.kubeconfig, port=self.port)
        )
        # No model server takes adapters or prompts here, and routes to them wait until one does.
        left_out = shutil.ignore_patterns("reply-style.yaml", "support-answer.yaml")
        shutil.copytree(EXAMPLE, self.repository, ignore=left_out)
        policy = self.repository / "fairlead.yaml"
        policy.write_text(policy.read_text().replace("name: ml-platform", f"name: {name}"))
        self.git("init", "-q", "-b", "main")
        self.commit("first")

    def git(self, *arguments: str) -> str:
        identity = ("-c", "user.name=Test", "-c", "user.email=test@example.com")
        result = subprocess.run(
            ["git", *identity, *arguments],
            cwd=self.repository,
            check=True,
            capture_output=True,
            text=True,
        )
        return result.stdout.strip()

    def commit(self, message: str) -> str:
        self.git("add", "-A")
        self.git("commit", "-q", "-m", message)
        return self.git("rev-parse", "HEAD")

    def fairlead(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "reconciler", *arguments, "--config", str(self.settings)],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

    @asynccontextmanager
    async def daemon(self) -> AsyncIterator[Daemon]:
        log = self.directory / "daemon.log"
        with log.open("ab") as output:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "reconciler", "run", "--config", str(self.settings)),
                cwd=ROOT,
                env={**os.environ, "PYTHONUNBUFFERED": "1"},
                stderr=output,
            )
        try:
            yield Daemon(process, self.port, self.name, log)
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()


@pytest.fixture
def plane(tmp_path: Path) -> Iterator[ControlPlane]:
    """One of its own: the example repository takes namespaces that others may want."""
    names = artefacts(Components.FULL, gateway_api=True)
    binaries = locate(names, BinarySettings.from_environment(os.environ))
    with ControlPlane(binaries, components=Components.FULL, root=tmp_path) as found:
        yield found


@pytest.mark.slow
@pytest.mark.cluster
async def test_the_daemon_syncs_plans_and_stops(plane: ControlPlane, tmp_path: Path) -> None:
    workshop = Workshop(tmp_path, plane, name="daemon-test")
    first = workshop.git("rev-parse", "HEAD")
    async with workshop.daemon() as daemon:
        status = await daemon.until_staging_has(first)
        assert status.accepted == first

        shown = workshop.fairlead("status")
        assert "staging     as-declared" in shown.stdout
        # Production is declared, and the settings know no such cluster.
        assert workshop.fairlead("status", "--exit-code").returncode == 1

        empty = workshop.fairlead("plan", "--cluster", "staging", "--detailed-exitcode")
        assert (empty.returncode, empty.stdout.splitlines()[0]) == (
            0,
            "No changes: 1 cluster as declared",
        )

        rollout = workshop.repository / "rollouts/risk/fraud-detector.yaml"
        rollout.write_text(rollout.read_text().replace("version: v2", "version: v3"))
        workshop.git("checkout", "-q", "-b", "next")
        workshop.commit("v3")
        planned = workshop.fairlead(
            *("plan", "next", "--repo", str(workshop.repository)),
            *("--cluster", "staging", "--detailed-exitcode"),
        )
        assert planned.returncode == 2, planned.stderr
        assert "fraud-detector: v3, new in staging" in planned.stdout
        assert "fraud-detector: v2 → v3, in 2 waves: requests with x-cohort" in planned.stdout

        workshop.git("checkout", "-q", "main")
        quota = workshop.repository / "platform/team-risk/quota.yaml"
        quota.write_text(quota.read_text().replace('requests.cpu: "32"', 'requests.cpu: "48"'))
        second = workshop.commit("more for the team")
        await daemon.until_staging_has(second)

        daemon.process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(20):
            assert await daemon.process.wait() == 0
    assert '"event": "daemon.stopped"' in daemon.log.read_text()
    shown = workshop.fairlead("status")
    assert "No daemon answers" in shown.stdout
    assert "as-declared" not in shown.stdout
