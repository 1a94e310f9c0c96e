"""Hot reload where everything is real: servers that take adapters, and users that ask by alias.

Builders for the tests on real traffic. What a user is answered depends on the weights' path and the
prompt, so an answer by a wrong adapter shows.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import aiohttp

from reconciler.core.rendering.aliases import mark_of
from reconciler.core.rendering.lora import ADAPTER_HEADER, MODEL_HEADER
from reconciler.core.rendering.release import ROLLOUT_LABEL
from reconciler.sandbox.model_servers.adapters import completion
from tests.engine.lora_world import SERVER, SERVER_MODEL, STEPS, adapters, digest, named
from tests.rollouts.real_world import RealTraffic

VERSIONS = ("v1", "v2", "v3")
BY_NAME = {named(version): version for version in VERSIONS}


class RealAdapters(RealTraffic):
    """`answers` counts what users got: the version, or the status where there was none.

    `asked_by` is the header in which users say what they ask for, `told_by` that of the answer in
    which the server says what it was.
    """

    asked_by = MODEL_HEADER
    told_by = ADAPTER_HEADER
    model = "fraud"
    by_name: Mapping[str, str] = BY_NAME

    def __init__(self, plane: Any) -> None:
        super().__init__(plane)
        self.answers: Counter[str] = Counter()
        self.wrong: list[str] = []

    def declare(self, version: str, *, files: Mapping[str, str] | None = None, **said: Any) -> str:
        said.setdefault("strategy", STEPS)
        texts = {
            "models/base.yaml": SERVER_MODEL.replace("base.example.com", "fraud.example.com"),
            "rollouts/base.yaml": SERVER.replace("WAVES", "{clusters: {env: one}}"),
            "models/fraud.yaml": adapters(*VERSIONS, digests={}).replace("model_name", "model"),
            **(files or {}),
        }
        return super().declare(version, files=texts, **said)

    async def servers(self) -> set[str]:
        """The pods of the server, by uid."""
        found = await self.replicas.find(self.team, {ROLLOUT_LABEL: "base"})
        return {replica.uid for replica in found}

    @asynccontextmanager
    async def asking(self, *, rate: float = 250.0) -> AsyncIterator[None]:
        """Users ask for the alias meanwhile; one in ten is of the cohort."""
        stopping = asyncio.Event()
        async with aiohttp.ClientSession() as session, asyncio.TaskGroup() as users:
            users.create_task(self._ask_by_clock(session, users, stopping, rate))
            try:
                yield
            finally:
                stopping.set()

    async def until_asked_for(self) -> None:
        """Wait until the proxy knows the alias, which it learns a moment after it is written."""
        async with self.asking(), asyncio.timeout(30):
            while not self.answers["v1"]:
                await asyncio.sleep(0.01)
        self.answers.clear()

    async def answered(self, count: int) -> None:
        wanted = self.answers.total() + count
        async with asyncio.timeout(60):
            while self.answers.total() < wanted:
                await asyncio.sleep(0.01)

    async def shares(self) -> dict[str, int]:
        backends = (await self.route())["spec"]["rules"][-1]["backendRefs"]
        return {self.by_name[mark_of(ref)]: ref["weight"] for ref in backends if ref["weight"]}

    async def _ask_by_clock(
        self,
        session: aiohttp.ClientSession,
        users: asyncio.TaskGroup,
        stopping: asyncio.Event,
        rate: float,
    ) -> None:
        number = 0
        while not stopping.is_set():
            number += 1
            users.create_task(self._ask(session, number))
            await asyncio.sleep(1 / rate)

    async def _ask(self, session: aiohttp.ClientSession, number: int) -> None:
        prompt = f"question {number}"
        headers = {"Host": self.host, self.asked_by: "fraud"}
        if number % 10 == 0:
            headers["x-cohort"] = "internal"
        try:
            async with session.post(
                f"{self.plane.gateway_address}/v1/completions",
                json={"model": self.model, "prompt": prompt},
                headers=headers,
            ) as response:
                content = await response.json(content_type=None)
                status, adapter = response.status, response.headers.get(self.told_by, "")
        except (aiohttp.ClientError, OSError) as error:
            self.answers[type(error).__name__] += 1
            return
        version = self.by_name.get(adapter)
        self.answers[version if status == 200 and version else str(status)] += 1
        if version and content["choices"][0]["text"] != self.right(version, prompt):
            self.wrong.append(version)

    def right(self, version: str, question: str) -> str:
        """What a version answers."""
        return completion(f"/adapters/{digest(version)}", question)
