"""RolloutState: where a rollout stands, as its journal keeps it.

Separate from what moves it (revising.py for commits, advancing.py for evidence). The invariant:
the weights in every cluster follow from the commit and this value alone, so a process that starts
anew, or a cluster that was built anew, comes to the same position.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import cast

from pydantic import ConfigDict, TypeAdapter

from reconciler.core.identifiers import ClusterName, CommitSha, Digest
from reconciler.core.manifests import JsonObject
from reconciler.core.rollouts.counting import Requests, Tally
from reconciler.core.samples import Exposure

_STORED = ConfigDict(ser_json_inf_nan="strings")


@dataclass(frozen=True, slots=True)
class Target:
    """A version as one commit built it. `build` is the digest of what its replicas run.

    `commit` is the one that asked for it first: the one to revert when it is no good.
    """

    version: str
    build: Digest
    commit: CommitSha

    def is_same(self, other: Target | None) -> bool:
        """Whether replicas of the one need not be replaced for the other."""
        return other is not None and (self.version, self.build) == (other.version, other.build)

    __pydantic_config__ = _STORED


class Phase(StrEnum):
    """What a rollout is doing.

    SETTLED: one version has all the traffic everywhere. STARTING: the candidate starts in the
    clusters of a wave, without traffic. STEPPING: it has the traffic of one step there. WATCHED: it
    has all the traffic everywhere, and the version before it is kept warm.
    """

    SETTLED = "settled"
    STARTING = "starting"
    STEPPING = "stepping"
    WATCHED = "watched"


@dataclass(frozen=True, slots=True)
class Kept:
    """A version that stays loaded without traffic until a time (seconds since the epoch).

    A `proven` one had all the traffic once: going back to it takes no steps.
    """

    target: Target
    until: float
    proven: bool

    __pydantic_config__ = _STORED


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a version was taken back, and what became of undoing its commit.

    `gate` is empty when no gate decided. `undone` is the revert commit or the branch that holds
    it; `trouble` says why there is none yet, empty when nothing stands in the way. `final` when
    it is not to be tried again.
    """

    target: Target
    at: float
    reason: str
    gate: str = ""
    step: str = ""
    undone: str = ""
    trouble: str = ""
    final: bool = False

    __pydantic_config__ = _STORED


@dataclass(frozen=True, slots=True)
class Consent:
    """An approval in Git, and the build that it was first seen with. `what` is a step or gate."""

    version: str
    what: str
    by: str
    build: Digest

    __pydantic_config__ = _STORED


@dataclass(frozen=True, slots=True)
class Count:
    """What was counted in one cluster since the step began to count."""

    stable: Tally = field(default_factory=Tally)
    candidate: Tally = field(default_factory=Tally)

    @classmethod
    def beginning(
        cls,
        stable: Mapping[str, Requests],
        candidate: Mapping[str, Requests],
        known: Count | None = None,
    ) -> Count:
        """Count from here on, by the counters of each version's replicas.

        `known` is what was counted before, of which only the places of the counters are kept.
        """
        if known is None:
            return cls(Tally.beginning(stable), Tally.beginning(candidate))
        return cls(
            Tally.beginning(stable, known.stable.seen),
            Tally.beginning(candidate, known.candidate.seen),
        )

    __pydantic_config__ = _STORED


@dataclass(frozen=True, slots=True)
class RolloutState:
    """Where one rollout stands. Times are seconds since the epoch.

    `stable` has the traffic that nothing else gets, and all of it after an abort. `step` counts
    from 0 within `wave`; `entered` is when it began, or when the approval that it asks for was
    given; `approved_step` is the number of the step that was approved last, from 1; `steps` is the
    digest of the steps that `step` counts in. `exposures` are
    the evidence of earlier steps; `counts` those of this one, by cluster, empty until the gateways
    have taken it over. `proven` are versions that had all the traffic once and were not taken back.
    `failure` names the version that must not come again by itself; `failed` are those before it,
    while no commit has led back to a good one. `consents` are the approvals of the newest commit.
    """

    rollout: str
    stable: Target | None
    candidate: Target | None = None
    phase: Phase = Phase.SETTLED
    wave: int = 0
    step: int = 0
    entered: float = 0.0
    approved_step: int = 0
    steps: Digest | None = None
    exposures: tuple[Exposure, ...] = ()
    counts: Mapping[ClusterName, Count] = field(default_factory=dict)
    kept: tuple[Kept, ...] = ()
    proven: tuple[Target, ...] = ()
    failure: Failure | None = None
    failed: tuple[Failure, ...] = ()
    consents: tuple[Consent, ...] = ()

    __pydantic_config__ = _STORED

    @property
    def place(self) -> tuple[object, ...]:
        """The part that says what the clusters are to run, evidence and failures left out."""
        return (self.stable, self.candidate, self.phase, self.wave, self.step, self.kept)

    @property
    def serving(self) -> Target | None:
        """The version that has all the traffic, where exactly one has."""
        return self.stable if self.candidate is None else None

    @property
    def active(self) -> bool:
        """Whether time or evidence may move it."""
        return (
            self.candidate is not None
            or self.phase is Phase.WATCHED
            or bool(self.kept)
            or (self.failure is not None and not self.failure.undone and not self.failure.final)
        )

    def is_proven(self, target: Target) -> bool:
        return any(proven.is_same(target) for proven in self.proven)


_STATE = TypeAdapter(RolloutState)


def state_json(state: RolloutState) -> JsonObject:
    """The state as JSON, without loss."""
    return cast(JsonObject, _STATE.dump_python(state, mode="json", exclude_defaults=True))


def state_from_json(body: JsonObject) -> RolloutState:
    """What `state_json` made. Raises ValueError on anything else."""
    return _STATE.validate_python(body)
