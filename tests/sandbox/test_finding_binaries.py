"""Where the programs of a control plane come from."""

from __future__ import annotations

from pathlib import Path

import pytest

from reconciler.sandbox.binaries import BinarySettings, locate
from reconciler.sandbox.components import Components
from reconciler.sandbox.errors import BinariesMissing
from reconciler.sandbox.locations import modules_directory
from reconciler.sandbox.releases import GATEWAY_API, KUBERNETES, KWOK, cache_key

BARE = Components.BARE.value
FULL = Components.FULL.value


def directory_with(path: Path, *names: str) -> Path:
    path.mkdir(parents=True, exist_ok=True)
    for name in names:
        (path / name).touch(mode=0o755)
    return path


def settings(
    tmp_path: Path,
    *,
    explicit: Path | None = None,
    kubebuilder_assets: Path | None = None,
    search_path: str = "",
) -> BinarySettings:
    return BinarySettings(
        cache=tmp_path / "cache",
        modules=modules_directory(),
        explicit=explicit,
        kubebuilder_assets=kubebuilder_assets,
        search_path=search_path,
    )


def fill_cache(tmp_path: Path, *names: str) -> Path:
    key = cache_key(KUBERNETES, modules_directory())
    return directory_with(tmp_path / "cache" / key, *names)


def test_an_explicit_directory_comes_first(tmp_path: Path) -> None:
    explicit = directory_with(tmp_path / "explicit", *BARE)
    assets = directory_with(tmp_path / "assets", *BARE)
    found = locate(BARE, settings(tmp_path, explicit=explicit, kubebuilder_assets=assets))
    assert found["etcd"] == explicit / "etcd"


def test_kubebuilder_assets_come_before_path(tmp_path: Path) -> None:
    assets = directory_with(tmp_path / "assets", *BARE)
    on_path = directory_with(tmp_path / "bin", *BARE)
    found = locate(BARE, settings(tmp_path, kubebuilder_assets=assets, search_path=str(on_path)))
    assert found["kube-apiserver"] == assets / "kube-apiserver"


def test_path_comes_before_the_cache(tmp_path: Path) -> None:
    on_path = directory_with(tmp_path / "bin", *BARE)
    fill_cache(tmp_path, *BARE)
    found = locate(BARE, settings(tmp_path, search_path=str(on_path)))
    assert found["etcd"] == on_path / "etcd"


def test_the_cache_is_used_when_nothing_else_has_them(tmp_path: Path) -> None:
    cached = fill_cache(tmp_path, *BARE)
    found = locate(BARE, settings(tmp_path, search_path=str(tmp_path / "nowhere")))
    assert found["etcd"] == cached / "etcd"


def test_programs_of_one_release_are_not_mixed(tmp_path: Path) -> None:
    """Kubebuilder's assets have no controller-manager, and another version's would not fit."""
    assets = directory_with(tmp_path / "assets", *BARE)
    cached = fill_cache(tmp_path, *FULL)
    kwok = cache_key(KWOK, modules_directory())
    directory_with(tmp_path / "cache" / kwok, "kwok")
    found = locate(FULL, settings(tmp_path, kubebuilder_assets=assets))
    assert {found[name].parent for name in FULL if name != "kwok"} == {cached}


def test_an_explicit_directory_without_a_program_is_an_error_not_a_build(tmp_path: Path) -> None:
    explicit = directory_with(tmp_path / "explicit", "etcd")
    fill_cache(tmp_path, *BARE)
    with pytest.raises(BinariesMissing, match="no executable kube-apiserver"):
        locate(BARE, settings(tmp_path, explicit=explicit))


def test_a_file_that_is_not_executable_is_not_a_program(tmp_path: Path) -> None:
    assets = directory_with(tmp_path / "assets", *BARE)
    (assets / "etcd").chmod(0o644)
    cached = fill_cache(tmp_path, *BARE)
    found = locate(BARE, settings(tmp_path, kubebuilder_assets=assets))
    assert found["etcd"] == cached / "etcd"


def test_definitions_come_from_the_cache_although_programs_are_explicit(tmp_path: Path) -> None:
    explicit = directory_with(tmp_path / "explicit", *BARE)
    key = cache_key(GATEWAY_API, modules_directory())
    cached = directory_with(tmp_path / "cache" / key / "gateway-api")
    found = locate([*BARE, "gateway-api"], settings(tmp_path, explicit=explicit))
    assert found["gateway-api"] == cached


def test_settings_follow_the_environment(tmp_path: Path) -> None:
    environment = {
        "FAIRLEAD_CONTROL_PLANE_BINARIES": "/explicit",
        "KUBEBUILDER_ASSETS": "/assets",
        "PATH": "/bin",
        "XDG_CACHE_HOME": str(tmp_path),
    }
    assert BinarySettings.from_environment(environment) == BinarySettings(
        cache=tmp_path / "fairlead" / "control-plane",
        modules=modules_directory(),
        explicit=Path("/explicit"),
        kubebuilder_assets=Path("/assets"),
        search_path="/bin",
    )


def test_another_pinned_version_has_another_cache_key(tmp_path: Path) -> None:
    for name in ("go.mod", "go.sum"):
        (tmp_path / name).write_bytes((modules_directory() / name).read_bytes())
    same = cache_key(KUBERNETES, tmp_path)
    with (tmp_path / "go.mod").open("a") as go_mod:
        go_mod.write("// newer\n")
    assert (same, cache_key(KUBERNETES, tmp_path)) != (same, same)
    assert same == cache_key(KUBERNETES, modules_directory())
