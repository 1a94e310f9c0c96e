"""Sign-in and sign-out: the pages that a person passes on the way in and out.

Separate from the pages with content, which only ask who looks. The invariants: nobody looks before
the provider vouched for them and a rule of the settings names them; whoever begins an attempt in
one browser can end it in no other; no address to go back to leads out of the page; and a failure
says what to do, and nothing of tokens.
"""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol
from urllib.parse import parse_qsl, quote

import structlog
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from reconciler.core.audit.records import Verb
from reconciler.core.errors import FairleadError, Misconfigured, Transient, Untrusted
from reconciler.core.manifests import JsonObject
from reconciler.core.problems import printable
from reconciler.core.viewers import Viewer, ViewingRule, viewer_of
from reconciler.sign_in_ports import IdentityProvider
from reconciler.surfaces.page.paths import own_path
from reconciler.surfaces.page.sessions import ATTEMPT_SECONDS, Session, Sessions
from reconciler.surfaces.page.sheets import Sheet

log = structlog.get_logger()

SIGN_IN, BEGIN, CALLBACK = "/sign-in", "/sign-in/begin", "/sign-in/callback"
SIGN_OUT, SIGNED_OUT = "/sign-out", "/signed-out"
REPEAT_SECONDS = 60.0
"""How long the same person may look at the same page before it is recorded as another view."""

LARGEST_FORM = 4096

Draw = Callable[[Request, Viewer, Sheet], Response]


class Record(Protocol):
    """Puts what a person did into the audit log. Raises when it cannot be made durable."""

    def __call__(
        self, verb: Verb, person: str, *, result: str, detail: JsonObject
    ) -> Awaitable[None]: ...


@dataclass(frozen=True, slots=True)
class Entrance:
    """What the sign-in rests on. `public_url` has no path."""

    provider: IdentityProvider
    rules: Sequence[ViewingRule]
    sessions: Sessions
    public_url: str
    record: Record
    record_views: bool = False


class SignIn:
    """Answers the routes of the way in and out, and says of every request who makes it."""

    def __init__(self, entrance: Entrance, monotonic: Callable[[], float]) -> None:
        self._entrance = entrance
        self._sessions = entrance.sessions
        self._monotonic = monotonic
        self._secure = entrance.public_url.startswith("https://")
        prefix = "__Host-" if self._secure else ""
        self._cookie, self._attempt_cookie = f"{prefix}fairlead", f"{prefix}fairlead-attempt"
        self._viewed: dict[tuple[str, str], float] = {}
        self._draw: Draw | None = None

    def drawn_by(self, draw: Draw) -> None:
        """Say how a sheet becomes a page; the pages need the sign-in first."""
        self._draw = draw

    def routes(self) -> list[BaseRoute]:
        return [
            Route(SIGN_IN, self.invite, methods=["GET"]),
            Route(BEGIN, self.begin, methods=["GET"]),
            Route(CALLBACK, self.come_back, methods=["GET"]),
            Route(SIGN_OUT, self.ask_to_leave, methods=["GET"]),
            Route(SIGN_OUT, self.leave, methods=["POST"]),
            Route(SIGNED_OUT, self.left, methods=["GET"]),
        ]

    async def authorize(self, request: Request) -> Viewer | Response:
        """Who asks, or the way to the sign-in."""
        session = self._session(request)
        if session is None:
            back = request.url.path + (f"?{request.url.query}" if request.url.query else "")
            return RedirectResponse(f"{SIGN_IN}?back={quote(back, safe='')}", status_code=303)
        if self._entrance.record_views and request.url.path != "/live":
            try:
                await self._record_view(session, request.url.path)
            except Transient as error:
                log.warning("page.view_not_recorded", reason=error.message)
                return self._failure(
                    request, "This view cannot be recorded now", _NOT_RECORDED, 503
                )
        return session.viewer

    async def _record_view(self, session: Session, path: str) -> None:
        now, key = self._monotonic(), (session.seal, path)
        if now - self._viewed.get(key, -REPEAT_SECONDS) < REPEAT_SECONDS:
            return
        await self._entrance.record(
            Verb.VIEW,
            session.person.words,
            result="ok",
            detail={"path": printable(path, limit=500)},
        )
        self._viewed = {k: at for k, at in self._viewed.items() if now - at < REPEAT_SECONDS}
        self._viewed[key] = now

    async def invite(self, request: Request) -> Response:
        back = own_path(request.query_params.get("back", "/"))
        if self._session(request) is not None:
            return RedirectResponse(back, status_code=303)
        facts = {"begin": f"{BEGIN}?back={quote(back, safe='')}"}
        return self._page(request, Sheet("sign_in.html", "Sign in", "", facts))

    async def begin(self, request: Request) -> Response:
        back = own_path(request.query_params.get("back", "/"))
        try:
            attempt = await self._entrance.provider.begin(f"{self._entrance.public_url}{CALLBACK}")
        except FairleadError as error:
            return self._refused(request, error)
        answer = RedirectResponse(attempt.url, status_code=303)
        # Lax, because the provider sends the browser back by a link from another site.
        self._set(
            answer, self._attempt_cookie, self._sessions.remember(attempt, back), ATTEMPT_SECONDS
        )
        return answer

    async def come_back(self, request: Request) -> Response:
        query = request.query_params
        waiting = self._sessions.recall(request.cookies.get(self._attempt_cookie, ""))
        state = query.get("state", "")
        if waiting is None or not hmac.compare_digest(
            state.encode(), waiting.attempt.state.encode()
        ):
            return self._failure(request, "This sign-in has gone stale", _STALE, 400)
        if "error" in query or not query.get("code"):
            told = printable(query.get("error", "no code"), limit=100)
            error = Untrusted(
                f"the provider answered: {told}", hint="try again, or ask who runs it"
            )
            return self._refused(request, error)
        try:
            signed_in = await self._entrance.provider.finish(
                waiting.attempt, query["code"], issuer=query.get("iss", "")
            )
            viewer = viewer_of(signed_in.person, self._entrance.rules)
            words = signed_in.person.words
            result = "ok" if viewer else "no-rule"
            await self._entrance.record(Verb.SIGN_IN, words, result=result, detail={})
        except FairleadError as error:
            return self._refused(request, error)
        if viewer is None:
            return self._failure(
                request, "You are signed in, but may see nothing here", _NO_RULE, 403
            )
        answer = RedirectResponse(waiting.back, status_code=303)
        self._sessions.close(request.cookies.get(self._cookie, ""))
        self._set(
            answer, self._cookie, self._sessions.open(viewer, signed_in.person, signed_in.proof)
        )
        self._clear(answer, self._attempt_cookie)
        return answer

    async def ask_to_leave(self, request: Request) -> Response:
        session = self._session(request)
        if session is None:
            return RedirectResponse(SIGNED_OUT, status_code=303)
        facts = {"seal": session.seal, "action": SIGN_OUT}
        return self._page(request, Sheet("sign_out.html", "Sign out", "", facts))

    async def leave(self, request: Request) -> Response:
        """By a form of ours only: a link elsewhere must not sign anybody out."""
        session = self._session(request)
        if session is None:
            return RedirectResponse(SIGNED_OUT, status_code=303)
        given = (await _small_form(request)).get("seal", "")
        if not hmac.compare_digest(given.encode(), session.seal.encode()):
            return self._failure(request, "This form has gone stale", _STALE_FORM, 400)
        self._sessions.close(request.cookies.get(self._cookie, ""))
        try:
            await self._entrance.record(Verb.SIGN_OUT, session.person.words, result="ok", detail={})
            at_provider = await self._entrance.provider.sign_out_url(
                session.proof, f"{self._entrance.public_url}{SIGNED_OUT}"
            )
        except FairleadError as error:
            # Whoever leaves has left, whatever else is wrong.
            log.warning("page.sign_out_incomplete", reason=error.message)
            at_provider = ""
        facts = {"at_provider": at_provider, "sign_in": SIGN_IN}
        answer = self._page(request, Sheet("signed_out.html", "Signed out", "", facts), nobody=True)
        self._clear(answer, self._cookie)
        return answer

    async def left(self, request: Request) -> Response:
        facts = {"at_provider": "", "sign_in": SIGN_IN}
        return self._page(request, Sheet("signed_out.html", "Signed out", "", facts))

    def _session(self, request: Request) -> Session | None:
        return self._sessions.find(request.cookies.get(self._cookie, ""))

    def _set(self, answer: Response, name: str, value: str, seconds: float | None = None) -> None:
        answer.set_cookie(
            name,
            value,
            max_age=round(seconds) if seconds else None,
            path="/",
            secure=self._secure,
            httponly=True,
            samesite="lax",
        )

    def _clear(self, answer: Response, name: str) -> None:
        answer.delete_cookie(name, path="/", secure=self._secure, httponly=True, samesite="lax")

    def _refused(self, request: Request, error: FairleadError) -> Response:
        log.warning("page.sign_in_failed", code=error.code, reason=error.message)
        if isinstance(error, Misconfigured):
            return self._failure(request, "The sign-in is not set up right", _SET_UP, 500)
        if isinstance(error, Transient):
            return self._failure(request, "The sign-in cannot be reached", _AWAY, 503)
        return self._failure(request, "The sign-in was refused", _REFUSED, 403)

    def _failure(
        self, request: Request, headline: str, words: tuple[str, str], status: int
    ) -> Response:
        message, hint = words
        facts = {"headline": headline, "message": message, "hint": hint, "sign_in": SIGN_IN}
        sheet = Sheet("sign_in_failure.html", headline, "", facts, status=status)
        return self._page(request, sheet, nobody=True)

    def _page(self, request: Request, sheet: Sheet, *, nobody: bool = False) -> Response:
        assert self._draw is not None, "the page says how before it serves"
        session = None if nobody else self._session(request)
        return self._draw(request, session.viewer if session else STRANGER, sheet)


STRANGER = Viewer("", frozenset())
"""Somebody of whom nothing is known, on the pages of the way in."""

_STALE = (
    "It was begun in another browser or too long ago, or was used already.",
    "Begin again; if that does not help, allow cookies for this page.",
)
_STALE_FORM = ("It belongs to another session.", "Go back to the page, and sign out from there.")
_NO_RULE = (
    "Your account is genuine, and no rule of this page names it or a group of yours.",
    "Ask for a place in a group that page.signIn.viewers of the daemon's settings names.",
)
_AWAY = ("The identity provider does not answer.", "Try again in a minute.")
_REFUSED = (
    "What the identity provider sent did not pass the checks of this page.",
    "Begin again. The log of the daemon says which check it was, under page.sign_in_failed.",
)
_SET_UP = (
    "The settings of this page and those of the identity provider do not fit together.",
    "Whoever runs the daemon finds the reason in its log, under page.sign_in_failed.",
)
_NOT_RECORDED = (
    "This page records who looks at what, and the record cannot be written now.",
    "Try again in a minute; the log of the daemon says why.",
)


async def _small_form(request: Request) -> dict[str, str]:
    body = b""
    async for piece in request.stream():
        body += piece
        if len(body) > LARGEST_FORM:
            return {}
    return dict(parse_qsl(body.decode("utf-8", "replace")))
