"""Secrets by the Secrets Store CSI driver, which mounts them as files.

Separate from the other ways, because what is wanted is written in the words of a provider. The
invariant: no Secret object is asked for; what the driver fetches lives and dies with the pod.
https://secrets-store-csi-driver.sigs.k8s.io/concepts
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

import orjson

from reconciler.core.kinds.secret_delivery import AwsDelivery, VaultStore
from reconciler.core.manifests import JsonObject, JsonValue
from reconciler.core.rendering.secret_readers import (
    FILES,
    PodParts,
    Reader,
    Wanted,
    file_variables,
    versioned,
)

SECRET_PROVIDER_CLASS: Final = ("secrets-store.csi.x-k8s.io", "SecretProviderClass")
"""Group and kind."""

_DRIVER: Final = "secrets-store.csi.k8s.io"


def vault_class(reader: Reader, store: VaultStore) -> JsonObject:
    """https://developer.hashicorp.com/vault/docs/deploy/kubernetes/csi/configurations"""
    parameters = {
        "roleName": reader.identity,
        "vaultAuthMountPath": store.mount,
        "audience": store.audience,
        "objects": _list(_of_vault(secret) for secret in reader.secrets),
    }
    return _provider_class(reader, "vault", parameters)


def aws_class(reader: Reader, delivery: AwsDelivery) -> JsonObject:
    """https://github.com/aws/secrets-store-csi-driver-provider-aws

    The keys of one secret are fetched together, and the provider mounts the secret they are in as
    well: it has a name of its own, so that two versions do not overwrite each other.
    """
    objects: dict[tuple[str, str], list[Wanted]] = {}
    for secret in reader.secrets:
        objects.setdefault((secret.path, secret.version), []).append(secret)
    listed = _list(_of_aws(path, version, found) for (path, version), found in objects.items())
    return _provider_class(reader, "aws", {"region": delivery.region, "objects": listed})


def csi_parts(reader: Reader, store: str) -> PodParts:
    """`store` is also the name of the provider."""
    directory, volume = f"{FILES}/{store}", f"{store}-secrets"
    attributes: JsonObject = {"secretProviderClass": reader.named(store)["name"]}
    csi: JsonObject = {"driver": _DRIVER, "readOnly": True, "volumeAttributes": attributes}
    return PodParts(
        {},
        environment=file_variables(directory, reader.secrets),
        mounts=({"name": volume, "mountPath": directory, "readOnly": True},),
        volumes=({"name": volume, "csi": csi},),
    )


def _provider_class(reader: Reader, provider: str, parameters: Mapping[str, str]) -> JsonObject:
    return {
        "apiVersion": "secrets-store.csi.x-k8s.io/v1",
        "kind": "SecretProviderClass",
        "metadata": reader.named(provider),
        "spec": {"provider": provider, "parameters": {**parameters}},
    }


def _of_vault(secret: Wanted) -> JsonObject:
    # `secretArgs` would be the body of a GET, which Vault does not read: the version would be lost.
    found: JsonObject = {"objectName": secret.name, "secretPath": versioned(secret)}
    return {**found, "secretKey": secret.key} if secret.key else found


def _of_aws(path: str, version: str, secrets: Iterable[Wanted]) -> JsonObject:
    named = tuple(secrets)
    keys: list[JsonValue] = [
        {"path": f'"{secret.key}"', "objectAlias": secret.name} for secret in named
    ]
    found: JsonObject = {
        "objectName": path,
        "objectType": "secretsmanager",
        "objectAlias": f"{named[0].name}.json",
        "jmesPath": keys,
    }
    return {**found, "objectVersion": version} if version else found


def _list(objects: Iterable[JsonObject]) -> str:
    """Providers read YAML; JSON is YAML, and a line for each object is good to compare."""
    lines = ",\n".join(f"  {orjson.dumps(found).decode()}" for found in objects)
    return f"[\n{lines}\n]\n"
