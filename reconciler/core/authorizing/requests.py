"""What a request asks for: an action on a model, or a call of a tool. Bytes in, a value out.

Separate from the decision, because parsers are what attackers talk to. The invariant: a request
that two parsers could read in two ways is refused. Nothing is repaired, decoded or guessed: the
model is named once in its exact form, or everywhere the same.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

from reconciler.core.authorizing.bodies import json_object
from reconciler.core.authorizing.refusals import Denied
from reconciler.core.manifests import JsonObject
from reconciler.core.rendering.lora import ADAPTER_HEADER, MODEL_HEADER
from reconciler.core.rendering.prompts import PROMPT_VERSION_HEADER

RequestAction: TypeAlias = Literal["infer", "retrain"]
"""What can be asked for on the request path. Promotion is asked for in Git."""

LARGEST_BODY = 2 * 2**20

GATEWAY_HEADERS = (ADAPTER_HEADER, PROMPT_VERSION_HEADER)
"""By which only the gateway tells a server what is to answer; a caller who sends one lies."""

_NAME = r"[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?"
_PATH = re.compile(r"(?:/[A-Za-z0-9._-]+)+", re.ASCII)
_OPEN_INFERENCE = re.compile(
    rf"/v2/models/({_NAME})(?:/versions/({_NAME}))?/(infer|generate|generate_stream|retrain)",
    re.ASCII,
)
_TOOLS = re.compile(rf"/mcp/({_NAME})", re.ASCII)
_NAMED = re.compile(_NAME, re.ASCII)

_OPENAI: Mapping[str, RequestAction] = {
    "/v1/chat/completions": "infer",
    "/v1/completions": "infer",
    "/v1/embeddings": "infer",
    "/v1/responses": "infer",
    "/v1/rerank": "infer",
    "/v1/score": "infer",
    "/v1/fine_tuning/jobs": "retrain",
}

_NAMING_KEYS = frozenset({"model", "model_name", "model_version"})

_CALLING_KEYS = frozenset({"jsonrpc", "id", "method", "params"})
_TOOL_KEYS = frozenset({"name", "arguments", "_meta"})

_ANSWERLESS = frozenset({"/v1/embeddings", "/v1/rerank", "/v1/score"})
"""Where a model writes no text, so that only what goes in counts."""

_BOUNDS = ("max_tokens", "max_completion_tokens", "max_output_tokens", "max_new_tokens")
_REPEATS = ("n", "best_of")

_UNASKING_METHODS = frozenset({"initialize", "ping", "tools/list"})


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """A request as the gateway got it. Names of headers and the host are in lower case.

    `repeats` says that a header came twice: two readers may each take another one.
    """

    method: str
    host: str
    path: str
    headers: Mapping[str, str]
    body: bytes
    repeats: bool = False


@dataclass(frozen=True, slots=True)
class ModelCall:
    """`tokens` is the most that it can use of a language model; None when it does not say."""

    action: RequestAction
    model: str
    version: str | None = None
    tokens: int | None = 0
    selected: str = ""
    """The model that the header for adapters names, if it came."""


@dataclass(frozen=True, slots=True)
class ToolCall:
    """`tool` is empty for what only opens a conversation or lists tools."""

    server: str
    tool: str = ""


Call: TypeAlias = ModelCall | ToolCall


def request_of(
    method: str, host: str, path: str, pairs: Iterable[tuple[str, str]], body: bytes
) -> HttpRequest:
    """Of the headers as they came, in order and in any case."""
    headers: dict[str, str] = {}
    repeats = False
    for name, value in pairs:
        repeats = repeats or name.lower() in headers
        headers[name.lower()] = value
    return HttpRequest(method, host.lower().partition(":")[0], path, headers, body, repeats)


def call_of(request: HttpRequest) -> Call:
    """Raises Denied for everything that is not exactly one of the calls that are known."""
    path = _plain_path(request.path)
    if request.repeats:
        raise Denied("header-repeated", "a header comes twice", status=400)
    for name in GATEWAY_HEADERS:
        if name in request.headers:
            raise Denied("gateway-header", f"only the gateway sends {name}", status=400)
    if request.method != "POST":
        raise Denied("method-unknown", "only POST asks for something here", status=405)
    body = _body(request)
    if tools := _TOOLS.fullmatch(path):
        return _tool_call(tools[1], body)
    return _model_call(path, body, request.headers.get(MODEL_HEADER, ""), len(request.body))


def _plain_path(path: str) -> str:
    """As it was sent: neither query, nor escapes, nor dots that a proxy would resolve."""
    steps = path.split("/")
    if not _PATH.fullmatch(path) or "." in steps or ".." in steps:
        raise Denied("path-odd", "the path is not in its plain form", status=400)
    return path


def _body(request: HttpRequest) -> JsonObject:
    if len(request.body) > LARGEST_BODY:
        raise Denied("body-too-large", "the body is larger than 2 MiB", status=413)
    if request.headers.get("x-envoy-auth-partial-body", "false") != "false":
        raise Denied("body-partial", "the gateway shows a part of the body only", status=413)
    if request.headers.get("content-encoding", "identity").strip().lower() != "identity":
        raise Denied("encoding-unknown", "a body must not be compressed", status=415)
    kind = request.headers.get("content-type", "")
    if kind.replace(" ", "").lower() not in ("application/json", "application/json;charset=utf-8"):
        raise Denied("content-type-unknown", "a body must be application/json", status=415)
    body = json_object(request.body)
    _require_exact(body, _NAMING_KEYS)
    return body


def _require_exact(body: JsonObject, keys: frozenset[str]) -> None:
    """Servers in Go take a key whatever its case, and the last one of several."""
    if any(key.casefold() in keys - {key} for key in body):
        message = "a key that says what is asked for is in another case"
        raise Denied("key-odd-case", message, status=400)


def _model_call(path: str, body: JsonObject, selected: str, size: int) -> ModelCall:
    if found := _OPEN_INFERENCE.fullmatch(path):
        model, version, verb = found.groups()
        _require_same(body, ("model", "model_name"), model)
        if version is not None or "model_version" in body:
            version = version or _name(body["model_version"])
            _require_same(body, ("model_version",), version)
        action: RequestAction = "retrain" if verb == "retrain" else "infer"
        most = 0 if verb in ("infer", "retrain") else _most_tokens(body, size)
        call = ModelCall(action, model, version, most, selected)
    elif path in _OPENAI:
        if "model_name" in body or "model_version" in body:
            raise Denied("model-ambiguous", "the body names the model twice", status=400)
        action = _OPENAI[path]
        tokens: int | None = 0
        if action == "infer":
            tokens = size if path in _ANSWERLESS else _most_tokens(body, size)
        call = ModelCall(action, _name(body.get("model")), None, tokens, selected)
    else:
        raise Denied("path-unknown", "the path is none that a model is asked by")
    if selected and selected != call.model:
        raise Denied("model-mismatch", "header and request name different models", status=400)
    return call


def _name(value: object) -> str:
    if not isinstance(value, str) or not _NAMED.fullmatch(value):
        raise Denied("model-name", "the model is not named in its exact form", status=400)
    return value


def _require_same(body: JsonObject, names: Iterable[str], expected: str) -> None:
    if any(name in body and body[name] != expected for name in names):
        raise Denied("model-mismatch", "path and body name different models", status=400)


def _most_tokens(body: JsonObject, size: int) -> int | None:
    """A token is at least one byte of the request, so its size bounds what goes in. Each prompt of
    a list is answered, as often as is asked.
    """
    parameters = body.get("parameters")
    places = [body, parameters] if isinstance(parameters, dict) else [body]
    _require_exact(places[-1], frozenset({*_BOUNDS, *_REPEATS}))
    _require_exact(body, frozenset({*_BOUNDS, *_REPEATS, "parameters", "prompt"}))
    bounds = [place[name] for place in places for name in _BOUNDS if name in place]
    if not bounds:
        return None
    repeats = [place[name] for place in places for name in _REPEATS if name in place]
    numbers = [*bounds, *repeats]
    if not all(type(number) is int and 0 < number <= 2**31 for number in numbers):
        raise Denied("token-bound", "the bound of tokens is no positive number", status=400)
    most, times = (max(int(str(n)) for n in some) for some in (bounds, repeats or [1]))
    prompt = body.get("prompt")
    prompts = max(1, len(prompt)) if isinstance(prompt, list) else 1
    return size + most * times * prompts


def _tool_call(server: str, body: JsonObject) -> ToolCall:
    _require_exact(body, _CALLING_KEYS)
    method = body.get("method")
    if body.get("jsonrpc") != "2.0" or not isinstance(method, str):
        raise Denied("not-json-rpc", "the body is no JSON-RPC request", status=400)
    if method in _UNASKING_METHODS or method.startswith("notifications/"):
        return ToolCall(server)
    if method != "tools/call":
        raise Denied("tool-method", "of a tool server, only tools may be listed and called")
    params = body.get("params")
    if not isinstance(params, dict):
        raise Denied("tool-name", "the tool is not named in plain ASCII", status=400)
    _require_exact(params, _TOOL_KEYS)
    name = params.get("name")
    if not isinstance(name, str) or not 0 < len(name) <= 128 or not name.isascii():
        raise Denied("tool-name", "the tool is not named in plain ASCII", status=400)
    if not name.isprintable():
        raise Denied("tool-name", "the tool is not named in plain ASCII", status=400)
    return ToolCall(server, name)
