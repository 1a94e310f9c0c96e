"""What makes a gateway ask the authorizer.

Separate from the routes, which know no authorizer. The invariant: a gateway that gets no answer
lets nothing pass, and a body of which it shows a part only is one that the authorizer refuses.
"""

from __future__ import annotations

from collections.abc import Iterable

from reconciler.core.authorizing.requests import LARGEST_BODY
from reconciler.core.manifests import JsonObject, JsonValue

AUTHORIZE_PREFIX = "/authorize"
"""Goes before the path of the request that is asked about, over HTTP."""

SHOWN_BODY = LARGEST_BODY + 1
"""Bytes of a body that the authorizer is shown: of one that is too large so many that it is told
by its size alone. The authorizer refuses it, since what a gateway refuses by itself is recorded
nowhere."""

BUFFERED_BYTES = 2 * LARGEST_BODY
"""What a gateway's listener has to be able to hold of a request. Envoy's own limit is 1 MiB, and it
refuses what is larger before anybody is asked."""

SERVICE_NAME = "fairlead-authorize"
GRPC_PORT = 9471

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


def contour_authorization(namespace: str) -> JsonObject:
    """What an operator adds to Contour's configuration, which is a file and no object.

    It holds for listeners of plain HTTP. Contour refuses to start while the ExtensionService is
    not there.
    """
    body: JsonObject = {
        "maxRequestBytes": SHOWN_BODY,
        "allowPartialMessage": True,
        "packAsBytes": True,
    }
    service: JsonObject = {
        "extensionService": f"{namespace}/{SERVICE_NAME}",
        "failOpen": False,
        "responseTimeout": f"{ANSWER_SECONDS}s",
        "withRequestBody": body,
    }
    holding: JsonObject = {"per-connection-buffer-limit-bytes": BUFFERED_BYTES}
    return {"globalExtAuth": service, "listener": holding}


def extension_service(namespace: str) -> JsonObject:
    """How Contour reaches the authorizer: over gRPC, by a Service beside it."""
    target: JsonObject = {"name": SERVICE_NAME, "port": GRPC_PORT}
    return {
        "apiVersion": "projectcontour.io/v1alpha1",
        "kind": "ExtensionService",
        "metadata": {"name": SERVICE_NAME, "namespace": namespace},
        "spec": {
            "protocol": "h2c",
            "services": [target],
            "timeoutPolicy": {"response": f"{ANSWER_SECONDS}s"},
        },
    }


def _filter(service: JsonObject) -> JsonObject:
    config: JsonObject = {
        "@type": _FILTER,
        "transport_api_version": "V3",
        "failure_mode_allow": False,
        "status_on_error": {"code": "ServiceUnavailable"},
        "clear_route_cache": False,
        "with_request_body": {
            "max_request_bytes": SHOWN_BODY,
            "allow_partial_message": True,
            "pack_as_bytes": True,
        },
        **service,
    }
    return {"name": "envoy.filters.http.ext_authz", "typed_config": config}


def _exactly(names: Iterable[str]) -> list[JsonValue]:
    return [{"exact": name, "ignore_case": True} for name in names]
