"""Consents: for which build of a version an approval in Git was given.

Separate from reading approvals, because the file says a version only, and one version may be built
again. The invariant: an approval counts for the build that it was first seen with, and no other.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from reconciler.core.kinds.rollout import GivenApproval, RolloutSpec
from reconciler.core.rollouts.states import Consent, RolloutState, Target


def with_consents(state: RolloutState, spec: RolloutSpec, target: Target) -> RolloutState:
    """The state after a commit with these approvals; the same one when there is no news.

    One that was given ahead is for the first build of its version. One that was taken out of the
    file is forgotten, and may be given anew.
    """
    known = {(c.version, c.what, c.by): c for c in state.consents}
    found: dict[tuple[str, str, str], Consent] = {}
    for given in spec.approved:
        name = _name(given)
        if name in known:
            found[name] = known[name]
        elif given.version == target.version:
            found[name] = Consent(*name, target.build)
    consents = tuple(found.values())
    return state if consents == state.consents else replace(state, consents=consents)


def consented(state: RolloutState, spec: RolloutSpec) -> Iterator[GivenApproval]:
    """The approvals that count for the version that is judged."""
    judged = state.candidate or state.stable
    if judged is None:
        return
    builds = {(c.version, c.what, c.by): c.build for c in state.consents}
    for given in spec.approved:
        build = builds.get(_name(given), judged.build)
        if (given.version, build) == (judged.version, judged.build):
            yield given


def _name(given: GivenApproval) -> tuple[str, str, str]:
    what = f"gate {given.gate}" if given.gate is not None else f"step {given.step}"
    return given.version, what, given.by
