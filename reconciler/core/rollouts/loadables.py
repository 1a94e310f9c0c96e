"""Loadables: what the replicas of a server load for a rollout, be it LoRA adapters or prompts.

Separate from what follows from it, which is the same for both. The invariant: a version is known to
servers by its alias and its digest alone, so a name never means two things.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from reconciler.core.desired import DesiredState
from reconciler.core.identifiers import Digest
from reconciler.core.kinds import Prompt, Rollout
from reconciler.core.kinds.lora import Lora
from reconciler.core.manifests import JsonObject
from reconciler.core.rendering.aliases import loaded_name
from reconciler.core.rendering.lora import adapter_path


class Sort(StrEnum):
    """What is loaded. The value is the word for it in the log."""

    ADAPTER = "adapter"
    PROMPT = "prompt"


@dataclass(frozen=True, slots=True)
class Loadable:
    """What one alias may stand for on the replicas of one server.

    `digests` are those of the versions, by name. A server is told where an adapter lies, and is
    given the text of a prompt, of which those in `texts` are known.
    """

    sort: Sort
    server: str
    alias: str
    digests: Mapping[str, Digest]
    lora: Lora | None = None
    texts: Mapping[Digest, str] = field(default_factory=dict, repr=False)

    @classmethod
    def of(cls, desired: DesiredState, rollout: Rollout) -> Loadable:
        if rollout.spec.prompt:
            return cls.of_prompt(desired.prompts[rollout.spec.prompt])
        spec = desired.models[rollout.spec.model].spec
        assert spec.serving.lora is not None, "checked by Serving for this runtime"
        digests = {version.name: version.artifact.digest for version in spec.versions}
        return cls.of_adapter(spec.serving.lora, digests)

    @classmethod
    def of_adapter(cls, lora: Lora, digests: Mapping[str, Digest]) -> Loadable:
        return cls(Sort.ADAPTER, lora.server, lora.alias, digests, lora=lora)

    @classmethod
    def of_prompt(cls, prompt: Prompt) -> Loadable:
        serving, versions = prompt.spec.serving, prompt.spec.versions
        assert serving is not None, "checked where a Rollout names it"
        return cls(
            Sort.PROMPT,
            serving.server,
            serving.alias,
            {version.name: version.digest for version in versions},
            texts={version.digest: version.text for version in versions},
        )

    def name(self, digest: Digest) -> str:
        """The name under which servers know what has this digest."""
        return loaded_name(self.alias, digest)

    def source(self, digest: Digest) -> str | None:
        """What a server is told to load: a path, or the text; None for a text that is gone."""
        return adapter_path(self.lora, digest) if self.lora else self.texts.get(digest)

    def told(self, digest: Digest) -> JsonObject:
        """What the audit log says of it besides its name."""
        if self.sort is Sort.ADAPTER:
            return {"artifact": digest}
        version = next((name for name, found in self.digests.items() if found == digest), "")
        return {"alias": self.alias, "version": version, "digest": digest}
