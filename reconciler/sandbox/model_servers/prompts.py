"""Prompts of a replica, given and taken while it serves: the contract of docs/prompts.md.

Separate from adapters, which come from a path. Invariant: a request is answered after exactly the
prompt that it is marked with, or after none; a name that was not given is refused.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus

from reconciler.core.manifests import JsonObject
from reconciler.sandbox.model_servers.adapters import ServingRefusal, text_of


@dataclass(frozen=True, slots=True)
class GivenPrompt:
    """One of them. `name` and `text` are empty where a request asks for none."""

    name: str = ""
    text: str = ""

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.text.encode()).hexdigest() if self.name else ""

    def before(self, question: str) -> str:
        """What the model is asked."""
        return f"{self.text}\n{question}" if self.name else question


class Prompts:
    """What was given beside one base model."""

    def __init__(self) -> None:
        self._given: dict[str, GivenPrompt] = {}

    def load(self, request: Mapping[str, object]) -> None:
        """Raises ServingRefusal."""
        name, text = text_of(request, "prompt_name"), text_of(request, "text")
        if name in self._given:
            raise ServingRefusal(HTTPStatus.BAD_REQUEST, f"The prompt '{name}' is there already.")
        self._given[name] = GivenPrompt(name, text)

    def unload(self, request: Mapping[str, object]) -> None:
        """Raises ServingRefusal."""
        name = text_of(request, "prompt_name")
        if self._given.pop(name, None) is None:
            raise ServingRefusal(HTTPStatus.NOT_FOUND, f"The prompt '{name}' is not there.")

    def listing(self) -> JsonObject:
        return {"data": [{"id": name, "sha256": p.sha256} for name, p in self._given.items()]}

    def answering(self, name: str) -> GivenPrompt:
        """The prompt that a request is marked with. Raises ServingRefusal."""
        if not name:
            return GivenPrompt()
        if name not in self._given:
            raise ServingRefusal(HTTPStatus.NOT_FOUND, f"The prompt `{name}` does not exist.")
        return self._given[name]
