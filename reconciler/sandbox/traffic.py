"""Requests to a model through the gateway, and what became of each: the ground truth.

Separate from what judges a rollout, which must come to its numbers another way. Invariant: every
request that was sent is counted once, with the time at which its answer came; the features, the
cohorts and their order follow from the seed.
"""

from __future__ import annotations

import asyncio
import bisect
import random
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus

import aiohttp
import orjson

from reconciler.sandbox.model_servers.replica import VERSION_HEADER
from reconciler.sandbox.model_servers.scoring import FEATURES, ScoringModel

ANSWER_SECONDS = 30.0
LONGEST_TROUBLE = 200


@dataclass(frozen=True, slots=True)
class Cohort:
    """Clients that send the same headers. Shares are relative to one another."""

    name: str
    share: float = 1.0
    headers: Mapping[str, str] = field(default_factory=dict)


EVERYBODY = Cohort("everybody")


@dataclass(frozen=True, slots=True)
class Sent:
    """One request and what became of it."""

    at: float
    """When the answer came, or the connection failed: seconds since the epoch."""
    cohort: str
    version: str
    """Who answered; empty when no model server did."""
    status: int
    """0 when the connection failed."""
    is_wrong: bool
    seconds: float
    trouble: str = ""
    """Of a connection that failed, or what was said with a status of 500 or more."""


@dataclass(frozen=True, slots=True)
class Counts:
    """What became of some requests."""

    requests: int
    by_version: Mapping[str, int]
    """Those that a model server answered, whatever the status."""
    by_status: Mapping[int, int]
    wrong_by_version: Mapping[str, int]
    failed_by_version: Mapping[str, int]
    """Answered with a status of 500 or more; under an empty name what the gateway answered."""
    connection_errors: int

    @classmethod
    def none(cls) -> Counts:
        """Before the first request."""
        return cls(0, {}, {}, {}, {}, 0)

    def plus(self, other: Counts) -> Counts:
        """Those of both."""
        return Counts(
            requests=self.requests + other.requests,
            by_version=Counter(self.by_version) + Counter(other.by_version),
            by_status=Counter(self.by_status) + Counter(other.by_status),
            wrong_by_version=Counter(self.wrong_by_version) + Counter(other.wrong_by_version),
            failed_by_version=Counter(self.failed_by_version) + Counter(other.failed_by_version),
            connection_errors=self.connection_errors + other.connection_errors,
        )

    def share(self, version: str) -> float:
        return self.by_version.get(version, 0) / max(1, self.requests)

    @property
    def dropped(self) -> int:
        """Those that no model server answered."""
        return self.requests - sum(self.by_version.values())


class Record:
    """What became of all requests so far."""

    def __init__(self) -> None:
        self._sent: list[Sent] = []

    def add(self, sent: Sent) -> None:
        self._sent.append(sent)

    def __len__(self) -> int:
        return len(self._sent)

    def between(self, start: float = 0.0, end: float = float("inf")) -> Sequence[Sent]:
        """Those whose answer came in the time from `start` up to `end`."""
        first = bisect.bisect_left(self._sent, start, key=_time)
        last = bisect.bisect_left(self._sent, end, key=_time)
        return self._sent[first:last]

    def counts(
        self, *, start: float = 0.0, end: float = float("inf"), cohort: str | None = None
    ) -> Counts:
        chosen = [one for one in self.between(start, end) if cohort in (None, one.cohort)]
        answered = [one for one in chosen if one.version]
        return Counts(
            requests=len(chosen),
            by_version=Counter(one.version for one in answered),
            by_status=Counter(one.status for one in chosen if one.status),
            wrong_by_version=Counter(one.version for one in answered if one.is_wrong),
            failed_by_version=Counter(one.version for one in chosen if one.status >= 500),
            connection_errors=sum(one.status == 0 for one in chosen),
        )


def _time(sent: Sent) -> float:
    return sent.at


class Traffic:
    """Sends inference requests to one model while it is entered; `record` fills meanwhile.

    With a rate, so many requests a second are begun, whether answers come or not; without, each
    of `concurrency` clients sends the next when it has an answer.
    """

    def __init__(
        self,
        address: str,
        model: str,
        *,
        host: str = "",
        rate: float | None = None,
        concurrency: int = 16,
        cohorts: Sequence[Cohort] = (EVERYBODY,),
        seed: int = 0,
    ) -> None:
        """`address` is the gateway's URL; `host` is the name under which it knows the model."""
        self.record = Record()
        self._url = f"{address}/v2/models/{model}/infer"
        self._host = {"Host": host} if host else {}
        self._model = ScoringModel.named(model)
        self._rate = rate
        self._concurrency = concurrency
        self._cohorts = cohorts
        self._draws = random.Random(seed)  # noqa: S311 - repeatable on purpose
        self._awaited: list[tuple[int, asyncio.Event]] = []
        self._stopping = asyncio.Event()
        self._session: aiohttp.ClientSession
        self._running: asyncio.Task[None]

    async def __aenter__(self) -> Traffic:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0),
            timeout=aiohttp.ClientTimeout(total=ANSWER_SECONDS),
            cookie_jar=aiohttp.DummyCookieJar(),
        )
        run = self._by_clients() if self._rate is None else self._by_clock(self._rate)
        self._running = asyncio.create_task(run)
        return self

    async def __aexit__(self, *_: object) -> None:
        """Waits for the answers that are on their way."""
        self._stopping.set()
        try:
            await self._running
        finally:
            await self._session.close()

    async def answered(self, count: int) -> None:
        """Returns when so many requests more have been answered, or failed."""
        reached = asyncio.Event()
        self._awaited.append((len(self.record) + count, reached))
        await reached.wait()

    async def _by_clients(self) -> None:
        async with asyncio.TaskGroup() as clients:
            for _ in range(self._concurrency):
                clients.create_task(self._client())

    async def _client(self) -> None:
        while not self._stopping.is_set():
            await self._send()

    async def _by_clock(self, rate: float) -> None:
        loop = asyncio.get_running_loop()
        began = loop.time()
        begun = 0
        async with asyncio.TaskGroup() as requests:
            while not self._stopping.is_set():
                due = int((loop.time() - began) * rate) + 1
                for _ in range(begun, due):
                    requests.create_task(self._send())
                begun = due
                await asyncio.sleep(max(0.0, began + begun / rate - loop.time()))

    async def _send(self) -> None:
        self.record.add(await self._answer())
        for enough, reached in self._awaited:
            if len(self.record) >= enough:
                reached.set()
        self._awaited = [one for one in self._awaited if not one[1].is_set()]

    async def _answer(self) -> Sent:
        (cohort,) = self._draws.choices(self._cohorts, [one.share for one in self._cohorts])
        features = [self._draws.gauss(0, 1) for _ in range(FEATURES)]
        began = time.perf_counter()
        try:
            async with self._session.post(
                self._url, data=_body(features), headers={**self._host, **cohort.headers}
            ) as response:
                content = await response.read()
                version = response.headers.get(VERSION_HEADER, "")
                status = response.status
                trouble = (
                    content[:LONGEST_TROUBLE].decode(errors="replace") if status >= 500 else ""
                )
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            content, version, status = b"", "", 0
            trouble = f"{type(error).__name__}: {error}"
        answered = status == HTTPStatus.OK and bool(version)
        return Sent(
            at=time.time(),
            cohort=cohort.name,
            version=version,
            status=status,
            is_wrong=answered and _label(content) != self._model.label(features),
            seconds=time.perf_counter() - began,
            trouble=trouble,
        )


def _body(features: Sequence[float]) -> bytes:
    tensor = {"name": "features", "shape": [1, FEATURES], "datatype": "FP32", "data": features}
    return orjson.dumps({"inputs": [tensor]})


def _label(answer: bytes) -> int:
    label: int = orjson.loads(answer)["outputs"][0]["data"][0]
    return label
