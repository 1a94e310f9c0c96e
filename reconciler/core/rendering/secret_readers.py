"""Readers: who reads which secrets, by which way, and what their pods have to have for it.

Separate from the ways, of which each makes objects of its own. The invariant: a reader signs in to
a store in its own name, which the store knows from its ServiceAccount; it never gets a token that
is good for anything else.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from reconciler.core.identifiers import ClusterName
from reconciler.core.kinds import Cluster
from reconciler.core.kinds.references import SecretReference
from reconciler.core.kinds.repository import Defaults
from reconciler.core.kinds.secret_delivery import AwsDelivery, SecretDelivery, VaultStore
from reconciler.core.kinds.serving import Secret
from reconciler.core.manifests import JsonObject, bounded_name
from reconciler.core.secret_versions import NO_PINS, Pins

FILES: Final = "/var/run/secrets/fairlead.dev"
"""Where secrets are files: below it, a directory for each store."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """How secrets come to the workloads of one cluster.

    `store` is the Vault that `declared` names; without one, nothing comes from Vault.
    """

    declared: SecretDelivery | None = None
    store: VaultStore | None = None

    @property
    def store_name(self) -> ClusterName:
        """The Cluster that the Vault is."""
        vault = self.declared.vault if self.declared else None
        return ClusterName(vault.store if vault else "")

    @property
    def vault_method(self) -> str:
        """Empty where nothing comes from Vault."""
        vault = self.declared.vault if self.declared and self.store else None
        return vault.method if vault else ""

    @property
    def aws(self) -> AwsDelivery | None:
        return self.declared.aws if self.declared else None

    def serves(self, store: str) -> bool:
        """Whether secrets of a store, `vault` or `aws`, come here at all."""
        return bool(self.vault_method) if store == "vault" else self.aws is not None


NO_DELIVERY: Final = Delivery()


def delivery_in(
    cluster: ClusterName, clusters: Mapping[ClusterName, Cluster], defaults: Defaults
) -> Delivery:
    """How secrets come to workloads in that cluster, by its own word or by the repository's."""
    declared = clusters[cluster].spec.secret_delivery or defaults.secret_delivery
    named = declared.vault.store if declared and declared.vault else ""
    store = clusters.get(ClusterName(named))
    return Delivery(declared, store.spec.vault if store else None)


@dataclass(frozen=True, slots=True)
class Wanted:
    """One secret that is to come. `variable` has its value, `file_variable` the path of its file.

    Without a key all of the secret is wanted, without a version what is current.
    """

    name: str
    path: str
    key: str
    version: str
    variable: str
    file_variable: str


@dataclass(frozen=True, slots=True)
class Reader:
    """Who reads: a ServiceAccount, by the name that stores have for it.

    `metadata` is that of the objects; each gets a suffix to its name.
    """

    identity: str
    account: str
    metadata: JsonObject
    secrets: tuple[Wanted, ...]

    def named(self, suffix: str) -> JsonObject:
        return {**self.metadata, "name": bounded_name(f"{self.metadata['name']}-{suffix}")}


@dataclass(frozen=True, slots=True)
class PodParts:
    """What the pods of a reader have besides what they would have anyway."""

    annotations: Mapping[str, str]
    environment: tuple[JsonObject, ...] = ()
    mounts: tuple[JsonObject, ...] = ()
    volumes: tuple[JsonObject, ...] = ()


NO_PARTS: Final = PodParts({})


def together(parts: Iterable[PodParts]) -> PodParts:
    found = tuple(parts)
    return PodParts(
        {name: value for one in found for name, value in one.annotations.items()},
        tuple(item for one in found for item in one.environment),
        tuple(item for one in found for item in one.mounts),
        tuple(item for one in found for item in one.volumes),
    )


def wanted(secrets: Iterable[Secret], store: str, *, pins: Pins = NO_PINS) -> tuple[Wanted, ...]:
    """Those of one store, each with the version that document or pin gives."""
    return tuple(
        Wanted(
            name=secret.name,
            path=secret.source.path,
            key=secret.source.key,
            version=secret.source.version or pins.get(secret.source, ""),
            variable=secret.variable,
            file_variable=secret.file_variable,
        )
        for secret in secrets
        if secret.source.store == store
    )


def store_identity(repository: str, subject: str) -> str:
    """What a store calls a subject: `agent/eval-bot` of `acme` is `acme.agent.eval-bot`."""
    return f"{repository}.{subject.replace('/', '.')}"


def kv_parts(path: str) -> tuple[str, str]:
    """The key-value engine of a Vault path, and the path in it."""
    mount, _, rest = path.partition("/")
    return mount, rest


def kv_data(path: str) -> str:
    """Where engines of version 2 have the values of a path."""
    mount, rest = kv_parts(path)
    return f"{mount}/data/{rest}"


def versioned(secret: Wanted) -> str:
    """Where an engine of version 2 has the values of a secret, in its version."""
    version = f"?version={secret.version}" if secret.version else ""
    return f"{kv_data(secret.path)}{version}"


def places_of(references: Iterable[SecretReference], store: str) -> tuple[str, ...]:
    """Paths in one store, each once and in order."""
    return tuple(sorted({found.path for found in references if found.store == store}))


def file_variables(directory: str, secrets: Iterable[Wanted]) -> tuple[JsonObject, ...]:
    """Variables with the paths of the files."""
    return tuple(
        {"name": secret.file_variable, "value": f"{directory}/{secret.name}"} for secret in secrets
    )
