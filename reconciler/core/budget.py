"""The deletion budget: how much one plan may take away.

Separate from planning.py because it is a rule with a history of its own: every engine without it
has an incident report about an empty directory. The invariant: an excess names exactly the
deletions it is about, so that letting them pass lets nothing else pass.
"""

from __future__ import annotations

from collections.abc import Iterable

from reconciler.core.identifiers import ClusterName, Digest, ObjectKey
from reconciler.core.kinds.repository import DeletionBudget
from reconciler.core.manifests import canonical_json, digest_of
from reconciler.core.plans import Action, Change, Deletions

# Their data goes with them: deleting one is never a detail of another change.
STATEFUL_KINDS = frozenset(
    {
        ("", "Namespace"),
        ("", "PersistentVolume"),
        ("", "PersistentVolumeClaim"),
        ("apps", "StatefulSet"),
        ("apiextensions.k8s.io", "CustomResourceDefinition"),
    }
)


def deletions_within(
    budget: DeletionBudget,
    *,
    released: str | None,
    cluster: ClusterName,
    changes: Iterable[Change],
    of: int,
) -> Deletions:
    """Count the deletions and replacements among `changes` and hold them against the budget.

    `of` is the number of objects that we have in the cluster. `released` is the identity that
    the commit itself lets pass: binding to one set of deletions, it may come from the candidate.
    """
    keys = sorted(c.key for c in changes if c.action in (Action.DELETE, Action.REPLACE))
    if not keys:
        return Deletions(of=of)
    identity = digest_of(canonical_json([str(cluster), *(str(key) for key in keys)]))
    excess = "" if identity == released else _excess(budget, keys, of, identity)
    return Deletions(count=len(keys), of=of, identity=identity, excess=excess)


def _excess(budget: DeletionBudget, keys: list[ObjectKey], of: int, identity: Digest) -> str:
    reasons = []
    if not budget.allow_stateful:
        stateful = [str(key) for key in keys if (key.group, key.kind) in STATEFUL_KINDS]
        if stateful:
            shown = ", ".join(stateful[:3]) + (", …" if len(stateful) > 3 else "")
            reasons.append(f"{shown} would take data along")
    limit = budget.limit(of)
    if len(keys) > limit:
        reasons.append(f"{len(keys)} of {of} objects would be deleted, the budget is {limit}")
    if not reasons:
        return ""
    return (
        f"{'; '.join(reasons)}. If this is meant, set deletionBudget.release: {identity} "
        "in fairlead.yaml"
    )
