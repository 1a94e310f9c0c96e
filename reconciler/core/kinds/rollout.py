"""Kind Rollout: which version of a model or of a prompt runs where, and how it gets there.

Separate from Model, so that changing what runs is a change of one line in one file. The
invariant: a canary exposes more with every weight and ends with all of the traffic.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from itertools import pairwise
from typing import ClassVar, Literal

from pydantic import ConfigDict, Field, field_validator, model_validator

from reconciler.core.kinds.common import Choice, Declaration, Part, one_of, refusal, unique
from reconciler.core.kinds.scalars import (
    DnsLabel,
    Duration,
    HeaderName,
    Maybe,
    PercentText,
    PositiveCount,
    Principal,
    Selector,
    Text,
)
from reconciler.core.quantities import Percent

ALL = Percent.parse("100%")


class Wave(Part):
    """Clusters that change together. The next wave waits until this one is done."""

    clusters: Selector
    """Labels of which a cluster must have all."""


class Cohort(Part):
    """Requests that are known to be safe to try the new version on."""

    header: HeaderName
    """Name of the header that marks them."""
    value: Text
    """Value of that header, compared exactly."""


class Approval(Part):
    """An approval, given in Git."""

    by: tuple[Principal, ...] = Field(min_length=1)
    """Roles of which the approver has one."""


class Step(Choice):
    """One step of a canary: cohort, mirror, weight or approval."""

    choices: ClassVar = ("cohort", "mirror", "weight", "approval")
    model_config = ConfigDict(json_schema_extra=one_of(*choices))

    cohort: Maybe[Cohort] = None
    """Send requests with this header to the new version."""
    mirror: Maybe[PercentText] = None
    """Copy this share of the requests to the new version and discard its answers."""
    weight: Maybe[PercentText] = None
    """Send this share of the requests to the new version."""
    approval: Maybe[Approval] = None
    """Wait until somebody approves."""
    requests: PositiveCount = 100
    """Requests that the new version must have answered in this step before the next begins."""

    @field_validator("mirror", "weight")
    @classmethod
    def _refuse_nothing(cls, share: Percent | None) -> Percent | None:
        if share is not None and not share.share:
            raise refusal("gives the new version nothing", hint="give it a share above 0%")
        return share


class Canary(Part):
    """Give the new version traffic step by step, each on evidence from the gates."""

    steps: tuple[Step, ...] = Field(min_length=1)
    """Steps, in order. Weights increase; the last step is weight 100%."""

    @field_validator("steps")
    @classmethod
    def _require_growing_weights(cls, steps: tuple[Step, ...]) -> tuple[Step, ...]:
        weights = [step.weight for step in steps if step.weight is not None]
        for earlier, later in pairwise(weights):
            if later <= earlier:
                raise refusal(
                    f"go from weight {earlier} to {later}", hint="let every weight be greater"
                )
        if steps[-1].weight != ALL:
            raise refusal("do not end with weight 100%", hint='add "- weight: 100%" at the end')
        return steps


class BlueGreen(Part):
    """Bring the new version up beside the old one, judge it, then move all the traffic."""

    preview: Cohort = Cohort(header="x-fairlead-preview", value="true")
    """Requests with this header reach the new version before the traffic moves."""
    requests: PositiveCount = 100
    """Requests that the new version must have answered before, when there are gates."""
    approval: Maybe[Approval] = None
    """Wait for this approval before the traffic moves."""


class Recreate(Part):
    """Stop the old version before the new one starts: for models that fit only once."""


class Strategy(Choice):
    """How a rollout gets to its version."""

    choices: ClassVar = ("canary", "blue_green", "recreate")
    model_config = ConfigDict(json_schema_extra=one_of(*choices))

    canary: Maybe[Canary] = None
    """Step by step."""
    blue_green: Maybe[BlueGreen] = None
    """All at once, with both versions up."""
    recreate: Maybe[Recreate] = None
    """All at once, with one version up at a time."""
    keep_warm: Duration = timedelta(hours=1)
    """How long the old version stays loaded after the new one has all the traffic.

    The new version is judged for as long, and loses the traffic again when a gate fails.
    """
    deadline: Duration = timedelta(hours=1)
    """How long a step may wait for evidence; then the traffic goes back."""

    @field_validator("deadline")
    @classmethod
    def _refuse_no_time(cls, deadline: timedelta) -> timedelta:
        if not deadline:
            raise refusal("leaves no time for evidence", hint="give it minutes or hours")
        return deadline


class GivenApproval(Part):
    """An approval that was given: whoever merges it answers for it."""

    version: DnsLabel
    """Version that is approved."""
    step: PositiveCount = 1
    """Which step of the canary is approved, the first being 1; of a blue/green rollout, 1."""
    gate: Maybe[DnsLabel] = None
    """Gate that is approved, instead of a step."""
    by: Principal
    """Role of the approver, one of those that the step or the gate names."""


def _is_left_out(name: str) -> bool:
    """Such a name is in no record of a decision either, or the record could not be read again."""
    return not name


class RolloutSpec(Part):
    """Which version runs where, and how it gets there."""

    model_config = ConfigDict(json_schema_extra=one_of("model", "prompt"))

    model: DnsLabel = Field(default="", exclude_if=_is_left_out)
    """Name of the Model that is rolled out."""
    prompt: DnsLabel = Field(default="", exclude_if=_is_left_out)
    """Name of the Prompt that is rolled out, instead of a model."""
    version: DnsLabel
    """Name of one of its versions."""
    namespace: DnsLabel
    """Namespace in which it runs, in every cluster."""
    waves: tuple[Wave, ...] = Field(min_length=1)
    """Clusters in the order in which they change. An abort in one aborts them all."""
    strategy: Maybe[Strategy] = None
    """How it gets to its version; a rolling update when left out."""
    approved: tuple[GivenApproval, ...] = ()
    """Approvals that were given."""
    gates: tuple[DnsLabel, ...] = ()
    """Names of the Gate documents that judge the new version."""
    on_failure: Literal["revert", "pull-request", "hold"] = "revert"
    """After the traffic went back: push a revert commit, open a pull request with it, or wait."""

    @field_validator("gates")
    @classmethod
    def _refuse_repeated_gates(cls, gates: tuple[str, ...]) -> tuple[str, ...]:
        return unique(gates, name=lambda gate: gate)

    @property
    def subject(self) -> str:
        """Name of what is rolled out."""
        return self.model or self.prompt

    @model_validator(mode="after")
    def _require_one_subject(self) -> RolloutSpec:
        if bool(self.model) is bool(self.prompt):
            raise refusal(
                "names a model and a prompt" if self.model else "names neither model nor prompt",
                hint="name exactly one of model and prompt",
            )
        return self

    @model_validator(mode="after")
    def _require_askers(self) -> RolloutSpec:
        """An approval that no step asks for would wait in the file for one that does."""
        asked = self.approvals_asked()
        for given in self.approved:
            if given.gate is not None:
                if given.gate not in self.gates:
                    raise refusal(
                        f"has an approval of gate {given.gate}, which it does not name",
                        hint="name one of its gates",
                    )
            elif given.by not in asked.get(given.step, ()):
                raise refusal(
                    f"has an approval of step {given.step} by {given.by}, which that step does "
                    "not ask for",
                    hint="count the steps from 1, and name a role of its approval.by",
                )
        return self

    def approvals_asked(self) -> Mapping[int, tuple[str, ...]]:
        """Roles that may approve, by the number of the step that asks; the first is 1."""
        strategy = self.strategy
        if strategy is not None and strategy.canary is not None:
            steps = enumerate(strategy.canary.steps, start=1)
            return {number: step.approval.by for number, step in steps if step.approval}
        blue_green = strategy.blue_green if strategy else None
        return {1: blue_green.approval.by} if blue_green and blue_green.approval else {}

    def is_approved(self, version: str, step: int) -> bool:
        """Whether somebody approved that step for that version."""
        return any(
            given.gate is None and given.version == version and given.step == step
            for given in self.approved
        )


class Rollout(Declaration):
    """Which version of a model runs where, and how it gets there."""

    kind: Literal["Rollout"]
    """What this document declares."""
    spec: RolloutSpec
    """Which version runs where, and how it gets there."""
