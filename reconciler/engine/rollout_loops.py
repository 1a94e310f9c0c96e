"""The loops that move rollouts: one decides, one loads adapters, one undoes in Git what failed.

Separate from driving.py, which runs with or without them. The invariant: all act on what the
passes have accepted, and none writes to a cluster.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Self

from reconciler.engine.books import Books
from reconciler.engine.concurrency import together
from reconciler.engine.leading import Leader
from reconciler.engine.loading import Loader
from reconciler.engine.looking import Instruments, Looker
from reconciler.engine.performing import Context
from reconciler.engine.promoting import Look, Promoter
from reconciler.engine.reconciling import Reconciler
from reconciler.engine.sighting import Sights
from reconciler.engine.undoing import Undoer
from reconciler.engine.uptimes import InferenceServiceUptimes, Uptimes, WorkloadUptimes
from reconciler.ports import Clock, Repository

__all__ = ["Instruments", "RolloutLoops", "Surroundings"]


@dataclass(frozen=True, slots=True)
class Surroundings:
    """The parts of the engine that the loops read, and the books that they write."""

    reconciler: Reconciler
    leader: Leader
    repository: Repository
    books: Books
    clock: Clock
    context: Context


@dataclass(frozen=True, slots=True)
class RolloutLoops:
    """The loops, to be run together."""

    promoter: Promoter
    loader: Loader
    undoer: Undoer

    @classmethod
    def of(
        cls,
        around: Surroundings,
        instruments: Instruments,
        *,
        on_move: Callable[[], None],
        on_push: Callable[[], None],
    ) -> Self:
        """`on_move` is told of moves, `on_push` of what was pushed; neither may block."""
        loader = Loader(
            reconciler=around.reconciler,
            leader=around.leader,
            replicas=instruments.replicas,
            books=around.books,
            clock=around.clock,
            context=around.context,
            on_loaded=on_move,
        )
        sights = Sights(around.leader, around.books, _uptimes(loader))
        promoter = Promoter(
            reconciler=around.reconciler,
            looker=Looker(sights, instruments, around.clock),
            books=around.books,
            clock=around.clock,
            context=around.context,
            on_move=on_move,
        )
        undoer = Undoer(
            reconciler=around.reconciler,
            repository=around.repository,
            publisher=instruments.publisher,
            books=around.books,
            clock=around.clock,
            context=around.context,
            on_push=on_push,
        )
        return cls(promoter, loader, undoer)

    @property
    def looks(self) -> Mapping[str, Look]:
        """The newest look at each rollout that moves."""
        return self.promoter.looks

    async def run(self) -> None:
        """Until cancelled, or a bug."""
        await together([self.promoter.run(), self.loader.run(), self.undoer.run()])


def _uptimes(loader: Loader) -> Mapping[str, Uptimes]:
    """By the name of the runtime."""
    return {
        "deployment": WorkloadUptimes(),
        "kserve": InferenceServiceUptimes(),
        "lora": loader,
        "prompt": loader,
    }
