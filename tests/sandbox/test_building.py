"""Building into the cache. A script plays the compiler: the real one takes minutes."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path

import pytest

from reconciler.sandbox.building import build
from reconciler.sandbox.errors import BuildFailed
from reconciler.sandbox.progress import Silent
from reconciler.sandbox.releases import KUBERNETES, KWOK, PROMETHEUS, cache_key

from .waiting import is_alive, is_empty, wait_until

COMPILER = """#!/bin/sh
case "$1" in
  env) echo go1.99.0 ;;
  list) [ "$2" = -m ] && echo v1.36.3 || printf 'one\\ntwo\\n' ;;
  build)
    echo "$2" > "$FAKE_STATE/tags"
    while [ "$1" != -o ]; do shift; done
    echo half > "$2"
    echo $$ > "$FAKE_STATE/building"
    while [ -e "$FAKE_STATE/hold" ]; do sleep 0.02; done
    [ -e "$FAKE_STATE/fail" ] && { echo 'disk is full' >&2; exit 1; }
    echo whole > "$2"
    echo built >> "$FAKE_STATE/builds" ;;
esac
"""

BUILDER = """
import sys
from pathlib import Path
from reconciler.sandbox.building import build
from reconciler.sandbox.progress import Silent
from reconciler.sandbox.releases import KWOK
build([KWOK], Path(sys.argv[1]), modules=Path(sys.argv[2]), progress=Silent())
"""


class Workshop:
    """A cache, pinned modules, and a compiler whose pace the test decides."""

    def __init__(self, directory: Path) -> None:
        self.cache = directory / "cache"
        self.modules = directory / "modules"
        self.state = directory / "state"
        self.bin = directory / "bin"
        for made in (self.cache, self.modules / "kwok", self.state, self.bin):
            made.mkdir(parents=True)
        for module in (self.modules, self.modules / "kwok"):
            (module / "go.mod").write_text("module example\n\ngo 1.26.0\n")
            (module / "go.sum").write_text("")
        (self.bin / "go").write_text(COMPILER)
        (self.bin / "go").chmod(0o755)

    @property
    def environment(self) -> Mapping[str, str]:
        path = f"{self.bin}:{os.environ['PATH']}"
        return dict(os.environ) | {"PATH": path, "FAKE_STATE": str(self.state)}

    @property
    def kwok(self) -> Path:
        return self.cache / cache_key(KWOK, self.modules) / "kwok"

    def hold(self) -> None:
        (self.state / "hold").touch()

    def release(self) -> None:
        (self.state / "hold").unlink()

    def is_building(self) -> bool:
        return (self.state / "building").exists()

    def builder(self) -> subprocess.Popen[bytes]:
        arguments = [sys.executable, "-c", BUILDER, str(self.cache), str(self.modules)]
        return subprocess.Popen(arguments, env=self.environment)

    def build(self, progress: object = None) -> None:
        build([KWOK], self.cache, modules=self.modules, progress=progress or Silent())  # type: ignore[arg-type]


@pytest.fixture
def workshop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workshop:
    made = Workshop(tmp_path)
    for name, value in made.environment.items():
        monkeypatch.setenv(name, value)
    return made


class Lines:
    def __init__(self) -> None:
        self.lines: list[str] = []

    def line(self, text: str) -> None:
        self.lines.append(text)

    def update(self, text: str) -> None: ...


def test_a_build_appears_in_the_cache_under_its_key(workshop: Workshop) -> None:
    workshop.build()
    assert workshop.kwok.read_text() == "whole\n"


def test_only_programs_are_left_of_a_build(workshop: Workshop) -> None:
    workshop.build()
    assert [path.name for path in workshop.kwok.parent.iterdir()] == ["kwok"]


def test_every_program_of_a_release_is_built(workshop: Workshop) -> None:
    build([KUBERNETES], workshop.cache, modules=workshop.modules, progress=Silent())
    built = workshop.cache / cache_key(KUBERNETES, workshop.modules)
    assert {path.name for path in built.iterdir()} == KUBERNETES.artefacts


def test_what_nobody_needs_is_left_out_by_tags(workshop: Workshop) -> None:
    sources = workshop.modules / PROMETHEUS.subdirectory
    shutil.copytree(workshop.modules / "kwok", sources)
    build([PROMETHEUS], workshop.cache, modules=workshop.modules, progress=Silent())
    assert (workshop.state / "tags").read_text() == "-tags=remove_all_sd\n"


def test_progress_says_what_is_built_which_of_how_many_and_how_long_it_takes(
    workshop: Workshop,
) -> None:
    progress = Lines()
    build([KUBERNETES], workshop.cache, modules=workshop.modules, progress=progress)
    assert "usually 4 min 30 s on 2 cores" in progress.lines[0]
    assert progress.lines[2].startswith("  kube-apiserver (2 of 4) took ")


def test_a_failed_build_leaves_nothing_and_shows_the_compilers_words(workshop: Workshop) -> None:
    (workshop.state / "fail").touch()
    with pytest.raises(BuildFailed, match="disk is full"):
        workshop.build()
    assert is_empty(workshop.cache)


def test_an_interrupted_build_leaves_nothing(workshop: Workshop) -> None:
    workshop.hold()
    builder = workshop.builder()
    wait_until(workshop.is_building)
    builder.send_signal(signal.SIGINT)
    builder.wait(timeout=10)
    assert is_empty(workshop.cache)


def test_a_killed_build_is_not_taken_for_a_finished_one(workshop: Workshop) -> None:
    workshop.hold()
    builder = workshop.builder()
    wait_until(workshop.is_building)
    builder.kill()
    builder.wait()
    assert not workshop.kwok.parent.exists()


def test_the_compiler_ends_with_a_killed_builder(workshop: Workshop) -> None:
    workshop.hold()
    builder = workshop.builder()
    wait_until(lambda: workshop.is_building() and (workshop.state / "building").read_text())
    compiler = int((workshop.state / "building").read_text())
    builder.kill()
    builder.wait()
    wait_until(lambda: not is_alive(compiler))


def test_the_next_build_clears_away_what_a_killed_one_left(workshop: Workshop) -> None:
    workshop.hold()
    builder = workshop.builder()
    wait_until(workshop.is_building)
    builder.kill()
    builder.wait()
    workshop.release()
    workshop.build()
    assert list(workshop.cache.iterdir()) == [workshop.kwok.parent]


def test_a_second_builder_says_that_it_waits_and_uses_the_firsts_result(
    workshop: Workshop,
) -> None:
    workshop.hold()
    first = workshop.builder()
    wait_until(workshop.is_building)
    progress = Lines()
    second = threading.Thread(target=workshop.build, args=(progress,))
    second.start()
    wait_until(lambda: progress.lines)
    workshop.release()
    second.join(timeout=20)
    first.wait(timeout=20)
    assert progress.lines == [
        f"another process is building into {workshop.cache}; waiting for it to finish"
    ]
    assert (workshop.state / "builds").read_text() == "built\n"
