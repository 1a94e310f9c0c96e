"""Whether a caller may have what a request asks for, from what was looked up about it.

Separate from the look-ups, which wait for others and fail. The invariant: every question has to be
answered with yes. What is unknown, expired, unlisted or not answered is denied.
"""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import date

from reconciler.core.authorizing.refusals import Denied
from reconciler.core.authorizing.requests import ModelCall, ToolCall
from reconciler.core.authorizing.rules import Agent, ModelRoute, Rules
from reconciler.core.kinds.access_rules import ModelAction

AGENT_NAMESPACES = "system:serviceaccount:agent-"
"""How the names of all agents begin, also of those whose scope is gone."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Whom a token belongs to, as the API server says. `credential` is the token's id, not it."""

    username: str
    uid: str = ""
    groups: tuple[str, ...] = ()
    extra: tuple[tuple[str, tuple[str, ...]], ...] = ()
    audiences: tuple[str, ...] = ()
    credential: str = ""


@dataclass(frozen=True, slots=True, order=True)
class Question:
    """One SubjectAccessReview: may the caller do this to MODEL@VERSION in the namespace?"""

    namespace: str
    action: ModelAction
    model: str
    version: str

    @property
    def name(self) -> str:
        return f"{self.model}@{self.version}"


def agent_of(caller: Caller, rules: Rules, today: date) -> Agent | None:
    """The agent that calls; None for people. Raises Denied for an agent that is none any more."""
    agent = rules.agent(caller.username)
    if agent is None:
        if caller.username.startswith(AGENT_NAMESPACES):
            raise Denied("scope-missing", "the agent has no scope")
        return None
    if today > agent.expires:
        raise Denied("scope-expired", f"the scope ended with {agent.expires.isoformat()}")
    if agent.audience not in caller.audiences:
        raise Denied("audience", "the token is not for this gateway", status=401)
    return agent


def route_of(rules: Rules, call: ModelCall, *, host: str, path: str) -> ModelRoute:
    route = rules.route(host, path, call.selected)
    if route is None:
        raise Denied("route-unknown", "no model is reached at this host and path", status=404)
    if route.called != call.model:
        raise Denied("model-mismatch", "the route leads to another model", status=400)
    return route


def questions_of(
    call: ModelCall, route: ModelRoute, answering: AbstractSet[str], agent: Agent | None
) -> tuple[Question, ...]:
    """What must be allowed: every version that may answer, or the one that was asked for.

    `answering` are the Services to which the gateway sends requests of the route now.
    """
    unknown = answering - route.backends.keys()
    if unknown or not answering:
        raise Denied("route-unknown", "it is not known which version would answer", status=503)
    versions = {route.backends[name] for name in answering}
    if call.version is not None:
        if call.version not in versions:
            raise Denied("version-absent", "the route does not lead to that version", status=404)
        versions = {call.version}
    for version in sorted(versions):
        if agent is not None and not agent.may(call.action, route.model, version):
            name = f"{route.model}@{version}"
            raise Denied("scope-unlisted", f"the scope does not list {call.action} on {name}")
    return tuple(
        Question(route.namespace, call.action, route.model, version) for version in sorted(versions)
    )


def require_allowed(questions: tuple[Question, ...], answers: Mapping[Question, bool]) -> None:
    """Raises Denied, which names the first that was not allowed."""
    for question in questions:
        if not answers.get(question, False):
            raise Denied("not-allowed", f"may not {question.action} on {question.name}")


def require_tool(call: ToolCall, agent: Agent | None, digests: Mapping[str, str]) -> None:
    """`digests` are those of the definitions that the server gives now. Raises Denied."""
    listed = [tool for tool in agent.tools if tool.server == call.server] if agent else []
    if not listed:
        raise Denied("tool-unlisted", f"no scope lists tools of {call.server}")
    if not call.tool:
        return
    pinned = {tool.digest for tool in listed if tool.name == call.tool}
    if not pinned:
        raise Denied("tool-unlisted", "the scope does not list the tool")
    if digests.get(call.tool) not in pinned:
        raise Denied("tool-changed", "the tool is not the one that the scope pins")
