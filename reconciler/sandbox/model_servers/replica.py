"""One replica of one version over HTTP: the Open Inference Protocol, adapters, prompts, metrics.

Separate from its listening socket, which comes and goes with the pod. Invariant: every answer
tells the version that gave it, and a request that was begun is answered.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import TypeAlias

import orjson
from aiohttp import web

from reconciler.core.manifests import JsonObject
from reconciler.sandbox.errors import SandboxError
from reconciler.sandbox.model_servers.adapters import Adapters, ServingRefusal
from reconciler.sandbox.model_servers.faults import Faults, draws_of
from reconciler.sandbox.model_servers.inference import answer, labels_of, rows_of
from reconciler.sandbox.model_servers.prompts import GivenPrompt, Prompts
from reconciler.sandbox.model_servers.scoring import ScoringModel
from reconciler.sandbox.model_servers.signals import Signals

VERSION_HEADER = "x-model-version"
ADAPTER_HEADER = "x-model-adapter"
"""In a request, which adapter is to answer, whatever its body says; in an answer, who did."""
PROMPT_HEADER = "x-prompt-version"
"""The same for prompts."""
PROMPT_FIELD = "prompt_version"
"""The same in a request's body, where there is no such header."""
PROMPT_DIGEST_HEADER = "x-prompt-sha256"
"""In an answer, the digest of the prompt that it was given after."""
METRICS_TYPE = "text/plain; version=0.0.4"

Respond: TypeAlias = Callable[[web.BaseRequest], Awaitable[web.Response]]
Infer: TypeAlias = Callable[[JsonObject, GivenPrompt, Faults], web.Response]


@dataclass(frozen=True, slots=True)
class ReplicaIdentity:
    """Whom it speaks for."""

    name: str
    model: str
    version: str


class Replica:
    """Answers requests. `fault` is text that people wrote, and may be changed at any time."""

    def __init__(self, identity: ReplicaIdentity) -> None:
        self.fault = ""
        self._identity = identity
        self._model = ScoringModel.named(identity.model)
        self._signals = Signals(identity.model, identity.version)
        self._adapters = Adapters(identity.model)
        self._prompts = Prompts()
        self._draws = draws_of(identity.name)
        model = f"/v2/models/{identity.model}"
        self._answers: Mapping[tuple[str, str], Respond] = {
            ("GET", "/v2"): self._server,
            ("GET", "/v2/health/live"): self._well,
            ("GET", "/v2/health/ready"): self._well,
            ("GET", "/health"): self._well,
            ("GET", model): self._metadata,
            ("GET", f"{model}/ready"): self._well,
            ("POST", f"{model}/infer"): self._counted(self._infer),
            ("GET", "/metrics"): self._metrics,
            ("GET", "/v1/models"): self._models,
            ("POST", "/v1/completions"): self._counted(self._complete),
            ("POST", "/v1/load_lora_adapter"): self._load,
            ("POST", "/v1/unload_lora_adapter"): self._unload,
            ("GET", "/v1/prompts"): self._listed_prompts,
            ("POST", "/v1/load_prompt"): self._load_prompt,
            ("POST", "/v1/unload_prompt"): self._unload_prompt,
        }

    async def respond(self, request: web.BaseRequest) -> web.Response:
        answer_it = self._answers.get((request.method, request.path), _nothing)
        try:
            response = await answer_it(request)
        except ServingRefusal as refusal:
            response = _refused(refusal.status, refusal.message)
        response.headers[VERSION_HEADER] = self._identity.version
        return response

    def _counted(self, infer: Infer) -> Respond:
        """With the faults, and in the metrics. What a client did wrong is not counted."""

        async def respond(request: web.BaseRequest) -> web.Response:
            began = time.perf_counter()
            body = await _body(request)
            if adapter := request.headers.get(ADAPTER_HEADER):
                body["model"] = adapter
            model = self._adapters.answering(body.get("model"))
            named = request.headers.get(PROMPT_HEADER) or str(body.get(PROMPT_FIELD, ""))
            prompt = self._prompts.answering(named)
            try:
                faults = Faults.parse(self.fault)
            except SandboxError as error:
                raise ServingRefusal(HTTPStatus.INTERNAL_SERVER_ERROR, str(error)) from error
            if faults.delay:
                await asyncio.sleep(faults.delay)
            if self._draws.random() < faults.errors:
                self._signals.failed(model, prompt.name, time.perf_counter() - began)
                raise ServingRefusal(HTTPStatus.INTERNAL_SERVER_ERROR, "a fault was asked for")
            response = infer(body, prompt, faults)
            if prompt.name:
                response.headers[PROMPT_HEADER] = prompt.name
                response.headers[PROMPT_DIGEST_HEADER] = prompt.sha256
            self._signals.succeeded(model, prompt.name, time.perf_counter() - began)
            return response

        return respond

    def _infer(self, body: JsonObject, prompt: GivenPrompt, faults: Faults) -> web.Response:
        scores = [self._model.score(row, shift=faults.drift) for row in rows_of(body)]
        for score in scores:
            self._signals.scored(score, prompt.name)
        flipped = [self._draws.random() < faults.wrong for _ in scores]
        identity = self._identity
        return _json(
            answer(
                body,
                model=identity.model,
                version=identity.version,
                scores=scores,
                labels=labels_of(scores, flipped=flipped),
            )
        )

    def _complete(self, body: JsonObject, prompt: GivenPrompt, _: Faults) -> web.Response:
        question = prompt.before(str(body.get("prompt", "")))
        adapter, completed = self._adapters.complete({**body, "prompt": question})
        response = _json(completed)
        response.headers[ADAPTER_HEADER] = adapter
        return response

    async def _server(self, _: web.BaseRequest) -> web.Response:
        return _json({"name": "fairlead-sandbox", "version": "1", "extensions": []})

    async def _well(self, _: web.BaseRequest) -> web.Response:
        return _json({"live": True, "ready": True})

    async def _metadata(self, _: web.BaseRequest) -> web.Response:
        features: JsonObject = {"name": "features", "datatype": "FP32", "shape": [-1, 4]}
        label: JsonObject = {"name": "label", "datatype": "INT64", "shape": [-1]}
        score: JsonObject = {"name": "score", "datatype": "FP32", "shape": [-1]}
        return _json(
            {
                "name": self._identity.model,
                "versions": [self._identity.version],
                "platform": "fairlead-sandbox",
                "inputs": [features],
                "outputs": [label, score],
            }
        )

    async def _metrics(self, _: web.BaseRequest) -> web.Response:
        return web.Response(body=self._signals.text(), headers={"Content-Type": METRICS_TYPE})

    async def _models(self, _: web.BaseRequest) -> web.Response:
        return _json(self._adapters.listing())

    async def _load(self, request: web.BaseRequest) -> web.Response:
        return web.Response(text=self._adapters.load(await _body(request)))

    async def _unload(self, request: web.BaseRequest) -> web.Response:
        return web.Response(text=self._adapters.unload(await _body(request)))

    async def _listed_prompts(self, _: web.BaseRequest) -> web.Response:
        return _json(self._prompts.listing())

    async def _load_prompt(self, request: web.BaseRequest) -> web.Response:
        self._prompts.load(await _body(request))
        return _json({})

    async def _unload_prompt(self, request: web.BaseRequest) -> web.Response:
        self._prompts.unload(await _body(request))
        return _json({})


async def _nothing(request: web.BaseRequest) -> web.Response:
    raise ServingRefusal(HTTPStatus.NOT_FOUND, f"{request.method} {request.path} is not served")


async def _body(request: web.BaseRequest) -> JsonObject:
    try:
        body = orjson.loads(await request.read())
    except orjson.JSONDecodeError as error:
        raise ServingRefusal(HTTPStatus.BAD_REQUEST, f"not JSON: {error}") from error
    except web.HTTPRequestEntityTooLarge as error:
        raise ServingRefusal(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, error.text or "") from error
    if not isinstance(body, dict):
        raise ServingRefusal(HTTPStatus.BAD_REQUEST, "not a JSON object")
    return body


def _refused(status: HTTPStatus, message: str) -> web.Response:
    """In the form of the Open Inference Protocol, and with vLLM's fields inside."""
    return _json({"error": message, "message": message, "code": int(status)}, status=status)


def _json(body: JsonObject, *, status: HTTPStatus = HTTPStatus.OK) -> web.Response:
    return web.Response(
        body=orjson.dumps(body), status=status, headers={"Content-Type": "application/json"}
    )
