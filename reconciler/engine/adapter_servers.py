"""Adapter servers: what the replicas of a server say and do about what they load.

Separate from deciding which adapters a replica is to have (loading.py). The invariant: what was
loaded is what the replica lists afterwards, whatever it answered to the request; and the text of a
prompt is in no words of a refusal. Adapters are loaded as vLLM has it:
https://docs.vllm.ai/en/stable/features/lora/#dynamically-serving-lora-adapters
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import orjson

from reconciler.core.errors import Unavailable
from reconciler.core.identifiers import Digest
from reconciler.core.manifests import JsonValue
from reconciler.core.problems import printable
from reconciler.core.rendering.aliases import hexadecimal
from reconciler.core.rollouts.loadables import Sort
from reconciler.ports import Answer, Replica, Replicas

NOT_NOW = frozenset({408, 429, 502, 503, 504})
"""A proxy or a busy server: the same request may be taken later."""

_LONGEST_WORDS = 200


@dataclass(frozen=True, slots=True)
class Dialect:
    """How servers are told of one sort. `proof` is the field of a listing that says what a name
    stands for: exactly the digest, or else something with the digest in it, if anything.
    """

    listing: str
    load: str
    unload: str
    name: str
    source: str
    proof: str
    is_exact: bool

    def proves(self, told: str, digest: Digest) -> bool:
        digits = hexadecimal(digest)
        return told == digits if self.is_exact else not told or digits in told


DIALECTS: Mapping[Sort, Dialect] = MappingProxyType(
    {
        Sort.ADAPTER: Dialect(
            listing="/v1/models",
            load="/v1/load_lora_adapter",
            unload="/v1/unload_lora_adapter",
            name="lora_name",
            source="lora_path",
            proof="root",
            is_exact=False,
        ),
        Sort.PROMPT: Dialect(
            listing="/v1/prompts",
            load="/v1/load_prompt",
            unload="/v1/unload_prompt",
            name="prompt_name",
            source="text",
            proof="sha256",
            is_exact=True,
        ),
    }
)


@dataclass(frozen=True, slots=True)
class AdapterServer:
    """One replica."""

    replicas: Replicas
    replica: Replica
    port: int
    sort: Sort = Sort.ADAPTER

    @property
    def dialect(self) -> Dialect:
        return DIALECTS[self.sort]

    async def listing(self) -> Mapping[str, str]:
        """What each name stands for, as told in the proof; "" where the replica does not say.

        Unavailable when it does not tell.
        """
        answer = await self.replicas.get(self.replica, self.port, self.dialect.listing)
        entries = _entries(answer)
        if entries is None:
            raise Unavailable(
                f"{self.replica.name} answers {answer.status} at {self.dialect.listing}"
            )
        found = {}
        for entry in entries:
            if isinstance(entry, dict) and isinstance(name := entry.get("id"), str):
                told = entry.get(self.dialect.proof)
                found[name] = told if isinstance(told, str) else ""
        return found

    async def load(self, adapter: str, source: str) -> str:
        """Ask for it. Why it was refused, in the replica's words; empty when it was not."""
        path = self.dialect.load
        body: JsonValue = {self.dialect.name: adapter, self.dialect.source: source}
        answer = await self.replicas.post(self.replica, self.port, path, body)
        if answer.status == 200:
            return ""
        if answer.status in NOT_NOW:
            raise Unavailable(f"{self.replica.name} answers {answer.status} at {path}")
        refused = f"{self.replica.name} answers {answer.status}"
        # A server that quotes what it refuses would put the text into logs.
        return refused if self.sort is Sort.PROMPT else f"{refused}: {_words(answer)}"

    async def unload(self, adapter: str) -> None:
        """Ask for it. 404 is as good as 200: the next listing shows what is there."""
        body: JsonValue = {self.dialect.name: adapter}
        await self.replicas.post(self.replica, self.port, self.dialect.unload, body)


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
