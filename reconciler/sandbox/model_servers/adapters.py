"""LoRA adapters of a replica, loaded and unloaded while it serves, as vLLM has it.

Separate from the HTTP protocol. Invariant: a completion is by exactly the adapter, or the base
model, that the request named; a name that is not loaded is refused.
https://docs.vllm.ai/en/stable/features/lora/#dynamically-serving-lora-adapters
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from http import HTTPStatus

from reconciler.core.manifests import JsonObject


class ServingRefusal(Exception):
    """Answered to the client with its status. Never leaves the model servers."""

    def __init__(self, status: HTTPStatus, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


class Adapters:
    """What is loaded beside one base model."""

    def __init__(self, base: str) -> None:
        self._base = base
        self._paths: dict[str, str] = {}

    def load(self, request: Mapping[str, object]) -> str:
        """What vLLM says of it. Raises ServingRefusal."""
        name, path = text_of(request, "lora_name"), text_of(request, "lora_path")
        if name == self._base or (name in self._paths and not request.get("load_inplace")):
            raise ServingRefusal(
                HTTPStatus.BAD_REQUEST, f"The lora adapter '{name}' has already been loaded."
            )
        self._paths[name] = path
        return f"Success: LoRA adapter '{name}' added successfully."

    def unload(self, request: Mapping[str, object]) -> str:
        """Raises ServingRefusal."""
        name = text_of(request, "lora_name")
        if self._paths.pop(name, None) is None:
            raise ServingRefusal(
                HTTPStatus.NOT_FOUND, f"The lora adapter '{name}' cannot be found."
            )
        return f"Success: LoRA adapter '{name}' removed successfully."

    def answering(self, name: object) -> str:
        """Under which name a request for `name` is counted: that of the base, if it is unknown."""
        return name if isinstance(name, str) and name in self._paths else self._base

    def listing(self) -> JsonObject:
        """The base model and what is loaded."""
        base: JsonObject = {"id": self._base, "object": "model", "root": self._base, "parent": None}
        return {"object": "list", "data": [base, *map(self._described, sorted(self._paths))]}

    def complete(self, request: Mapping[str, object]) -> tuple[str, JsonObject]:
        """Who answered, and what. Raises ServingRefusal.

        The text depends on the adapter's path and the prompt, so that a wrong adapter shows.
        """
        name = text_of(request, "model")
        if name != self._base and name not in self._paths:
            raise ServingRefusal(HTTPStatus.NOT_FOUND, f"The model `{name}` does not exist.")
        prompt = str(request.get("prompt", ""))
        path = self._paths.get(name, self._base)
        choice: JsonObject = {
            "index": 0,
            "text": completion(path, prompt),
            "finish_reason": "length",
        }
        tokens = len(prompt.split())
        usage: JsonObject = {
            "prompt_tokens": tokens,
            "completion_tokens": 1,
            "total_tokens": tokens + 1,
        }
        body: JsonObject = {
            "id": "cmpl-" + hashlib.sha256(f"{name}\0{prompt}".encode()).hexdigest()[:16],
            "object": "text_completion",
            "model": name,
            "choices": [choice],
            "usage": usage,
        }
        return name, body

    def _described(self, name: str) -> JsonObject:
        return {"id": name, "object": "model", "root": self._paths[name], "parent": self._base}


def completion(path: str, prompt: str) -> str:
    """The text that an adapter of this path, or a base model of this name, makes of a prompt."""
    return hashlib.sha256(f"{path}\0{prompt}".encode()).hexdigest()[:12]


def text_of(request: Mapping[str, object], field: str) -> str:
    """A field that must be a text. Raises ServingRefusal."""
    value = request.get(field)
    if not isinstance(value, str) or not value:
        raise ServingRefusal(HTTPStatus.BAD_REQUEST, f"{field} must be provided")
    return value
