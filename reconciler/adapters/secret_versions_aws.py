"""Versions of secrets in AWS Secrets Manager.

Separate because boto3 is an extra that only those install who have secrets there. The invariants:
`DescribeSecret` is the one request that is made, and it answers without values; credentials are
those that this process was given, never those of the machine, which belong to everybody on it.
https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_DescribeSecret.html
"""

from __future__ import annotations

import asyncio
from typing import Any, Final

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError
from botocore.session import Session

from reconciler.core.errors import (
    FairleadError,
    Forbidden,
    Misconfigured,
    Missing,
    Refused,
    Throttled,
    Unavailable,
)

REQUEST_SECONDS = 10

_CREDENTIALS: Final = ("env", "assume-role-with-web-identity", "container-role")
"""Ways to get credentials: environment, a service account's token, EKS Pod Identity."""

_CURRENT: Final = "AWSCURRENT"
_ABSENT: Final = frozenset({"ResourceNotFoundException"})
_BARRED: Final = frozenset(
    {
        "AccessDenied",
        "AccessDeniedException",
        "ExpiredTokenException",
        "InvalidClientTokenId",
        "UnrecognizedClientException",
    }
)
_HURRIED: Final = frozenset({"ThrottlingException", "TooManyRequestsException"})
_MALFORMED: Final = frozenset({"InvalidParameterException", "InvalidRequestException"})


class AwsSecretVersions:
    """Secrets Manager, asked by ARN: it says which region has the secret, and whose it is."""

    def __init__(self, endpoint: str = "") -> None:
        """Without an `endpoint`, that of each region is asked."""
        session = Session()
        provider = session.get_component("credential_provider")
        provider.providers = [one for one in provider.providers if one.METHOD in _CREDENTIALS]
        self._session = boto3.Session(botocore_session=session)
        self._endpoint = endpoint
        self._clients: dict[str, Any] = {}
        # boto3 makes its clients one at a time.
        self._one_at_a_time = asyncio.Lock()

    async def current(self, path: str) -> str:
        async with self._one_at_a_time:
            return await asyncio.to_thread(self._current, path)

    async def close(self) -> None:
        for client in self._clients.values():
            await asyncio.to_thread(client.close)

    def _client(self, arn: str) -> Any:
        *_, region = arn.split(":")[:4]
        if region not in self._clients:
            self._clients[region] = self._session.client(
                "secretsmanager",
                region_name=region,
                endpoint_url=self._endpoint or None,
                config=Config(
                    connect_timeout=REQUEST_SECONDS,
                    read_timeout=REQUEST_SECONDS,
                    retries={"total_max_attempts": 1},
                ),
            )
        return self._clients[region]

    def _current(self, path: str) -> str:
        try:
            told = self._client(path).describe_secret(SecretId=path)
        except (ClientError, BotoCoreError, ValueError) as error:
            raise _translated(error, path) from None
        stages: dict[str, list[str]] = told.get("VersionIdsToStages") or {}
        found = [version for version, names in stages.items() if _CURRENT in names]
        if not found or told.get("DeletedDate"):
            raise Missing(f"secret {path} has no version that could be read", hint=_HINT)
        return found[0]


_HINT = "write it to Secrets Manager; the daemon looks again by itself"


def _translated(error: Exception, path: str) -> FairleadError:
    """In our words alone: what AWS says names accounts and roles."""
    doing = f"describe secret {path}"
    if isinstance(error, NoCredentialsError):
        return Misconfigured(
            f"{doing}: the daemon has no credentials of AWS",
            hint="give its service account a role, or set AWS_ACCESS_KEY_ID and its secret",
        )
    if isinstance(error, ValueError):
        return Refused(f"{doing}: this is no ARN of a secret")
    if not isinstance(error, ClientError):
        return Unavailable(f"{doing}: Secrets Manager does not answer: {type(error).__name__}")
    code = str(error.response.get("Error", {}).get("Code", ""))
    if code in _ABSENT:
        return Missing(f"there is no secret {path} in Secrets Manager", hint=_HINT)
    if code in _BARRED:
        return Forbidden(
            f"{doing}: Secrets Manager does not let the daemon",
            hint="it needs secretsmanager:DescribeSecret on the secret, and nothing more",
        )
    if code in _HURRIED:
        return Throttled(f"{doing}: too many requests", retry_after=1.0)
    if code in _MALFORMED:
        return Refused(f"{doing}: Secrets Manager refused it")
    return Unavailable(f"{doing}: Secrets Manager cannot answer now")
