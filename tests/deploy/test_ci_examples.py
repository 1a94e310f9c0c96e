"""The examples for other people's CI run commands that exist, with rights for reading alone."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from reconciler.surfaces.plan_command import plan_command

CI = Path(__file__).parents[2] / "deploy" / "ci"


def read(name: str) -> dict[Any, Any]:
    found: dict[Any, Any] = yaml.safe_load((CI / name).read_text(encoding="utf-8"))
    return found


def commands() -> list[str]:
    job = read("github-actions.yaml")["jobs"]["plan"]
    github = [line for step in job["steps"] for line in step.get("run", "").splitlines()]
    return [*github, *read("gitlab-ci.yaml")["fairlead-plan"]["script"]]


@pytest.mark.parametrize("command", commands())
def test_the_commands_exist_with_their_options(command: str) -> None:
    words = shlex.split(re.split(r" (?:>>|\|) ", command)[0])
    assert words[:2] == ["fairlead", "plan"]
    known = {option for parameter in plan_command.params for option in parameter.opts}
    assert {word for word in words if word.startswith("--")} <= known


def test_the_workflow_may_only_read() -> None:
    workflow = read("github-actions.yaml")
    assert workflow["permissions"] == {"contents": "read"}
    assert "pull_request_target" not in (CI / "github-actions.yaml").read_text()


def test_actions_and_images_are_pinned_by_digest() -> None:
    job = read("github-actions.yaml")["jobs"]["plan"]
    uses = [step["uses"] for step in job["steps"] if "uses" in step]
    assert uses
    assert all(re.fullmatch(r"[\w/-]+@[0-9a-f]{40}", name) for name in uses)
    images = [job["container"]["image"], read("gitlab-ci.yaml")["fairlead-plan"]["image"]["name"]]
    assert all(re.fullmatch(r"\S+@sha256:[0-9a-f]{64}", image) for image in images)


def test_nothing_that_a_stranger_names_is_put_into_a_shell() -> None:
    """S1: names of branches and titles come in through the environment, quoted."""
    for step in read("github-actions.yaml")["jobs"]["plan"]["steps"]:
        assert "${{" not in step.get("run", "")


def test_the_help_of_plan_tells_of_markdown() -> None:
    assert "--markdown" in CliRunner().invoke(plan_command, ["--help"]).output
