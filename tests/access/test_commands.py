"""Questions about access, asked of a clone without a cluster."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from reconciler.surfaces.access_commands import access_group
from reconciler.wiring.validating import validate_tools

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
        "  read secrets vault:kv/risk/eval/*",
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


def test_who_gains_and_who_loses_between_two_commits(tmp_path: Path) -> None:
    clone = tmp_path / "clone"
    shutil.copytree(EXAMPLE, clone)

    def git(*words: str) -> None:
        who = ["-c", "user.name=a", "-c", "user.email=a@example.com"]
        subprocess.run(["git", "-C", str(clone), *who, *words], check=True, capture_output=True)

    git("init", "-q", "-b", "main")
    git("add", ".")
    git("commit", "-qm", "first")
    git("branch", "before")
    model = clone / "models/risk/fraud-detector.yaml"
    text = model.read_text()
    narrower = text.replace("[product-owner, agent/eval-bot]", "[product-owner]")
    scope = clone / "access/agents/eval-bot.yaml"
    scope.write_text(scope.read_text().replace("v3, expect: allowed", "v3, expect: denied"))
    model.write_text(narrower)
    git("commit", "-qam", "second")
    assert ask("diff", "before", "main", directory=clone).output == (
        "- agent eval-bot may no longer infer on fraud-detector@v2 and fraud-detector@v3\n"
    )
    told = json.loads(ask("diff", "main", "before", "--json", directory=clone).output)
    assert told["widens"] is True
    assert ask("diff", "main", "main", directory=clone).output == "nobody gains or loses access\n"
    asked = ("who-can", "infer", "fraud-detector@v3", "--commit", "before")
    assert "agent eval-bot" in ask(*asked, directory=clone).output
