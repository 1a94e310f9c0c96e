"""The command line as such: what it loads, and how it fails."""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module
from pathlib import Path

import click
import pytest

from reconciler.core.errors import Misconfigured, Unavailable
from reconciler.core.identifiers import DocumentPath
from reconciler.core.problems import Problem, Span
from reconciler.surfaces.cli import COMMANDS, fairlead, main

HEAVY = ("kubernetes", "sqlalchemy", "pygit2", "aiohttp", "starlette", "uvicorn", "pydantic")


def modules_after(*arguments: str) -> set[str]:
    program = (
        "import sys; from reconciler.surfaces.cli import main; "
        f"main({list(arguments)!r}); print(*sys.modules, sep='\\n', file=sys.stderr)"
    )
    result = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    return set(result.stderr.split())


def test_help_loads_nothing_heavy() -> None:
    assert not set(HEAVY) & modules_after("--help")


def test_an_offline_command_loads_no_cluster_client() -> None:
    assert not {"kubernetes", "aiohttp", "uvicorn"} & modules_after("schemas", "--help")


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_where_the_command_line_looks_for_it(name: str) -> None:
    for place in (COMMANDS[name].place, COMMANDS[name].tools):
        if place:
            module, _, attribute = place.partition(":")
            assert hasattr(import_module(module), attribute)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_itself(name: str) -> None:
    command = fairlead.get_command(click.Context(fairlead, resilient_parsing=True), name)
    assert command is not None
    assert command.help


def test_an_unknown_command_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["frobnicate"]) == 2
    assert "frobnicate" in capsys.readouterr().err


def test_settings_that_cannot_be_used_are_named_and_exit_with_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "settings.yaml"
    file.write_text("repository: {name: UPPER}\n")
    assert main(["run", "--config", str(file)]) == 2
    shown = capsys.readouterr().err
    assert f"{file}:1:20: field-value: repository.name" in shown
    assert "Traceback" not in shown


def failing(error: Exception) -> click.Group:
    """A command line whose only command fails."""

    def fail() -> None:
        raise error

    debug = click.Option(["--debug"], is_flag=True, expose_value=False)
    return click.Group("fairlead", {"fail": click.Command("fail", callback=fail)}, params=[debug])


def test_an_expected_failure_is_a_message_with_a_hint_and_no_traceback(
    capsys: pytest.CaptureFixture[str],
) -> None:
    group = failing(Unavailable("nobody answers", hint="start it"))
    assert main(["fail"], group=group) == 1
    assert capsys.readouterr().err == "fairlead: unavailable: nobody answers\n  start it\n"


def test_a_failure_of_the_machine_is_a_message_and_no_traceback(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    arguments = ["schemas", str(tmp_path / "file" / "below")]
    result = subprocess.run(
        [sys.executable, "-m", "reconciler", *arguments],
        check=False,
        capture_output=True,
        text=True,
    )
    assert result.returncode == 1
    assert result.stderr.startswith("fairlead: unavailable: ")
    assert "Traceback" not in result.stderr


def test_debug_shows_where_an_expected_failure_came_from() -> None:
    with pytest.raises(Unavailable):
        main(["--debug", "fail"], group=failing(Unavailable("nobody answers")))


def test_problems_of_settings_are_printed_one_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    problem = Problem(DocumentPath("s.yaml"), Span(3, 1), "field-unknown", "unknown", "remove it")
    group = failing(Misconfigured("wrong", problems=(problem,)))
    assert main(["fail"], group=group) == 2
    assert "s.yaml:3:1: field-unknown: unknown; remove it\n" in capsys.readouterr().err


def test_an_error_message_cannot_move_the_cursor(capsys: pytest.CaptureFixture[str]) -> None:
    main(["fail"], group=failing(Unavailable("\x1b[2Jall is well\r")))
    assert "\x1b" not in capsys.readouterr().err
