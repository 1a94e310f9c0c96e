"""The MetricsSource port over the HTTP API that Prometheus, Thanos, Mimir and others share.

Separate from the replicas, which are asked for their own metrics every second. The invariants: a
call ends within seconds and takes megabytes at most; the token goes to the configured server and
to no other; and a time in an answer is one that was asked for, or one of our own clock, so that
answers are in order whatever the clock of the server says.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp
from yarl import URL

from reconciler.adapters.cluster_connection import read_up_to, unavailable
from reconciler.adapters.http_sessions import plain_session
from reconciler.adapters.metrics_answers import error_in, value_in, values_in
from reconciler.adapters.secret_files import secret_in
from reconciler.adapters.tls_trust import trusting
from reconciler.core.errors import FairleadError, Misconfigured
from reconciler.core.loopback import LOOPBACK
from reconciler.core.problems import printable
from reconciler.core.samples import QueryPoint
from reconciler.ports import Clock

INSTANT_SECONDS = 5.0
RANGE_SECONDS = 30.0
LARGEST_ANSWER = 4 * 2**20

MOST_POINTS = 5_000
"""Times in one request for a range. Prometheus gives 11,000 at most; more take several."""


class PrometheusMetrics:
    """Asks the server at `url`, which is the address before `/api/v1`.

    Raises:
        Misconfigured: the token would travel in the clear, or the CA's file is no use.
    """

    def __init__(
        self,
        url: str,
        clock: Clock,
        *,
        token_file: Path | None = None,
        ca_file: Path | None = None,
        seconds: float = INSTANT_SECONDS,
    ) -> None:
        self._url = url.rstrip("/")
        self._clock = clock
        self._token_file = token_file
        self._tls = trusting(ca_file)
        self._seconds = seconds
        self._session: aiohttp.ClientSession | None = None
        parts = urlsplit(url)
        if token_file and parts.scheme != "https" and parts.hostname not in LOOPBACK:
            raise Misconfigured(
                f"a token for {url} would travel in the clear", hint="use an https:// URL"
            )

    async def instant(self, expression: str) -> QueryPoint:
        at = self._clock.now().timestamp()
        doing = self._doing(expression)
        try:
            # Two series show as well as a thousand that it is not one.
            content = await self._ask(
                "query", {"query": expression, "limit": "2"}, doing=doing, seconds=self._seconds
            )
            return QueryPoint(at, value_in(content, doing=doing))
        except FairleadError as error:
            return QueryPoint(at, trouble=error.message)

    async def over(
        self, expression: str, *, start: float, end: float, step: float
    ) -> Sequence[QueryPoint]:
        """One point for each step, without a value where there was no sample."""
        first, stride = round(start * 1000), round(step * 1000)
        assert stride > 0, "a step has at least a millisecond"
        times = range(first, round(end * 1000) + 1, stride)
        points: list[QueryPoint] = []
        for begin in range(0, len(times), MOST_POINTS):
            part = times[begin : begin + MOST_POINTS]
            values = await self._values(expression, part)
            points.extend(QueryPoint(at / 1000, values.get(at)) for at in part)
        return points

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def _values(self, expression: str, times: range) -> Mapping[int, float]:
        query = {
            "query": expression,
            "start": f"{times[0] / 1000:.3f}",
            "end": f"{times[-1] / 1000:.3f}",
            # As a duration: of seconds with a fraction the server may lose a millisecond.
            "step": f"{times.step}ms",
            "limit": "2",
        }
        doing = self._doing(expression)
        seconds = max(self._seconds, RANGE_SECONDS)
        content = await self._ask("query_range", query, doing=doing, seconds=seconds)
        return values_in(content, doing=doing)

    async def _ask(
        self, what: str, query: Mapping[str, str], *, doing: str, seconds: float
    ) -> bytes:
        """The answer. By POST, since expressions are longer than some proxies take a URL."""
        # Thanos then fails where it would answer with a part of the data; others ignore it.
        form = {**query, "timeout": f"{round(seconds * 1000)}ms", "partial_response": "false"}
        try:
            async with self._opened().post(
                URL(f"{self._url}/api/v1/{what}", encoded=True),
                data=form,
                headers=self._headers(),
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(total=seconds),
            ) as response:
                content = await read_up_to(LARGEST_ANSWER, response, doing=doing)
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise unavailable(error, doing=doing) from error
        if response.status != 200:
            retry_after = response.headers.get("Retry-After")
            raise error_in(response.status, content, doing=doing, retry_after=retry_after)
        return content

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = plain_session(self._tls)
        return self._session

    def _headers(self) -> Mapping[str, str]:
        """With the token as its file has it now: tokens are renewed."""
        if self._token_file is None:
            return {}
        return {"Authorization": f"Bearer {secret_in(self._token_file)}"}

    def _doing(self, expression: str) -> str:
        return f"ask {self._url} for {printable(expression)}"
