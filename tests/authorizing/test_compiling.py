"""A repository that names an authorizer gives every cluster its rules, and no other does."""

from __future__ import annotations

import json

from reconciler.core.authorizing.rules import RULES_KEY, RULES_NAME, rules_of
from reconciler.core.request_path import ACCESS_UNIT
from tests.desired.builders import MODEL, POLICY, ROLLOUT, codes, compiled, repository

DECLARED = repository(models=MODEL, rollouts=ROLLOUT)
NAMED = f"{POLICY}  authorizer: {{namespace: team-risk}}\n"


def rules_in(state) -> list[object]:
    found = []
    for (_, name), unit in state.units.items():
        if name == ACCESS_UNIT:
            (manifest,) = (m for key, m in unit.manifests.items() if key.name == RULES_NAME)
            found.append(rules_of(json.loads(manifest.content)["data"][RULES_KEY]))
    return found


def test_without_an_authorizer_there_is_nothing_for_it() -> None:
    assert rules_in(compiled(DECLARED).state) == []


def test_every_cluster_gets_the_routes_that_lead_to_models_there() -> None:
    found = rules_in(compiled({**DECLARED, "fairlead.yaml": NAMED}).state)
    assert len(found) == 2
    for rules in found:
        (route,) = rules.routes
        assert route.model == route.called == "fraud-detector"
        assert "fraud-detector-v3" in route.backends


def test_a_namespace_that_is_not_allowed_is_refused() -> None:
    policy = NAMED.replace("authorizer: {namespace: team-risk}", "authorizer: {namespace: other}")
    assert codes({**DECLARED, "fairlead.yaml": policy}) == ["namespace-not-allowed"]


def test_the_commit_that_allows_a_namespace_cannot_also_use_it() -> None:
    wider = NAMED.replace("[team-*, monitoring]", "[team-*, monitoring, other]")
    named = wider.replace("authorizer: {namespace: team-risk}", "authorizer: {namespace: other}")
    in_force = compiled({**DECLARED, "fairlead.yaml": POLICY}).state.policy
    found = codes({**DECLARED, "fairlead.yaml": named}, rules=in_force)
    assert found == ["namespace-not-allowed"]


def test_a_change_is_compiled_as_if_it_were_the_first_commit() -> None:
    with_it = {**DECLARED, "fairlead.yaml": NAMED}
    more = {**with_it, "models.yaml": MODEL.replace("fraud.example.com", "other.example.com")}
    without = {**DECLARED, "fairlead.yaml": POLICY}
    before, tree = compiled(without), without
    for after in (with_it, more, with_it, without):
        now = compiled(after, before=tree, previous=before)
        fresh = compiled(after)
        assert {k: u.digest for k, u in now.state.units.items()} == {
            k: u.digest for k, u in fresh.state.units.items()
        }
        before, tree = now, after
