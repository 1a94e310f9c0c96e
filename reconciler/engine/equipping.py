"""Equipping: the replicas of one server, and what of a shelf each of them has.

Separate from the loop that decides when (loading.py) and from the requests themselves
(adapter_servers.py). The invariants: a name is never loaded onto a process that has it, from
whatever source; and what a replica has is what it listed itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import structlog

from reconciler.core.errors import FairleadError
from reconciler.core.identifiers import Digest
from reconciler.core.problems import printable
from reconciler.core.rollouts.adapters import Shelf
from reconciler.core.rollouts.revising import DRAIN_SECONDS
from reconciler.core.rollouts.runtimes import Loaded
from reconciler.core.rollouts.states import Target
from reconciler.engine.adapter_servers import DIALECTS, AdapterServer, Dialect
from reconciler.engine.concurrency import bounded
from reconciler.engine.uptimes import Uptime
from reconciler.ports import Clock, Replica, Replicas

log = structlog.get_logger()

CONCURRENCY = 16
"""Replicas of one server that are asked at once."""

PATIENCE_SECONDS = 2.0
"""For replicas that load, before the others are looked at again: large adapters take a while."""

_LONGEST_PROOF = 200

REFUSED_SECONDS = 10.0
"""Pause before a replica that refused is asked again: what was missing may have come."""


@dataclass(slots=True)
class _Equipment:
    """What one replica has. `listed` is what it says that each name stands for.

    `silent` says why it did not tell at the last look, `refused` in which words and when it
    refused an adapter.
    """

    replica: Replica
    dialect: Dialect
    listed: Mapping[str, str] = field(default_factory=dict)
    silent: str = ""
    refused: dict[str, tuple[str, float]] = field(default_factory=dict)

    def has(self, adapter: str, digest: Digest) -> bool:
        told = self.listed.get(adapter)
        return told is not None and self.dialect.proves(told, digest)

    def objection(self, adapter: str, digest: Digest) -> str:
        """Why it will not have the adapter by itself; empty when nothing is known against it."""
        if adapter in self.listed and not self.has(adapter, digest):
            told = printable(self.listed[adapter], limit=_LONGEST_PROOF)
            return f"{self.replica.name} has {adapter} from {told or 'it does not say what'}"
        return self.refused[adapter][0] if adapter in self.refused else ""


@dataclass(frozen=True, slots=True)
class Task:
    """One request that has to be made of one replica: to load from a source, or to unload.

    `source` may be the text of a prompt, which is not shown.
    """

    verb: str
    adapter: str
    uid: str
    replica: str
    source: str = field(default="", repr=False)


class Rack:
    """The replicas behind one shelf. `trouble` says why nothing is known of them."""

    def __init__(self, replicas: Replicas, clock: Clock) -> None:
        self._replicas = replicas
        self._clock = clock
        self.shelf: Shelf | None = None
        self._equipment: dict[str, _Equipment] = {}
        self._surplus_since: dict[str, float] = {}
        self._busy: dict[str, asyncio.Task[None]] = {}
        self._turns = asyncio.Semaphore(CONCURRENCY)
        self.trouble = "its replicas were not asked yet"
        self.told: set[Task] = set()
        """Those that are in the audit log and did not come true yet."""

    async def look(self, shelf: Shelf) -> None:
        """Ask every replica what it has. Raises FairleadError when they cannot be found.

        Those that are not ready yet as well: they had better be equipped before requests come.
        """
        for uid in [uid for uid, equipping in self._busy.items() if equipping.done()]:
            self._busy.pop(uid).result()
        labels = shelf.answering.labels
        found = await self._replicas.find(shelf.namespace, labels, starting=True)
        self.shelf = shelf
        known, dialect = self._equipment, DIALECTS[shelf.loadable.sort]
        self._equipment = {one.uid: known.get(one.uid) or _Equipment(one, dialect) for one in found}
        for replica in found:
            self._equipment[replica.uid].replica = replica
        for equipment in self._equipment.values():
            for adapter in equipment.refused.keys() - shelf.digests.keys():
                del equipment.refused[adapter]
        await bounded(list(self._equipment.values()), self._list, limit=CONCURRENCY)
        self._forget_done()
        now = self._clock.monotonic()
        surplus = {a for e in self._equipment.values() for a in e.listed if shelf.is_surplus(a)}
        self._surplus_since = {a: self._surplus_since.get(a, now) for a in surplus}

    def tasks(self, *, may_unload: bool) -> Sequence[Task]:
        """What has to be asked for. An adapter goes first, to make room for another."""
        return [
            task
            for equipment in self._equipment.values()
            if not equipment.silent and equipment.replica.uid not in self._busy
            for task in self._tasks_of(equipment, may_unload=may_unload)
        ]

    async def carry_out(self, tasks: Sequence[Task]) -> None:
        """Ask each replica in order, and then what it has now.

        A replica that takes longer than the others is left to it, and asked nothing meanwhile.
        """
        by_replica: dict[str, list[Task]] = {}
        for task in tasks:
            by_replica.setdefault(task.uid, []).append(task)
        for uid, wanted in by_replica.items():
            equipping = self._equip(self._equipment[uid], wanted)
            self._busy[uid] = asyncio.create_task(equipping, name=f"equip {uid}")
        await asyncio.wait(self._busy.values(), timeout=PATIENCE_SECONDS)
        self._forget_done()

    def is_clear(self) -> bool:
        """Whether every replica told at the last look that nothing of ours is left."""
        shelf = self.shelf
        assert shelf is not None, "asked after a look"
        return all(
            not equipment.silent and not any(map(shelf.is_ours, equipment.listed))
            for equipment in self._equipment.values()
        )

    def cancel(self) -> None:
        """End what still goes on, as soon as it can."""
        for equipping in self._busy.values():
            equipping.cancel()

    async def close(self) -> None:
        """End what still goes on, and wait until it has."""
        self.cancel()
        await asyncio.gather(*self._busy.values(), return_exceptions=True)

    def uptime(self, target: Target) -> Uptime:
        """Of a version, as every ready replica told at the last look."""
        if self.trouble or self.shelf is None:
            return Uptime(trouble=self.trouble)
        adapter, digest = self.shelf.name(target), target.build
        if self.shelf.digests.get(adapter, digest) != digest:
            return Uptime(refused=f"{adapter} is the name of another artifact")
        ready = self._ready()
        objections = [e.objection(adapter, digest) for e in ready]
        have = [e for e in ready if e.has(adapter, digest)]
        return Uptime(
            ready=bool(have) and all(e.has(adapter, digest) and not e.silent for e in ready),
            down=2 * len(have) < len(ready) or not have,
            refused=next(filter(None, objections), ""),
        )

    def loaded(self) -> frozenset[Loaded]:
        """Adapters that may get traffic: on half of the replicas and more, and on all that can.

        One that refuses an adapter would keep even a failing version in place of it.
        """
        shelf = self.shelf
        assert shelf is not None, "asked after a look"
        found, ready = set(), self._ready()
        for adapter, digest in shelf.digests.items():
            have = [e for e in ready if e.has(adapter, digest)]
            cannot = [e for e in ready if e.objection(adapter, digest)]
            if 2 * len(have) >= len(ready) == len(have) + len(cannot) and have:
                found.add(shelf.as_loaded(adapter))
        return frozenset(found)

    def _ready(self) -> list[_Equipment]:
        return [equipment for equipment in self._equipment.values() if equipment.replica.ready]

    def _tasks_of(self, equipment: _Equipment, *, may_unload: bool) -> Iterator[Task]:
        assert self.shelf is not None, "asked after a look"
        now = self._clock.monotonic()
        replica = equipment.replica
        for adapter, since in self._surplus_since.items():
            if may_unload and adapter in equipment.listed and now - since >= DRAIN_SECONDS:
                yield Task("unload", adapter, replica.uid, replica.name)
        for adapter in self.shelf.digests:
            _, refused_at = equipment.refused.get(adapter, ("", now - REFUSED_SECONDS))
            due = adapter not in equipment.listed and now - refused_at >= REFUSED_SECONDS
            if due and (source := self.shelf.source(adapter)) is not None:
                yield Task("load", adapter, replica.uid, replica.name, source)

    def _forget_done(self) -> None:
        """Forget what came true, or whose replica is gone: done again, it is news."""
        self.told = {task for task in self.told if not self._is_done(task)}

    def _is_done(self, task: Task) -> bool:
        equipment = self._equipment.get(task.uid)
        return equipment is None or (task.adapter in equipment.listed) == (task.verb == "load")

    async def _equip(self, equipment: _Equipment, tasks: Sequence[Task]) -> None:
        async with self._turns:
            try:
                for task in tasks:
                    await self._ask(equipment, task)
            except FairleadError as error:
                equipment.silent = error.message
                return
            await self._list(equipment)

    async def _list(self, equipment: _Equipment) -> None:
        try:
            equipment.listed = await self._server(equipment).listing()
            equipment.silent = ""
        except FairleadError as error:
            equipment.silent = error.message
        for adapter in equipment.refused.keys() & equipment.listed.keys():
            del equipment.refused[adapter]

    async def _ask(self, equipment: _Equipment, task: Task) -> None:
        server = self._server(equipment)
        if task.verb == "unload":
            await server.unload(task.adapter)
        elif words := await server.load(task.adapter, task.source):
            log.warning("adapter.refused", adapter=task.adapter, reason=words)
            equipment.refused[task.adapter] = words, self._clock.monotonic()

    def _server(self, equipment: _Equipment) -> AdapterServer:
        assert self.shelf is not None, "asked after a look"
        port, sort = self.shelf.answering.port, self.shelf.loadable.sort
        return AdapterServer(self._replicas, equipment.replica, port, sort)
