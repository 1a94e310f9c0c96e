"""The Replicas port in memory: pods that a test puts there, and answers that it sets.

Separate because simulations run thousands of rollouts without a network. The invariant: it passes
the contract suite of the real ones; a replica that nobody gave an answer to does not answer.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from reconciler.core.errors import FairleadError, Unavailable
from reconciler.core.manifests import JsonValue
from reconciler.ports import Answer, Replica


@dataclass(frozen=True, slots=True)
class Asked:
    """One request to a replica. `body` is None of a GET."""

    method: str
    replica: Replica
    port: int
    path: str
    body: JsonValue = None


Respond = Callable[[Asked], Answer | FairleadError | None]
"""The answer of a replica; an error is raised, and None is silence."""


class MemoryReplicas:
    """Replicas for tests and simulations. The port first, then what plays the world."""

    def __init__(self, respond: Respond = lambda _: None) -> None:
        self.respond = respond
        self.asked: list[Asked] = []
        self.trouble: FairleadError | None = None
        """Raised by `find` while it is set."""
        self._pods: dict[tuple[str, str], tuple[Replica, Mapping[str, str]]] = {}
        self._answers: dict[tuple[str, str, str], Answer | FairleadError] = {}

    async def find(
        self, namespace: str, labels: Mapping[str, str], *, starting: bool = False
    ) -> Sequence[Replica]:
        if self.trouble is not None:
            raise self.trouble
        return [
            replica
            for (place, _), (replica, has) in sorted(self._pods.items(), key=lambda item: item[0])
            if place == namespace and labels.items() <= has.items()
            if replica.ready or starting
        ]

    async def get(self, replica: Replica, port: int, path: str) -> Answer:
        return self._answer(Asked("GET", replica, port, path))

    async def post(self, replica: Replica, port: int, path: str, body: JsonValue) -> Answer:
        return self._answer(Asked("POST", replica, port, path, body))

    async def close(self) -> None:
        pass

    # The world

    def put(self, replica: Replica, labels: Mapping[str, str]) -> None:
        """The pod runs; one of the same name is replaced."""
        self._pods[replica.namespace, replica.name] = replica, dict(labels)

    def remove(self, namespace: str, name: str) -> None:
        """The pod is gone."""
        self._pods.pop((namespace, name), None)

    def present(self) -> Mapping[Replica, Mapping[str, str]]:
        """The pods that run, with their labels."""
        return dict(self._pods.values())

    def will_answer(self, name: str, path: str, answer: Answer | FairleadError) -> None:
        """From now on, whatever the method; goes before `respond`."""
        for namespace, pod in self._pods:
            if pod == name:
                self._answers[namespace, name, path] = answer

    def _answer(self, asked: Asked) -> Answer:
        self.asked.append(asked)
        replica = asked.replica
        present = self._pods.get((replica.namespace, replica.name))
        answer: Answer | FairleadError | None = None
        if present is not None and present[0].uid == replica.uid:
            answer = self._answers.get((replica.namespace, replica.name, asked.path))
            answer = answer or self.respond(asked)
        if answer is None:
            raise Unavailable(
                f"ask {replica.namespace}/{replica.name} on port {asked.port} for {asked.path}:"
                " no answer in time"
            )
        if isinstance(answer, FairleadError):
            raise answer
        return answer
