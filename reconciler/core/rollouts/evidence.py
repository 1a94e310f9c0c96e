"""Evidence: all that one decision about a rollout rests on, and the decision that follows from it.

Separate from measuring and from carrying out, because the daemon decides by this function, writes
its argument into the audit log, and whoever reads the log calls it again. The invariant: the same
evidence gives the same verdicts and the same decision, bit for bit.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import cast

from pydantic import ConfigDict, TypeAdapter

from reconciler.core.gates import judge
from reconciler.core.identifiers import ClusterName
from reconciler.core.kinds.gate import GateSpec
from reconciler.core.kinds.rollout import RolloutSpec
from reconciler.core.manifests import JsonObject
from reconciler.core.rollouts.advancing import Decision, advance
from reconciler.core.rollouts.observations import ClusterSight, Observation
from reconciler.core.rollouts.states import RolloutState
from reconciler.core.samples import Samples
from reconciler.core.verdicts import Verdict


@dataclass(frozen=True, slots=True)
class Evidence:
    """What was known at one look.

    `spec` and `gates` are those of the commit in force. `waves` is how many waves have clusters;
    `now` and `unready_since` are seconds since the epoch. The exposures of `samples` begin with
    those of earlier steps, as the state has them.
    """

    state: RolloutState
    spec: RolloutSpec
    gates: Mapping[str, GateSpec]
    samples: Samples
    waves: int
    now: float
    clusters: Mapping[ClusterName, ClusterSight] = field(default_factory=dict)
    unready_since: float | None = None

    __pydantic_config__ = ConfigDict(ser_json_inf_nan="strings")


def decide(evidence: Evidence) -> tuple[tuple[Verdict, ...], Decision]:
    """What every gate says, and where the rollout goes from here. Total: it never raises."""
    verdicts = tuple(
        judge(name, gate, evidence.samples) for name, gate in sorted(evidence.gates.items())
    )
    observation = Observation(
        clusters=evidence.clusters,
        exposures=evidence.samples.exposures[len(evidence.state.exposures) :],
        verdicts=verdicts,
        trouble=evidence.samples.trouble,
        unready_since=evidence.unready_since,
    )
    state, spec = evidence.state, evidence.spec
    return verdicts, advance(state, spec, observation, waves=evidence.waves, now=evidence.now)


_EVIDENCE = TypeAdapter(Evidence)


def evidence_json(evidence: Evidence) -> JsonObject:
    """The evidence as JSON, without loss: NaN and infinity are strings."""
    body = _EVIDENCE.dump_json(evidence, by_alias=True, exclude_none=True)
    return cast(JsonObject, TypeAdapter(dict).validate_json(body))


def evidence_from_json(body: JsonObject) -> Evidence:
    """What `evidence_json` made. Raises ValueError on anything else."""
    return _EVIDENCE.validate_python(body)
