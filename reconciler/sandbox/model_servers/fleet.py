"""The listening sockets: one replica for every pod and port, at the pod's own address.

Separate from watching pods, so that what is served follows from pods alone. Invariant: an address
answers for one pod at a time, the last that was given it; a pod that is gone is answered for
until it would have drained, and what was begun is finished.
"""

from __future__ import annotations

import asyncio
import sys
from dataclasses import dataclass, field

from aiohttp import web

from reconciler.core.access.connections import Endpoint
from reconciler.sandbox.model_servers.doorkeeper import Admits, Entrance
from reconciler.sandbox.model_servers.replica import Replica, ReplicaIdentity

FINISHING_SECONDS = 30.0
"""For requests that were begun when a pod's time was up."""


@dataclass(frozen=True, slots=True)
class ServedPod:
    """What the servers need to know of a pod."""

    uid: str
    identity: ReplicaIdentity
    address: str
    ports: tuple[int, ...]
    fault: str
    drain_seconds: float
    """How long it is still asked after it was told to stop."""
    endpoint: Endpoint = field(default_factory=Endpoint)
    """As network policies see it."""


class _Listener:
    """One address and port of a pod."""

    def __init__(self, replica: Replica, *, pod: ServedPod, port: int, admits: Admits) -> None:
        self.replica = replica
        self.pod = pod
        self.port = port
        self._admits = admits
        self._http = web.Server(replica.respond)
        self._listening: asyncio.Server | None = None

    async def open(self) -> None:
        loop = asyncio.get_running_loop()
        self._listening = await loop.create_server(
            lambda: Entrance(self._is_admitted, self._http),
            self.pod.address,
            self.port,
            backlog=512,
        )

    async def _is_admitted(self, address: str) -> bool:
        return await self._admits(self.pod.endpoint, address, self.port)

    def close(self) -> None:
        """From here on another may listen there."""
        assert self._listening is not None, "kept only when it was opened"
        self._listening.close()

    async def finish(self) -> None:
        await self._http.shutdown(FINISHING_SECONDS)


async def _everybody(_pod: Endpoint, _address: str, _port: int) -> bool:
    return True


class Fleet:
    """All replicas. `serve` and `retire` are told of pods by whoever watches them.

    `admits` says who may connect to them.
    """

    def __init__(self, admits: Admits = _everybody) -> None:
        self._admits = admits
        self._listeners: dict[tuple[str, int], _Listener] = {}
        self._replicas: dict[str, Replica] = {}
        self._ending: set[asyncio.Task[None]] = set()

    @property
    def served(self) -> frozenset[str]:
        """The uids of the pods that were not retired."""
        return frozenset(self._replicas)

    async def serve(self, pod: ServedPod) -> bool:
        """From now on, as the pod is now. False when one of its addresses can't be had."""
        replica = self._replicas.setdefault(pod.uid, Replica(pod.identity))
        replica.fault = pod.fault
        places = {(pod.address, port) for port in pod.ports}
        for place, listener in list(self._listeners.items()):
            # kwok may give a pod another address in the first moments of its life.
            if listener.pod.uid == pod.uid and place not in places:
                self._stop(place, listener)
        return all([await self._listen(pod, port, replica) for port in pod.ports])

    async def _listen(self, pod: ServedPod, port: int, replica: Replica) -> bool:
        place = pod.address, port
        former = self._listeners.get(place)
        if former is not None and former.pod.uid == pod.uid:
            return True
        if former is not None:
            self._stop(place, former)
        listener = _Listener(replica, pod=pod, port=port, admits=self._admits)
        try:
            await listener.open()
        except OSError as error:
            sys.stderr.write(f"{pod.identity.name} at {pod.address}:{port}: {error}\n")
            return False
        self._listeners[place] = listener
        return True

    def retire(self, uid: str) -> None:
        """The pod is gone. It is answered for while it drains, unless its address is given away."""
        if self._replicas.pop(uid, None) is None:
            return
        loop = asyncio.get_running_loop()
        for place, listener in list(self._listeners.items()):
            if listener.pod.uid == uid:
                loop.call_later(listener.pod.drain_seconds, self._stop, place, listener)

    def _stop(self, place: tuple[str, int], listener: _Listener) -> None:
        if self._listeners.get(place) is listener:
            del self._listeners[place]
            self._end(listener)

    def _end(self, listener: _Listener) -> None:
        listener.close()
        ending = asyncio.get_running_loop().create_task(listener.finish())
        self._ending.add(ending)
        ending.add_done_callback(self._ending.discard)
