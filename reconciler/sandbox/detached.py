"""Sandboxes that live on after the command that started them: describing, listing, stopping.

Separate from the control plane, because all of it works from files and locks alone: the command
that asks is never the process that started it.
"""

from __future__ import annotations

import json
import os
import signal
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from reconciler.sandbox.control_plane import ControlPlane
from reconciler.sandbox.directories import SandboxPaths, running
from reconciler.sandbox.errors import NotRunning, SandboxError

STOP_SECONDS = 30.0
POLL_SECONDS = 0.02


@dataclass(frozen=True, slots=True)
class Description:
    """A sandbox that is ready for use."""

    name: str
    server: str
    kubeconfig: str
    nodes: int
    started_at: float
    """Seconds since the epoch."""
    gateway: str = ""
    """Its URL; empty without one."""
    audience: str = ""
    """For whom tokens have to be; empty where the gateway asks nobody."""


@dataclass(frozen=True, slots=True)
class Failure:
    """A sandbox that ended because one of its programs did."""

    name: str
    component: str
    exit_status: int
    log_tail: str

    def __str__(self) -> str:
        return f"{self.component} ended with status {self.exit_status}"


@dataclass(frozen=True, slots=True)
class Listing:
    """All sandboxes of this user. `starting` also has those that a process uses for itself."""

    ready: tuple[Description, ...]
    starting: tuple[str, ...]
    failed: tuple[Failure, ...]


def detach(plane: ControlPlane, *, nodes: int) -> Description:
    """Lets a started control plane live on, described for later commands."""
    description = Description(
        name=plane.name,
        server=plane.server,
        kubeconfig=str(plane.kubeconfig),
        nodes=nodes,
        started_at=time.time(),
        gateway=plane.gateway_address,
        audience=plane.audience,
    )
    path = SandboxPaths(plane.directory.parent, plane.name).description
    path.with_suffix(".partial").write_text(json.dumps(asdict(description)))
    path.with_suffix(".partial").rename(path)
    plane.detach()
    return description


def find(root: Path, name: str) -> Description:
    """Raises NotRunning, with the reason when it ended by itself."""
    listing = list_sandboxes(root)
    for description in listing.ready:
        if description.name == name:
            return description
    failure = next((str(failed) for failed in listing.failed if failed.name == name), "")
    raise NotRunning(name, failure=failure)


def list_sandboxes(root: Path) -> Listing:
    """Sweeps what crashed ones left, so that what is listed exists."""
    alive = running(root)
    described = {paths.name: _described(paths) for paths in alive}
    names = {path.stem for path in root.glob("*.failure")} - described.keys()
    failed = [_failure(SandboxPaths(root, name)) for name in sorted(names)]
    return Listing(
        ready=tuple(found for found in described.values() if found is not None),
        starting=tuple(name for name, found in described.items() if found is None),
        failed=tuple(failed),
    )


def stop(root: Path, name: str) -> bool:
    """Ends it and waits until nothing of it is left. False when none was running."""
    SandboxPaths(root, name).failure.unlink(missing_ok=True)
    paths = next((found for found in running(root) if found.name == name), None)
    if paths is None:
        return False
    if not paths.supervisor_pid.exists():
        raise SandboxError(f"sandbox {name!r} is only just starting", hint="try again in a second")
    os.kill(int(paths.supervisor_pid.read_text()), signal.SIGTERM)
    deadline = time.monotonic() + STOP_SECONDS
    while paths in running(root):
        if time.monotonic() > deadline:
            raise SandboxError(
                f"sandbox {name!r} did not end within {STOP_SECONDS:.0f} s",
                hint=f"see what holds {paths.lock}",
            )
        time.sleep(POLL_SECONDS)
    return True


def _described(paths: SandboxPaths) -> Description | None:
    try:
        return Description(**json.loads(paths.description.read_bytes()))
    except FileNotFoundError:  # not ready yet, or being removed at this moment
        return None


def _failure(paths: SandboxPaths) -> Failure:
    fields = json.loads(paths.failure.read_bytes())
    return Failure(
        name=paths.name,
        component=fields["component"],
        exit_status=fields["exit_status"],
        log_tail=fields["log_tail"],
    )
