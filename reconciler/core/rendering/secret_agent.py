"""Secrets by the agent of Vault, which an injector puts into the pods.

Separate from the other ways, because it needs nothing but annotations. The invariant: the agent
gets a token for the store alone, and writes a file or fails; a key that is not there is no empty
file.
https://developer.hashicorp.com/vault/docs/deploy/kubernetes/injector/annotations
"""

from __future__ import annotations

from typing import Final

from reconciler.core.kinds.secret_delivery import VaultStore
from reconciler.core.manifests import JsonObject, bounded_name
from reconciler.core.rendering.secret_readers import (
    FILES,
    PodParts,
    Reader,
    Wanted,
    file_variables,
    kv_data,
    versioned,
)

_ANNOTATION: Final = "vault.hashicorp.com"
_TOKEN_VOLUME: Final = "vault-token"  # noqa: S105 - the name of a volume
_DIRECTORY: Final = f"{FILES}/vault"

TOKEN_SECONDS: Final = 600
"""The shortest that an API server gives."""

_LONGEST_SUFFIX: Final = 40
"""The name of an annotation has 63 characters, `agent-inject-template-` included."""


def agent_parts(reader: Reader, store: VaultStore) -> PodParts:
    annotations = {
        f"{_ANNOTATION}/agent-inject": "true",
        f"{_ANNOTATION}/role": reader.identity,
        f"{_ANNOTATION}/auth-path": f"auth/{store.mount}",
        f"{_ANNOTATION}/agent-service-account-token-volume-name": _TOKEN_VOLUME,
        f"{_ANNOTATION}/secret-volume-path": _DIRECTORY,
    }
    if all(secret.version for secret in reader.secrets):
        # A version never changes, so nothing has to stay and look for a newer one.
        annotations[f"{_ANNOTATION}/agent-pre-populate-only"] = "true"
    for secret in reader.secrets:
        suffix = bounded_name(secret.name, longest=_LONGEST_SUFFIX)
        annotations[f"{_ANNOTATION}/agent-inject-secret-{suffix}"] = kv_data(secret.path)
        annotations[f"{_ANNOTATION}/agent-inject-file-{suffix}"] = secret.name
        annotations[f"{_ANNOTATION}/agent-inject-template-{suffix}"] = _template(secret)
    return PodParts(
        annotations,
        environment=file_variables(_DIRECTORY, reader.secrets),
        volumes=(_token_volume(store.audience),),
    )


def _template(secret: Wanted) -> str:
    """Only the characters that references may have are put between the quotes."""
    path, key = versioned(secret), secret.key
    # Without the question a key that is not there is written as "<no value>".
    value = f'{{{{ if sprig_hasKey .Data.data "{key}" }}}}{{{{ index .Data.data "{key}" }}}}'
    missing = f'{{{{ else }}}}{{{{ sprig_fail "there is no key {key}" }}}}{{{{ end }}}}'
    return f'{{{{- with secret "{path}" -}}}}{value}{missing}{{{{- end -}}}}'


def _token_volume(audience: str) -> JsonObject:
    token: JsonObject = {
        "audience": audience,
        "expirationSeconds": TOKEN_SECONDS,
        "path": "token",
    }
    return {"name": _TOKEN_VOLUME, "projected": {"sources": [{"serviceAccountToken": token}]}}
