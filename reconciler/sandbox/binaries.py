"""Finds the programs that a control plane consists of.

Separate from building them, because finding is cheap, has an order that users rely on, and must
be testable without a compiler. The order: an explicit setting, KUBEBUILDER_ASSETS, PATH, the
user's cache, else a build. All programs of one release come from one place.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from reconciler.sandbox.building import build
from reconciler.sandbox.errors import BinariesMissing
from reconciler.sandbox.locations import cache_directory, modules_directory
from reconciler.sandbox.progress import Progress, Silent
from reconciler.sandbox.releases import RELEASES, Release, cache_key

EXPLICIT_SETTING = "FAIRLEAD_CONTROL_PLANE_BINARIES"
KUBEBUILDER_ASSETS = "KUBEBUILDER_ASSETS"

Find = Callable[[str], Path | None]


@dataclass(frozen=True, slots=True)
class BinarySettings:
    """Where to look."""

    cache: Path
    modules: Path
    explicit: Path | None = None
    """When set, nowhere else is looked: a typing error must not start a six-minute build."""
    kubebuilder_assets: Path | None = None
    search_path: str = ""

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> BinarySettings:
        explicit = environment.get(EXPLICIT_SETTING)
        assets = environment.get(KUBEBUILDER_ASSETS)
        return cls(
            cache=cache_directory(environment),
            modules=modules_directory(),
            explicit=Path(explicit) if explicit else None,
            kubebuilder_assets=Path(assets) if assets else None,
            search_path=environment.get("PATH", ""),
        )


@dataclass(frozen=True, slots=True)
class Binaries:
    """Found artefacts by name; for custom resource definitions the path is a directory."""

    paths: Mapping[str, Path]

    def __getitem__(self, name: str) -> Path:
        return self.paths[name]


def locate(
    names: Iterable[str], settings: BinarySettings, *, progress: Progress | None = None
) -> Binaries:
    """Finds every named artefact, building what is nowhere to be found.

    Raises BinariesMissing or BuildFailed.
    """
    wanted = frozenset(names)
    found: dict[str, Path] = {}
    to_build: list[Release] = []
    for release in RELEASES:
        if needed := wanted & release.artefacts:
            present = _find_release(release, needed, settings)
            found |= present
            if not present:
                to_build.append(release)
    if to_build:
        build(to_build, settings.cache, modules=settings.modules, progress=progress or Silent())
    for release in to_build:
        directory = settings.cache / cache_key(release, settings.modules)
        found |= {name: directory / name for name in wanted & release.artefacts}
    unknown = wanted - found.keys()
    assert not unknown, f"no release has {sorted(unknown)}"
    return Binaries(found)


def _find_release(
    release: Release, needed: frozenset[str], settings: BinarySettings
) -> dict[str, Path]:
    """All that is needed of a release, from the first place that has all; else nothing."""
    if settings.explicit is not None and release.has_programs:
        return _explicit(needed, settings.explicit)
    for find in _places(release, settings):
        found = {name: path for name in needed if (path := find(name)) is not None}
        if found.keys() == needed:
            return found
    return {}


def _explicit(needed: frozenset[str], directory: Path) -> dict[str, Path]:
    find = _in_directory(directory)
    found = {name: path for name in needed if (path := find(name)) is not None}
    missing = sorted(needed - found.keys())
    if missing:
        raise BinariesMissing(
            f"{EXPLICIT_SETTING} is {directory}, which has no executable {', '.join(missing)}",
            hint="put the programs there, or unset the variable to have them found or built",
        )
    return found


def _places(release: Release, settings: BinarySettings) -> Iterable[Find]:
    if settings.explicit is not None:
        yield _in_directory(settings.explicit)
    if settings.kubebuilder_assets is not None:
        yield _in_directory(settings.kubebuilder_assets)
    if release.has_programs:
        yield _on_path(settings.search_path)
    yield _in_directory(settings.cache / cache_key(release, settings.modules))


def _in_directory(directory: Path) -> Find:
    def find(name: str) -> Path | None:
        candidate = directory / name
        usable = candidate.exists() and os.access(candidate, os.X_OK)
        return candidate.absolute() if usable else None

    return find


def _on_path(search_path: str) -> Find:
    def find(name: str) -> Path | None:
        # An empty PATH would make `which` fall back to the system's default one.
        found = shutil.which(name, path=search_path) if search_path else None
        return Path(found).absolute() if found else None

    return find
