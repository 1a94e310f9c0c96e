"""Roles and agents on their way to a cluster: what ends, ends, and nothing holds it up."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from reconciler.core.audit.records import Verb
from reconciler.core.identifiers import ObjectKey
from reconciler.engine.driving import REFUSED_RETRY_SECONDS
from tests.engine.world import World, policy

pytestmark = pytest.mark.looptime

RBAC = "rbac.authorization.k8s.io"
DIGEST = "sha256:" + "ab" * 32
MODEL = f"""\
apiVersion: fairlead.dev/v1alpha1
kind: Model
metadata: {{name: fraud, labels: {{team: risk}}}}
spec:
  owner: team-a
  versions:
  - name: v1
    artifact: oci://r.example.com/fraud@{DIGEST}
    access: {{inference: [agent/bot, owner]}}
  serving:
    runtime: deployment
    container: {{image: r.example.com/serve@{DIGEST}, port: 8000}}
---
apiVersion: fairlead.dev/v1alpha1
kind: Rollout
metadata: {{name: fraud}}
spec: {{model: fraud, version: v1, namespace: team-a, waves: [{{clusters: {{env: one}}}}]}}
---
apiVersion: fairlead.dev/v1alpha1
kind: Role
metadata: {{name: owner}}
spec: {{groups: [owners], allow: [{{models: {{labels: {{team: risk}}}}, actions: [infer]}}]}}
""".encode()
UNLISTED = MODEL.replace(b"agent/bot, owner", b"owner")
DAY_AFTER = datetime(2027, 1, 2, tzinfo=UTC)
HOME = ObjectKey("", "Namespace", "", "agent-bot")
BINDING = ObjectKey(RBAC, "RoleBinding", "team-a", "fairlead:agent:bot")
PEOPLE = ObjectKey(RBAC, "RoleBinding", "team-a", "fairlead:role:owner")


SCOPE = b"""\
apiVersion: fairlead.dev/v1alpha1
kind: AgentScope
metadata: {name: bot}
spec:
  purpose: evaluation
  models: [{model: fraud, versions: [v1], actions: [infer]}]
  token: {audience: models}
  expires: 2027-01-01
"""


def files(**rules: int) -> dict[str, bytes]:
    allowed = policy(**rules).replace(b"[team-*]", b"[team-*, agent-*]")
    return {"fairlead.yaml": allowed, "models.yaml": MODEL, "agents.yaml": SCOPE}


async def test_a_scope_ends_with_its_last_day_without_a_commit() -> None:
    world = World()
    first = world.start_repository(files())
    world.clock.now()
    await asyncio.sleep(timedelta(hours=23, minutes=50).total_seconds())
    async with world.running() as engine:
        await world.until_applied(engine, first)
        assert BINDING in world.objects()
        await world.until(lambda: BINDING not in world.objects(), seconds=3600)
        after = timedelta(seconds=REFUSED_RETRY_SECONDS + 60)
        assert DAY_AFTER <= world.clock.now() <= DAY_AFTER + after
        assert {HOME, PEOPLE} <= set(world.objects())
        deleted = [r for r in await world.records() if r.object == BINDING]
        assert {record.commit for record in deleted} == {first}


async def test_a_scope_that_is_over_gives_nothing_when_it_is_first_seen() -> None:
    world = World()
    first = world.start_repository(
        files() | {"agents.yaml": SCOPE.replace(b"2027-01-01", b"2026-12-31")}
    )
    async with world.running() as engine:
        await world.until_applied(engine, first)
        assert BINDING not in world.objects()
        assert HOME in world.objects()
        assert any("ended with 2026-12-31" in note for note in engine.reconciler.plan.notices)


async def test_a_removed_scope_goes_with_its_home_within_the_budget() -> None:
    world = World()
    first = world.start_repository(files(percent=100, objects=5))
    async with world.running() as engine:
        await world.until_applied(engine, first)
        second = world.push({"agents.yaml": None, "models.yaml": UNLISTED})
        await world.until_applied(engine, second)
        assert not [key for key in world.objects() if "bot" in f"{key}"]
        assert PEOPLE in world.objects()


async def test_what_is_taken_away_goes_before_what_is_given() -> None:
    world = World()
    first = world.start_repository(files())
    async with world.running() as engine:
        await world.until_applied(engine, first)
        before = len(world.writes())
        wider = UNLISTED.replace(b"actions: [infer]", b"actions: [infer, promote]")
        second = world.push({"models.yaml": wider})
        await world.until_applied(engine, second)
        rbac = ("Role/", "RoleBinding/")
        written = [text for _, text in world.writes()[before:] if text.startswith(rbac)]
        taken = [n for n, text in enumerate(written) if "fairlead:agent:bot" in text]
        given = [n for n, text in enumerate(written) if "fairlead:role:owner" in text]
        assert taken
        assert given
        assert max(taken) < min(given)


async def test_the_record_of_a_commit_says_who_gains_and_who_loses() -> None:
    world = World()
    first = world.start_repository(files())
    async with world.running() as engine:
        await world.until_applied(engine, first)
        narrower = world.push({"models.yaml": UNLISTED})
        await world.until_applied(engine, narrower)
        records = [r for r in await world.records() if r.verb is Verb.ACCEPT]
    said = {record.commit: record.detail.get("access") for record in records}
    loses = {"gains": False, "who": "agent bot", "what": "infer on fraud@v1", "clusters": []}
    assert said[narrower] == {"changes": [loses], "more": 0}
    assert said[first], "all that the first commit declares is gained"
