"""How the traffic of one cluster is divided, and the HTTPRoute that divides it so.

Separate from the states, because gateways know rules and weights and no rollouts. The invariant:
every split names each version with its weight, so that what a route says is the whole truth, and a
request that no rule singles out always reaches a version that is meant to have it.

https://gateway-api.sigs.k8s.io/reference/spec/#httproutespec
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from reconciler.core.kinds.rollout import BlueGreen, Canary, Cohort, Step
from reconciler.core.manifests import JsonObject
from reconciler.core.samples import Traffic

FULL_WEIGHT = 100
"""Weights are percents where they can be, as people expect to read them."""

MOST_BACKENDS = 16
"""As many as a rule may have. The versions with traffic come first."""

_FINER = (FULL_WEIGHT, 10_000, 1_000_000)
"""The last is the greatest that an HTTPRoute may hold, and the finest that a step can say."""


@dataclass(frozen=True, slots=True)
class Split:
    """Traffic beside the stable version's. `share` is the candidate's part, between 0 and 1."""

    traffic: Traffic | None = None
    share: float = 0.0
    cohort: Cohort | None = None

    @property
    def random(self) -> bool:
        """Whether both versions get requests of the same population."""
        return self.traffic is not None and self.traffic.random

    @property
    def words(self) -> str:
        """In words, for people."""
        match self.traffic:
            case Traffic.COHORT if self.cohort is not None:
                return f"requests with {self.cohort.header}: {self.cohort.value}"
            case Traffic.MIRROR:
                return f"a copy of {percent(self.share)} of the requests"
            case Traffic.WEIGHT:
                return f"{percent(self.share)} of the requests"
            case Traffic.FULL:
                return "all requests"
            case _:
                return "no requests"


NO_TRAFFIC = Split()
ALL_TRAFFIC = Split(Traffic.FULL, 1.0)


def percent(share: float) -> str:
    return f"{share * 100:.4f}".rstrip("0").rstrip(".") + " %"


def split_of(step: Step, before: Split) -> Split:
    """The traffic of one step. While an approval is waited for, that of the step before goes on."""
    if step.cohort is not None:
        return Split(Traffic.COHORT, cohort=step.cohort)
    if step.mirror is not None:
        return Split(Traffic.MIRROR, float(step.mirror.share))
    if step.weight is not None:
        share = float(step.weight.share)
        return ALL_TRAFFIC if share >= 1 else Split(Traffic.WEIGHT, share)
    return before


def splits(strategy: Canary | BlueGreen) -> tuple[Split, ...]:
    """The traffic of each step, in order; the last has all of it."""
    if isinstance(strategy, BlueGreen):
        preview = Split(Traffic.COHORT, cohort=strategy.preview)
        return (preview, ALL_TRAFFIC)
    found: list[Split] = []
    for step in strategy.steps:
        found.append(split_of(step, found[-1] if found else NO_TRAFFIC))
    return tuple(found)


def to_service(backend: JsonObject, service: str) -> JsonObject:
    """The reference, to another Service."""
    return {**backend, "name": service}


def divided(
    route: JsonObject,
    split: Split,
    *,
    stable: str,
    candidate: str,
    warm: Sequence[str] = (),
    lead_to: Callable[[JsonObject, str], JsonObject] = to_service,
) -> JsonObject:
    """The body of an HTTPRoute whose first rule leads to one version, with the traffic divided.

    `stable`, `candidate` and `warm` are names of Services, or of what else `lead_to` makes a
    reference lead to. The route's matches, ports and anything else stay as they are. Whatever is
    loaded is named from the first step to the last, if with weight zero: a proxy that has to learn
    of a version when it gets traffic answers 503 meanwhile.
    """
    body: dict[str, Any] = route
    rule = body["spec"]["rules"][0]
    backend = rule["backendRefs"][0]

    def weighed(name: str, weight: int) -> JsonObject:
        return {**lead_to(backend, name), "weight": weight}

    moved = split.share if split.traffic in (Traffic.WEIGHT, Traffic.FULL) else 0.0
    weight, whole = _parts(moved)
    weights = dict.fromkeys((stable, candidate, *warm), 0)
    weights[stable] += whole - weight
    weights[candidate] += weight
    backends = [weighed(name, share) for name, share in list(weights.items())[:MOST_BACKENDS]]
    rules = [{**rule, "backendRefs": backends}]
    if split.traffic is Traffic.MIRROR:
        rules[0]["filters"] = [*rule.get("filters", []), _mirror(backend, candidate, split.share)]
    if split.traffic is Traffic.COHORT and split.cohort is not None:
        rules.insert(0, _cohort_rule(rule, split.cohort, weighed(candidate, FULL_WEIGHT)))
    return {**body, "spec": {**body["spec"], "rules": rules}}


def _mirror(backend: JsonObject, candidate: str, share: float) -> JsonObject:
    mirror: JsonObject = {"backendRef": {"name": candidate, "port": backend["port"]}}
    if share < 1:
        part, whole = _parts(share)
        # `percent` is whole percents only.
        precise: JsonObject = {"fraction": {"numerator": part, "denominator": whole}}
        mirror |= {"percent": part} if whole == FULL_WEIGHT else precise
    return {"type": "RequestMirror", "requestMirror": mirror}


def _parts(share: float) -> tuple[int, int]:
    """The share as part and whole, in the coarsest whole that can say it."""
    for whole in _FINER:
        part = share * whole
        if abs(part - round(part)) < 1e-6:
            break
    return round(part), whole


def _cohort_rule(rule: dict[str, Any], cohort: Cohort, backend: JsonObject) -> dict[str, Any]:
    """Like `rule`, for requests with the header alone: more header matches win at equal paths."""
    header = {"type": "Exact", "name": cohort.header, "value": cohort.value}
    matches = [
        {**match, "headers": [*match.get("headers", []), header]} for match in rule["matches"]
    ]
    return {**rule, "matches": matches, "backendRefs": [backend]}
