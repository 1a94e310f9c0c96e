"""What the roles of AWS have to allow, for one rollout.

Separate from rendering, because it is no object of any cluster: whoever keeps the roles gives it to
AWS. The invariant: a role may read the secrets that the commit delivers to it, and nothing else.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

from reconciler.core.desired import DesiredState
from reconciler.core.identifiers import ClusterName
from reconciler.core.manifests import JsonObject
from reconciler.core.rendering.release import rollout_unit
from reconciler.core.rendering.secret_readers import delivery_in, places_of, store_identity
from reconciler.core.rendering.store_rights import aws_names, aws_policy, aws_role_arn


def aws_policies(desired: DesiredState, rollout: str) -> Mapping[str, JsonObject]:
    """Policy documents by the ARN of the role; one for each account that the rollout reads."""
    serving = desired.model_of(desired.rollouts[rollout]).spec.serving
    paths = places_of((secret.source for secret in serving.secrets), "aws")
    identity = store_identity(desired.repository, rollout_unit(rollout))
    names: dict[str, set[str]] = defaultdict(set)
    for (cluster, _), _ in desired.places_of(rollout):
        aws = delivery_in(ClusterName(cluster), desired.clusters, desired.policy.defaults).aws
        if aws is not None and paths:
            names[aws_role_arn(identity, aws)] |= aws_names(paths, aws)
    return {role: aws_policy(found) for role, found in sorted(names.items())}
