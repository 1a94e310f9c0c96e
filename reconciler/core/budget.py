"""The deletion budget: how much one plan may take away.

Separate from planning.py because it is a rule with a history of its own: every engine without it
has an incident report about an empty directory. The invariant: an excess names exactly the
deletions it is about, so that letting them pass lets nothing else pass.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from reconciler.core.access.subjects import SUBJECT_UNITS
from reconciler.core.identifiers import ClusterName, Digest
from reconciler.core.kinds.repository import RepositorySpec
from reconciler.core.manifests import canonical_json, digest_of
from reconciler.core.plans import Action, Change, Deletions

_REMOVALS = frozenset({Action.DELETE, Action.REPLACE})


def deletions_within(
    rules: RepositorySpec,
    *,
    released: str | None,
    cluster: ClusterName,
    changes: Sequence[Change],
    of: int,
) -> Deletions:
    """Hold the deletions among `changes` against the budget.

    `of` is the number of objects that we have in the cluster. `released` is the identity that
    the candidate commit lets pass: being bound to one set of deletions, it opens no other door.
    """
    removals = [change for change in changes if change.action in _REMOVALS]
    if not removals:
        return Deletions(of=of)
    keys = sorted(str(change.key) for change in removals)
    identity = digest_of(canonical_json([str(cluster), *keys]))
    excess = "" if identity == released else _excess(rules, removals, changes, of, identity)
    return Deletions(count=len(removals), of=of, identity=identity, excess=excess)


def _excess(
    rules: RepositorySpec,
    removals: Sequence[Change],
    changes: Iterable[Change],
    of: int,
    identity: Digest,
) -> str:
    budget = rules.deletion_budget
    reasons = []
    held = [
        str(c.key)
        for c in removals
        if not budget.permits_kind(c.key.group, c.key.kind) and not _is_of_subject(c)
    ]
    if held:
        shown = ", ".join(held[:3]) + (", …" if len(held) > 3 else "")
        reasons.append(f"{shown} would take data or other objects along")
    lost, limit = _lost(removals, changes), budget.limit(of)
    if lost > limit:
        reasons.append(f"{lost} of {of} objects would be lost, the budget is {limit}")
    if not reasons:
        return ""
    return f"{'; '.join(reasons)}. If this is meant, set spec.release: {identity} in fairlead.yaml"


def _lost(removals: Iterable[Change], changes: Iterable[Change]) -> int:
    """Deletions that nothing succeeds.

    A new model version replaces the Deployment and the Service of the old one. That is the daily
    work of a unit and no loss; a small estate could not ship a model otherwise.
    """
    successors = Counter(
        (c.unit, c.key.group, c.key.kind) for c in changes if c.action is Action.CREATE
    )
    losses = Counter((c.unit, c.key.group, c.key.kind) for c in removals if not _is_revocation(c))
    return (losses - successors).total()


def _is_of_subject(change: Change) -> bool:
    """Whether it belongs to a Role or an AgentScope, such as the home of an agent.

    What somebody may do is no data: taking it away must not wait for a release. The home of an
    agent counts as one object, with all that is in it.
    """
    return change.unit.startswith(SUBJECT_UNITS)


def _is_revocation(change: Change) -> bool:
    return _is_of_subject(change) and change.key.kind != "Namespace"
