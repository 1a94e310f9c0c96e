"""Questions about access, asked of a clone without a cluster."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from reconciler.surfaces.access_commands import access_group
from reconciler.surfaces.plan_command import plan_command
from reconciler.wiring.reading import plan_tools
from reconciler.wiring.validating import validate_tools

DETECTOR, BOT = "models/risk/fraud-detector", "access/agents/eval-bot"
EXAMPLE = Path(__file__).parents[2] / "example-repo"


def ask(*words: str, directory: Path = EXAMPLE) -> Result:
    result = CliRunner().invoke(access_group, [*words, str(directory)], obj=validate_tools())
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def test_who_may_use_a_version() -> None:
    assert ask("who-can", "infer", "fraud-detector@v3").output.splitlines() == [
        "Role product-owner (group product-owners)",
        "agent eval-bot (until 2027-06-30)",
    ]
    assert ask("who-can", "retrain", "fraud-detector@v3").output == (
        "nobody may retrain on fraud-detector@v3\n"
    )


def test_what_an_agent_may_do_is_all_that_its_scope_gives() -> None:
    assert ask("what-can", "eval-bot").output.splitlines() == [
        "agent eval-bot (until 2027-06-30)",
        "  infer on fraud-detector@v2, fraud-detector@v3",
        "  call tool metrics/query",
        "  read secrets vault:kv/risk/eval/*, once they are delivered",
        "  connect to gateway",
    ]


def test_the_same_as_json() -> None:
    assert json.loads(ask("who-can", "infer", "fraud-detector@v3", "--json").output) == [
        {"subject": "product-owner", "groups": ["product-owners"]},
        {"subject": "agent/eval-bot", "expires": "2027-06-30"},
    ]
    told = json.loads(ask("what-can", "platform-engineer", "--json").output)
    assert told["models"] == {}
    assert {"cluster": "staging", "namespace": "monitoring"} in told["resources"][0]["places"]


@pytest.mark.parametrize(
    ("words", "code", "beginning"),
    [
        (("eval-bot", "infer", "fraud-detector@v3"), 0, "allowed: AgentScope eval-bot lists infer"),
        (("agent/eval-bot", "retrain", "fraud-detector@v3"), 1, "denied: AgentScope eval-bot does"),
        (("ml-researcher", "retrain", "fraud-detector@v3"), 1, "denied: Role ml-researcher denies"),
        (("ml-researcher", "infer", "fraud-detector@v9"), 1, "denied: Model fraud-detector has no"),
    ],
)
def test_an_answer_says_why(words: tuple[str, ...], code: int, beginning: str) -> None:
    result = ask("explain", *words)
    assert (result.exit_code, result.output[: len(beginning)]) == (code, beginning)


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """With a commit that takes the use of a model from an agent; `before` is the one before."""
    directory = tmp_path / "clone"
    shutil.copytree(EXAMPLE, directory)

    def git(*words: str) -> None:
        who = ["-c", "user.name=a", "-c", "user.email=a@example.com"]
        subprocess.run(["git", "-C", str(directory), *who, *words], check=True, capture_output=True)

    git("init", "-q", "-b", "main")
    git("add", ".")
    git("commit", "-qm", "first")
    git("branch", "before")
    model, scope = (directory / f"{name}.yaml" for name in (DETECTOR, BOT))
    model.write_text(
        model.read_text().replace("[product-owner, agent/eval-bot]", "[product-owner]")
    )
    scope.write_text(scope.read_text().replace("v3, expect: allowed", "v3, expect: denied"))
    git("commit", "-qam", "second")
    return directory


def test_who_gains_and_who_loses_between_two_commits(clone: Path) -> None:
    assert ask("diff", "before", "main", directory=clone).output == (
        "- agent eval-bot may no longer infer on fraud-detector@v2 and fraud-detector@v3\n"
    )
    told = json.loads(ask("diff", "main", "before", "--json", directory=clone).output)
    assert told["widens"] is True
    assert ask("diff", "main", "main", directory=clone).output == "nobody gains or loses access\n"
    asked = ("who-can", "infer", "fraud-detector@v3", "--commit", "before")
    assert "agent eval-bot" in ask(*asked, directory=clone).output


def test_the_plan_says_who_gains_and_who_loses(clone: Path) -> None:
    words = ["--repo", str(clone), "--base", "before", "--head", "main"]
    text = CliRunner().invoke(plan_command, words, obj=plan_tools()).output
    sentence = "agent eval-bot: infer on fraud-detector@v2 and fraud-detector@v3"
    assert f"Loses access\n  {sentence}\n" in text
    assert "Gains access" not in text
    told = json.loads(CliRunner().invoke(plan_command, [*words, "--json"], obj=plan_tools()).output)
    assert told["access"] == [
        {
            "gains": False,
            "who": "agent eval-bot",
            "what": "infer on fraud-detector@v2 and fraud-detector@v3",
            "clusters": [],
        }
    ]
