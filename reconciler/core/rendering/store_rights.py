"""What a reader may do in a store: policy and role of Vault, policy document of AWS.

Separate from how secrets come to pods, because a store is elsewhere. The invariants: nothing but
reading is allowed, and of exactly the paths that documents name; a sign-in is good for fifteen
minutes at most, and for the one ServiceAccount alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import date
from typing import Final, cast

from reconciler.core.kinds.secret_delivery import AwsDelivery, VaultStore
from reconciler.core.manifests import JsonObject, JsonValue, bounded_name
from reconciler.core.rendering.secret_readers import kv_data

VAULT_GROUP: Final = "vault.fairlead.dev"
POLICY: Final = "VaultPolicy"
ROLE: Final = "VaultKubernetesRole"

SIGNED_IN_SECONDS: Final = 600
LONGEST_SIGN_IN_SECONDS: Final = 900

_LONGEST_ROLE: Final = 64
"""Characters in the name of a role of AWS."""


def vault_rights(
    identity: str,
    paths: Sequence[str],
    *,
    account: str,
    namespace: str,
    store: VaultStore,
    labels: JsonObject,
) -> Iterator[JsonObject]:
    """`paths` begin with their key-value engines; one that ends with `*` is all below it."""
    metadata: JsonObject = {"name": identity, "labels": labels}
    yield {
        "apiVersion": f"{VAULT_GROUP}/v1",
        "kind": POLICY,
        "metadata": metadata,
        "spec": {"policy": policy_text(map(kv_data, paths))},
    }
    yield {
        "apiVersion": f"{VAULT_GROUP}/v1",
        "kind": ROLE,
        "metadata": metadata,
        "spec": {
            "boundServiceAccountNames": [account],
            "boundServiceAccountNamespaces": [namespace],
            "audience": store.audience,
            "tokenPolicies": [identity],
            "tokenTtlSeconds": SIGNED_IN_SECONDS,
            "tokenMaxTtlSeconds": LONGEST_SIGN_IN_SECONDS,
            "aliasNameSource": "serviceaccount_uid",
        },
    }


def policy_text(paths: Iterable[str]) -> str:
    """A policy that allows to read these paths. References have no character that ends a string."""
    return "".join(f'path "{path}" {{ capabilities = ["read"] }}\n' for path in sorted(set(paths)))


def aws_role(identity: str) -> str:
    """The name of the role of AWS that the reader takes."""
    return bounded_name(identity, longest=_LONGEST_ROLE)


def aws_role_arn(identity: str, delivery: AwsDelivery) -> str:
    return f"arn:{aws_partition(delivery.region)}:iam::{delivery.account}:role/{aws_role(identity)}"


def aws_names(paths: Iterable[str], delivery: AwsDelivery) -> set[str]:
    """The names of the secrets. Secrets Manager adds a hyphen and six characters to every one; a
    path that ends with `*` is all that begins so."""
    where = f"{delivery.region}:{delivery.account}"
    start = f"arn:{aws_partition(delivery.region)}:secretsmanager:{where}:secret"
    return {path if path.startswith("arn:") else f"{start}:{_whole(path)}" for path in paths}


def _whole(path: str) -> str:
    return path if path.endswith("*") else f"{path}-??????"


def aws_policy(names: Iterable[str], *, end: date | None = None) -> JsonObject:
    """The policy document of a role that reads these secrets, until the day `end` begins in UTC."""
    statement: JsonObject = {
        "Effect": "Allow",
        "Action": ["secretsmanager:DescribeSecret", "secretsmanager:GetSecretValue"],
        "Resource": cast("list[JsonValue]", sorted(set(names))),
    }
    if end is not None:
        until = f"{end.isoformat()}T00:00:00Z"
        statement["Condition"] = {"DateLessThan": {"aws:CurrentTime": until}}
    return {"Version": "2012-10-17", "Statement": [statement]}


def aws_partition(region: str) -> str:
    """China and GovCloud are clouds of their own.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference-arns.html
    """
    if region.startswith("cn-"):
        return "aws-cn"
    return "aws-us-gov" if region.startswith("us-gov-") else "aws"
