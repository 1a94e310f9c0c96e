"""The HTTP side of external authorization: the gateway sends a request here before it goes on.

Separate from the decision. The invariant: only status 200 lets a request pass, and it is given at
one place; whatever else happens here, the gateway takes it for a no.

https://www.envoyproxy.io/docs/envoy/latest/configuration/http/http_filters/ext_authz_filter
"""

from __future__ import annotations

from collections.abc import Callable

import orjson
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response
from starlette.types import Receive, Scope, Send

from reconciler.core.authorizing.requests import LARGEST_BODY, request_of
from reconciler.core.rendering.gateway_authorization import AUTHORIZE_PREFIX
from reconciler.engine.authorizing import Answer, Authorizer

REMOVED_HEADERS = ("authorization", "x-agent-run", "cookie")
"""A model server gets no token that it could use elsewhere."""

_HOP_HEADERS = frozenset({"host", "content-length", "connection", "transfer-encoding"})


class HttpAuthorization:
    """An ASGI application."""

    def __init__(self, authorizer: Authorizer, ready: Callable[[], bool]) -> None:
        self._authorizer = authorizer
        self._ready = ready

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        request = Request(scope, receive)
        response = await self._response(request, scope["raw_path"].decode("latin-1"))
        await response(scope, receive, send)

    async def _response(self, request: Request, path: str) -> Response:
        if path == "/livez":
            return PlainTextResponse("ok\n")
        if path == "/readyz":
            return PlainTextResponse("ok\n") if self._ready() else _plain("not ready", 503)
        if not path.startswith(f"{AUTHORIZE_PREFIX}/"):
            return _plain("not here", 404)
        try:
            body = await _bounded(request)
        except ClientDisconnect:
            return _plain("gone", 400)
        pairs = [
            (name, value) for name, value in request.headers.items() if name not in _HOP_HEADERS
        ]
        query = f"?{text}" if (text := request.scope["query_string"].decode("latin-1")) else ""
        host = request.headers.get("host", "")
        asked = request_of(request.method, host, path[len(AUTHORIZE_PREFIX) :] + query, pairs, body)
        return response_to(await self._authorizer.answer(asked))


def response_to(answer: Answer) -> Response:
    if answer.denial is None:
        removed = {"x-envoy-auth-headers-to-remove": ",".join(REMOVED_HEADERS)}
        return Response(status_code=200, headers={**answer.headers, **removed})
    return Response(
        denial_body(answer),
        status_code=answer.denial.status,
        headers=dict(answer.headers),
        media_type="application/json",
    )


def denial_body(answer: Answer) -> bytes:
    assert answer.denial is not None, "the caller has looked"
    denial = answer.denial
    return orjson.dumps({"error": denial.code, "message": denial.message, "trace": answer.trace})


async def _bounded(request: Request) -> bytes:
    """One byte more than is allowed is enough to refuse it."""
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > LARGEST_BODY:
            break
    return body


def _plain(text: str, status: int) -> Response:
    return PlainTextResponse(f"{text}\n", status_code=status)
