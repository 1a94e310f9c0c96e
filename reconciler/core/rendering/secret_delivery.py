"""Render how the secrets of a model come to its replicas.

Separate from the single ways, and from the workload that takes what they bring. The invariant: what
a version's replicas get follows from that version alone, so its objects bear its name, and another
version of a secret is another pod.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from reconciler.core.kinds import API_GROUP
from reconciler.core.kinds.secret_delivery import AwsDelivery
from reconciler.core.manifests import JsonObject
from reconciler.core.rendering.release import Release
from reconciler.core.rendering.secret_agent import agent_parts
from reconciler.core.rendering.secret_csi import aws_class, csi_parts, vault_class
from reconciler.core.rendering.secret_external import aws_objects, external_parts, vault_objects
from reconciler.core.rendering.secret_readers import (
    NO_PARTS,
    Delivery,
    PodParts,
    Reader,
    store_identity,
    together,
    wanted,
)
from reconciler.core.rendering.store_rights import aws_role_arn

VERSIONS_ANNOTATION: Final = f"{API_GROUP}/secrets"
"""On pods: the secrets that they get, with their versions. Another one is another pod."""

ROLE_ANNOTATION: Final = "eks.amazonaws.com/role-arn"


def pod_parts(release: Release) -> PodParts:
    """What the release's pods have because of their secrets."""
    vault, aws = reader_of(release, "vault"), reader_of(release, "aws")
    parts = [_vault_parts(vault, release.delivery), _aws_parts(aws, release.delivery.aws)]
    named = sorted(
        f"{secret.name}@{secret.version}" if secret.version else secret.name
        for reader in (vault, aws)
        for secret in reader.secrets
    )
    if not named:
        return NO_PARTS
    return together((PodParts({VERSIONS_ANNOTATION: " ".join(named)}), *parts))


def delivery_objects(release: Release) -> Iterator[JsonObject]:
    """What has to be in the cluster beside the workload."""
    vault, aws = reader_of(release, "vault"), reader_of(release, "aws")
    yield from reader_objects(vault, aws, release.delivery)


def reader_objects(vault: Reader, aws: Reader, delivery: Delivery) -> Iterator[JsonObject]:
    """The same for anybody who reads."""
    if vault.secrets and delivery.store is not None:
        if delivery.vault_method == "csi":
            yield vault_class(vault, delivery.store)
        elif delivery.vault_method == "external-secrets":
            yield from vault_objects(vault, delivery.store)
    if aws.secrets and delivery.aws is not None:
        if delivery.aws.method == "csi":
            yield aws_class(aws, delivery.aws)
        else:
            yield from aws_objects(aws, delivery.aws)


def account_annotations(release: Release) -> JsonObject:
    """By which AWS knows what role the ServiceAccount takes."""
    reader, delivery = reader_of(release, "aws"), release.delivery.aws
    if not reader.secrets or delivery is None:
        return {}
    return {ROLE_ANNOTATION: aws_role_arn(reader.identity, delivery)}


def reader_of(release: Release, store: str) -> Reader:
    """The replicas as readers of one store; of nothing where it does not deliver."""
    secrets = release.model.spec.serving.secrets if release.delivery.serves(store) else ()
    return Reader(
        identity=store_identity(release.repository, release.unit),
        account=release.rollout.name,
        metadata=release.metadata(),
        secrets=wanted(secrets, store, pins=release.pins),
    )


def _vault_parts(reader: Reader, delivery: Delivery) -> PodParts:
    if not reader.secrets or delivery.store is None:
        return NO_PARTS
    if delivery.vault_method == "agent":
        return agent_parts(reader, delivery.store)
    return _common_parts(reader, "vault", delivery.vault_method)


def _aws_parts(reader: Reader, delivery: AwsDelivery | None) -> PodParts:
    if not reader.secrets or delivery is None:
        return NO_PARTS
    return _common_parts(reader, "aws", delivery.method)


def _common_parts(reader: Reader, store: str, method: str) -> PodParts:
    return csi_parts(reader, store) if method == "csi" else external_parts(reader, store)
