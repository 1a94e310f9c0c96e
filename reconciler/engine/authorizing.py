"""The request path: look up what a decision needs, decide, record, answer.

Separate from the decision itself (core/authorizing), which waits for nobody. The invariants:
there is one way to a yes and it passes every check and the log; an error, a silence or a bug on
the way is a no; and whatever was decided has a trace and, if it was a no, a record.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import structlog

from reconciler.access_ports import Reviews, ToolServers
from reconciler.core.audit.records import AuditRecord, Verb
from reconciler.core.authorizing.bodies import run_metadata
from reconciler.core.authorizing.deciding import (
    Caller,
    Question,
    agent_of,
    questions_of,
    require_allowed,
    require_tool,
    route_of,
)
from reconciler.core.authorizing.records import (
    Findings,
    Origin,
    commitment_to,
    life_record,
    record_of,
    trace_of,
    traceparent,
)
from reconciler.core.authorizing.refusals import Denial, Denied
from reconciler.core.authorizing.remembering import ALLOWED_SECONDS, DENIED_SECONDS
from reconciler.core.authorizing.requests import HttpRequest, ModelCall, ToolCall, call_of
from reconciler.core.authorizing.rules import Agent
from reconciler.core.authorizing.usage import Usage
from reconciler.core.errors import FairleadError
from reconciler.core.identifiers import ClusterName
from reconciler.engine.authorizing_answers import Answers
from reconciler.engine.authorizing_records import DecisionLog
from reconciler.engine.authorizing_rules import LiveRules
from reconciler.ports import Clock

DECISION_SECONDS = 2.0
LONGEST_TOKEN = 16 * 1024

_BEARER = re.compile(r"[Bb]earer ([A-Za-z0-9._~+/-]+=*)", re.ASCII)

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Answer:
    """`headers` go on with a request that is allowed; with a denial, to the caller."""

    denial: Denial | None
    trace: str
    headers: Mapping[str, str]


@dataclass(slots=True)
class Authorizer:
    """`secret` is the key of the commitments, `entropy` gives that many random bytes."""

    cluster: ClusterName
    audiences: tuple[str, ...]
    reviews: Reviews
    tools: ToolServers
    live: LiveRules
    decisions: DecisionLog
    clock: Clock
    secret: bytes
    entropy: Callable[[int], bytes]
    _usage: Usage = field(default_factory=Usage)
    _callers: Answers[bytes, Caller | Denial] = field(init=False)
    _answers: Answers[tuple[Caller, Question], bool] = field(init=False)
    _definitions: Answers[str, Mapping[str, str]] = field(init=False)

    def __post_init__(self) -> None:
        self._callers = Answers(self.clock, _lasting)
        self._answers = Answers(self.clock, _lasting)
        self._definitions = Answers(self.clock, lambda _: DENIED_SECONDS)

    async def answer(self, request: HttpRequest) -> Answer:
        trace = trace_of(request.headers.get("traceparent")) or self.entropy(16).hex()
        findings = Findings(trace, request.host)
        agent: Agent | None = None
        try:
            async with asyncio.timeout(DECISION_SECONDS):
                agent = await self._decide(request, findings)
            self.decisions.require_room()
        except Exception as error:
            return await self._denied(_denial_of(error), findings)
        self.decisions.granted(self._record(findings, None))
        return Answer(None, trace, self._onward(request, findings, agent))

    async def _decide(self, request: HttpRequest, findings: Findings) -> Agent | None:
        rules = self.live.rules()
        token = _token_of(request.headers.get("authorization"))
        findings.caller = caller = await self._caller(token)
        today = self.clock.now().date()
        agent = agent_of(caller, rules, today)
        findings.agent = agent.name if agent else ""
        findings.run = run_metadata(request.headers.get("x-agent-run"))
        findings.commitment = commitment_to(request.body, key=self.secret, salt=self.entropy(16))
        findings.call = call = call_of(request)
        if isinstance(call, ToolCall):
            require_tool(call, agent, await self._digests(call, agent))
        else:
            await self._require_model(request, call, agent, findings)
        if agent is not None:
            tokens = call.tokens if isinstance(call, ModelCall) else 0
            now = self.clock.monotonic()
            self._usage.take(agent.name, agent.limits, tokens=tokens, now=now, today=today)
        return agent

    async def _require_model(
        self, request: HttpRequest, call: ModelCall, agent: Agent | None, findings: Findings
    ) -> None:
        assert findings.caller is not None, "looked up before"
        caller = findings.caller
        route = route_of(self.live.rules(), call, host=request.host, path=request.path)
        questions = questions_of(call, route, self.live.answering(route), agent)
        findings.questions = questions
        answers = await asyncio.gather(*(self._allowed(caller, asked) for asked in questions))
        require_allowed(questions, dict(zip(questions, answers, strict=True)))

    async def _caller(self, token: str) -> Caller:
        async def ask() -> Caller | Denial:
            reviewed = await self.reviews.caller(token, self.audiences)
            return reviewed or Denial("token-refused", "the token is not valid here", 401)

        # By digest: a token that is kept in memory is one that a dump of it shows.
        found = await self._callers.get(hashlib.sha256(token.encode()).digest(), ask)
        if isinstance(found, Denial):
            raise Denied(found.code, found.message, status=found.status)
        return found

    async def _allowed(self, caller: Caller, question: Question) -> bool:
        return await self._answers.get(
            (caller, question), lambda: self.reviews.allowed(caller, question)
        )

    async def _digests(self, call: ToolCall, agent: Agent | None) -> Mapping[str, str]:
        """Asked for anew by every call but those of the same second: a tool may have changed."""
        listed = agent is not None and any(tool.server == call.server for tool in agent.tools)
        if not call.tool or not listed:
            return {}
        return await self._definitions.get(call.server, lambda: self.tools.digests(call.server))

    async def _denied(self, denial: Denial, findings: Findings) -> Answer:
        try:
            await self.decisions.denied(self._record(findings, denial))
        except FairleadError as error:
            log.warning("authorizer.denial_not_recorded", code=error.code, reason=error.message)
        return Answer(denial, findings.trace, {"x-fairlead-trace": findings.trace})

    def life(self, verb: Verb) -> AuditRecord:
        """What the log is to say when it starts and when it stops."""
        return life_record(verb, self._origin, self.clock.now())

    def _record(self, findings: Findings, denial: Denial | None) -> AuditRecord:
        return record_of(findings, denial, self._origin, self.clock.now())

    @property
    def _origin(self) -> Origin:
        return Origin(self.live.repository, self.live.commit, self.cluster)

    def _onward(
        self, request: HttpRequest, findings: Findings, agent: Agent | None
    ) -> dict[str, str]:
        headers = {
            "x-fairlead-subject": findings.caller.username if findings.caller else "",
            "x-fairlead-trace": findings.trace,
        }
        if trace_of(request.headers.get("traceparent")) is None:
            headers["traceparent"] = traceparent(findings.trace, self.entropy(8).hex())
        if agent is not None and agent.limits.call_seconds is not None:
            headers["x-envoy-upstream-rq-timeout-ms"] = str(agent.limits.call_seconds * 1000)
        return headers


def _lasting(answer: Caller | Denial | bool) -> float:
    refused = isinstance(answer, Denial) or answer is False
    return DENIED_SECONDS if refused else ALLOWED_SECONDS


def _token_of(header: str | None) -> str:
    found = _BEARER.fullmatch(header or "")
    if found is None or len(found[1]) > LONGEST_TOKEN:
        raise Denied("token-missing", "there is no bearer token", status=401)
    return found[1]


def _denial_of(error: Exception) -> Denial:
    """Whatever went wrong, the caller hears no more of it than the code."""
    if isinstance(error, Denied):
        return error.denial
    if isinstance(error, TimeoutError):
        return Denial("timeout", "the decision took too long", 503)
    if isinstance(error, FairleadError):
        log.warning("authorizer.undecided", code=error.code, reason=error.message)
        return Denial("undecided", "access cannot be decided now", 503)
    log.exception("authorizer.bug")
    return Denial("undecided", "access cannot be decided now", 503)
