"""What the roles of AWS have to allow, for one rollout or one agent.

Separate from rendering, because it is no object of any cluster: whoever keeps the roles gives it to
AWS. The invariant: a role may read the secrets that the commit lists for it, and nothing else; that
of an agent allows nothing after the last day of its scope.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements.html
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import date, timedelta

from reconciler.core.access.subjects import agent_subject
from reconciler.core.desired import DesiredState
from reconciler.core.identifiers import ClusterName
from reconciler.core.kinds.secret_delivery import AwsDelivery
from reconciler.core.manifests import JsonObject
from reconciler.core.rendering.agent_secrets import aws_paths
from reconciler.core.rendering.release import rollout_unit
from reconciler.core.rendering.secret_readers import delivery_in, places_of, store_identity
from reconciler.core.rendering.store_rights import aws_names, aws_policy, aws_role_arn


def rollout_policies(desired: DesiredState, rollout: str) -> Mapping[str, JsonObject]:
    """Policy documents by the ARN of the role; one for each account that the rollout reads."""
    serving = desired.model_of(desired.rollouts[rollout]).spec.serving
    paths = places_of((secret.source for secret in serving.secrets), "aws")
    clusters = (cluster for (cluster, _), _ in desired.places_of(rollout))
    return _policies(desired, rollout_unit(rollout), paths, _accounts(desired, clusters))


def agent_policies(desired: DesiredState, agent: str) -> Mapping[str, JsonObject]:
    """Policy documents by the ARN of the role; one for each account that a cluster reads from."""
    scope = desired.agents[agent]
    paths = aws_paths(scope)
    accounts = _accounts(desired, desired.clusters)
    return _policies(desired, agent_subject(agent), paths, accounts, last_day=scope.spec.expires)


def _accounts(desired: DesiredState, clusters: Iterable[ClusterName]) -> list[AwsDelivery]:
    found = (
        delivery_in(ClusterName(cluster), desired.clusters, desired.policy.defaults).aws
        for cluster in clusters
    )
    return [aws for aws in found if aws is not None]


def _policies(
    desired: DesiredState,
    subject: str,
    paths: Iterable[str],
    accounts: Iterable[AwsDelivery],
    *,
    last_day: date | None = None,
) -> Mapping[str, JsonObject]:
    identity = store_identity(desired.repository, subject)
    names: dict[str, set[str]] = defaultdict(set)
    for aws in accounts:
        if found := aws_names(paths, aws):
            names[aws_role_arn(identity, aws)] |= found
    end = last_day + timedelta(days=1) if last_day else None
    return {role: aws_policy(found, end=end) for role, found in sorted(names.items())}
