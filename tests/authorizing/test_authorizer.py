"""The decision as a whole, with everything in memory: what fails on the way is a no."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from datetime import date

import pytest

from reconciler.adapters.clocks import SystemClock
from reconciler.adapters.reviews_memory import MemoryReviews
from reconciler.adapters.state_memory import MemoryStateStore
from reconciler.core.audit.records import Verb
from reconciler.core.authorizing.deciding import Caller, Question
from reconciler.core.authorizing.refusals import Denied
from reconciler.core.authorizing.requests import request_of
from reconciler.core.authorizing.rules import Limits, ModelRoute, Rules, rules_of
from reconciler.core.authorizing.usage import Usage
from reconciler.core.errors import Corrupt, Unavailable
from reconciler.core.identifiers import ClusterName, CommitSha
from reconciler.engine.authorizing import Answer, Authorizer
from reconciler.engine.authorizing_records import DecisionLog

PERSON = Caller("oidc:ann", groups=("oidc:owners",), audiences=("gateway",), credential="JTI=1")
COMMIT = CommitSha("c" * 40)
RIGHT = Question("team", "infer", "m", "v3")


@dataclass
class Known:
    """Stands for LiveRules."""

    now: Rules
    leads: frozenset[str] = frozenset({"m-v3"})
    commit: CommitSha = COMMIT
    repository: str = "example"

    def rules(self) -> Rules:
        return self.now

    def answering(self, _route: ModelRoute) -> frozenset[str]:
        return self.leads


class NoTools:
    async def digests(self, server: str) -> Mapping[str, str]:
        raise Unavailable(server)

    async def close(self) -> None: ...


@dataclass
class Bench:
    reviews: MemoryReviews = field(
        default_factory=lambda: MemoryReviews({"token": PERSON}, {("oidc:owners", RIGHT)})
    )
    state: MemoryStateStore = field(default_factory=MemoryStateStore)
    live: Known = field(default_factory=lambda: Known(rules()))

    def __post_init__(self) -> None:
        clock = SystemClock()
        self.decisions = DecisionLog(self.state, clock, 1.0, lambda: 0.0)
        self.authorizer = Authorizer(
            cluster=ClusterName("one"),
            audiences=("gateway",),
            reviews=self.reviews,
            tools=NoTools(),
            live=self.live,  # type: ignore[arg-type]
            decisions=self.decisions,
            clock=clock,
            secret=b"key",
            entropy=os.urandom,
        )

    async def ask(self, token: str = "token", path: str = "/v2/models/m/infer") -> Answer:
        headers = [("authorization", f"Bearer {token}"), ("content-type", "application/json")]
        return await self.authorizer.answer(request_of("POST", "h", path, headers, b"{}"))

    async def code(self, **asked: str) -> str:
        answer = await self.ask(**asked)
        return answer.denial.code if answer.denial else "allowed"

    async def results(self) -> list[str]:
        return [logged.record.result for logged in await self.state.records()]


def rules(**changes: object) -> Rules:
    route = {
        "namespace": "team",
        "name": "m",
        "model": "m",
        "called": "m",
        "hostnames": [],
        "prefix": "/",
        "backends": {"m-v3": "v3", "m-v4": "v4"},
        **changes,
    }
    return rules_of(json.dumps({"version": 1, "repository": "example", "routes": [route]}))


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    made = Bench()
    writing = asyncio.create_task(made.decisions.run())
    yield made
    writing.cancel()


async def test_a_member_of_a_group_that_may_is_let_through_once_for_all(bench: Bench) -> None:
    assert await bench.code() == "allowed"
    asked = bench.reviews.asked
    assert await bench.code() == "allowed"
    assert bench.reviews.asked == asked


async def test_every_version_that_may_answer_must_be_allowed(bench: Bench) -> None:
    bench.live.leads = frozenset({"m-v3", "m-v4"})
    assert await bench.code() == "not-allowed"
    assert await bench.code(path="/v2/models/m/versions/v3/infer") == "allowed"
    bench.live.leads = frozenset({"m-v3", "somebody-elses"})
    assert await bench.code() == "route-unknown"
    bench.live.leads = frozenset()
    assert await bench.code() == "route-unknown"


async def test_attack_08_no_answer_of_the_api_server_is_a_no(bench: Bench) -> None:
    bench.reviews.trouble = Unavailable("nobody answers")
    assert await bench.code() == "undecided"
    assert await bench.results() == ["undecided"]


async def test_attack_08_a_bug_is_a_no(bench: Bench) -> None:
    bench.live.now = None  # type: ignore[assignment]
    assert await bench.code() == "undecided"


async def test_with_no_rules_nobody_may(bench: Bench) -> None:
    bench.live.now = rules_of('{"version": 1, "repository": "example"}')
    assert await bench.code() == "route-unknown"


async def test_an_agent_without_a_scope_may_nothing_whatever_rbac_says(bench: Bench) -> None:
    name = "system:serviceaccount:agent-bot:bot"
    bench.reviews.callers["bot"] = Caller(name, audiences=("gateway",))
    bench.reviews.grants.add((name, RIGHT))
    assert await bench.code(token="bot") == "scope-missing"


async def test_nothing_is_granted_while_the_log_cannot_be_written(bench: Bench) -> None:
    assert await bench.code() == "allowed"

    class Full:
        async def append(self, *_: object, **__: object) -> None:
            raise Unavailable("the disk is full")

    bench.decisions.store = Full()  # type: ignore[assignment]
    assert await bench.code(token="unknown") == "token-refused"
    answer = await bench.ask()
    assert answer.denial is not None
    assert answer.denial.status == 503


async def test_a_denial_is_in_the_log_before_it_is_answered(bench: Bench) -> None:
    answer = await bench.ask(token="unknown")
    (logged,) = await bench.state.records()
    assert logged.record.verb is Verb.AUTHORIZE
    assert logged.record.trace == answer.trace
    assert logged.record.commit == "c" * 40


def test_rules_of_another_form_are_refused_whole() -> None:
    for text in ("", "{}", '{"version": 2, "repository": "x"}', '{"version": 1, "more": 1}'):
        with pytest.raises(Corrupt):
            rules_of(text)


def test_limits_count_what_was_allowed_and_start_anew_each_day() -> None:
    usage, limits, today = Usage(), Limits(calls_per_minute=2, tokens_per_day=100), date(2027, 1, 1)
    usage.take("bot", limits, tokens=60, now=0.0, today=today)
    with pytest.raises(Denied, match="tokens in a day"):
        usage.take("bot", limits, tokens=41, now=1.0, today=today)
    usage.take("bot", limits, tokens=40, now=2.0, today=today)
    with pytest.raises(Denied, match="calls in a minute"):
        usage.take("bot", limits, tokens=0, now=3.0, today=today)
    with pytest.raises(Denied, match="max_tokens"):
        usage.take("bot", limits, tokens=None, now=70.0, today=today)
    usage.take("bot", limits, tokens=100, now=140.0, today=date(2027, 1, 2))
