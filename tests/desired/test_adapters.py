"""A LoRA adapter compiles only onto a server that can load it, and under a name of its own."""

from __future__ import annotations

import pytest

from tests.desired.builders import (
    ADAPTER,
    ADAPTER_ROLLOUT,
    CLUSTERS,
    DIGEST,
    MODEL,
    ROLLOUT,
    codes,
    compiled,
    repository,
)

OTHER = DIGEST.replace("ab", "ef")
FILES = {
    "clusters": CLUSTERS,
    "models": MODEL,
    "rollouts": ROLLOUT,
    "adapter": ADAPTER,
    "adapter_rollout": ADAPTER_ROLLOUT,
}


def test_an_adapter_becomes_a_route_and_nothing_else() -> None:
    units = compiled(repository(**FILES)).state.units
    (unit,) = (unit for unit in units.values() if unit.name == "rollout/support")
    assert [(key.kind, key.name) for key in unit.manifests] == [("HTTPRoute", "support")]


@pytest.mark.parametrize(
    ("file", "old", "new", "code"),
    [
        ("adapter", "server: fraud-detector", "server: nobody", "unknown-rollout"),
        ("adapter_rollout", "namespace: team-risk", "namespace: team-other", "adapter-server"),
        ("adapter_rollout", "env: production", "fleet: acme", None),
        ("rollouts", "  - clusters: {env: production}\n", "", "adapter-server"),
        ("models", "    route: {hostnames: [fraud.example.com]}\n", "", "strategy-without-route"),
        (
            "adapter_rollout",
            "{canary: {steps: [{weight: 5%}, {weight: 100%}]}}",
            "{recreate: {}}",
            "adapter-strategy",
        ),
        ("adapter_rollout", "{weight: 5%}", "{mirror: 5%}", "adapter-strategy"),
        ("adapter", OTHER, DIGEST[:20] + OTHER[20:], "adapter-name"),
    ],
)
def test_what_an_adapter_cannot_be_rolled_out_onto_is_refused(
    file: str, old: str, new: str, code: str | None
) -> None:
    changed = FILES[file].replace(old, new)
    assert changed != FILES[file]
    found = set(codes(repository(**{**FILES, file: changed})))
    # Staging has no gateway, which the strategy needs there.
    assert found == ({code} if code else {"strategy-without-gateway"})


def test_an_adapter_is_no_server() -> None:
    second = ADAPTER.replace("name: support}", "name: second}").replace(
        "server: fraud-detector", "server: support"
    )
    rollout = ADAPTER_ROLLOUT.replace("name: support", "name: second").replace(
        "model: support", "model: second"
    )
    found = codes(repository(**FILES, second=second, second_rollout=rollout))
    assert "adapter-server" in found


def test_two_adapters_do_not_share_an_alias() -> None:
    second = ADAPTER.replace("name: support}", "name: second}")
    rollout = ADAPTER_ROLLOUT.replace("name: support", "name: second").replace(
        "model: support", "model: second"
    )
    assert codes(repository(**FILES, second=second, second_rollout=rollout)) == ["rival-routes"]


def test_an_adapter_is_rendered_anew_when_its_server_gets_another_route() -> None:
    before = repository(**FILES)
    after = repository(**{**FILES, "models": MODEL.replace("fraud.example", "risk.example")})
    first = compiled(before)
    incremental = compiled(after, before=before, previous=first)
    whole = compiled(after)
    assert {p: u.digest for p, u in incremental.state.units.items()} == {
        p: u.digest for p, u in whole.state.units.items()
    }
