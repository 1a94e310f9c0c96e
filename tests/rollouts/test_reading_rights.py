"""While two versions run, a store lets both read; at rest, what the commit declares."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from reconciler.core.desired import DesiredState
from reconciler.core.identifiers import ClusterName, CommitSha, UnitName
from reconciler.core.ledger import Applied, Entry, Ledger
from reconciler.core.manifests import digest_of
from reconciler.core.rollouts.kserve import InferenceServices
from reconciler.core.rollouts.placing import Placement
from reconciler.core.rollouts.runtimes import Found
from reconciler.core.rollouts.staging import stage
from reconciler.core.rollouts.states import Kept, Phase, RolloutState
from reconciler.core.rollouts.traffic import NO_TRAFFIC
from tests.desired.builders import ROLLOUT, compiled
from tests.desired.kserve import KSERVE_MODEL, KSERVE_ROLLOUT
from tests.desired.secrets import clusters, model, with_secrets
from tests.rollouts.builders import NOW, target

STORE = ClusterName("vault-main")
UNIT = UnitName("secrets/fraud-detector")
PLACE = (ClusterName("production-1"), UnitName("rollout/fraud-detector"))
CANARY = """\
  strategy: {canary: {steps: [{weight: 5%}, {weight: 100%}]}}
"""
V3, V4 = target("v3"), target("v4")
COMMIT = CommitSha("1" * 40)


def declared(version: str, *names: str) -> DesiredState:
    """A commit whose one cluster is where secrets are delivered."""
    production = clusters("agent").partition("---\n")[2]
    rollout = ROLLOUT.replace("  - clusters: {env: staging}\n", "")
    rollout = rollout.replace("version: v3", f"version: {version}") + CANARY
    return compiled(with_secrets(*names, clusters=production, rollouts=rollout)).state


def applied(*states: DesiredState) -> Mapping[ClusterName, Ledger]:
    """What lies there when these were applied one after the other."""
    ledgers: dict[ClusterName, Ledger] = {}
    for state in states:
        for (cluster, _), unit in state.units.items():
            before = ledgers.get(cluster, Ledger(cluster))
            entries = {
                key: Entry(
                    key, unit.name, m.type.api_version, Applied(m, COMMIT, digest_of(b""), "1")
                )
                for key, m in unit.manifests.items()
            }
            ledgers[cluster] = replace(before, entries={**before.entries, **entries})
    return ledgers


def allowed(state: DesiredState) -> str:
    unit = state.units.get((STORE, UNIT))
    policies = (
        [m.body for key, m in unit.manifests.items() if key.kind == "VaultPolicy"] if unit else []
    )
    return str(policies)


FIRST, SECOND = declared("v3", "hf-token"), declared("v4", "feature-store")
GOING = RolloutState("fraud-detector", stable=V3, candidate=V4, phase=Phase.STARTING, entered=NOW)
WATCHED = RolloutState("fraud-detector", stable=V4, kept=(Kept(V3, NOW, proven=True),))
RESTING = RolloutState("fraud-detector", stable=V4, proven=(V4,))


def staged(state: RolloutState, desired: DesiredState = SECOND) -> DesiredState:
    return stage(desired, {"fraud-detector": state}, applied(FIRST)).state


def test_both_versions_read_what_they_need_until_the_rollout_is_at_rest() -> None:
    for state in (GOING, WATCHED):
        found = allowed(staged(state))
        assert "kv/data/risk/fraud" in found
        assert "kv/data/risk/features" in found
    assert allowed(staged(RESTING)) == allowed(SECOND)
    assert "kv/data/risk/fraud" not in allowed(SECOND)


def test_a_version_without_secrets_leaves_those_of_the_one_before_until_it_rests() -> None:
    without = declared("v4")
    assert allowed(staged(GOING, without)) == allowed(FIRST)
    assert (STORE, UNIT) not in staged(RESTING, without).units


def test_a_store_that_is_no_longer_declared_gets_nothing() -> None:
    production = clusters().partition("---\n")[2].partition("---\n")[0]
    rollout = ROLLOUT.replace("  - clusters: {env: staging}\n", "").replace("v3", "v4") + CANARY
    gone = compiled(with_secrets(clusters=production, rollouts=rollout)).state
    assert (STORE, UNIT) not in staged(GOING, gone).units


def test_kserve_keeps_what_brings_the_secrets_of_a_version_that_is_loaded() -> None:
    def unit(version: str) -> DesiredState:
        rollout = KSERVE_ROLLOUT.replace("fleet: acme", "env: production")
        files = {
            "models": model("hf-token", template=KSERVE_MODEL),
            "rollouts": rollout.replace("version: v3", f"version: {version}"),
        }
        return compiled(with_secrets(vault="csi", **files)).state

    before, after = unit("v3"), unit("v4")
    both = Placement(base=V3, candidate=V4, split=NO_TRAFFIC, loaded=(V3, V4))
    alone = Placement(base=V4, candidate=None, split=NO_TRAFFIC, loaded=(V4,))
    assert classes(after, both, before) == {"fraud-detector-v3-vault", "fraud-detector-v4-vault"}
    assert classes(after, alone, before, after) == {"fraud-detector-v4-vault"}


def classes(desired: DesiredState, where: Placement, *states: DesiredState) -> set[str]:
    entries = tuple(applied(*states)[PLACE[0]].entries.values())
    found = Found(entries, settled=True)
    unit = InferenceServices().position(desired.units[PLACE], where, found).unit
    return {key.name for key in unit.manifests if key.kind == "SecretProviderClass"}
