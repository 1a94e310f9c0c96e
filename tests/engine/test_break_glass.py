"""A role for an hour: two people give it, everybody is told, and it ends by itself."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta

import pytest
from structlog.testing import capture_logs

from reconciler.core.audit.records import Verb
from reconciler.core.identifiers import CommitSha, ObjectKey
from reconciler.core.kinds.break_glass import MOMENT
from reconciler.core.manifests import JsonValue
from reconciler.engine.driving import Engine
from tests.engine.test_approvals import OWNED, PEOPLE, WIDER, Pushing
from tests.engine.world import World, policy

pytestmark = pytest.mark.looptime

GIVEN = ObjectKey(PEOPLE.group, "RoleBinding", "team-a", "fairlead:break-glass:incident")
NOOR = ("noor@example.com", "noor")
BREAKABLE = OWNED.replace(
    "    people:", "    breakGlass: {count: 1, by: [owner]}\n    people:"
).replace("[{path: apps", "[{path: emergencies, owners: [platform]}, {path: apps")


def glass(
    world: World, *, role: str = "owner", starts: timedelta = timedelta(), lasts: str = "1800"
) -> bytes:
    begin = world.clock.now() + starts
    end = begin + timedelta(seconds=int(lasts))
    return f"""\
apiVersion: fairlead.dev/v1alpha1
kind: BreakGlass
metadata: {{name: incident}}
spec:
  role: {role}
  people: [ada@example.com]
  because: the model answers nobody
  starts: "{moment(begin)}"
  ends: "{moment(end)}"
""".encode()


def moment(at: datetime) -> str:
    return at.strftime(MOMENT)


class Burning(Pushing):
    """Ada breaks the glass, and Noor may agree."""

    def __init__(self, rules: str = BREAKABLE) -> None:
        super().__init__(rules)

    def break_glass(self, **said: object) -> CommitSha:
        return self.sign({"emergencies/incident.yaml": glass(self, **said)})  # type: ignore[arg-type]

    async def given(self, engine: Engine) -> CommitSha:
        """Broken, approved and applied."""
        broken = self.break_glass()
        self.approve(broken, by=NOOR)
        await self.until_applied(engine, broken)
        return broken

    def subjects(self) -> JsonValue:
        body = self.cluster.peek(GIVEN)
        return body["subjects"] if body else None


async def test_the_role_is_given_for_its_time_and_ends_without_a_commit() -> None:
    world = Burning()
    async with world.in_force() as engine:
        broken = await world.given(engine)
        end = world.clock.now() + timedelta(minutes=30)
        assert [str(s["name"]) for s in world.subjects()] == ["oidc:ada@example.com"]
        await world.until(lambda: GIVEN not in world.objects(), seconds=3600)
        assert world.clock.now() - end < timedelta(seconds=30)
        assert PEOPLE in world.objects()
        [deleted] = [
            r for r in await world.records() if r.object == GIVEN and r.verb is Verb.DELETE
        ][-1:]
        assert deleted.commit == broken
        assert any("is over" in notice for notice in engine.reconciler.plan.notices)


async def test_it_ends_although_the_daemon_was_away_at_its_end() -> None:
    world = Burning()
    async with world.in_force() as engine:
        await world.given(engine)
    await asyncio.sleep(timedelta(hours=2).total_seconds())
    assert GIVEN in world.objects()
    async with world.running(approvals=world.approvals):
        await world.until(lambda: GIVEN not in world.objects(), seconds=60)


async def test_it_is_told_in_a_record_and_a_line_of_its_own() -> None:
    world = Burning()
    with capture_logs() as lines:
        async with world.in_force() as engine:
            await world.given(engine)
    [record] = [r for r in await world.records() if r.verb is Verb.BREAK_GLASS]
    assert record.detail["because"] == "the model answers nobody"
    assert (record.detail["role"], record.detail["people"]) == ("owner", ["ada@example.com"])
    assert record.detail["approved"] == ["noor@example.com"]
    [line] = [line for line in lines if line["event"] == "glass.broken"]
    assert line["log_level"] == "critical"


async def test_one_person_alone_breaks_nothing() -> None:
    world = Burning()
    async with world.in_force() as engine:
        broken = world.break_glass()
        waits = await world.until_held(engine, broken)
        assert "user ada@example.com gains Role owner" in waits
        assert "1 of owner, because it breaks the glass" in waits
        world.approve(broken, by=("ada", "ada@example.com"))
        await world.until(lambda: "their own change" in engine.books.position.waits_for)
        assert GIVEN not in world.objects()


async def test_what_comes_with_it_needs_what_it_always_needs() -> None:
    world = Burning()
    async with world.in_force() as engine:
        both = {"emergencies/incident.yaml": glass(world), "models.yaml": WIDER}
        broken = world.sign(dict(both))
        world.approve(broken, by=NOOR)
        waits = await world.until_held(engine, broken)
        assert "of platform, because it gives more access than before" in waits


async def test_without_a_rule_of_its_own_it_needs_what_any_wider_access_does() -> None:
    world = Burning(OWNED)
    async with world.in_force() as engine:
        broken = world.break_glass()
        world.approve(broken, by=NOOR)
        await world.until_held(engine, broken)
        world.approve(broken)
        await world.until_applied(engine, broken)
        assert GIVEN in world.objects()


async def test_it_gives_nothing_before_it_starts() -> None:
    world = Burning()
    async with world.in_force() as engine:
        broken = world.break_glass(starts=timedelta(minutes=20))
        world.approve(broken, by=NOOR)
        await world.until_applied(engine, broken)
        assert GIVEN not in world.objects()
        begin = world.clock.now()
        await world.until(lambda: GIVEN in world.objects(), seconds=1800)
        assert world.clock.now() - begin > timedelta(minutes=15)


async def test_one_that_is_taken_back_ends_at_once_and_asks_nobody() -> None:
    world = Burning()
    async with world.in_force() as engine:
        await world.given(engine)
        back = world.sign({"emergencies/incident.yaml": None})
        await world.until_applied(engine, back)
        assert GIVEN not in world.objects()


@pytest.mark.parametrize("lasts", ["3601", "0", "-60"])
async def test_more_than_an_hour_is_refused(lasts: str) -> None:
    world = Burning()
    async with world.in_force() as engine:
        broken = world.break_glass(lasts=lasts)
        await world.until_refused(engine, broken)
        assert "is not for an hour at most" in engine.books.position.explanation


ONE_RULE = """\
  signatures: {required: true}
  approvals: {breakGlass: {count: 2, by: [owner]}, people: {owner: [noor]}}
"""


@pytest.mark.parametrize("rules", ["", "  signatures: {required: true}\n", ONE_RULE])
async def test_where_one_person_could_do_it_alone_nobody_breaks_the_glass(rules: str) -> None:
    world = Burning(rules)
    async with world.in_force() as engine:
        broken = world.break_glass()
        await world.until_refused(engine, broken)
        assert "needs two people" in engine.books.position.explanation


async def test_the_commit_that_brings_the_rule_may_not_break_the_glass_as_well() -> None:
    world = Burning("  signatures: {required: true}\n")
    async with world.in_force() as engine:
        both = world.sign(
            {
                "fairlead.yaml": policy(extra=BREAKABLE),
                "emergencies/incident.yaml": glass(world),
            }
        )
        await world.until_refused(engine, both)
        assert "needs two people" in engine.books.position.explanation


async def test_of_a_role_that_nobody_declares_nothing_is_given() -> None:
    world = Burning()
    async with world.in_force() as engine:
        broken = world.break_glass(role="root")
        await world.until_refused(engine, broken)
        assert "names Role root, which no file declares" in engine.books.position.explanation
