"""Secrets by the External Secrets Operator, which makes Secret objects of them.

Separate from the other ways, because here a value stands in the cluster. The invariants: the Secret
is made by the operator and never by us, who can neither read nor write it; the operator reads the
store in the name of the reader, so that it has no rights of its own there.
https://external-secrets.io/latest/api/spec/
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator
from typing import Final

from reconciler.core.kinds.secret_delivery import AwsDelivery, VaultStore
from reconciler.core.manifests import JsonObject, JsonValue
from reconciler.core.rendering.secret_readers import PodParts, Reader, Wanted, kv_parts

GROUP: Final = "external-secrets.io"
_API: Final = f"{GROUP}/v1"

_REFRESH: Final = "1h"
"""How often the operator looks for what is current. A version that is named never changes."""


def vault_objects(reader: Reader, store: VaultStore) -> Iterator[JsonObject]:
    """A SecretStore is about one key-value engine; there is one for each that is read from."""
    for suffix, mount, secrets in _by_mount(reader):
        provider: JsonObject = {
            "server": store.address,
            "path": mount,
            "version": "v2",
            "auth": {
                "kubernetes": {
                    "mountPath": store.mount,
                    "role": reader.identity,
                    "serviceAccountRef": {"name": reader.account, "audiences": [store.audience]},
                }
            },
        }
        if store.certificate_authority is not None:
            encoded = base64.b64encode(store.certificate_authority.encode())
            provider["caBundle"] = encoded.decode()
        yield _store(reader.named(suffix), {"vault": provider})
        yield _secret(reader.named(suffix), ((kv_parts(s.path)[1], s) for s in secrets), prefix="")


def aws_objects(reader: Reader, delivery: AwsDelivery) -> Iterator[JsonObject]:
    provider: JsonObject = {
        "service": "SecretsManager",
        "region": delivery.region,
        "auth": {"jwt": {"serviceAccountRef": {"name": reader.account}}},
    }
    yield _store(reader.named("aws"), {"aws": provider})
    wanted = ((secret.path, secret) for secret in reader.secrets)
    # Without the word the operator takes it for a stage, such as AWSCURRENT.
    yield _secret(reader.named("aws"), wanted, prefix="uuid/")


def external_parts(reader: Reader, store: str) -> PodParts:
    """Variables that take their values from the Secrets that the operator makes."""
    if store == "vault":
        sources = [(suffix, secrets) for suffix, _, secrets in _by_mount(reader)]
    else:
        sources = [(store, list(reader.secrets))]
    return PodParts(
        {},
        environment=tuple(
            {
                "name": secret.variable,
                "valueFrom": {
                    "secretKeyRef": {"name": reader.named(suffix)["name"], "key": secret.name}
                },
            }
            for suffix, secrets in sources
            for secret in secrets
        ),
    )


def _by_mount(reader: Reader) -> Iterator[tuple[str, str, list[Wanted]]]:
    """What the objects are called after, the engine, and what is read from it."""
    mounts: dict[str, list[Wanted]] = {}
    for secret in reader.secrets:
        mounts.setdefault(kv_parts(secret.path)[0], []).append(secret)
    for index, (mount, secrets) in enumerate(sorted(mounts.items()), start=1):
        yield ("vault" if index == 1 else f"vault-{index}"), mount, secrets


def _store(metadata: JsonObject, provider: JsonObject) -> JsonObject:
    return {
        "apiVersion": _API,
        "kind": "SecretStore",
        "metadata": metadata,
        "spec": {"provider": provider},
    }


def _secret(
    metadata: JsonObject, secrets: Iterable[tuple[str, Wanted]], *, prefix: str
) -> JsonObject:
    found = tuple(secrets)
    single: list[JsonValue] = [
        {"secretKey": s.name, "remoteRef": _remote(key, s, prefix)} for key, s in found if s.key
    ]
    whole: list[JsonValue] = [{"extract": _remote(key, s, prefix)} for key, s in found if not s.key]
    return {
        "apiVersion": _API,
        "kind": "ExternalSecret",
        "metadata": metadata,
        "spec": {
            "refreshInterval": _REFRESH,
            "secretStoreRef": {"kind": "SecretStore", "name": metadata["name"]},
            "target": {"name": metadata["name"], "creationPolicy": "Owner"},
            **({"data": single} if single else {}),
            **({"dataFrom": whole} if whole else {}),
        },
    }


def _remote(key: str, secret: Wanted, prefix: str) -> JsonObject:
    found: JsonObject = {"key": key}
    if secret.key:
        found["property"] = secret.key
    if secret.version:
        found["version"] = f"{prefix}{secret.version}"
    return found
