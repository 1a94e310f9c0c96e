"""The page, wired: who may look, and what lies behind it.

Separate from the daemon's wiring, which starts and ends it. The invariant: beyond the loopback
there is no page without a sign-in; and where people sign in, no status without a session or the
token in the daemon's directory.
"""

from __future__ import annotations

import ipaddress
import os
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

from reconciler.adapters.state_sql import open_state_for_reading
from reconciler.core.audit.records import Reason, Verb
from reconciler.core.identifiers import CommitSha
from reconciler.core.manifests import JsonObject
from reconciler.core.viewers import ViewingRule
from reconciler.engine.books import Books
from reconciler.engine.performing import Context
from reconciler.ports import AuditLog, Clock
from reconciler.settings import Settings
from reconciler.settings_forge import ForgeSettings
from reconciler.settings_page import SignInSettings
from reconciler.sign_in_ports import IdentityProvider
from reconciler.surfaces.page.chronicling import OpenLog
from reconciler.surfaces.page.sessions import Sessions
from reconciler.surfaces.page.signing_in import Entrance, Record, SignIn


@asynccontextmanager
async def identity_provider_of(
    settings: Settings, clock: Clock
) -> AsyncIterator[IdentityProvider | None]:
    """None where nobody signs in."""
    given = settings.page.sign_in
    if given is None:
        yield None
        return
    # Its libraries stay outside of a daemon whose page asks nobody who they are.
    from reconciler.adapters.openid import OpenIdProvider  # noqa: PLC0415

    provider = OpenIdProvider(
        given.issuer,
        given.client_id,
        clock,
        secret_file=given.client_secret_file,
        scopes=given.scopes,
        groups_claim=given.groups_claim,
        ca_file=given.ca_file,
    )
    try:
        yield provider
    finally:
        await provider.close()


def documents_at(forge: ForgeSettings | None) -> str:
    """The address under which the forge shows files of commits; empty where there is none."""
    if forge is None:
        return ""
    github = forge.github
    host = github.url.removesuffix("/").removesuffix("/api/v3").replace("//api.", "//", 1)
    return f"{host}/{github.repository}/blob"


def decisions_of(settings: Settings) -> tuple[OpenLog, ...]:
    """The logs of authorizers, each opened when it is first read."""
    return tuple(partial(_log_at, place) for place in settings.page.decisions)


@asynccontextmanager
async def _log_at(place: Path) -> AsyncIterator[AuditLog]:
    found = await open_state_for_reading(str(place))
    try:
        yield found
    finally:
        await found.close()


def sign_in_of(
    settings: Settings, provider: IdentityProvider, *, record: Record, clock: Clock
) -> SignIn:
    given, page = settings.page.sign_in, settings.page
    assert given is not None, "there is a provider"
    assert page.public_url is not None, "checked by PageSettings"
    entrance = Entrance(
        provider=provider,
        rules=_rules(given),
        sessions=Sessions(clock, seconds=given.session.total_seconds()),
        public_url=page.public_url,
        record=record,
        record_views=page.audit == "views",
    )
    return SignIn(entrance, clock.monotonic)


def recording(books: Books, context: Context, clock: Clock) -> Record:
    """Writes what people do on the page into the audit log, in their names."""

    async def record(verb: Verb, person: str, *, result: str, detail: JsonObject) -> None:
        commit = books.position.accepted or CommitSha("")
        made = context.decision(
            clock.now(), commit, verb, reason=Reason.OPERATION, result=result, detail=detail
        )
        await books.write([replace(made, actor=person)])

    return record


def serves_page(settings: Settings) -> bool:
    """Whether whoever can connect may be shown the page, or is asked who they are."""
    return settings.page.sign_in is not None or _is_loopback(settings.listen.host)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _rules(given: SignInSettings) -> tuple[ViewingRule, ...]:
    return tuple(
        ViewingRule(teams=rule.teams, group=rule.group or "", email=rule.email or "")
        for rule in given.viewers
    )


def made_status_token(settings: Settings) -> str:
    """A new token by which commands of the daemon's own user may ask for the status."""
    token = secrets.token_urlsafe(32)
    place = _token_file(settings)
    place.parent.mkdir(parents=True, exist_ok=True)
    fresh = place.with_suffix(".new")
    fresh.unlink(missing_ok=True)
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(token)
    fresh.replace(place)
    return token


def known_status_token(settings: Settings) -> str:
    """The token of the daemon that runs, or ran last; empty where this user may not read it."""
    try:
        return _token_file(settings).read_text(encoding="ascii").strip()
    except OSError:
        return ""


def _token_file(settings: Settings) -> Path:
    return settings.directory / "status.token"
