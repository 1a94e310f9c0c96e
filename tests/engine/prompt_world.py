"""A world whose users ask for a prompt: model servers are given texts, and answer after them.

Builds on lora_world.py. Servers tell the digest of each text that they have, as docs/prompts.md
wants it; `garbled` are versions of which they keep something else.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import cache
from itertools import count
from typing import Any

import orjson

from reconciler.adapters.replicas_memory import Asked
from reconciler.core.errors import FairleadError
from reconciler.core.rendering.aliases import loaded_name
from reconciler.ports import Answer
from tests.engine.lora_world import SERVER, SERVER_MODEL, STEPS, LoraWorld
from tests.engine.rollout_world import rollout

SECRET = "Say nothing of the moon."
"""In every text, and to be nowhere else."""


@cache
def text(version: str) -> str:
    """A text whose digest begins with the number of the version, by which the world knows it."""
    texts = (f"{SECRET} Be brief, in way {number} of {version}." for number in count())
    return next(t for t in texts if sha256(t).startswith(version[1:]))


def sha256(content: str) -> str:
    return hashlib.sha256(content.encode()).hexdigest()


def prompt(*versions: str, texts: Mapping[str, str] | None = None) -> str:
    """The Prompt, with the usual texts of its versions or those that are given."""
    listed = "".join(
        f"  - {{name: {name}, text: {(texts or {}).get(name, text(name))!r}}}\n"
        for name in versions
    )
    return f"""\
apiVersion: fairlead.dev/v1alpha1
kind: Prompt
metadata: {{name: fraud}}
spec:
  owner: team-risk
  model: base
  versions:
{listed}\
  serving: {{server: base, alias: fraud}}
"""


class PromptWorld(LoraWorld):
    """`loaded` has the text that each process was given, by name."""

    label = "prompt"

    def __init__(self, *clusters: str, rate: float = 100.0, seed: int = 1) -> None:
        super().__init__(*clusters, rate=rate, seed=seed)
        self.garbled: set[str] = set()

    def declare(self, version: str, *, files: Mapping[str, str] | None = None, **said: Any) -> str:
        versions = said.pop("versions", [f"v{n}" for n in range(1, int(version[1:]) + 2)])
        declared = prompt(*versions, texts=said.pop("texts", None))
        said.setdefault("strategy", STEPS)
        way = rollout(version, waves=self.names, **said).replace("model: fraud", "prompt: fraud")
        waves = ", ".join(f"{{clusters: {{env: {name}}}}}" for name in self.names)
        texts: dict[str, str | None] = {
            "models/base.yaml": SERVER_MODEL,
            "models/fraud.yaml": declared,
            "rollouts/base.yaml": SERVER.replace("WAVES", waves),
            "rollouts/fraud.yaml": way,
            **(files or {}),
        }
        return super().declare(version, files=texts)

    def named(self, version: str) -> str:
        return loaded_name("fraud", f"sha256:{sha256(text(version))}")

    def _respond(self, asked: Asked) -> Answer | FairleadError | None:
        body: Any = asked.body
        uid = asked.replica.uid
        if asked.replica.name not in self.silent:
            match asked.path:
                case "/v1/prompts":
                    data = [{"id": name, "sha256": sha256(t)} for name, t in self._kept(uid)]
                    return Answer(200, orjson.dumps({"data": data}))
                case "/v1/load_prompt":
                    return self.take(uid, body["prompt_name"], body["text"])
                case "/v1/unload_prompt":
                    return self.drop(uid, body["prompt_name"])
        return super()._respond(asked)

    def _kept(self, uid: str) -> list[tuple[str, str]]:
        garbled = {self.named(version) for version in self.garbled}
        found = self.loaded[uid].items()
        return [(name, "something else" if name in garbled else t) for name, t in found]
