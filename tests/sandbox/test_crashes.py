"""Whoever dies, nothing of a control plane is left."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from reconciler.sandbox.directories import claim, running
from reconciler.sandbox.errors import AlreadyRunning, SandboxError

from .waiting import is_alive, is_empty, wait_until

STARTER = """
import json, sys, time
from pathlib import Path
from sandbox.starting import bare_plane
plane = bare_plane(Path(sys.argv[1]))
plane.start()
print(json.dumps([plane.supervisor_pid, *plane.processes().values()]), flush=True)
time.sleep(600)
"""


class Starter:
    """A process that started a control plane for itself."""

    def __init__(self, root: Path) -> None:
        self.root = root
        path = os.pathsep.join([str(Path(__file__).parents[1]), str(Path.cwd())])
        self.process = subprocess.Popen(
            [sys.executable, "-c", STARTER, str(root)],
            env=dict(os.environ) | {"PYTHONPATH": path},
            stdout=subprocess.PIPE,
        )
        assert self.process.stdout is not None
        self.supervisor, *self.programs = json.loads(self.process.stdout.readline())

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def is_anything_alive(self) -> bool:
        return any(map(is_alive, [self.supervisor, *self.programs]))


@pytest.fixture
def starter(tmp_path: Path) -> Iterator[Starter]:
    made = Starter(tmp_path)
    yield made
    made.kill()
    assert made.process.stdout is not None
    made.process.stdout.close()


@pytest.mark.cluster
def test_a_killed_starter_leaves_no_process_and_no_file(starter: Starter) -> None:
    starter.kill()
    wait_until(lambda: not starter.is_anything_alive())
    assert is_empty(starter.root)


@pytest.mark.cluster
def test_an_interrupted_starter_leaves_no_process_and_no_file(starter: Starter) -> None:
    starter.process.send_signal(signal.SIGINT)
    wait_until(lambda: not starter.is_anything_alive())
    assert is_empty(starter.root)


@pytest.mark.cluster
@pytest.mark.skipif(sys.platform != "linux", reason="the kernel of Linux kills the orphans")
def test_a_killed_supervisor_takes_its_programs_along(starter: Starter) -> None:
    os.kill(starter.supervisor, signal.SIGKILL)
    wait_until(lambda: not starter.is_anything_alive())


@pytest.mark.cluster
@pytest.mark.skipif(sys.platform != "linux", reason="the kernel of Linux kills the orphans")
def test_files_of_a_killed_starter_and_supervisor_are_swept_by_the_next_command(
    starter: Starter,
) -> None:
    os.kill(starter.process.pid, signal.SIGSTOP)  # so that it cannot clean up in between
    os.kill(starter.supervisor, signal.SIGKILL)
    starter.kill()
    wait_until(lambda: not starter.is_anything_alive())
    assert running(starter.root) == []
    assert is_empty(starter.root)


def test_a_name_can_be_claimed_once(tmp_path: Path) -> None:
    claim(tmp_path, "mine")
    with pytest.raises(AlreadyRunning):
        claim(tmp_path, "mine")


def test_a_released_name_can_be_claimed_again(tmp_path: Path) -> None:
    claim(tmp_path, "mine").release()
    assert claim(tmp_path, "mine").paths.directory.is_dir()


def test_a_sweep_spares_what_is_claimed(tmp_path: Path) -> None:
    held = claim(tmp_path, "mine")
    assert running(tmp_path) == [held.paths]
    assert held.paths.directory.is_dir()


def test_a_directory_that_is_no_sandboxs_is_never_removed(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    with pytest.raises(SandboxError, match="is not a sandbox's"):
        claim(tmp_path, "mine")
    assert running(tmp_path) == []
    assert (tmp_path / "mine").is_dir()
