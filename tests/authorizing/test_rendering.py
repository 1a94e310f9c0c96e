"""What the authorizer is told follows from the documents, and only from them."""

from __future__ import annotations

import json
from pathlib import Path

import yaml

from reconciler.core.authorizing.rules import RULES_KEY, rules_of
from reconciler.core.kinds import AgentScope, Model, Rollout
from reconciler.core.rendering.authorization import agent_rules, model_route, rules_map
from reconciler.core.request_path import ACCESS_UNIT

EXAMPLE = Path(__file__).parents[2] / "example-repo"


def example(kind, name):
    for file in EXAMPLE.rglob("*.yaml"):
        for body in yaml.safe_load_all(file.read_text()):
            if body and body.get("kind") == kind.__name__ and body["metadata"]["name"] == name:
                return kind.model_validate(json.loads(json.dumps(body, default=str)))
    raise AssertionError(name)


def test_an_agents_scope_is_told_with_its_limits_and_its_last_day() -> None:
    agent = agent_rules(example(AgentScope, "eval-bot"))
    assert agent.username == "system:serviceaccount:agent-eval-bot:eval-bot"
    assert agent.limits.tokens_per_day == 200_000
    assert agent.expires.isoformat() == "2027-06-30"
    assert agent.may("infer", "fraud-detector", "v3")
    assert not agent.may("retrain", "fraud-detector", "v3")
    assert not agent.may("infer", "fraud-detector", "v4")


def test_a_route_tells_which_service_serves_which_version() -> None:
    route = model_route(example(Rollout, "assistant"), example(Model, "assistant"), None)
    assert route is not None
    assert route.backends == {"assistant-v1": "v1", "assistant-v2": "v2"}
    assert route.takes("assistant.models.example.com", "/v1/chat/completions")
    assert not route.takes("other.models.example.com", "/v1/chat/completions")


def test_what_is_rendered_is_what_the_authorizer_reads() -> None:
    agent = agent_rules(example(AgentScope, "eval-bot"))
    body = rules_map("example", ACCESS_UNIT, "fairlead-gateway", routes=(), agents=(agent,))
    rules = rules_of(body["data"][RULES_KEY])
    assert rules.agents == (agent,)
    assert rules.agent(agent.username) == agent
