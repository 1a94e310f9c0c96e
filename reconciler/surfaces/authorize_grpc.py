"""The gRPC side of external authorization, for gateways that have no other, such as Contour.

Separate from the HTTP side, which it mirrors: both make the same request of what they get and ask
the same authorizer. The invariant: the code OK is given at one place; a fault here is an error of
the call, which the gateway takes for a no.

https://www.envoyproxy.io/docs/envoy/latest/api-v3/service/auth/v3/external_auth.proto
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import grpc
from envoy.config.core.v3.base_pb2 import HeaderValue, HeaderValueOption
from envoy.service.auth.v3.external_auth_pb2 import (
    CheckRequest,
    CheckResponse,
    DeniedHttpResponse,
    OkHttpResponse,
)
from envoy.service.auth.v3.external_auth_pb2_grpc import (
    AuthorizationServicer,
    add_AuthorizationServicer_to_server,
)
from envoy.type.v3.http_status_pb2 import HttpStatus
from google.rpc.status_pb2 import Status

from reconciler.core.authorizing.requests import LARGEST_BODY, HttpRequest, request_of
from reconciler.core.errors import Misconfigured
from reconciler.engine.authorizing import Answer, Authorizer
from reconciler.settings_places import Address
from reconciler.surfaces.authorize_http import REMOVED_HEADERS, denial_body

_ROOM_FOR_HEADERS = 2**18


class GrpcAuthorization(AuthorizationServicer):  # type: ignore[misc]
    """The service `envoy.service.auth.v3.Authorization`."""

    def __init__(self, authorizer: Authorizer) -> None:
        self._authorizer = authorizer

    async def Check(self, request: Any, _context: object) -> Any:  # noqa: N802  The name is theirs.
        return check_response(await self._authorizer.answer(asked_by(request)))


def asked_by(request: CheckRequest) -> HttpRequest:
    """Of headers that came more than once, Envoy tells one with all values, which is no name."""
    http = request.attributes.request.http
    pairs = [(name, value) for name, value in http.headers.items() if not name.startswith(":")]
    body = http.raw_body or http.body.encode()
    return request_of(http.method, http.host, http.path, pairs, body)


def check_response(answer: Answer) -> CheckResponse:
    headers = _options(answer.headers)
    if answer.denial is None:
        allowed = OkHttpResponse(headers=headers, headers_to_remove=REMOVED_HEADERS)
        return CheckResponse(status=Status(code=grpc.StatusCode.OK.value[0]), ok_response=allowed)
    denied = DeniedHttpResponse(
        status=HttpStatus(code=answer.denial.status),
        headers=[*headers, *_options({"content-type": "application/json"})],
        body=denial_body(answer).decode(),
    )
    code = grpc.StatusCode.PERMISSION_DENIED.value[0]
    return CheckResponse(status=Status(code=code), denied_response=denied)


@asynccontextmanager
async def served_over_grpc(authorizer: Authorizer, address: Address) -> AsyncIterator[None]:
    """Raises Misconfigured when the address cannot be had."""
    largest = ("grpc.max_receive_message_length", LARGEST_BODY + _ROOM_FOR_HEADERS)
    # Else a second process could take the same port, and half of the questions.
    server = grpc.aio.server(options=[largest, ("grpc.so_reuseport", 0)])
    add_AuthorizationServicer_to_server(GrpcAuthorization(authorizer), server)
    host, port = address
    try:
        server.add_insecure_port(f"[{host}]:{port}" if ":" in host else f"{host}:{port}")
    except RuntimeError as error:
        raise Misconfigured(
            f"cannot listen at {host}:{port}",
            hint="give --grpc-listen an address of this machine that nobody else uses",
        ) from error
    await server.start()
    try:
        yield
    finally:
        await server.stop(1)


def _options(headers: Mapping[str, str]) -> list[HeaderValueOption]:
    overwrite = HeaderValueOption.HeaderAppendAction.OVERWRITE_IF_EXISTS_OR_ADD
    return [
        HeaderValueOption(header=HeaderValue(key=name, value=value), append_action=overwrite)
        for name, value in headers.items()
    ]
