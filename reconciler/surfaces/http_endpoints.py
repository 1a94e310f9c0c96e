"""The HTTP endpoints of the daemon: is it alive, is it ready, how does everything stand.

Separate from the daemon, which only needs an application to serve, and from the page for people,
which they are served beside. The invariant: every route reads, but for the webhook, which only
makes the daemon look at its remote; nothing here asks a cluster anything.
"""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable
from typing import TypeAlias

import orjson
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Mount, Route

from reconciler.core.manifests import JsonObject
from reconciler.core.standing import status_json
from reconciler.engine.driving import Engine
from reconciler.surfaces.engine_status import EngineStatus
from reconciler.surfaces.forge_hints import Hint
from reconciler.surfaces.metrics import Metrics
from reconciler.surfaces.page.application import Page
from reconciler.surfaces.webhook import Webhook

Endpoint: TypeAlias = Callable[[Request], Awaitable[Response]]

WEBHOOK_PATH = "/hooks/git"


class Endpoints:
    """What the daemon answers. Without `webhook_secret` there is no webhook.

    With a `status_token`, the status is for those who bring it, and for people who signed in.
    """

    def __init__(
        self,
        engine: Engine,
        status: EngineStatus,
        metrics: Metrics,
        *,
        webhook_secret: bytes | None,
        page: Page | None = None,
        status_token: str = "",
    ) -> None:
        self._status = status
        self._status_token = status_token
        self._metrics = metrics
        self._page = page
        self._webhook = Webhook(webhook_secret, engine.branch.hint) if webhook_secret else None

    def tell(self, hint_at: Callable[[Hint], None]) -> None:
        """Have somebody told of change requests that the webhook hints at."""
        if self._webhook is not None:
            self._webhook.hint_at = hint_at

    def application(self) -> Starlette:
        routes: list[BaseRoute] = [
            _reading("/livez", self.livez),
            _reading("/readyz", self.readyz),
            _reading("/metrics", self.metrics),
            _reading("/status", self.status),
        ]
        if self._webhook:
            routes.append(Route(WEBHOOK_PATH, self._webhook.answer, methods=["POST"]))
        if self._page:
            routes.append(Mount("/", self._page.application()))
        else:
            routes.append(_reading("/", self.no_page))
        return Starlette(routes=routes)

    async def no_page(self, _request: Request) -> Response:
        """Why there is none, for whoever looks for it."""
        why = "there is no status page here: beyond the loopback it needs page.signIn\n"
        return PlainTextResponse(why, status_code=404)

    async def livez(self, _request: Request) -> Response:
        """The event loop turns: otherwise there would be no answer."""
        return PlainTextResponse("ok\n")

    async def readyz(self, _request: Request) -> Response:
        """Ready once everything was asked for the first time; trouble since then is in /status."""
        reasons = self._status.unready()
        body: JsonObject = {"ready": not reasons, "reasons": list(reasons)}
        return _json(body, status=503 if reasons else 200)

    async def metrics(self, _request: Request) -> Response:
        return Response(self._metrics.exposition(), media_type=CONTENT_TYPE_LATEST)

    async def status(self, request: Request) -> Response:
        if self._status_token and not await self._may_ask(request):
            hint = "sign in on the page, or ask as the daemon's user with: fairlead status"
            return PlainTextResponse(f"{hint}\n", status_code=401)
        return _json(status_json(self._status.status()))

    async def _may_ask(self, request: Request) -> bool:
        expected = f"Bearer {self._status_token}".encode()
        given = request.headers.get("authorization", "").encode()
        if hmac.compare_digest(given, expected):
            return True
        return self._page is not None and await self._page.shows_everything_to(request)


def _reading(path: str, endpoint: Endpoint) -> Route:
    return Route(path, endpoint, methods=["GET"])


def _json(body: JsonObject, *, status: int = 200) -> Response:
    return Response(
        orjson.dumps(body, option=orjson.OPT_APPEND_NEWLINE),
        status_code=status,
        media_type="application/json",
        headers={"Cache-Control": "no-store"},
    )
