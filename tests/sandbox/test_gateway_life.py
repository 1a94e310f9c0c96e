"""A sandbox with a gateway from up to down, and that nothing of it is left."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from reconciler.sandbox.errors import SandboxError

from .test_commands import CommandLine
from .waiting import is_alive, is_empty, wait_until

pytestmark = [pytest.mark.cluster, pytest.mark.gateway]


@pytest.fixture
def idle(tmp_path: Path) -> CommandLine:
    return CommandLine(tmp_path)


@pytest.fixture
def up(idle: CommandLine) -> Iterator[CommandLine]:
    """A sandbox with a gateway is up."""
    result = idle("up", "--with", "gateway", "--nodes", "1")
    assert result.exit_code == 0, result.output
    yield idle
    idle("down")


def network_of(pid: int) -> str:
    return os.readlink(f"/proc/{pid}/ns/net")  # noqa: PTH115 - it points at no file


def inhabitants(network: str) -> list[int]:
    """Processes in a network namespace."""
    found = []
    for pid in (int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()):
        try:
            if network_of(pid) == network and is_alive(pid):
                found.append(pid)
        except OSError:  # it ended, or is another user's
            continue
    return found


def test_status_tells_where_the_gateway_is(up: CommandLine) -> None:
    (ready,) = json.loads(up("status", "--json").stdout)["ready"]
    assert f"gateway {ready['gateway']}" in up("status").stdout
    assert f"gateway     {ready['gateway']}" in up("up", "--with", "gateway").stdout


def test_down_leaves_no_process_no_network_and_no_file(up: CommandLine) -> None:
    network = network_of(up.supervisor("default"))
    assert network != network_of(os.getpid())
    assert len(inhabitants(network)) > 8
    assert up("down").stdout == "default is stopped\n"
    assert is_empty(up.root)
    wait_until(lambda: not inhabitants(network))


def test_a_killed_supervisor_takes_all_along(up: CommandLine) -> None:
    supervisor = up.supervisor("default")
    network = network_of(supervisor)
    os.kill(supervisor, signal.SIGKILL)
    wait_until(lambda: not inhabitants(network))
    assert json.loads(up("status", "--json").stdout)["ready"] == []
    assert is_empty(up.root)


def test_a_sandbox_whose_envoy_died_is_gone_and_says_why(up: CommandLine) -> None:
    network = network_of(up.supervisor("default"))
    os.kill(up.program("default", "envoy"), signal.SIGKILL)
    wait_until(lambda: not inhabitants(network))
    assert "default: envoy ended with status -9" in up("status").stdout


def test_a_running_sandbox_is_not_given_a_gateway_later(idle: CommandLine) -> None:
    idle("up", "--nodes", "0")
    refused = idle("up", "--with", "gateway").exception
    assert isinstance(refused, SandboxError)
    assert (refused.message, refused.hint) == (
        "sandbox 'default' is running without a gateway",
        "stop it first, or choose another --name",
    )
    idle("down")
