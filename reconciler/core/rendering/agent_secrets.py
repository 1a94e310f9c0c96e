"""Render the secrets of an agent: what it may read in a store, and what brings it to its home.

Separate from the home, which it has without secrets as well. The invariants: what a scope lists
with `*` at its end may be read and is not brought, since nobody knows yet what will be there; the
pods are the agent's own, so nothing is put into them.
"""

from __future__ import annotations

from collections.abc import Iterator

from reconciler.core.access.subjects import agent_namespace, agent_subject
from reconciler.core.kinds import AgentScope
from reconciler.core.kinds.secret_delivery import VaultStore
from reconciler.core.manifests import JsonObject
from reconciler.core.rendering.agents import AGENT_LABEL
from reconciler.core.rendering.secret_delivery import reader_objects
from reconciler.core.rendering.secret_readers import (
    Delivery,
    Reader,
    Wanted,
    store_identity,
)
from reconciler.core.rendering.store_rights import vault_rights


def vault_paths(scope: AgentScope) -> tuple[str, ...]:
    """What the scope lists of Vault."""
    return _paths(scope, "vault:")


def aws_paths(scope: AgentScope) -> tuple[str, ...]:
    """What the scope lists of Secrets Manager."""
    return _paths(scope, "aws:")


def _paths(scope: AgentScope, store: str) -> tuple[str, ...]:
    listed = scope.spec.secrets
    return tuple(text.removeprefix(store) for text in listed if text.startswith(store))


def agent_secret_objects(
    scope: AgentScope, repository: str, delivery: Delivery, labels: JsonObject
) -> Iterator[JsonObject]:
    """What is beside the agent, in a cluster with that delivery."""
    exact = [path for path in vault_paths(scope) if not path.endswith("*")]
    reader = _reader(scope, repository, labels, exact)
    nothing = _reader(scope, repository, labels, [])
    yield from reader_objects(reader, nothing, delivery)


def agent_store_objects(
    scope: AgentScope, repository: str, store: VaultStore, labels: JsonObject
) -> Iterator[JsonObject]:
    """What is in the store."""
    return vault_rights(
        store_identity(repository, agent_subject(scope.name)),
        vault_paths(scope),
        account=scope.name,
        namespace=agent_namespace(scope.name),
        store=store,
        labels=labels,
    )


def _reader(scope: AgentScope, repository: str, labels: JsonObject, paths: list[str]) -> Reader:
    return Reader(
        identity=store_identity(repository, agent_subject(scope.name)),
        account=scope.name,
        metadata={
            "name": scope.name,
            "namespace": agent_namespace(scope.name),
            "labels": {**labels, AGENT_LABEL: scope.name},
        },
        secrets=tuple(
            Wanted(
                name=path.replace("/", "_"),
                path=path,
                key="",
                version="",
                variable="",
                file_variable="",
            )
            for path in paths
        ),
    )
