"""TokenRequest of one API server, for the tokens of agents.

Separate from the cluster's adapter, which is the daemon's: this asks with the credentials of the
person who wants a token. The invariant: a token is in the answer of one request and in the value
that is returned, and in no message of an error.
"""

from __future__ import annotations

import base64
import binascii
from datetime import datetime
from typing import Any

import orjson

from reconciler.adapters.cluster_connection import ApiConnection
from reconciler.core.access.subjects import agent_namespace
from reconciler.core.access.tokens import AgentToken, TokenTerms, require_terms, terms_of
from reconciler.core.errors import Corrupt, Forbidden, Missing
from reconciler.core.manifests import JsonObject
from reconciler.ports import Clock

_MAY_NOT = "ask for your Role to be named under token.by of the AgentScope"


class KubernetesAgentTokens:
    def __init__(self, connection: ApiConnection, clock: Clock) -> None:
        self._connection = connection
        self._clock = clock

    async def terms(self, agent: str) -> TokenTerms:
        home: JsonObject | None
        try:
            home = await self._connection.request(
                "GET", f"/api/v1/namespaces/{agent_namespace(agent)}", doing=f"read agent {agent}"
            )
        except Missing:
            home = None
        except Forbidden as error:
            raise _forbidden(agent) from error
        return terms_of(agent, home, self._clock.now().date())

    async def mint(self, terms: TokenTerms, *, pod: str = "") -> AgentToken:
        asked = self._clock.now()
        spec: JsonObject = {
            "audiences": [terms.audience],
            "expirationSeconds": int(terms.lifetime.total_seconds()),
        }
        if pod:
            spec["boundObjectRef"] = {"apiVersion": "v1", "kind": "Pod", "name": pod}
        body: JsonObject = {
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenRequest",
            "spec": spec,
        }
        path = f"/api/v1/namespaces/{terms.namespace}/serviceaccounts/{terms.agent}/token"
        doing = f"get a token of agent {terms.agent}"
        try:
            made: Any = await self._connection.request("POST", path, doing=doing, body=body)
        except Forbidden as error:
            # What an admission policy refuses has causes; that a right is missing has none.
            raise error if error.causes else _forbidden(terms.agent) from error
        token = _token_of(made["status"], terms.audience)
        require_terms(token, terms, asked)
        return token

    async def close(self) -> None:
        await self._connection.close()


def _forbidden(agent: str) -> Forbidden:
    return Forbidden(f"you may not have a token of agent {agent}", hint=_MAY_NOT)


def _token_of(status: dict[str, str], audience: str) -> AgentToken:
    value = status["token"]
    try:
        payload = value.split(".")[1]
        claims = orjson.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        identifier = str(claims.get("jti", ""))
    except (IndexError, ValueError, binascii.Error):
        raise Corrupt("the API server's token is no JSON Web Token") from None
    return AgentToken(
        value, identifier, datetime.fromisoformat(status["expirationTimestamp"]), audience
    )
