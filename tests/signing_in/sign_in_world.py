"""A page with a sign-in, and browsers that look at it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from http.cookies import SimpleCookie
from urllib.parse import parse_qs, urlsplit

from starlette.applications import Starlette

from reconciler.core.audit.records import AuditRecord, Verb
from reconciler.core.viewers import Identity, ViewingRule
from reconciler.engine.driving import Engine
from reconciler.engine.performing import Context
from reconciler.sign_in_ports import IdentityProvider, SignedIn, SignInAttempt
from reconciler.surfaces.engine_status import EngineStatus
from reconciler.surfaces.page.application import Page
from reconciler.surfaces.page.facts import Sources
from reconciler.surfaces.page.sessions import Sessions
from reconciler.surfaces.page.signing_in import Entrance, SignIn
from reconciler.wiring.page import recording
from tests.engine.world import REPOSITORY
from tests.page.page_world import PageWorld
from tests.surfaces.asgi import Answer, ask

ALICE = Identity(
    "https://issuer", "a1", "Alice", "alice@example.com", groups=frozenset({"platform"})
)
RULES = (ViewingRule(("*",), group="platform"), ViewingRule(("risk",), email="*@risk.example.com"))


@dataclass(slots=True)
class PlayedProvider:
    """Vouches for whoever `person` is; a code is good once, as at a real provider."""

    person: Identity = ALICE
    trouble: Exception | None = None
    codes: set[str] = field(default_factory=lambda: {"code-1", "code-2", "code-3"})
    logout: str = "https://issuer.example.com/logout"

    async def begin(self, redirect_uri: str) -> SignInAttempt:
        if self.trouble:
            raise self.trouble
        made = SignInAttempt(f"state-{len(self.codes)}", "nonce", "verifier", redirect_uri)
        return made.at(f"https://issuer.example.com/auth?state={made.state}")

    async def finish(self, attempt: SignInAttempt, code: str, *, issuer: str = "") -> SignedIn:
        if self.trouble:
            raise self.trouble
        self.codes.remove(code)
        return SignedIn(self.person, "proof-of-tests")

    async def sign_out_url(self, id_token: str, return_to: str) -> str:
        return self.logout

    async def close(self) -> None: ...


class SignInWorld(PageWorld):
    """A PageWorld whose page asks `provider` who looks."""

    def __init__(self, *clusters: str) -> None:
        super().__init__(*clusters)
        self.provider: IdentityProvider = PlayedProvider()
        self.viewing: Sequence[ViewingRule] = RULES
        self.public_url = "https://fairlead.example.com"
        self.record_views = False

    def page_of(self, engine: Engine) -> Page:
        status = EngineStatus(engine, repository=REPOSITORY, clock=self.clock)
        sources = Sources(
            engine, status, self.store, self.repository, self.clock, self.chronicler, self.watched
        )
        entrance = Entrance(
            provider=self.provider,
            rules=self.viewing,
            sessions=Sessions(self.clock, seconds=8 * 3600),
            public_url=self.public_url,
            record=recording(engine.books, Context(REPOSITORY, "fairlead@test"), self.clock),
            record_views=self.record_views,
        )
        sign_in = SignIn(entrance, self.clock.monotonic)
        return Page(sources, repository=REPOSITORY, sign_in=sign_in)

    def browser(self) -> Browser:
        assert self.page is not None, "make an engine first"
        return Browser(self.page.application())

    async def records(self, *verbs: Verb) -> list[AuditRecord]:
        logged = await self.store.records(0, 10_000)
        return [item.record for item in logged if item.record.verb in verbs]


@dataclass(slots=True)
class Browser:
    """Keeps cookies, follows no redirect by itself."""

    application: Starlette
    cookies: dict[str, str] = field(default_factory=dict)
    flags: dict[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)

    async def get(self, path: str) -> Answer:
        return await self._send("GET", path, b"")

    async def post(self, path: str, body: str = "") -> Answer:
        return await self._send("POST", path, body.encode())

    async def begin(self, back: str = "/") -> str:
        """Go to the provider; returns the state that it was sent."""
        answer = await self.get(f"/sign-in/begin?back={back}")
        assert answer.status == 303, answer.body
        (state,) = parse_qs(urlsplit(answer.headers["location"]).query)["state"]
        return state

    async def sign_in(self, code: str = "code-1", back: str = "/") -> Answer:
        state = await self.begin(back)
        return await self.get(f"/sign-in/callback?code={code}&state={state}")

    async def _send(self, method: str, path: str, body: bytes) -> Answer:
        cookies = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        headers = [*self.headers.items(), *([("Cookie", cookies)] if cookies else [])]
        answer = await ask(self.application, method, path, body=body, headers=headers)
        for text in answer.set_cookies:
            for name, morsel in SimpleCookie(text).items():
                self.flags[name] = text
                if morsel["max-age"] == "0":
                    self.cookies.pop(name, None)
                else:
                    self.cookies[name] = morsel.value
        return answer
