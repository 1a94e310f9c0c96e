"""How secrets get from their store to those who may read them: parts of Cluster and Repository.

Separate from the references, which say what is wanted and not how it comes. The invariant: nothing
here, and nothing that follows from it, has the value of a secret; an agent, a driver or an operator
in the cluster fetches it, in the name of whoever reads it.
"""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from pydantic import model_validator

from reconciler.core.kinds.authentication import Certificates
from reconciler.core.kinds.common import Part, refusal
from reconciler.core.kinds.references import SecretReference
from reconciler.core.kinds.scalars import DnsLabel, Maybe, TextForm

SecretSource: TypeAlias = Annotated[
    SecretReference,
    TextForm(
        what="a reference to a secret",
        pattern=r"^(vault:[A-Za-z0-9_.:-]+(/[A-Za-z0-9_.:-]+)+#[A-Za-z0-9_.-]+(@[1-9][0-9]{0,8})?"
        r"|aws:[A-Za-z0-9_./:-]+#[A-Za-z0-9_.-]+(@[A-Za-z0-9-]{32,64})?)$",
        hint="write store, path and key such as vault:kv/risk/fraud#hf_token, never the value",
        examples=(
            "vault:kv/risk/fraud#hf_token",
            "vault:kv/risk/fraud#hf_token@7",
            "aws:prod/search/reranker#token",
        ),
        read=SecretReference.parse,
    ),
]
AllowedPlace: TypeAlias = Annotated[
    str,
    TextForm(
        what="a place of secrets",
        pattern=r"^(vault|aws):([A-Za-z0-9_./:-]+(/\*)?|\*)$",
        hint="write store and path such as vault:kv/risk/*, or vault:* for all of a store",
        examples=("vault:kv/risk/*", "aws:*"),
    ),
]
StoreAddress: TypeAlias = Annotated[
    str,
    TextForm(
        what="the address of a secret store",
        pattern=r"^https?://[^\s/@?#]+$",
        hint="write https://, host and port, without a path",
        examples=("https://vault.example.com:8200",),
    ),
]
Mount: TypeAlias = Annotated[
    str,
    TextForm(
        what="the path of an auth method",
        pattern=r"^[A-Za-z0-9_-]+(/[A-Za-z0-9_-]+)*$",
        hint="write the path below auth/ at which Vault has its Kubernetes method",
        examples=("kubernetes",),
    ),
]
Audience: TypeAlias = Annotated[
    str,
    TextForm(
        what="an audience of tokens",
        pattern=r"^[A-Za-z0-9_./:-]+$",
        hint="write the name that the store's tokens are for, such as vault",
        examples=("vault",),
    ),
]
AwsAccount: TypeAlias = Annotated[
    str,
    TextForm(
        what="the number of an AWS account",
        pattern=r"^[0-9]{12}$",
        hint='write twelve digits in quotes: "123456789012"',
        examples=("123456789012",),
    ),
]
AwsRegion: TypeAlias = Annotated[
    str,
    TextForm(
        what="an AWS region",
        pattern=r"^[a-z]{2}(-[a-z]+)+-[0-9]$",
        hint="write its code, such as eu-west-1",
        examples=("eu-west-1",),
    ),
]


class VaultStore(Part):
    """A Vault or OpenBao server that is a cluster of this repository: it holds policies and roles,
    and no workloads."""

    address: Maybe[StoreAddress] = None
    """Where workloads reach it; needed by method external-secrets, while agent and CSI provider
    know it from their installation."""
    certificate_authority: Maybe[Certificates] = None
    """Whom method external-secrets trusts for the server's certificate, instead of the usual ones.
    """
    mount: Mount = "kubernetes"
    """Where below `auth/` it has the Kubernetes method that trusts the one cluster it serves: the
    `kubernetesMount` of the daemon's settings."""
    audience: Audience = "vault"
    """Whom tokens are for that sign in to it."""


class VaultDelivery(Part):
    """How secrets come from Vault or OpenBao."""

    method: Literal["agent", "csi", "external-secrets"]
    """What is installed in the cluster: the agent injector, the Secrets Store CSI driver with
    Vault's provider, or the External Secrets Operator."""
    store: DnsLabel
    """Name of the Cluster with `vault` that has the policies and roles."""


class AwsDelivery(Part):
    """How secrets come from AWS Secrets Manager."""

    method: Literal["csi", "external-secrets"]
    """What is installed in the cluster: the Secrets Store CSI driver with the provider of AWS, or
    the External Secrets Operator."""
    region: AwsRegion
    """Where the secrets are."""
    account: AwsAccount
    """Whose they are, and whose roles read them."""


class SecretDelivery(Part):
    """How secrets come to workloads, by store. Those of a store that is left out do not."""

    vault: Maybe[VaultDelivery] = None
    """How those come that are written `vault:`."""
    aws: Maybe[AwsDelivery] = None
    """How those come that are written `aws:`."""

    @model_validator(mode="after")
    def _require_any(self) -> SecretDelivery:
        if self.vault is None and self.aws is None:
            raise refusal("names no store", hint="give vault, aws or both")
        return self
