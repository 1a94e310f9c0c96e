"""`fairlead sandbox`, as a person or a pipeline uses it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from reconciler.sandbox.commands import sandbox_group
from reconciler.sandbox.directories import SandboxPaths
from reconciler.sandbox.errors import NotRunning

from .waiting import is_alive, is_empty, wait_until


class CommandLine:
    """With a state directory of its own; built programs are shared with everybody."""

    def __init__(self, state: Path) -> None:
        self.root = state / "fairlead" / "sandboxes"
        self._environment = {"XDG_STATE_HOME": str(state), "NO_COLOR": "1"}

    def __call__(self, *arguments: str) -> Result:
        return CliRunner(env=self._environment).invoke(sandbox_group, arguments)

    def supervisor(self, name: str) -> int:
        return int(SandboxPaths(self.root, name).supervisor_pid.read_text())

    def program(self, name: str, command: str) -> int:
        supervisor = self.supervisor(name)
        listing = Path(f"/proc/{supervisor}/task/{supervisor}/children").read_text()
        pids = [int(pid) for pid in listing.split()]
        return next(p for p in pids if Path(f"/proc/{p}/comm").read_text().strip() == command)


@pytest.fixture
def idle(tmp_path: Path) -> CommandLine:
    return CommandLine(tmp_path)


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CommandLine]:
    """A sandbox named `shared` is up."""
    command_line = CommandLine(tmp_path_factory.mktemp("state"))
    up = command_line("up", "--name", "shared", "--nodes", "2")
    assert up.exit_code == 0, up.output
    yield command_line
    command_line("down", "--name", "shared")


@pytest.mark.cluster
def test_up_leaves_a_running_sandbox_behind(started: CommandLine) -> None:
    ready = json.loads(started("status", "--json").stdout)["ready"]
    assert [(found["name"], found["nodes"]) for found in ready] == [("shared", 2)]


@pytest.mark.cluster
def test_up_again_says_that_it_is_running(started: CommandLine) -> None:
    again = started("up", "--name", "shared")
    assert (again.exit_code, again.stdout.splitlines()[0]) == (0, "shared is already running")


@pytest.mark.cluster
def test_env_is_what_a_shell_evaluates(started: CommandLine) -> None:
    printed = started("env", "--name", "shared").stdout
    script = f'{printed}\nprintf %s "$KUBECONFIG"'
    kubeconfig = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True)
    assert Path(kubeconfig.stdout).read_text().startswith("{")


@pytest.mark.cluster
def test_status_tells_a_person_where_the_server_is(started: CommandLine) -> None:
    (ready,) = json.loads(started("status", "--json").stdout)["ready"]
    assert f"2 nodes, {ready['server']}" in started("status").stdout


@pytest.mark.cluster
def test_down_leaves_nothing(idle: CommandLine) -> None:
    idle("up", "--nodes", "0")
    supervisor = idle.supervisor("default")
    assert idle("down").stdout == "default is stopped\n"
    assert is_empty(idle.root)
    wait_until(lambda: not is_alive(supervisor))


@pytest.mark.cluster
def test_a_sandbox_whose_etcd_died_is_gone_and_says_why(idle: CommandLine) -> None:
    idle("up", "--nodes", "0")
    supervisor = idle.supervisor("default")
    os.kill(idle.program("default", "etcd"), signal.SIGKILL)
    wait_until(lambda: not is_alive(supervisor))
    assert "default: etcd ended with status -9" in idle("status").stdout
    assert "etcd ended with status -9" in str(idle("env").exception)


def test_down_of_nothing_is_no_error(idle: CommandLine) -> None:
    stopped = idle("down")
    assert (stopped.exit_code, stopped.stdout) == (0, "default was not running\n")


def test_status_of_nothing_says_how_to_start_one(idle: CommandLine) -> None:
    assert "fairlead sandbox up" in idle("status").stdout


def test_env_of_nothing_fails_and_says_how_to_start_one(idle: CommandLine) -> None:
    failed = idle("env").exception
    assert isinstance(failed, NotRunning)
    assert failed.hint == "start it: fairlead sandbox up --name default"


def test_asking_creates_no_directory(idle: CommandLine) -> None:
    idle("status")
    assert not idle.root.exists()
