"""A sign-in with nothing behind it, on a clock that runs as people's do."""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from reconciler.adapters.clocks import SystemClock
from reconciler.adapters.openid import OpenIdProvider
from reconciler.core.audit.records import Verb
from reconciler.core.manifests import JsonObject
from reconciler.core.viewers import ViewingRule
from reconciler.surfaces.page.sessions import Sessions
from reconciler.surfaces.page.signing_in import Entrance, SignIn
from tests.signing_in.real_provider import CALLBACK

RULES = (
    ViewingRule(("*",), group="platform-engineers"),
    ViewingRule(("risk",), group="ml-researchers"),
)


class Door:
    """A sign-in with nothing behind it but the teams that its viewer sees."""

    def __init__(self, provider: OpenIdProvider) -> None:
        clock = SystemClock()
        self.results: list[str] = []
        entrance = Entrance(
            provider=provider,
            rules=RULES,
            sessions=Sessions(clock, seconds=60),
            public_url=CALLBACK.removesuffix("/sign-in/callback"),
            record=self.record,
        )
        self.sign_in = SignIn(entrance, clock.monotonic)
        self.sign_in.drawn_by(lambda _request, _viewer, sheet: Response(status_code=sheet.status))
        routes = [*self.sign_in.routes(), Route("/teams", self.teams)]
        self.application = Starlette(routes=routes)

    async def record(self, verb: Verb, person: str, *, result: str, detail: JsonObject) -> None:
        self.results.append(f"{verb} {person.partition(' ')[0]} {result}")

    async def teams(self, request: Request) -> Response:
        viewer = await self.sign_in.authorize(request)
        if isinstance(viewer, Response):
            return viewer
        return PlainTextResponse(" ".join(sorted(viewer.teams)))
