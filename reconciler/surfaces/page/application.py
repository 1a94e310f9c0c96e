"""Page: the routes of the status page, and what every answer of it has.

Separate from the endpoints for machines, which this is mounted beside. The invariants: every route
reads; nothing but style, script and icon is answered without asking `authorize`; every failure is a
page that says what to do and shows no more than its viewer may know.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import TypeAlias
from urllib.parse import quote, urlsplit

import structlog
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response, StreamingResponse
from starlette.routing import BaseRoute, Route, compile_path

from reconciler.core.errors import FairleadError, Forbidden, Missing, Transient
from reconciler.core.sight import Sight
from reconciler.core.viewers import ANYBODY, Viewer
from reconciler.engine.concurrency import together
from reconciler.surfaces.page.access_pages import AccessPages
from reconciler.surfaces.page.audit_pages import AuditPages
from reconciler.surfaces.page.change_pages import ChangePages
from reconciler.surfaces.page.drawing import Drawing
from reconciler.surfaces.page.facts import Facts, Sources
from reconciler.surfaces.page.guarding import GuardedAnswers
from reconciler.surfaces.page.live import ChannelKey, Crowded, Drawn, Hub
from reconciler.surfaces.page.paths import own_path
from reconciler.surfaces.page.sheets import Ask, Make, Sheet
from reconciler.surfaces.page.signing_in import SignIn
from reconciler.surfaces.page.state_pages import StatePages
from reconciler.surfaces.page.static_files import PATH as STATIC_PATH
from reconciler.surfaces.page.static_files import StaticFiles

log = structlog.get_logger()

THEMES = ("light", "dark", "system")
THEME_COOKIE = "fairlead-theme"
YEAR_SECONDS = 31_536_000
REFRESH_SECONDS = 15
"""How often a page is loaded again where no script runs."""

Authorize: TypeAlias = Callable[[Request], Awaitable[Viewer | Response]]
"""Who asks: a viewer, or what to answer instead, such as the way to the sign-in."""


async def everybody(_request: Request) -> Viewer:
    """For the loopback: whoever can connect is the one whose machine it is."""
    return ANYBODY


@dataclass(frozen=True, slots=True)
class _Page:
    """One page. A `live` one changes while somebody looks at it."""

    path: str
    make: Make
    live: bool = True


class Page:
    """The status page. `run` keeps what is looked at up to date, until it is cancelled."""

    def __init__(
        self,
        sources: Sources,
        *,
        repository: str,
        authorize: Authorize = everybody,
        sign_in: SignIn | None = None,
    ) -> None:
        self._sources = sources
        self._facts = Facts(sources)
        self._repository = repository
        self._authorize = sign_in.authorize if sign_in else authorize
        self._sign_in = sign_in
        self._static = StaticFiles()
        self._drawing = Drawing(sources.clock, self._static)
        self._hub = Hub(self._drawing, sources.clock, self._facts.revision)
        self._audit = AuditPages(self._facts)
        self._pages = self._all_pages()
        if sign_in is not None:
            sign_in.drawn_by(self._drawn_still)

    async def run(self) -> None:
        """Read the log into the chronicle, and look for changes, for ever."""
        sources = self._sources
        own = sources.chronicler.run(sources.log, sources.clock)
        await together([own, *self._facts.following(), self._hub.run()])

    def _all_pages(self) -> tuple[_Page, ...]:
        state, change = StatePages(self._facts), ChangePages(self._facts)
        access = AccessPages(self._facts)
        return (
            _Page("/", state.overview),
            _Page("/clusters/{name}", state.cluster),
            _Page("/models", state.models),
            _Page("/models/{name}", state.model),
            _Page("/prompts/{name}", state.prompt),
            _Page("/rollouts", state.rollouts),
            _Page("/rollouts/{name}", state.rollout),
            _Page("/commits", change.commits),
            _Page("/c/{sha}", change.commit),
            _Page("/pulls", change.pulls),
            _Page("/pr/{number}", change.pull),
            _Page("/models/{name}/{version}/access", access.version, live=False),
            _Page("/access", access.access, live=False),
            _Page("/roles/{name}", access.role),
            _Page("/agents/{name}", access.agent),
            _Page("/search", state.search, live=False),
            _Page("/audit", self._audit.timeline, live=False),
            _Page("/audit/{index:int}", self._audit.record, live=False),
        )

    async def shows_everything_to(self, request: Request) -> bool:
        """Whether who asks may see all of it."""
        viewer = await self._authorize(request)
        return isinstance(viewer, Viewer) and viewer.sees_everything

    def routes(self) -> list[BaseRoute]:
        """Every route of the page: all of them read, but for the form that signs out."""
        drawn = [Route(page.path, self._shows(page), methods=["GET"]) for page in self._pages]
        return [
            *drawn,
            *(self._sign_in.routes() if self._sign_in else ()),
            Route("/audit/{index:int}/proof", self.proof, methods=["GET"]),
            Route("/audit/export", self.export, methods=["GET"]),
            Route("/live", self.live, methods=["GET"]),
            Route("/theme/{theme}", self.theme, methods=["GET"]),
            Route(f"{STATIC_PATH}/{{name}}", self._static.answer, methods=["GET"]),
        ]

    def application(self) -> Starlette:
        return Starlette(
            routes=self.routes(),
            middleware=[
                Middleware(GuardedAnswers),
                Middleware(GZipMiddleware, minimum_size=1000, compresslevel=5),
            ],
            exception_handlers={HTTPException: self._no_such_route},
        )

    def _shows(self, page: _Page) -> Callable[[Request], Awaitable[Response]]:
        async def answer(request: Request) -> Response:
            return await self._answer(request, page)

        return answer

    async def _answer(self, request: Request, page: _Page) -> Response:
        viewer = await self._authorize(request)
        if isinstance(viewer, Response):
            return viewer
        sheet = await self._made(page.make, self._ask(request, viewer))
        return self._drawn(request, viewer, sheet, live=page.live and sheet.status == 200)

    async def _made(self, make: Make, ask: Ask) -> Sheet:
        """The sheet, or one that says why there is none."""
        try:
            return await make(ask)
        except FairleadError as error:
            return _failure(error)
        except Exception:
            log.exception("page.bug", path=ask.path)
            return Sheet("failure.html", "Something broke", "", _BUG, status=500)

    def _ask(self, request: Request, viewer: Viewer) -> Ask:
        params = {name: str(value) for name, value in request.path_params.items()}
        sight = Sight(viewer, self._facts.desired)
        return Ask(request.url.path, params, dict(request.query_params), sight)

    def _drawn(self, request: Request, viewer: Viewer, sheet: Sheet, *, live: bool) -> Response:
        theme = request.cookies.get(THEME_COOKIE, "system")
        query = f"?{request.url.query}" if request.url.query else ""
        around = {
            "title": sheet.title,
            "section": sheet.section,
            "repository": self._repository,
            "viewer": viewer,
            "theme": theme if theme in THEMES else "system",
            "back": quote(request.url.path + query, safe=""),
            "live": live,
            "refresh": REFRESH_SECONDS,
            "drawn": self._facts.clock.now(),
            "pulls_watched": self._facts.pulls() is not None,
        }
        body = self._drawing.page(sheet.template, {**sheet.facts, **around})
        return Response(body, status_code=sheet.status, media_type="text/html")

    def _drawn_still(self, request: Request, viewer: Viewer, sheet: Sheet) -> Response:
        return self._drawn(request, viewer, sheet, live=False)

    async def _no_such_route(self, request: Request, error: Exception) -> Response:
        """Anything that the routes did not take: a wrong path, or another method than GET."""
        status = error.status_code if isinstance(error, HTTPException) else 500
        viewer = await self._authorize(request)
        if isinstance(viewer, Response):
            return viewer
        sheet = Sheet("failure.html", *_WORDS[status == 405], status=status)
        return self._drawn(request, viewer, sheet, live=False)

    async def live(self, request: Request) -> Response:
        """The changes of one page, whose path and query are in the query here."""
        viewer = await self._authorize(request)
        if isinstance(viewer, Response):
            return Response(status_code=401)
        found = self._page_at(request.query_params.get("page", "/"), viewer)
        if found is None:
            return Response(status_code=404)
        key, make = found

        async def allowed() -> bool:
            return await self._authorize(request) == viewer

        last_id = request.headers.get("last-event-id", "")
        try:
            events = await self._hub.watch(key, make, last_id=last_id, allowed=allowed)
        except Crowded:
            return Response(status_code=503, headers={"Retry-After": "30"})
        return StreamingResponse(events, media_type="text/event-stream")

    def _page_at(self, target: str, viewer: Viewer) -> tuple[ChannelKey, Drawn] | None:
        if own_path(target) != target:
            return None
        parts = urlsplit(target)
        query = dict(Request({"type": "http", "query_string": parts.query.encode()}).query_params)
        for page in self._pages:
            match = compile_path(page.path)[0].match(parts.path)
            if match and page.live:
                ask = Ask(parts.path, match.groupdict(), query, Sight(viewer, None))
                key = (parts.path, *sorted(query.items()), viewer.teams)
                return key, self._again(page.make, ask)
        return None

    def _again(self, make: Make, ask: Ask) -> Drawn:
        """What somebody may see depends on the commit in force, which changes while they look."""

        def made() -> Awaitable[Sheet]:
            return make(replace(ask, sight=replace(ask.sight, desired=self._facts.desired)))

        return made

    async def theme(self, request: Request) -> Response:
        """Remember how somebody likes to see the page, and go back to where they were."""
        theme = request.path_params["theme"]
        answer = RedirectResponse(own_path(request.query_params.get("back", "/")), status_code=303)
        if theme in THEMES:
            answer.set_cookie(
                THEME_COOKIE, theme, max_age=YEAR_SECONDS, httponly=True, samesite="lax"
            )
        return answer

    async def proof(self, request: Request) -> Response:
        async def answer(ask: Ask) -> Response:
            return Response(await self._audit.proof(ask), media_type="text/plain")

        return await self._plain(request, answer)

    async def export(self, request: Request) -> Response:
        async def answer(ask: Ask) -> Response:
            lines = await self._audit.export(ask)
            headers = {"Content-Disposition": 'attachment; filename="fairlead-audit.jsonl"'}
            return StreamingResponse(lines, media_type="application/jsonl", headers=headers)

        return await self._plain(request, answer)

    async def _plain(
        self, request: Request, answer: Callable[[Ask], Awaitable[Response]]
    ) -> Response:
        """What is no page, or a page that says why it is not there."""
        viewer = await self._authorize(request)
        if isinstance(viewer, Response):
            return viewer
        try:
            return await answer(self._ask(request, viewer))
        except FairleadError as error:
            return self._drawn(request, viewer, _failure(error), live=False)


_BUG = {
    "headline": "Something broke while this page was made",
    "message": "The daemon goes on, and what it does is not affected.",
    "hint": "Its log says what happened, under page.bug. Load the page again.",
}
_NOWHERE = {
    "headline": "There is no such page",
    "message": "Nothing is served at this address.",
    "hint": "Search for what you look for, or begin at the overview.",
}
_READ_ONLY = {
    "headline": "This page is read-only",
    "message": "Nothing is changed here. Git is the only input that changes anything.",
    "hint": "To undo a commit: fairlead revert SHA --pull-request",
}
_WORDS = (("Not found", "", _NOWHERE), ("Read-only", "", _READ_ONLY))


def _failure(error: FairleadError) -> Sheet:
    status, headline = 500, "This cannot be shown"
    if isinstance(error, Missing):
        status, headline = 404, "There is no such thing"
    elif isinstance(error, Forbidden):
        status, headline = 403, "This is not for you to see"
    elif isinstance(error, Transient):
        status, headline = 503, "This cannot be read just now"
    facts = {"headline": headline, "message": error.message, "hint": error.hint}
    return Sheet("failure.html", headline, "", facts, status=status)
