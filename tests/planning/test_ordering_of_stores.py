"""Rights in a secret store: what takes goes first, what pods sign in with is there before them."""

from __future__ import annotations

from typing import Any

import pytest

from reconciler.core.audit.records import Reason
from reconciler.core.identifiers import CommitSha, DocumentPath, UnitName
from reconciler.core.manifests import JsonObject, Manifest, Source, manifest_of
from reconciler.core.ordering import Wave, stepping_stone, wave_of
from reconciler.core.plans import Action, Change
from reconciler.core.presenting.plan_view import Importance, importance_of
from reconciler.core.problems import Span
from reconciler.core.rendering.store_rights import policy_text

SOURCE = Source(DocumentPath("a.yaml"), Span(1, 1))


def policy(*paths: str, text: str = "") -> Manifest:
    return stored("VaultPolicy", {"policy": text or policy_text(paths)})


def role(**changes: Any) -> Manifest:
    spec = {
        "boundServiceAccountNames": ["one"],
        "boundServiceAccountNamespaces": ["team-risk"],
        "audience": "vault",
        "tokenPolicies": ["one"],
        "tokenTtlSeconds": 600,
        "tokenMaxTtlSeconds": 900,
        "aliasNameSource": "serviceaccount_uid",
    }
    return stored("VaultKubernetesRole", {**spec, **changes})


def stored(kind: str, spec: JsonObject) -> Manifest:
    body: JsonObject = {
        "apiVersion": "vault.fairlead.dev/v1",
        "kind": kind,
        "metadata": {"name": "one"},
        "spec": spec,
    }
    return manifest_of(body, SOURCE)


@pytest.mark.parametrize("grant", [policy("kv/data/a"), role()])
def test_a_new_right_is_there_before_the_workloads_that_sign_in(grant: Manifest) -> None:
    assert wave_of(before=None, after=grant) is Wave.CONFIGURATION


@pytest.mark.parametrize("grant", [policy("kv/data/a"), role()])
def test_a_right_that_goes_is_gone_before_anything_is_given(grant: Manifest) -> None:
    assert wave_of(before=grant, after=None) is Wave.TIGHTENING


def test_a_policy_with_fewer_paths_is_written_while_tightening() -> None:
    before, after = policy("kv/data/a", "kv/data/b"), policy("kv/data/a")
    assert wave_of(before=before, after=after) is Wave.TIGHTENING
    assert wave_of(before=after, after=before) is Wave.CONFIGURATION


def test_a_path_below_a_pattern_gives_nothing_more() -> None:
    before, after = policy("kv/data/team/*"), policy("kv/data/team/a")
    assert wave_of(before=before, after=after) is Wave.TIGHTENING
    assert wave_of(before=after, after=before) is Wave.CONFIGURATION


def test_between_two_policies_stands_what_both_allow() -> None:
    before, after = policy("kv/data/team/*", "kv/data/x"), policy("kv/data/team/a", "kv/data/y")
    stone = stepping_stone(before, after)
    assert stone is not None
    assert stone.body["spec"] == {"policy": policy_text(["kv/data/team/a"])}


@pytest.mark.parametrize(
    "text",
    [
        'path "kv/data/a" { capabilities = ["read"] denied_parameters = {} }\n',
        'path "kv/data/a" { capabilities = ["deny"] }\n',
        policy_text(["kv/data/a"]) + 'path "kv/data/b" { capabilities = ["list"] }',
    ],
    ids=["another-field", "denied", "unequal"],
)
def test_a_policy_that_is_not_plain_may_give_and_take(text: str) -> None:
    before, after = policy("kv/data/a"), policy(text=text)
    assert wave_of(before=before, after=after) is Wave.CONFIGURATION
    assert stepping_stone(before, after) is None


def test_a_shorter_life_is_written_while_tightening() -> None:
    assert wave_of(before=role(), after=role(tokenMaxTtlSeconds=600)) is Wave.TIGHTENING
    assert wave_of(before=role(), after=role(tokenMaxTtlSeconds=901)) is Wave.CONFIGURATION


def test_between_two_roles_stand_the_accounts_of_both_for_the_shorter_life() -> None:
    before = role(boundServiceAccountNames=["one", "two"], tokenTtlSeconds=300)
    stone = stepping_stone(before, role(boundServiceAccountNames=["two", "three"]))
    assert stone == role(boundServiceAccountNames=["two"], tokenTtlSeconds=300)


def test_nothing_stands_between_roles_that_nobody_shares() -> None:
    """Vault takes no role without accounts: the one is replaced by the other."""
    assert stepping_stone(role(), role(boundServiceAccountNames=["two"])) is None


def test_another_audience_is_another_role() -> None:
    assert wave_of(before=role(), after=role(audience="other")) is Wave.CONFIGURATION
    assert stepping_stone(role(), role(audience="other")) is None


def test_what_gives_in_a_store_is_shown_among_what_gives_access() -> None:
    def shown(before: Manifest | None, after: Manifest) -> Importance:
        change = Change(
            unit=UnitName("secrets/one"),
            key=after.key,
            api_version="vault.fairlead.dev/v1",
            action=Action.UPDATE if before else Action.CREATE,
            reason=Reason.COMMIT,
            wave=wave_of(before=before, after=after),
            stage=0,
            commit=CommitSha("1" * 40),
            desired=after,
            previous=before,
        )
        return importance_of(change)

    narrow, wide = policy("kv/data/a"), policy("kv/data/a", "kv/data/b")
    assert shown(None, narrow) is shown(narrow, wide) is Importance.PERMISSIONS
    assert shown(wide, narrow) is Importance.REST
