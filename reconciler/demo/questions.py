"""Questions to a language model by its alias, and which adapter answered each.

Separate from requests for scores (sandbox/traffic.py), since here the answer itself shows by which
weights it was made. The invariant: an answer is wrong unless the adapter that it names makes this
very text of the question.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from typing import Self

import aiohttp

from reconciler.core.rendering.lora import ADAPTER_HEADER, MODEL_HEADER
from reconciler.sandbox.model_servers.adapters import completion
from reconciler.sandbox.traffic import Record, Sent

STAFF = {"x-cohort": "support-staff"}


class Questions:
    """Sends questions at a rate while it is entered; `record` fills meanwhile."""

    def __init__(
        self, address: str, alias: str, *, host: str, rate: float, paths: Mapping[str, str]
    ) -> None:
        """`paths` are where servers find the adapters, by their names."""
        self.record = Record()
        self._url = f"{address}/v1/completions"
        self._alias = alias
        self._headers = {"Host": host, MODEL_HEADER: alias}
        self._rate = rate
        self._paths = paths
        self._stopping = asyncio.Event()
        self._session: aiohttp.ClientSession
        self._running: asyncio.Task[None]

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))
        self._running = asyncio.create_task(self._by_clock())
        return self

    async def __aexit__(self, *_: object) -> None:
        """Waits for the answers that are on their way."""
        self._stopping.set()
        try:
            await self._running
        finally:
            await self._session.close()

    async def _by_clock(self) -> None:
        number = 0
        async with asyncio.TaskGroup() as asked:
            while not self._stopping.is_set():
                number += 1
                asked.create_task(self._ask(number))
                await asyncio.sleep(1 / self._rate)

    async def _ask(self, number: int) -> None:
        prompt = f"How do I return order {number}?"
        cohort = STAFF if number % 5 == 0 else {}
        began, adapter, text, status, trouble = time.perf_counter(), "", "", 0, ""
        try:
            async with self._session.post(
                self._url,
                json={"model": self._alias, "prompt": prompt},
                headers={**self._headers, **cohort},
            ) as answer:
                status, adapter = answer.status, answer.headers.get(ADAPTER_HEADER, "")
                body = await answer.json(content_type=None)
                text = body["choices"][0]["text"] if status == 200 else ""
        except (aiohttp.ClientError, OSError, ValueError) as error:
            trouble = f"{type(error).__name__}: {error}"
        path = self._paths.get(adapter, "")
        self.record.add(
            Sent(
                at=time.time(),
                cohort="staff" if cohort else "customers",
                version=adapter,
                status=status,
                is_wrong=bool(adapter) and text != completion(path, prompt),
                seconds=time.perf_counter() - began,
                trouble=trouble,
            )
        )
