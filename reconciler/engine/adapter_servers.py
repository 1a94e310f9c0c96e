"""Adapter servers: what vLLM's endpoints say and do about the LoRA adapters of one replica.

Separate from deciding which adapters a replica is to have (loading.py). The invariant: what was
loaded is what the replica lists afterwards, whatever it answered to the request.
https://docs.vllm.ai/en/stable/features/lora/#dynamically-serving-lora-adapters
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import orjson

from reconciler.core.errors import Unavailable
from reconciler.core.manifests import JsonValue
from reconciler.core.problems import printable
from reconciler.ports import Answer, Replica, Replicas

LISTING_PATH = "/v1/models"
LOAD_PATH = "/v1/load_lora_adapter"
UNLOAD_PATH = "/v1/unload_lora_adapter"

NOT_NOW = frozenset({408, 429, 502, 503, 504})
"""A proxy or a busy server: the same request may be taken later."""

_LONGEST_WORDS = 200


@dataclass(frozen=True, slots=True)
class AdapterServer:
    """One replica."""

    replicas: Replicas
    replica: Replica
    port: int

    async def listing(self) -> Mapping[str, str]:
        """Where each adapter was loaded from, by name; "" where the replica does not say.

        Unavailable when it does not tell.
        """
        answer = await self.replicas.get(self.replica, self.port, LISTING_PATH)
        entries = _entries(answer)
        if entries is None:
            raise Unavailable(f"{self.replica.name} answers {answer.status} at {LISTING_PATH}")
        found = {}
        for entry in entries:
            if isinstance(entry, dict) and isinstance(name := entry.get("id"), str):
                root = entry.get("root")
                found[name] = root if isinstance(root, str) else ""
        return found

    async def load(self, adapter: str, path: str) -> str:
        """Ask for it. Why it was refused, in the replica's words; empty when it was not."""
        body: JsonValue = {"lora_name": adapter, "lora_path": path}
        answer = await self.replicas.post(self.replica, self.port, LOAD_PATH, body)
        if answer.status == 200:
            return ""
        if answer.status in NOT_NOW:
            raise Unavailable(f"{self.replica.name} answers {answer.status} at {LOAD_PATH}")
        return f"{self.replica.name} answers {answer.status}: {_words(answer)}"

    async def unload(self, adapter: str) -> None:
        """Ask for it. 404 is as good as 200: the next listing shows what is there."""
        await self.replicas.post(self.replica, self.port, UNLOAD_PATH, {"lora_name": adapter})


def _entries(answer: Answer) -> list[JsonValue] | None:
    body = _json(answer) if answer.status == 200 else None
    data = body.get("data") if isinstance(body, dict) else None
    return data if isinstance(data, list) else None


def _words(answer: Answer) -> str:
    """What a refusal says: vLLM has it in `message`, or in `error.message` in newer releases."""
    body = _json(answer)
    while isinstance(body, dict):
        body = body.get("message") or body.get("error")
    text = body if isinstance(body, str) else answer.body.decode("utf-8", "replace")
    return printable(text, limit=_LONGEST_WORDS)


def _json(answer: Answer) -> JsonValue:
    try:
        body: JsonValue = orjson.loads(answer.body)
    except orjson.JSONDecodeError:
        return None
    return body
