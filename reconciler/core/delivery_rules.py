"""May secrets be read, and can they be delivered, as clusters and repository say?

Separate from references between documents, because a store is a cluster that is another thing. The
invariant: a commit without a problem here gives every reader a way to its store, and a store trusts
the one cluster whose workloads sign in to it.
"""

from __future__ import annotations

from collections.abc import Iterator

from reconciler.core.access.subjects import agent_namespace
from reconciler.core.admission.findings import Pointer
from reconciler.core.declarations import Declarations, declared_as
from reconciler.core.documents import Document
from reconciler.core.identifiers import ClusterName
from reconciler.core.kinds import AgentScope, Cluster, Model, Repository, Rollout
from reconciler.core.kinds.secret_delivery import SecretDelivery
from reconciler.core.placement import Estate
from reconciler.core.policy import Policy
from reconciler.core.problems import Problem
from reconciler.core.rollout_units import Environment

_CLUSTER: Pointer = ("spec", "secretDelivery")
_REPOSITORY: Pointer = ("spec", "defaults", "secretDelivery")


def delivery_problems(
    declarations: Declarations, environment: Environment, policy: Policy
) -> Iterator[Problem]:
    estate = environment.estate
    for document, cluster in declarations.all(Cluster):
        yield from _store_problems(document, _CLUSTER, cluster.spec.secret_delivery, estate)
    for document, repository in declarations.all(Repository):
        declared = repository.spec.defaults.secret_delivery
        yield from _store_problems(document, _REPOSITORY, declared, estate)
    yield from _shared_stores(declarations, environment)
    for document, rollout in declarations.all(Rollout):
        yield from _selected_stores(document, rollout, estate)
        if model := declarations.of(Model).get(rollout.spec.model):
            yield from _of_model(model, rollout.spec.namespace, policy)
    for document, scope in declarations.all(AgentScope):
        namespace = agent_namespace(scope.name)
        for index, place in enumerate(scope.spec.secrets):
            yield from _forbidden(document, ("spec", "secrets", index), namespace, place, policy)


def _of_model(document: Document, namespace: str, policy: Policy) -> Iterator[Problem]:
    """At the model, though it is the namespace of a rollout that may not read it."""
    for index, secret in enumerate(declared_as(Model, document).spec.serving.secrets):
        at: Pointer = ("spec", "serving", "secrets", index, "from")
        yield from _forbidden(document, at, namespace, secret.source.place, policy)


def _forbidden(
    document: Document, at: Pointer, namespace: str, place: str, policy: Policy
) -> Iterator[Problem]:
    found = policy.secret_objection(namespace, place, at)
    if found is not None:
        where = document.span_at(found.pointer)
        yield Problem(document.path, where, found.code, found.message, found.hint)


def _store_problems(
    document: Document, at: Pointer, declared: SecretDelivery | None, estate: Estate
) -> Iterator[Problem]:
    vault = declared.vault if declared else None
    if vault is None:
        return
    pointer: Pointer = (*at, "vault", "store")
    name = ClusterName(vault.store)
    found = estate.clusters.get(name)
    store = found.spec.vault if found else None
    if store is None:
        yield Problem(
            document.path,
            document.span_at(pointer),
            "unknown-store",
            f"no Cluster {name} is a secret store",
            f"declare a Cluster {name} with spec.vault, or name one that has it",
        )
        return
    yield from estate.problems(document, pointer, [name])
    if vault.method == "external-secrets" and store.address is None:
        yield Problem(
            document.path,
            document.span_at((*at, "vault", "method")),
            "store-without-address",
            f"the operator has to be told where {name} is, and the Cluster does not say",
            f"set spec.vault.address of Cluster {name}",
        )


def _shared_stores(declarations: Declarations, environment: Environment) -> Iterator[Problem]:
    """A Kubernetes method of Vault asks one API server whose a token is."""
    first: dict[ClusterName, str] = {}
    for document, cluster in declarations.all(Cluster):
        name = ClusterName(cluster.name)
        if cluster.spec.vault or name in environment.estate.refused:
            continue
        delivery = environment.delivery(name)
        if not delivery.serves("vault"):
            continue
        other = first.setdefault(delivery.store_name, cluster.name)
        if other != cluster.name:
            yield Problem(
                document.path,
                document.span_at(("metadata", "name")),
                "shared-store",
                f"clusters {other} and {cluster.name} both read {delivery.store_name}, which can "
                "only ask one of them whose a token is",
                "give each cluster a store of its own, in spec.secretDelivery of its document: "
                "another mount of the method, in another namespace of Vault",
            )


def _selected_stores(document: Document, rollout: Rollout, estate: Estate) -> Iterator[Problem]:
    for index, wave in enumerate(rollout.spec.waves):
        for name in estate.select(wave.clusters):
            if estate.clusters[name].spec.vault:
                yield Problem(
                    document.path,
                    document.span_at(("spec", "waves", index, "clusters")),
                    "store-selected",
                    f"cluster {name} is a secret store and runs nothing",
                    f"select other labels, or take these off the document of {name}",
                )
