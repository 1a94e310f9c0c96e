"""What makes a gateway ask the authorizer.

Separate from the routes, which know no authorizer. The invariant: a gateway that gets no answer,
or no whole body, lets nothing pass.
"""

from __future__ import annotations

from collections.abc import Iterable

from reconciler.core.authorizing.requests import LARGEST_BODY
from reconciler.core.manifests import JsonObject, JsonValue

AUTHORIZE_PREFIX = "/authorize"
"""Goes before the path of the request that is asked about, over HTTP."""

ANSWER_SECONDS = 3
"""Longer than the authorizer takes to say that it took too long."""

ASKING_HEADERS = (
    "content-type",
    "content-encoding",
    "traceparent",
    "x-agent-run",
    "x-model",
    "x-model-adapter",
    "x-prompt",
    "x-prompt-version",
)
"""What the authorizer is told of a request besides its method, host, path, token and body."""

UPSTREAM_HEADERS = (
    "traceparent",
    "x-fairlead-subject",
    "x-fairlead-trace",
    "x-envoy-upstream-rq-timeout-ms",
)
"""What the gateway puts into a request that goes on."""

_FILTER = "type.googleapis.com/envoy.extensions.filters.http.ext_authz.v3.ExtAuthz"


def external_authorization(cluster: str, uri: str) -> JsonObject:
    """The HTTP filter of an Envoy, which goes before the router. `cluster` is Envoy's name."""
    return _filter(
        {
            "allowed_headers": {"patterns": _exactly(ASKING_HEADERS)},
            "http_service": {
                "server_uri": {"uri": uri, "cluster": cluster, "timeout": f"{ANSWER_SECONDS}s"},
                "path_prefix": AUTHORIZE_PREFIX,
                "authorization_response": {
                    "allowed_upstream_headers": {"patterns": _exactly(UPSTREAM_HEADERS)},
                    "allowed_client_headers": {
                        "patterns": _exactly(("content-type", "x-fairlead-trace"))
                    },
                },
            },
        }
    )


def external_authorization_over_grpc(cluster: str) -> JsonObject:
    """The same for an Envoy that asks over gRPC; `cluster` must speak HTTP/2."""
    service: JsonObject = {
        "envoy_grpc": {"cluster_name": cluster},
        "timeout": f"{ANSWER_SECONDS}s",
    }
    return _filter({"grpc_service": service})


def _filter(service: JsonObject) -> JsonObject:
    config: JsonObject = {
        "@type": _FILTER,
        "transport_api_version": "V3",
        "failure_mode_allow": False,
        "status_on_error": {"code": "ServiceUnavailable"},
        "clear_route_cache": False,
        "with_request_body": {
            "max_request_bytes": LARGEST_BODY,
            "allow_partial_message": False,
            "pack_as_bytes": True,
        },
        **service,
    }
    return {"name": "envoy.filters.http.ext_authz", "typed_config": config}


def _exactly(names: Iterable[str]) -> list[JsonValue]:
    return [{"exact": name, "ignore_case": True} for name in names]
