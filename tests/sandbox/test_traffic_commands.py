"""`fairlead sandbox send` and `fault`, as a person tries a rollout by hand."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from .test_commands import CommandLine
from .workloads import MODEL, Workloads


@pytest.fixture(scope="module")
def served(
    gateway_plane: object,  # so that its programs are built, and skipped where they cannot run
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[CommandLine, Workloads]]:
    """A sandbox of one's own with a gateway, in which one version of a model runs."""
    command_line = CommandLine(tmp_path_factory.mktemp("state"))
    up = command_line("up", "--with", "gateway", "--name", "mine")
    assert up.exit_code == 0, up.output
    try:
        (ready,) = json.loads(command_line("status", "--json").stdout)["ready"]
        plane = SimpleNamespace(kubeconfig=Path(ready["kubeconfig"]))
        workloads = Workloads(plane, "by-hand")
        workloads.version("v1")
        workloads.route({"v1": 100})
        yield command_line, workloads
    finally:
        command_line("down", "--name", "mine")


def answered(served: tuple[CommandLine, Workloads]) -> str:
    """What `send` says last of three seconds."""
    command_line, workloads = served
    sent = command_line(
        *("send", MODEL, "--name", "mine", "--host", workloads.host, "--seconds", "4"),
        *("--rate", "50", "--header", "x-cohort=internal"),
    )
    assert sent.exit_code == 0, sent.output
    return sent.stdout.splitlines()[-1]


def test_send_says_who_answers(served: tuple[CommandLine, Workloads]) -> None:
    assert re.fullmatch(r"answered by v1 \d+; 0 failed, 0 not answered", answered(served))


def test_a_fault_acts_at_once_and_is_taken_away_again(
    served: tuple[CommandLine, Workloads],
) -> None:
    command_line, workloads = served
    place = ("--name", "mine", "--namespace", workloads.namespace)
    told = command_line("fault", "v1", "errors=1", *place)
    assert told.stdout == "from now on, v1 does errors=1 (pods: 1)\n"
    assert re.search(r"; [1-9]\d* failed", answered(served))
    command_line("fault", "v1", "errors=0", *place)
    assert "; 0 failed" in answered(served)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("fault", "v9", "errors=1"), "there is no pod of v9"),
        (("fault", "v1", "error=1"), "names a fault 'error'"),
    ],
)
def test_what_cannot_be_done_is_said(
    served: tuple[CommandLine, Workloads], arguments: tuple[str, ...], says: str
) -> None:
    command_line, workloads = served
    told = command_line(*arguments, "--name", "mine", "--namespace", workloads.namespace)
    assert says in str(told.exception)
