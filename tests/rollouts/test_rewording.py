"""The text of a prompt is not rewritten under the version that serves."""

from __future__ import annotations

import pytest

from reconciler.core.desired import DesiredState
from reconciler.core.rollouts.rewording import (
    declared_texts,
    rewording_problems,
    serving_texts,
)
from reconciler.core.rollouts.states import RolloutState, Target
from tests.desired.builders import (
    CLUSTERS,
    MODEL,
    PROMPT,
    PROMPT_ROLLOUT,
    ROLLOUT,
    compiled,
    repository,
)


def declared(prompt: str = PROMPT, rollout: str = PROMPT_ROLLOUT) -> DesiredState:
    files = {"clusters": CLUSTERS, "models": MODEL, "rollouts": ROLLOUT}
    return compiled(repository(**files, prompt=prompt, prompt_rollout=rollout)).state


HERE = declared()
EDITED = PROMPT.replace("text: Be brief.", "text: Be long.")
REMOVED = PROMPT.replace("  - {name: v1, text: Be brief.}\n", "")
TO_V2 = PROMPT_ROLLOUT.replace("version: v1", "version: v2")


def test_another_text_for_the_version_that_serves_is_refused() -> None:
    (problem,) = rewording_problems(declared(EDITED), declared_texts(HERE))
    assert problem.code == "prompt-reworded"
    assert problem.location.startswith("prompt_rollout.yaml:")
    assert "Be " not in f"{problem.message}{problem.hint}"


@pytest.mark.parametrize(
    ("prompt", "rollout"),
    [(PROMPT, PROMPT_ROLLOUT), (PROMPT, TO_V2), (EDITED, TO_V2), (REMOVED, TO_V2)],
)
def test_the_way_to_another_version_is_free(prompt: str, rollout: str) -> None:
    assert not rewording_problems(declared(prompt, rollout), declared_texts(HERE))


def test_what_serves_is_in_the_journal() -> None:
    version = HERE.prompts["answers"].spec.versions[0]
    states = {"answers": RolloutState("answers", Target("v1", version.digest, HERE.commit))}
    assert serving_texts(states) == declared_texts(HERE)
    assert serving_texts({"answers": RolloutState("answers", None)}) == {}
