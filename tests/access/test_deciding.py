"""Who may do what, and what a change of documents gives and takes."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import pytest
from hypothesis import given

from reconciler.core.access.deciding import Decision, decide
from reconciler.core.access.differences import difference
from reconciler.core.access.permissions import ACTIONS, NOTHING, permissions
from reconciler.core.access.policy import AccessPolicy, Place
from reconciler.core.identifiers import ClusterName
from reconciler.core.kinds.access_rules import ModelAction
from tests.access.builders import (
    MODELS,
    SUBJECTS,
    TODAY,
    VERSIONS,
    agent,
    model,
    on_models,
    on_resources,
    policies,
    role,
)

FRAUD = model(
    "fraud",
    {"team": "risk", "tier": "restricted"},
    v1={"inference": ["owner", "agent/eval-bot"], "retraining": ["owner", "researcher"]},
    v2={"inference": ["owner"]},
)
OWNER = role("owner", on_models({"team": "risk"}, "infer", "retrain", "promote"))
RESEARCHER = role(
    "researcher",
    on_models({"team": "risk"}, "infer", "retrain", "promote"),
    unless=[{"labels": {"tier": "restricted"}, "actions": ["retrain", "promote"]}],
)
BOT = agent("eval-bot", {"model": "fraud", "versions": ["v1", "v2"], "actions": ["infer"]})
POLICY = AccessPolicy.of(roles=[OWNER, RESEARCHER], agents=[BOT], models=[FRAUD])


def asked(subject: str, action: ModelAction, version: str, today: date = TODAY) -> Decision:
    return decide(POLICY, subject, action, "fraud", version, today=today)


@pytest.mark.parametrize(
    ("subject", "action", "version", "reason"),
    [
        ("owner", "infer", "v1", "Role owner allows infer on models with team=risk, and fraud@v1"),
        ("owner", "promote", "v2", "Role owner allows promote on models with team=risk"),
        ("agent/eval-bot", "infer", "v1", "AgentScope eval-bot lists infer on fraud@v1, and"),
    ],
)
def test_what_both_sides_say_is_allowed(
    subject: str, action: ModelAction, version: str, reason: str
) -> None:
    decision = asked(subject, action, version)
    assert decision.allowed
    assert decision.reason.startswith(reason)
    assert not decision.hint


@pytest.mark.parametrize(
    ("subject", "action", "version", "reason"),
    [
        ("owner", "retrain", "v2", "fraud@v2 does not list owner under access.retraining"),
        ("researcher", "infer", "v1", "fraud@v1 does not list researcher under access.inference"),
        ("researcher", "retrain", "v1", "Role researcher denies retrain on models with tier="),
        ("researcher", "promote", "v1", "Role researcher denies promote on models with tier="),
        ("agent/eval-bot", "infer", "v2", "fraud@v2 does not list agent/eval-bot under access."),
        ("agent/eval-bot", "retrain", "v1", "AgentScope eval-bot does not list retrain on fraud@"),
        ("agent/owner", "infer", "v1", "no AgentScope owner is declared"),
        ("eval-bot", "infer", "v1", "no Role eval-bot is declared"),
        ("owner", "infer", "v3", "Model fraud has no version v3"),
        ("owner", "infer", "", "Model fraud has no version "),
    ],
)
def test_what_one_side_does_not_say_is_denied_with_the_reason(
    subject: str, action: ModelAction, version: str, reason: str
) -> None:
    decision = asked(subject, action, version)
    assert not decision.allowed
    assert decision.reason.startswith(reason)
    assert decision.hint


def test_a_scope_holds_on_its_last_day_and_not_after() -> None:
    assert asked("agent/eval-bot", "infer", "v1", date(2027, 6, 30)).allowed
    after = asked("agent/eval-bot", "infer", "v1", date(2027, 7, 1))
    assert after.reason == "AgentScope eval-bot ended with 2027-06-30"


@given(policies())
def test_each_side_alone_gives_nothing(policy: AccessPolicy) -> None:
    silent = [
        model(name, found.metadata.labels, **{v.name: {} for v in found.spec.versions})
        for name, found in policy.models.items()
    ]
    unlisted = permissions(replace(policy, models={m.name: m for m in silent}), TODAY)
    assert {action for _, action, _ in unlisted.on_models()} <= {"promote"}
    assert not permissions(replace(policy, roles={}, agents={}), TODAY).models


@given(policies())
def test_the_permissions_are_what_is_decided(policy: AccessPolicy) -> None:
    everything = set(permissions(policy, TODAY).on_models())
    for subject in SUBJECTS:
        for action in ACTIONS:
            for name in MODELS:
                for version in VERSIONS:
                    decision = decide(policy, subject, action, name, version, today=TODAY)
                    listed = (subject, action, f"{name}@{version}") in everything
                    assert decision.allowed is listed, decision.reason


@given(policies())
def test_unless_is_stronger_than_everything(policy: AccessPolicy) -> None:
    for name, declared in policy.roles.items():
        for restriction in declared.spec.unless:
            for found in policy.models.values():
                if restriction.labels.items() <= found.metadata.labels.items():
                    for action in restriction.actions:
                        decision = decide(policy, name, action, found.name, "v1", today=TODAY)
                        assert not decision.allowed


@given(policies())
def test_a_policy_differs_in_nothing_from_itself(policy: AccessPolicy) -> None:
    assert not difference(permissions(policy, TODAY), permissions(policy, TODAY))


@given(policies(), policies())
def test_what_one_way_gives_the_other_way_takes(one: AccessPolicy, two: AccessPolicy) -> None:
    before, after = permissions(one, TODAY), permissions(two, TODAY)
    there, back = difference(before, after), difference(after, before)
    assert [c.what for c in there.gained] == [c.what for c in back.lost]
    if replace(before, ends={}) != replace(after, ends={}):
        assert there


def test_nobody_may_do_anything_without_documents() -> None:
    assert permissions(AccessPolicy.of(), TODAY) == NOTHING


def test_a_difference_is_told_in_sentences() -> None:
    risk = {"team": "risk"}
    place = [Place(ClusterName(name), "team-risk") for name in ("production", "staging")]
    before = permissions(POLICY, TODAY)
    listed = {"inference": ["owner"], "retraining": ["owner"]}
    after = AccessPolicy.of(
        roles=[
            role(
                "owner",
                on_models(risk, "infer", "retrain"),
                on_resources("pods pods/log", "get list", "team-*"),
                groups=["people", "others"],
            )
        ],
        agents=[BOT],
        models=[model("fraud", risk, v1=listed, v2=listed)],
        places=place,
    )
    assert difference(before, permissions(after, TODAY)).sentences == (
        "group others now has Role owner",
        "Role owner may now retrain on fraud@v2",
        "Role owner may now get and list on pods and pods/log in team-risk of production and "
        "staging",
        "agent eval-bot may no longer infer on fraud@v1",
        "Role owner may no longer promote on fraud@v1 and fraud@v2",
        "group people no longer has Role researcher",
    )


def test_a_long_difference_says_how_much_it_does_not_name() -> None:
    versions = {f"v{number}": {"inference": ["owner"]} for number in range(9)}
    after = AccessPolicy.of(roles=[OWNER], models=[model("fraud", {"team": "risk"}, **versions)])
    told = difference(NOTHING, permissions(after, TODAY)).sentences
    named = ", ".join(f"fraud@v{number}" for number in range(5))
    assert f"Role owner may now infer and promote on {named} and 4 more" in told


def test_a_scope_that_holds_longer_gives_more() -> None:
    longer = agent("eval-bot", expires="2028-01-31")
    before = permissions(AccessPolicy.of(agents=[agent("eval-bot")]), TODAY)
    after = permissions(AccessPolicy.of(agents=[longer]), TODAY)
    days = "what its scope lists, from 2027-06-30 to 2028-01-31"
    assert difference(before, after).sentences == (f"agent eval-bot may now do {days}",)
    assert difference(after, before).sentences == (f"agent eval-bot may no longer do {days}",)
