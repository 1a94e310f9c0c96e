"""Hot reload of prompts where everything is real: servers that take texts, users that ask by alias.

Builds on adapter_world.py. What a user is answered depends on the text and the question, so an
answer after a wrong prompt shows.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from reconciler.core.rendering.aliases import loaded_name
from reconciler.core.rendering.prompts import PROMPT_HEADER, PROMPT_VERSION_HEADER
from reconciler.sandbox.model_servers.adapters import completion
from tests.engine.lora_world import STEPS
from tests.engine.prompt_world import prompt, sha256, text
from tests.engine.rollout_world import rollout
from tests.rollouts.adapter_world import VERSIONS, RealAdapters


def named(version: str) -> str:
    return loaded_name("fraud", f"sha256:{sha256(text(version))}")


class RealPrompts(RealAdapters):
    """Users ask the base model after a prompt."""

    asked_by = PROMPT_HEADER
    told_by = PROMPT_VERSION_HEADER
    model = "base"
    by_name: Mapping[str, str] = {named(version): version for version in VERSIONS}

    def declare(self, version: str, *, files: Mapping[str, str] | None = None, **said: Any) -> str:
        way = rollout(version, waves=self.names, strategy=STEPS, **said)
        texts = {
            "models/fraud.yaml": prompt(*VERSIONS),
            "rollouts/fraud.yaml": way.replace("model: fraud", "prompt: fraud"),
            **(files or {}),
        }
        return super().declare(version, files=texts)

    def right(self, version: str, question: str) -> str:
        return completion("base", f"{text(version)}\n{question}")
