"""Where its settings name a forge, the daemon answers pull requests, at once by a webhook."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import http.client
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import orjson

from reconciler.adapters.forge_memory import MemoryForge
from reconciler.adapters.proposals_memory import MemoryProposals
from reconciler.core.change_requests import CheckState
from reconciler.core.reviewed import pull_ref
from reconciler.forge_ports import ReviewStore
from reconciler.ports import Clock, Publisher
from reconciler.settings import Settings
from reconciler.surfaces.webhook import LARGEST_BODY
from reconciler.wiring.ports import PortFactories
from reconciler.wiring.reviewing import ReviewPorts
from tests.engine.world import config_map
from tests.surfaces.daemons import DaemonWorld

SECRET = b"0123456789abcdef0123456789abcdef"


class AnsweringWorld(DaemonWorld):
    """A daemon with a forge in memory."""

    def with_forge(self) -> MemoryForge:
        self.forge = MemoryForge()
        self.proposals = MemoryProposals(self.world.repository)
        (self.directory / "secret").write_bytes(SECRET)
        (self.directory / "token").write_text("ghp_token\n")
        self.options = {
            "webhook": {"secretFile": str(self.directory / "secret")},
            "forge": {
                "poll": "1h",
                "github": {
                    "repository": "example/ml-platform",
                    "tokenFile": str(self.directory / "token"),
                },
            },
        }
        return self.forge

    @property
    def factories(self) -> PortFactories:
        return replace(super().factories, reviews=self._reviews)

    @asynccontextmanager
    async def _reviews(
        self, settings: Settings, _: Clock, store: ReviewStore, publisher: Publisher | None
    ) -> AsyncIterator[ReviewPorts | None]:
        assert settings.forge is not None
        yield ReviewPorts(self.forge, self.proposals, store, publisher=publisher)


def deliver(port: int, event: str, body: bytes, *, secret: bytes = SECRET) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        signature = hmac.new(secret, body, hashlib.sha256).hexdigest()
        headers = {"X-GitHub-Event": event, "X-Hub-Signature-256": f"sha256={signature}"}
        connection.request("POST", "/hooks/git", body=body, headers=headers)
        return connection.getresponse().status
    finally:
        connection.close()


async def test_a_webhook_makes_a_new_pull_request_answered_long_before_the_next_poll(
    tmp_path: Path,
) -> None:
    daemon = AnsweringWorld(tmp_path)
    forge = daemon.with_forge()
    base = daemon.world.start_repository({"apps/a/one.yaml": config_map("one")})
    async with daemon.running() as running:
        await running.until_declared()
        head = daemon.world.repository.commit_on(
            base, {"apps/a/two.yaml": config_map("two")}, message="x", author="a", email="a@b.c"
        )
        number = forge.open(head, base=base)
        daemon.proposals.heads[pull_ref(number)] = head
        body = orjson.dumps({"action": "opened", "pull_request": {"number": number}})
        assert await asyncio.to_thread(deliver, running.port, "pull_request", body) == 202
        async with asyncio.timeout(20):
            while (found := forge.check(head, "fairlead")) is None or (
                found.state is CheckState.RUNNING
            ):
                await asyncio.sleep(0.01)
        assert found.state is CheckState.SUCCESS
        assert "1 to create" in forge.ours(number)[0].body
        shown = daemon.metrics.exposition().decode()
        assert 'fairlead_review_seconds_count{result="planned"} 1.0' in shown


async def test_s5_a_delivery_that_is_not_signed_makes_nobody_look(tmp_path: Path) -> None:
    daemon = AnsweringWorld(tmp_path)
    daemon.with_forge()
    daemon.world.start_repository({"apps/a/one.yaml": config_map("one")})
    async with daemon.running() as running:
        await running.until_declared()
        before = daemon.proposals.fetches
        body = orjson.dumps({"pull_request": {"number": 1}})
        wrong = b"another-secret-of-32-characters!"

        def all_wrong() -> list[int]:
            return [
                deliver(running.port, "pull_request", body, secret=wrong),
                deliver(running.port, "pull_request", b"x" * (LARGEST_BODY + 1)),
            ]

        assert await asyncio.to_thread(all_wrong) == [401, 413]
        assert daemon.proposals.fetches == before
