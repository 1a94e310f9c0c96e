"""Live: what changes on a page is sent to everybody who looks at it, as server-sent events.

Separate from the pages, which know nothing of who looks. The invariants: a page is drawn once for
each change, however many look at it; nothing is queued, since whoever is slow gets the newest state
of what changed since they last read; and a stream ends with the right to see it.

https://html.spec.whatwg.org/multipage/server-sent-events.html
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

import orjson
import structlog

from reconciler.core.errors import FairleadError
from reconciler.ports import Clock
from reconciler.surfaces.page.drawing import Drawing, Region
from reconciler.surfaces.page.sheets import Sheet

log = structlog.get_logger()

LOOK_SECONDS = 0.4
"""How often is looked for changes: half of the lag that people may notice."""
HEARTBEAT_SECONDS = 15.0
"""Proxies end connections on which nothing comes."""
RETRY_MILLISECONDS = 2000
MOST_VIEWERS = 2000
MOST_CHANNELS = 400
"""Different pages that are kept live at once, each drawn anew with every change."""

ChannelKey: TypeAlias = tuple[object, ...]
Allowed: TypeAlias = Callable[[], Awaitable[bool]]
Drawn: TypeAlias = Callable[[], Awaitable[Sheet]]
"""Makes a page of what is so at that moment."""


class Crowded(Exception):
    """As many look already as may."""


@dataclass(slots=True)
class _Known:
    """A region, and the revision in which it became what it is."""

    region: Region
    since: int


@dataclass(slots=True)
class Channel:
    """One page, for everybody who sees the same of it."""

    make: Drawn
    epoch: str = field(default_factory=lambda: secrets.token_hex(4))
    revision: int = 0
    viewers: int = 0
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    _known: dict[str, _Known] = field(default_factory=dict)
    _events: dict[int, bytes] = field(default_factory=dict)

    def update(self, regions: Mapping[str, Region]) -> None:
        """Take in the page as it is now, and wake who waits if anything in it differs."""
        news = {
            name: region
            for name, region in regions.items()
            if name not in self._known or self._known[name].region.digest != region.digest
        }
        if not news:
            return
        self.revision += 1
        for name, region in news.items():
            self._known[name] = _Known(region, self.revision)
        self._events.clear()
        waking, self.changed = self.changed, asyncio.Event()
        waking.set()

    def since(self, event_id: str) -> int:
        """The revision that a viewer has read, by the id of its last event."""
        epoch, _, number = event_id.partition("-")
        if epoch != self.epoch or not number.isdecimal():
            return 0
        return min(int(number), self.revision)

    def event(self, since: int) -> bytes:
        """All that became otherwise after a revision; encoded once for all who read that far."""
        if since not in self._events:
            body = {
                name: {"digest": known.region.digest, "html": known.region.html}
                for name, known in self._known.items()
                if known.since > since
            }
            head = f"id: {self.epoch}-{self.revision}\nevent: page\ndata: ".encode()
            self._events[since] = head + orjson.dumps(body) + b"\n\n"
        return self._events[since]


class Hub:
    """Keeps the pages that somebody looks at up to date."""

    def __init__(self, drawing: Drawing, clock: Clock, revision: Callable[[], object]) -> None:
        self._drawing = drawing
        self._clock = clock
        self._revision = revision
        self._channels: dict[ChannelKey, Channel] = {}
        self._viewers = 0
        self._closed = False

    async def run(self) -> None:
        """Look for changes for as long as the page is served; then end every stream."""
        before: object = None
        try:
            while True:
                await self._clock.sleep(LOOK_SECONDS)
                self._forget_unwatched()
                if not self._channels:
                    before = None
                    continue
                before = await self._look(before)
        finally:
            self._closed = True
            for channel in self._channels.values():
                channel.changed.set()

    async def _look(self, before: object) -> object:
        """Draw everything anew if something changed. A bug here must not end the daemon."""
        try:
            now = self._revision()
            if now != before:
                for channel in list(self._channels.values()):
                    await self._draw(channel)
        except Exception:
            log.exception("page.bug")
            return None
        return now

    def _forget_unwatched(self) -> None:
        for key in [key for key, channel in self._channels.items() if not channel.viewers]:
            del self._channels[key]

    async def watch(
        self, key: ChannelKey, make: Drawn, *, last_id: str, allowed: Allowed
    ) -> AsyncIterator[bytes]:
        """The events of one viewer. Raises Crowded before the first of them."""
        channel = await self._enter(key, make)
        return self._events(key, channel, last_id, allowed)

    async def _enter(self, key: ChannelKey, make: Drawn) -> Channel:
        channel = self._channels.get(key)
        full = channel is None and len(self._channels) >= MOST_CHANNELS
        if full or self._viewers >= MOST_VIEWERS or self._closed:
            raise Crowded
        if channel is None:
            channel = self._channels[key] = Channel(make)
            await self._draw(channel)
        return channel

    async def _events(
        self, key: ChannelKey, entered: Channel, last_id: str, allowed: Allowed
    ) -> AsyncIterator[bytes]:
        is_forgotten = key not in self._channels
        channel = self._channels.setdefault(key, entered)
        channel.viewers += 1
        self._viewers += 1
        try:
            if is_forgotten:
                # While it was drawn nobody looked at it yet, so it may have missed a change since.
                await self._draw(channel)
            since = channel.since(last_id)
            yield f"retry: {RETRY_MILLISECONDS}\n\n".encode()
            while not self._closed and await allowed():
                changed = channel.changed
                if channel.revision > since:
                    event, since = channel.event(since), channel.revision
                    yield event
                    continue
                try:
                    async with asyncio.timeout(HEARTBEAT_SECONDS):
                        await changed.wait()
                except TimeoutError:
                    yield b": still here\n\n"
        finally:
            channel.viewers -= 1
            self._viewers -= 1

    async def _draw(self, channel: Channel) -> None:
        try:
            sheet = await channel.make()
        except FairleadError as error:
            # The page stays as it was, and says when it was drawn.
            log.warning("page.not_drawn", reason=error.message)
            return
        channel.update(self._drawing.regions(sheet.template, sheet.facts))
