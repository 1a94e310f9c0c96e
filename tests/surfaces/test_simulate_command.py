"""`fairlead rollout simulate` as people and programs see it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from reconciler.core.errors import FairleadError, Invalid, Missing
from reconciler.surfaces.rollout_commands import rollout_group
from reconciler.surfaces.simulate_command import simulate_command

EXAMPLE = Path(__file__).parents[2] / "example-repo"


def simulate(*words: str, repository: Path = EXAMPLE) -> Result:
    return CliRunner().invoke(simulate_command, [*words, "--repo", str(repository)])


def refused(*words: str, repository: Path = EXAMPLE) -> FairleadError:
    error = simulate(*words, repository=repository).exception
    assert isinstance(error, FairleadError)
    return error


def test_it_is_in_the_group() -> None:
    assert rollout_group.commands["simulate"] is simulate_command


def test_it_says_what_would_happen_when_and_at_what_cost() -> None:
    result = simulate("fraud-detector", "--candidate-errors", "20%")
    assert result.exit_code == 0
    lines = result.output.splitlines()
    assert lines[0] == (
        "supposed: 50 requests a second in each wave; 0.1 % of them fail, of v2 20 %; approvals "
        "are given at once"
    )
    assert lines[1] == "left out, as if they passed: gates drift, golden-answers, latency"
    assert " 0:00:01  enter-step   wave 1, step 1 of " in lines[3]
    assert lines[-1].startswith("taken back after ")
    assert lines[-1].endswith(" bad answers")


def test_a_good_version_is_promoted() -> None:
    result = simulate("assistant", "--candidate-errors", "0.1%", "--seed", "2")
    assert result.output.splitlines()[-1].startswith("promoted after ")


def test_a_version_may_go_bad_later() -> None:
    result = simulate("assistant", "--candidate-errors", "50%", "--bad-after", "3m")
    assert "50 % from 0:03:00 on" in result.output
    assert "taken back after 3m" in result.output


def test_programs_get_all_of_it() -> None:
    body = json.loads(simulate("embedder", "--candidate-errors", "100%", "--json").output)
    assert body["ending"] == "taken-back"
    assert body["badAnswers"] == body["requests"] > 0
    assert body["leftOut"] == []
    assert body["events"][-1]["verdicts"][0]["outcome"] == "fail"


def test_the_seed_decides() -> None:
    runs = [simulate("embedder", "--candidate-errors", "2%", "--seed", s).output for s in "112"]
    assert runs[0] == runs[1] != runs[2]


@pytest.mark.parametrize(
    "words",
    [
        ("embedder",),
        ("embedder", "--candidate-errors", "2"),
        ("embedder", "--candidate-errors", "200%"),
        ("embedder", "--candidate-errors", "2%", "--bad-after", "soon"),
        ("embedder", "--candidate-errors", "2%", "--requests-per-second", "0"),
    ],
)
def test_what_cannot_be_supposed_is_wrong_usage(words: tuple[str, ...]) -> None:
    result = simulate(*words)
    assert result.exit_code == 2
    assert "Error: " in result.output


def test_a_rollout_that_is_not_there_is_named_with_those_that_are() -> None:
    error = refused("nobody", "--candidate-errors", "1%")
    assert isinstance(error, Missing)
    assert "fraud-detector" in error.hint


def test_a_rollout_without_steps_cannot_be_played() -> None:
    error = refused("intent-classifier", "--candidate-errors", "1%")
    assert isinstance(error, Invalid)
    assert "strategy" in error.hint


def test_a_repository_that_is_not_valid_is_refused(tmp_path: Path) -> None:
    (tmp_path / "fairlead.yaml").write_text("kind: Nothing\n")
    error = refused("x", "--candidate-errors", "1%", repository=tmp_path)
    assert "fairlead validate" in error.hint
