"""Rollouts to units of secret stores: what their replicas may read there.

Separate from the units in clusters, because a store runs nothing, and a role of it is about the one
cluster that it trusts. The invariant: who may read something in a store, and how it gets to them,
are in the same commit; nobody may read there who is not declared to.
"""

from __future__ import annotations

from collections.abc import Iterator

from reconciler.core.declarations import declared_as
from reconciler.core.desired import Unit
from reconciler.core.ignoring import without_ignored
from reconciler.core.kinds import Model, Rollout
from reconciler.core.manifests import JsonObject, manifest_of
from reconciler.core.rendering.release import rollout_unit, secrets_unit, unit_labels
from reconciler.core.rendering.secret_readers import places_of, store_identity
from reconciler.core.rendering.store_rights import vault_rights
from reconciler.core.rollout_units import RenderedRollout


def store_units(name: str, entry: RenderedRollout) -> Iterator[Unit]:
    """Those of one rollout. It is made anew when anything that they follow from changes."""
    model, environment = entry.subject.declaration, entry.environment
    namespace = declared_as(Rollout, entry.rollout).spec.namespace
    secrets = model.spec.serving.secrets if isinstance(model, Model) else ()
    paths = places_of((secret.source for secret in secrets), "vault")
    if not paths:
        return
    unit, repository = secrets_unit(name), environment.repository
    labels: JsonObject = {
        "app.kubernetes.io/name": name,
        "app.kubernetes.io/managed-by": "fairlead",
        "app.kubernetes.io/part-of": repository,
        **unit_labels(repository, unit),
    }
    for cluster in entry.units:
        delivery = environment.delivery(cluster)
        if delivery.store is None or not delivery.vault_method:
            continue
        bodies = vault_rights(
            store_identity(repository, rollout_unit(name)),
            paths,
            account=name,
            namespace=namespace,
            store=delivery.store,
            labels=labels,
        )
        rendered = (manifest_of(body, entry.subject.source) for body in bodies)
        manifests = {m.key: without_ignored(m, environment.ignore) for m in rendered}
        yield Unit(unit, delivery.store_name, 0, manifests)
