"""A prompt compiles only onto a server that can take it, and under a name of its own."""

from __future__ import annotations

import pytest

from reconciler.core.kinds import Prompt
from reconciler.core.rendering.aliases import loaded_name, mark_of
from tests.desired.builders import (
    ADAPTER,
    ADAPTER_ROLLOUT,
    CLUSTERS,
    MODEL,
    PROMPT,
    PROMPT_ROLLOUT,
    ROLLOUT,
    codes,
    compiled,
    repository,
)

FILES = {
    "clusters": CLUSTERS,
    "models": MODEL,
    "rollouts": ROLLOUT,
    "prompt": PROMPT,
    "prompt_rollout": PROMPT_ROLLOUT,
}


def test_a_prompt_becomes_a_route_that_has_its_digest_and_not_its_text() -> None:
    state = compiled(repository(**FILES)).state
    ((_, unit),) = state.places_of("answers")
    (route,) = unit.manifests.values()
    assert (route.key.kind, route.key.name) == ("HTTPRoute", "answers")
    (rule,) = route.body["spec"]["rules"]
    assert rule["matches"][0]["headers"] == [
        {"type": "Exact", "name": "x-prompt", "value": "answers"}
    ]
    (backend,) = rule["backendRefs"]
    digest = state.prompts["answers"].spec.versions[0].digest
    assert mark_of(backend) == loaded_name("answers", digest)
    assert "Be brief" not in str(route.body)


def test_a_prompt_says_who_owns_it_and_its_server_which_model_answers() -> None:
    state = compiled(repository(**FILES)).state
    ((_, unit),) = state.places_of("answers")
    (route,) = unit.manifests.values()
    labels = route.body["metadata"]["labels"]
    assert labels["app.kubernetes.io/name"] == "answers"
    assert labels["fairlead.dev/owner"] == "team-risk"
    assert labels["fairlead.dev/model"] == "fraud-detector"
    assert state.model_of(state.rollouts["answers"]).name == "fraud-detector"


@pytest.mark.parametrize(
    ("file", "old", "new", "code"),
    [
        ("prompt", "server: fraud-detector", "server: nobody", "unknown-rollout"),
        ("prompt", "  serving: {server: fraud-detector, alias: answers}\n", "", "prompt-server"),
        ("prompt_rollout", "namespace: team-risk", "namespace: team-other", "prompt-server"),
        ("prompt_rollout", "prompt: answers", "prompt: answer", "unknown-prompt"),
        ("prompt_rollout", "version: v1", "version: v7", "unknown-version"),
        ("prompt_rollout", "prompt: answers", "prompt: answers\n  model: fraud-detector", None),
        ("prompt_rollout", "  prompt: answers\n", "", None),
        ("rollouts", "  - clusters: {env: production}\n", "", "prompt-server"),
        ("models", "    route: {hostnames: [fraud.example.com]}\n", "", "strategy-without-route"),
        (
            "prompt_rollout",
            "{canary: {steps: [{weight: 5%}, {weight: 100%}]}}",
            "{recreate: {}}",
            "prompt-strategy",
        ),
        ("prompt_rollout", "{weight: 5%}", "{mirror: 5%}", "prompt-strategy"),
        ("prompt", "text: Be brief and friendly.", "text: Be brief.", "prompt-name"),
    ],
)
def test_what_a_prompt_cannot_be_rolled_out_onto_is_refused(
    file: str, old: str, new: str, code: str | None
) -> None:
    changed = FILES[file].replace(old, new)
    assert changed != FILES[file]
    assert set(codes(repository(**{**FILES, file: changed}))) == {code or "field-value"}


def test_a_prompt_is_for_the_model_of_its_server() -> None:
    other = MODEL.replace("name: fraud-detector", "name: other").replace("fraud.example", "other")
    prompt = PROMPT.replace("model: fraud-detector", "model: other")
    found = codes(repository(**{**FILES, "prompt": prompt, "other": other}))
    assert found == ["prompt-server"]


def test_two_prompts_do_not_share_an_alias_and_an_adapter_may_have_the_same() -> None:
    second = PROMPT.replace("name: answers}", "name: second}")
    rollout = PROMPT_ROLLOUT.replace("name: answers", "name: second").replace(
        "prompt: answers", "prompt: second"
    )
    assert codes(repository(**FILES, second=second, second_rollout=rollout)) == ["rival-routes"]
    adapter = ADAPTER.replace("alias: support", "alias: answers")
    assert codes(repository(**FILES, adapter=adapter, adapter_rollout=ADAPTER_ROLLOUT)) == []


def test_one_prompt_is_not_rolled_out_twice_in_one_place() -> None:
    again = PROMPT_ROLLOUT.replace("name: answers", "name: again")
    assert "rival-rollouts" in codes(repository(**FILES, again=again))


def test_only_a_prompt_that_is_rolled_out_is_more_than_a_declaration() -> None:
    notice = "Prompt answers is declared but not yet enforced"
    assert notice not in compiled(repository(**FILES)).state.notices
    alone = {name: text for name, text in FILES.items() if name != "prompt_rollout"}
    state = compiled(repository(**alone)).state
    assert notice in state.notices
    assert isinstance(state.prompts["answers"], Prompt)
