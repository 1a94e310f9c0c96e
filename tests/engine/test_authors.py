"""What a commit changes is asked and written in the name of whoever signed the change."""

from __future__ import annotations

from contextlib import suppress

import pytest

from reconciler.core.audit.records import Phase, Reason, Verb
from reconciler.core.authorship import Author, People
from reconciler.core.errors import Forbidden
from reconciler.core.identifiers import ClusterName
from reconciler.core.ledger import Standing
from reconciler.core.manifests import JsonObject
from reconciler.core.presenting.plan_text import plan_lines
from reconciler.core.presenting.plan_view import plan_view
from reconciler.engine.surveying import Recorded, Surveyor
from tests.engine.mortality import Killed, Life, MortalStore
from tests.engine.world import (
    BROKEN,
    REPOSITORY,
    World,
    config_map,
    config_map_key,
    deployment,
    role,
)

pytestmark = pytest.mark.looptime

ROOT = Author("root@example.com", "oidc:root", ("oidc:platform-engineers",))
ALICE = Author("alice@example.com", "oidc:alice", ("oidc:ml-researchers",))
BOB = Author("bob@example.com", "oidc:bob", ("oidc:platform-engineers",))
DAEMON = "fairlead@example.com"
PEOPLE = People(
    {author.signer: author for author in (ROOT, ALICE, BOB)},
    frozenset({ClusterName("one")}),
    own=DAEMON,
)


@pytest.fixture
async def world() -> World:
    return World()


def alice_may_not_touch(world: World, *names: str) -> None:
    def permits(asker: str, verb: str, body: JsonObject) -> None:
        name = body["metadata"]["name"]
        if asker == ALICE.user and name in names:
            raise Forbidden(f'{verb} {name}: User "{asker}" cannot do it')

    world.cluster.permits = permits


def askers(world: World, name: str, *verbs: str) -> list[str]:
    """Who asked for what became of one object, each once after another."""
    found: list[str] = []
    for request in world.cluster.requests:
        about = request.key is not None and request.key.name == name
        if about and request.verb in verbs and found[-1:] != [request.asker]:
            found.append(request.asker)
    return found


def begun(world: World, **files: bytes) -> None:
    world.start_repository({})
    first = {f"apps/{name.replace('_', '/')}.yaml": content for name, content in files.items()}
    world.push(first, signer=ROOT.signer)


async def started(world: World, engine) -> None:
    head = world.repository.head
    assert head is not None
    await world.until_applied(engine, head)
    world.cluster.requests.clear()


async def test_a_change_is_asked_and_written_as_its_author(world: World) -> None:
    begun(world, web_a=config_map("a"))
    async with world.running(people=PEOPLE) as engine:
        await started(world, engine)
        changed = {"apps/web/a.yaml": config_map("a", "2")}
        await world.until_applied(engine, world.push(changed, signer=ALICE.signer))
    assert askers(world, "a", "dry-run", "apply") == [ALICE.user]
    written = [r for r in await world.records() if r.object == config_map_key("a")][-2:]
    assert [record.phase for record in written] == [Phase.INTENT, Phase.OUTCOME]
    assert {str(record.detail["as"]) for record in written} == {ALICE.user}
    assert {str(record.detail["signers"]) for record in written} == {f"['{ALICE.signer}']"}


async def test_what_the_author_may_not_do_refuses_the_commit_whole(world: World) -> None:
    begun(world, web_a=config_map("a"), db_b=config_map("b"))
    alice_may_not_touch(world, "b")
    async with world.running(people=PEOPLE) as engine:
        await started(world, engine)
        changes = {
            "apps/web/a.yaml": config_map("a", "2"),
            "apps/db/b.yaml": config_map("b", "2"),
        }
        await world.until_refused(engine, world.push(changes, signer=ALICE.signer))
        told = engine.books.position.explanation
        assert "ConfigMap/team-a/b: alice@example.com may not:" in told.replace(
            "team-a/b", "team-a/b"
        )
        assert world.standing(engine, "db") is Standing.REFUSED
        assert world.standing(engine, "web") is Standing.WAITING
    assert (world.value("a"), world.value("b")) == ("1", "1")


async def test_a_refused_change_does_not_pass_under_the_next_name(world: World) -> None:
    begun(world, web_a=config_map("a"), db_b=config_map("b"))
    alice_may_not_touch(world, "b")
    async with world.running(people=PEOPLE) as engine:
        await started(world, engine)
        hers = world.push({"apps/db/b.yaml": config_map("b", "2")}, signer=ALICE.signer)
        await world.until_refused(engine, hers)
        his = world.push({"apps/web/a.yaml": config_map("a", "2")}, signer=BOB.signer)
        await world.until(lambda: world.value("a") == "2")
        assert engine.books.position.accepted == his
        world.cluster.requests.clear()
        # Hers is asked again by and by, and still as hers.
        await world.until(lambda: askers(world, "b", "dry-run") != [])
        assert askers(world, "b", "dry-run") == [ALICE.user]
        assert world.standing(engine, "db") is Standing.REFUSED
        assert world.value("b") == "1"
        # Whoever may do it says it once more, in their own name.
        again = world.push({"apps/db/b.yaml": config_map("b", "3")}, signer=BOB.signer)
        await world.until_applied(engine, again)
    assert (world.value("a"), world.value("b")) == ("2", "3")
    assert askers(world, "b", "apply") == [BOB.user]


async def test_a_change_that_is_taken_back_holds_nobody_up(world: World) -> None:
    begun(world, web_a=config_map("a"), db_b=config_map("b"))
    alice_may_not_touch(world, "b")
    async with world.running(people=PEOPLE) as engine:
        await started(world, engine)
        hers = world.push({"apps/db/b.yaml": config_map("b", "2")}, signer=ALICE.signer)
        await world.until_refused(engine, hers)
        back = {"apps/db/b.yaml": config_map("b"), "apps/web/a.yaml": config_map("a", "2")}
        await world.until_applied(engine, world.push(back, signer=BOB.signer))
    assert askers(world, "a", "apply") == [BOB.user]


async def test_each_object_of_a_range_is_written_as_the_author_of_its_last_change(
    world: World,
) -> None:
    begun(world, web_a=config_map("a"), db_b=config_map("b"))
    async with world.running(people=PEOPLE) as engine:
        await started(world, engine)
        world.push({"apps/web/a.yaml": config_map("a", "2")}, signer=ALICE.signer)
        both = config_map("b", "2") + b"---\n" + config_map("c")
        head = world.push({"apps/db/b.yaml": both}, signer=BOB.signer)
        await world.until_applied(engine, head)
    assert askers(world, "a", "apply") == [ALICE.user]
    assert askers(world, "b", "apply") == [BOB.user]
    assert askers(world, "c", "apply") == [BOB.user]


async def test_two_documents_of_one_file_have_two_authors(world: World) -> None:
    one, two = config_map("a"), config_map("b")
    begun(world, web_a=one + b"---\n" + two)
    alice_may_not_touch(world, "a")
    async with world.running(people=PEOPLE) as engine:
        await started(world, engine)
        hers = config_map("a", "2") + b"---\n" + two
        world.push({"apps/web/a.yaml": hers}, signer=ALICE.signer)
        his = config_map("a", "2") + b"---\n" + config_map("b", "2")
        await world.until_refused(engine, world.push({"apps/web/a.yaml": his}, signer=BOB.signer))
        assert "alice@example.com may not" in engine.books.position.explanation


async def test_a_removal_is_asked_and_done_as_whoever_wants_it(world: World) -> None:
    begun(world, web_a=config_map("a"), web_b=config_map("b"))
    alice_may_not_touch(world, "b")
    async with world.running(people=PEOPLE) as engine:
        await started(world, engine)
        await world.until_refused(
            engine, world.push({"apps/web/b.yaml": None}, signer=ALICE.signer)
        )
        assert "alice@example.com may not" in engine.books.position.explanation
        assert world.value("b") == "1"
        done = world.push(
            {"apps/web/b.yaml": config_map("b"), "apps/web/a.yaml": None}, signer=ALICE.signer
        )
        await world.until_applied(engine, done)
    assert askers(world, "a", "dry-delete", "delete") == [ALICE.user]


async def test_drift_is_put_back_by_the_daemon_itself(world: World) -> None:
    begun(world, web_a=config_map("a"))
    async with world.running(people=PEOPLE) as engine:
        await started(world, engine)
        world.cluster.edit_as(
            "kubectl-edit", config_map_key("a"), lambda body: body["data"].update(value="9")
        )
        await world.until(lambda: world.value("a") == "1")
    assert askers(world, "a", "dry-run", "apply") == [""]
    drift = [r for r in await world.records() if r.reason is Reason.DRIFT]
    assert drift
    assert all("as" not in record.detail for record in drift)


async def test_what_failed_is_put_back_by_the_daemon_itself(world: World) -> None:
    begun(world, web_d=deployment("d"))
    async with world.running(people=PEOPLE) as engine:
        await started(world, engine)
        world.push({"apps/web/d.yaml": deployment("d", BROKEN)}, signer=ALICE.signer)
        await world.until_standing(engine, "web", Standing.HELD)
        await world.until(lambda: askers(world, "d", "apply") == [ALICE.user, ""])


@pytest.mark.parametrize(
    ("signer", "why"), [(None, "is not signed by anybody"), ("eve@example.com", "eve@example.com")]
)
async def test_a_change_of_nobody_whom_the_settings_name_is_refused(
    world: World, signer: str | None, why: str
) -> None:
    begun(world, web_a=config_map("a"))
    async with world.running(people=PEOPLE) as engine:
        await started(world, engine)
        changed = {"apps/web/a.yaml": config_map("a", "2")}
        await world.until_refused(engine, world.push(changed, signer=signer))
        assert why in engine.books.position.explanation
    assert world.cluster.count("apply", "dry-run") == 0


async def test_what_the_daemon_commits_is_written_by_itself(world: World) -> None:
    begun(world, web_a=config_map("a"))
    async with world.running(people=PEOPLE) as engine:
        await started(world, engine)
        changed = {"apps/web/a.yaml": config_map("a", "2")}
        await world.until_applied(engine, world.push(changed, signer=DAEMON))
    assert askers(world, "a", "apply") == [""]


async def test_another_cluster_is_written_to_by_the_daemon_itself() -> None:
    world = World("one", "two")
    begun(world, web_a=config_map("a"))
    async with world.running(people=PEOPLE) as engine:
        head = world.repository.head
        assert head is not None
        await world.until_applied(engine, head)
    two = world.clusters[ClusterName("two")].requests
    assert {request.asker for request in two} == {""}
    assert askers(world, "a", "apply") == [ROOT.user]


async def test_a_daemon_that_died_goes_on_in_the_name_of_the_author() -> None:
    points = await dies_with_a_change_of_alice(World(), None)
    assert points > 4
    for point in range(points):
        await dies_with_a_change_of_alice(World(), point)


async def dies_with_a_change_of_alice(world: World, dies_at: int | None) -> int:
    """At one of the points between its start and the end of the change; then a second one comes,
    with a commit of somebody else."""
    begun(world, web_a=config_map("a"))
    async with world.running(people=PEOPLE) as engine:
        await started(world, engine)
    head = world.push({"apps/web/a.yaml": config_map("a", "2")}, signer=ALICE.signer)
    life = Life(dies_at)
    with suppress(Killed):
        async with world.running(people=PEOPLE, store=MortalStore(world.store, life)) as engine:
            await world.until(
                lambda: life.dead or engine.books.position.applied[ClusterName("one")] == head
            )
    later = world.push({"apps/web/b.yaml": config_map("b")}, signer=BOB.signer)
    async with world.running(people=PEOPLE) as engine:
        await world.until_applied(engine, later)
    assert set(askers(world, "a", "apply")) == {ALICE.user}
    return life.points


async def test_rights_in_a_manifest_are_given_by_its_author(world: World) -> None:
    begun(world, web_a=config_map("a"))
    async with world.running(people=PEOPLE) as engine:
        await started(world, engine)
        head = world.push({"apps/web/role.yaml": role("viewer", "get")}, signer=ALICE.signer)
        await world.until_applied(engine, head)
    assert askers(world, "viewer", "dry-run", "apply") == [ALICE.user]
    applied = [r for r in await world.records(Phase.OUTCOME) if r.verb is Verb.APPLY][-1]
    assert applied.detail["as"] == ALICE.user


async def test_a_plan_made_aside_asks_as_the_author_and_says_so(world: World) -> None:
    begun(world, web_a=config_map("a"), db_b=config_map("b"))
    async with world.running(people=PEOPLE) as engine:
        await started(world, engine)
    await world.repository.fetch()
    surveyor = Surveyor(
        repository=world.repository,
        name=REPOSITORY,
        clusters=world.clusters,
        recorded=Recorded(
            await world.store.position(),
            {world.cluster.name: await world.store.ledger(world.cluster.name)},
        ),
        clock=world.clock,
        people=PEOPLE,
    )
    hers = world.push({"apps/web/a.yaml": config_map("a", "2")}, signer=ALICE.signer)
    await world.repository.fetch()
    made = (await surveyor.survey(hers)).plan
    assert made is not None
    told = "".join(piece.text for line in plan_lines(plan_view(made)) for piece in line)
    assert f"as {ALICE.user}" in told
    alice_may_not_touch(world, "a")
    refused = (await surveyor.survey(hers)).plan
    assert refused is not None
    [refusal] = refused.clusters[0].refusals
    assert refusal.explanation.startswith("alice@example.com may not:")
    assert world.value("a") == "1"


async def test_a_first_sync_that_never_ends_lets_nothing_pass_under_another_name(
    world: World,
) -> None:
    """Until all of a cluster was applied once, there is no commit that all of it came from."""
    begun(world, web_a=config_map("a"), db_b=config_map("b"), bad_d=deployment("d", BROKEN))
    alice_may_not_touch(world, "b", "c")
    async with world.running(people=PEOPLE) as engine:
        await world.until_standing(engine, "bad", Standing.HELD)
        await world.until_standing(engine, "db", Standing.SETTLED)
        hers = {"apps/db/b.yaml": config_map("b", "2"), "apps/new/c.yaml": config_map("c")}
        await world.until_refused(engine, world.push(hers, signer=ALICE.signer))
        his = world.push({"apps/web/a.yaml": config_map("a", "2")}, signer=BOB.signer)
        await world.until(lambda: world.value("a") == "2")
        assert engine.books.position.accepted == his
        assert not engine.books.position.applied
    world.cluster.requests.clear()
    async with world.running(people=PEOPLE) as engine:
        await world.until(lambda: "" not in askers(world, "c", "dry-run") != [])
        assert world.standing(engine, "db") is Standing.REFUSED
    assert set(askers(world, "b", "dry-run")) == {ALICE.user}
    assert set(askers(world, "c", "dry-run")) == {ALICE.user}
    assert (world.value("b"), world.value("c")) == ("1", None)


async def test_a_cluster_that_is_new_is_taken_over_by_whoever_brings_it(world: World) -> None:
    begun(world, web_a=config_map("a"))
    world.push({"apps/db/b.yaml": config_map("b")}, signer="gone@example.com")
    head = world.push({"apps/web/c.yaml": config_map("c")}, signer=BOB.signer)
    async with world.running(people=PEOPLE) as engine:
        await world.until_applied(engine, head)
    assert {tuple(askers(world, name, "apply")) for name in "abc"} == {(BOB.user,)}
