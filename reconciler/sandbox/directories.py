"""The directories of running sandboxes, and who holds which.

Separate because starting, stopping and listing all depend on one rule: a sandbox exists as long
as somebody holds the lock on `NAME.sandbox-lock`. Its supervisor inherits the lock, so that it goes
away with the last of the processes that could clean up, however that one ended. What is found
unlocked was left by a crash, and is removed by whoever comes next; what has no lock is not ours.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from reconciler.sandbox.errors import AlreadyRunning, SandboxError

_LOCK = ".sandbox-lock"
_NAME = re.compile(r"[a-z0-9]([-a-z0-9]{0,38}[a-z0-9])?")


@dataclass(frozen=True, slots=True)
class SandboxPaths:
    """Where the sandbox of one name keeps what."""

    root: Path
    name: str

    @property
    def directory(self) -> Path:
        return self.root / self.name

    @property
    def lock(self) -> Path:
        return self.root / f"{self.name}{_LOCK}"

    @property
    def failure(self) -> Path:
        """Why a detached sandbox ended by itself. Removed by the next `up` or `down`."""
        return self.root / f"{self.name}.failure"

    @property
    def supervisor_pid(self) -> Path:
        return self.directory / "supervisor.pid"

    @property
    def description(self) -> Path:
        """Written when the sandbox is ready."""
        return self.directory / "sandbox.json"


@dataclass(frozen=True, slots=True)
class Claim:
    """A name that is ours as long as the descriptor is open here or in a process we started."""

    paths: SandboxPaths
    descriptor: int

    def release(self) -> None:
        """Gives the name up, and removes what a killed supervisor could not."""
        shutil.rmtree(self.paths.directory, ignore_errors=True)
        if os.fstat(self.descriptor).st_nlink > 0:
            self.paths.lock.unlink()
        os.close(self.descriptor)

    def hand_over(self) -> None:
        """Leaves the name to the supervisor, which holds the same lock."""
        os.close(self.descriptor)


def claim(root: Path, name: str) -> Claim:
    """Takes a name and makes its empty directory. Raises AlreadyRunning."""
    if not _NAME.fullmatch(name):
        raise SandboxError(
            f"{name!r} can't be a sandbox's name",
            hint="use up to 40 lower-case letters, digits and dashes",
        )
    paths = SandboxPaths(root, name)
    root.mkdir(parents=True, exist_ok=True, mode=0o700)
    with _exclusive(root):
        # A sandbox's directory is removed before its lock, so that one without is not a sandbox's.
        if paths.directory.exists() and not paths.lock.exists():
            raise SandboxError(
                f"{paths.directory} exists and is not a sandbox's",
                hint="choose another name or another directory for sandboxes",
            )
        descriptor = _try_lock(paths.lock)
        if descriptor is None:
            raise AlreadyRunning(name)
        shutil.rmtree(paths.directory, ignore_errors=True)
        paths.failure.unlink(missing_ok=True)
        (paths.directory / "logs").mkdir(parents=True, mode=0o700)
        paths.directory.chmod(0o700)
    return Claim(paths, descriptor)


def running(root: Path) -> list[SandboxPaths]:
    """Every sandbox whose lock is held, after sweeping what crashed ones left."""
    if not root.is_dir():
        return []
    alive = []
    with _exclusive(root):
        for lock in sorted(root.glob(f"*{_LOCK}")):
            paths = SandboxPaths(root, lock.name.removesuffix(_LOCK))
            descriptor = _try_lock(paths.lock)
            if descriptor is None:
                alive.append(paths)
                continue
            shutil.rmtree(paths.directory, ignore_errors=True)
            paths.lock.unlink(missing_ok=True)
            os.close(descriptor)
    return alive


@contextlib.contextmanager
def _exclusive(root: Path) -> Iterator[None]:
    """One sweep or claim at a time: a sweep's look at a lock must not seem to hold it."""
    descriptor = os.open(root, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _try_lock(path: Path) -> int | None:
    """The locked descriptor, or None when another process holds the lock."""
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return None
        # A supervisor removes the file it has locked, then ends: what we locked may be gone.
        if os.fstat(descriptor).st_nlink > 0:
            return descriptor
        os.close(descriptor)
