"""A role for an hour in a real API server, by a daemon with the rights that deploy/ gives it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest

from reconciler.adapters.approvals_memory import MemoryApprovals
from reconciler.core.approvals.statements import Approval
from reconciler.core.identifiers import CommitSha
from tests.access.real import Case, answers
from tests.engine.test_approvals import ADA, GRACE
from tests.engine.test_break_glass import glass
from tests.engine.test_real_access import AsDaemon, daemon

RULES = """\
  signatures: {required: true}
  approvals: {widerAccess: {count: 1, by: [owner]}, people: {owner: [grace]}}
"""


@dataclass(frozen=True)
class AsAda(Case):
    """Asked for a person, and not for a group."""

    @property
    def body(self) -> Any:
        asked = super().body
        asked["spec"] |= {"user": "oidc:ada@example.com", "groups": []}
        return asked


@pytest.fixture
async def world(control_plane: Any) -> AsyncIterator[AsDaemon]:
    async with daemon(control_plane) as made:
        yield made


async def ada_may_infer(world: AsDaemon) -> bool:
    case = AsAda("", "create", "fairlead.dev", "modelversions/infer", world.team, "fraud@v1")
    return (await answers(world.real.connection, [case]))[case]


async def until_ada_may(world: AsDaemon, *, infer: bool) -> None:
    async with asyncio.timeout(20):
        while await ada_may_infer(world) is not infer:
            await asyncio.sleep(0.02)


async def test_who_breaks_the_glass_may_what_the_role_may_until_it_is_taken_back(
    world: AsDaemon,
) -> None:
    approvals, files = MemoryApprovals(), world.files(listed="owner")
    rules = files["fairlead.yaml"]
    assert rules is not None
    del files["agents.yaml"]
    first = world.start_repository(files | {"fairlead.yaml": rules + RULES.encode()})
    async with world.running(approvals=approvals) as engine:
        await world.until_applied(engine, first)
        assert not await ada_may_infer(world)
        broken = push(world, {"emergencies/incident.yaml": glass(world)})
        tree = world.repository.line(broken)[0].tree
        until = world.clock.now() + timedelta(hours=1)
        approvals.give(Approval(GRACE, tree, first, world.team, "key", until))
        engine.branch.hint()
        await until_ada_may(world, infer=True)
        push(world, {"emergencies/incident.yaml": None})
        engine.branch.hint()
        await until_ada_may(world, infer=False)


def push(world: AsDaemon, files: dict[str, bytes | None]) -> CommitSha:
    return world.repository.push(files, signer=ADA[0], person=ADA)
