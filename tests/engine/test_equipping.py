"""What the listings of replicas mean for an adapter: up, down, refused, and fit for traffic."""

from __future__ import annotations

import orjson
import pytest

from reconciler.adapters.clocks import VirtualClock
from reconciler.adapters.replicas_memory import Asked, MemoryReplicas
from reconciler.core.errors import FairleadError, Unavailable
from reconciler.core.identifiers import CommitSha, Digest
from reconciler.core.kinds.lora import Lora
from reconciler.core.rendering.lora import adapter_path
from reconciler.core.rollouts.adapters import Shelf
from reconciler.core.rollouts.loadables import Loadable
from reconciler.core.rollouts.runtimes import Answering
from reconciler.core.rollouts.states import Target
from reconciler.engine.equipping import Rack
from reconciler.engine.uptimes import Uptime
from reconciler.ports import Answer, Replica

pytestmark = pytest.mark.looptime

LORA = Lora.model_validate({"server": "base", "alias": "support", "path": "/adapters/{digest}"})
V1 = Target("v1", Digest("sha256:" + "1" * 64), CommitSha("1" * 40))
NAME = "support@111111111111"
ADAPTERS = Loadable.of_adapter(LORA, {"v1": V1.build})
SHELF = Shelf(
    "team-a", ADAPTERS, Answering({"app": "base"}, 8000, NAME), {NAME: V1.build}, frozenset()
)
HERE = adapter_path(LORA, V1.build)
ELSEWHERE = HERE.replace("11111", "22222")


class Servers:
    """`roots` is from where each replica has the adapter; None where it has not."""

    def __init__(self, *roots: str | None) -> None:
        self.roots = {f"base-{number}": root for number, root in enumerate(roots)}
        self.silent: set[str] = set()
        self.refusing: set[str] = set()
        self.replicas = MemoryReplicas(self._respond)
        for name in self.roots:
            self.put(name)
        self.rack = Rack(self.replicas, VirtualClock())

    def put(self, name: str, *, ready: bool = True) -> None:
        replica = Replica("team-a", name, f"uid-{name}", "10.0.0.1", ready=ready)
        self.replicas.put(replica, {"app": "base"})

    async def look(self) -> Uptime:
        await self.rack.look(SHELF)
        if tasks := self.rack.tasks(may_unload=False):
            await self.rack.carry_out(tasks)
        self.rack.trouble = ""
        return self.rack.uptime(V1)

    def _respond(self, asked: Asked) -> Answer | FairleadError | None:
        name = asked.replica.name
        if name in self.silent:
            return Unavailable("no answer in time")
        if asked.method == "GET":
            root = self.roots[name]
            data = [] if root is None else [{"id": NAME, "root": root}]
            return Answer(200, orjson.dumps({"data": data}))
        if name in self.refusing:
            return Answer(400, b'{"message": "too large"}')
        assert self.roots[name] is None, "a name is never loaded twice"
        self.roots[name] = HERE
        return Answer(200, b"")


async def test_what_every_replica_lists_is_up_and_fit_for_traffic() -> None:
    servers = Servers(None, HERE)
    assert await servers.look() == Uptime(ready=True)
    assert servers.rack.loaded() == {SHELF.as_loaded(NAME)}


async def test_a_replica_that_does_not_tell_is_not_up_and_has_what_it_had() -> None:
    servers = Servers(HERE, HERE)
    await servers.look()
    servers.silent.add("base-1")
    assert await servers.look() == Uptime()
    assert servers.rack.loaded() == {SHELF.as_loaded(NAME)}


async def test_a_name_that_is_loaded_from_elsewhere_is_refused_and_left_alone() -> None:
    servers = Servers(ELSEWHERE, HERE)
    uptime = await servers.look()
    assert not uptime.ready
    assert uptime.refused == f"base-0 has {NAME} from {ELSEWHERE}"
    assert servers.roots["base-0"] == ELSEWHERE


async def test_a_replica_that_does_not_say_from_where_is_believed() -> None:
    assert await Servers("", HERE).look() == Uptime(ready=True)


@pytest.mark.parametrize(("refusing", "fit"), [(1, True), (2, True), (3, False), (4, False)])
async def test_traffic_may_come_when_half_have_it_and_the_others_refuse(
    refusing: int, fit: bool
) -> None:
    servers = Servers(None, None, None, None)
    servers.refusing = {f"base-{number}" for number in range(refusing)}
    uptime = await servers.look()
    assert "too large" in uptime.refused
    assert uptime.down is (refusing > 2)
    assert bool(servers.rack.loaded()) is fit


async def test_a_replica_that_is_not_ready_is_equipped_and_does_not_count() -> None:
    servers = Servers(HERE, None)
    servers.put("base-1", ready=False)
    servers.silent.add("base-1")
    assert await servers.look() == Uptime(ready=True)
    servers.silent.clear()
    await servers.look()
    assert servers.roots["base-1"] == HERE


async def test_a_server_without_replicas_is_down() -> None:
    servers = Servers()
    assert await servers.look() == Uptime(down=True)
    assert servers.rack.loaded() == frozenset()
