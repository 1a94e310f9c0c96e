"""How a secret store is reached, and as whom.

Separate because it is another server than an API server, with other ways to sign in. The
invariant: what is here names files and mounts, and no secret.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, TypeAlias

from pydantic import ConfigDict

from reconciler.core.kinds.common import Choice, Part, one_of
from reconciler.core.kinds.scalars import Maybe, Text, TextForm
from reconciler.settings_places import FilePath, HttpUrl

MountPath: TypeAlias = Annotated[
    str,
    TextForm(
        what="the path of a mount",
        pattern=r"^[A-Za-z0-9_-]+(/[A-Za-z0-9_-]+)*$",
        hint="write it without slashes at its ends, such as kubernetes or teams/fraud/kv",
        examples=("kubernetes", "kv"),
        longest=253,
    ),
]


class VaultKubernetesSignIn(Part):
    """Sign in with the token of the daemon's service account."""

    role: Text
    """Role of the Kubernetes auth method that the daemon signs in with."""
    token_file: FilePath
    """File with the service account's token for Vault's audience. It is read again at every use."""


class AwsSettings(Part):
    """AWS Secrets Manager, which is asked for versions and for nothing else. Credentials are those
    of the service account or of the environment; the repository says account and region."""

    endpoint: Maybe[HttpUrl] = None
    """Where it is, other than at the usual address of the region."""


class SecretStoreSettings(Part):
    """Stores of secrets that are no clusters."""

    aws: Maybe[AwsSettings] = None
    """AWS Secrets Manager. Without it, references to it that name no version get what is current
    whenever a replica starts."""


class VaultSettings(Choice):
    """A Vault or OpenBao server, whose policies and roles are kept as the repository says."""

    choices: ClassVar[tuple[str, ...]] = ("kubernetes", "token_file")
    model_config = ConfigDict(json_schema_extra=one_of(*choices))

    address: HttpUrl
    """Its address, such as https://vault.example.com:8200."""
    namespace: str = ""
    """Namespace in it, for those that have them."""
    kubernetes: Maybe[VaultKubernetesSignIn] = None
    """Sign in with the token of the daemon's service account."""
    token_file: Maybe[FilePath] = None
    """File with a token that something else keeps fresh. It is read again at every use."""
    ca_file: Maybe[FilePath] = None
    """File with the certificates to trust, in PEM; well-known ones by default."""
    kubernetes_mount: MountPath = "kubernetes"
    """Mount of the Kubernetes auth method whose roles are kept."""
    kv_mount: MountPath = "kv"
    """Mount of the key-value engine whose metadata tell versions, and whose values the daemon must
    not be able to read."""
