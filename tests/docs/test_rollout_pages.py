"""The examples in the pages about rollouts and evaluations can be copied as they are."""

from __future__ import annotations

import re
from pathlib import Path

import orjson
import pytest
import yaml

from reconciler.adapters.evaluating import Evaluators
from reconciler.core.kinds import Evaluation
from reconciler.core.manifests import JsonValue
from reconciler.core.problems import errors_among
from reconciler.core.rollouts.backtesting import looks_from_lines
from reconciler.ports import Comparison
from reconciler.surfaces.validate_command import validate_directory
from tests.docs.test_pages import ROOT, blocks

ROLLOUTS, EVALUATIONS = ROOT / "docs" / "rollouts.md", ROOT / "docs" / "evaluations.md"


def example() -> str:
    return next(block for block in blocks(ROLLOUTS, "yaml") if "kind: Repository" in block)


def written(text: str, root: Path) -> Path:
    """The example as a repository: the policy in its file, everything else in another."""
    policy, _, others = text.partition("---\n")
    (root / "fairlead.yaml").write_text(policy)
    (root / "models.yaml").write_text(others)
    return root


def test_the_example_is_a_valid_repository(tmp_path: Path) -> None:
    assert errors_among(validate_directory(written(example(), tmp_path)).problems) == ()


def test_the_example_is_valid_with_its_approval(tmp_path: Path) -> None:
    (approval,) = (b for b in blocks(ROLLOUTS, "yaml") if b.startswith("spec:\n  approved:"))
    approved = approval.removeprefix("spec:\n")
    text = example().replace("  onFailure: revert\n", f"  onFailure: revert\n{approved}")
    assert errors_among(validate_directory(written(text, tmp_path)).problems) == ()


def test_the_example_of_a_recording_can_be_read() -> None:
    (recording,) = blocks(ROLLOUTS, "json")
    (look,) = looks_from_lines(recording, name="docs/rollouts.md")
    assert look.candidate_requests == 50


def evaluations() -> dict[str, Evaluation]:
    """Those of the page, by name."""
    found = (Evaluation.model_validate(yaml.safe_load(b)) for b in blocks(EVALUATIONS, "yaml"))
    return {evaluation.name: evaluation for evaluation in found}


def test_every_form_of_evaluation_is_shown() -> None:
    assert sorted(evaluations()) == ["fraud-golden", "helpfulness", "politeness"]


async def answering(text: str) -> JsonValue:
    return {"choices": [{"text": text}]}


async def test_the_plug_in_of_the_page_evaluates(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (project,), (module,) = blocks(EVALUATIONS, "toml"), blocks(EVALUATIONS, "python")
    (tmp_path / "politeness_evaluation.py").write_text(module)
    points = re.search(r"^\[project\.entry-points\.\"(.+)\"\]\n(\w+) = \"(.+)\"$", project, re.M)
    assert points is not None
    installed = tmp_path / "politeness_evaluation-1.0.0.dist-info"
    installed.mkdir()
    (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: politeness-evaluation\n")
    group, name, where = points.groups()
    (installed / "entry_points.txt").write_text(f"[{group}]\n{name} = {where}\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    versions = Comparison(
        rollout="support",
        model="support",
        namespace="team-support",
        stable="v1",
        candidate="v2",
        ask_stable=lambda request: answering("We are sorry."),
        ask_candidate=lambda request: answering("Bad luck."),
    )
    result = await Evaluators().evaluate(evaluations()["politeness"], versions)
    assert result.trouble == ""
    assert [(item.stable, item.candidate) for item in result.items] == [(True, False)] * 3


def test_the_answer_of_a_service_has_items_with_both_versions() -> None:
    asked, answer = (orjson.loads(block) for block in blocks(EVALUATIONS, "json"))
    assert asked.keys() == {"rollout", "model", "namespace", "stable", "candidate"}
    assert all(item.keys() == {"item", "stable", "candidate"} for item in answer["items"])
