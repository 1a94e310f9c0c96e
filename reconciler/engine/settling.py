"""What each unit was when it last settled: the state to go back to.

Separate because it is asked for when something has failed, and must not depend on this process
having been there: what memory does not hold is compiled from Git.
"""

from __future__ import annotations

from collections.abc import Iterable

from reconciler.core.desired import DesiredState, Unit
from reconciler.core.errors import Terminal
from reconciler.core.identifiers import short
from reconciler.core.outstanding import Place
from reconciler.engine.books import Books
from reconciler.engine.fetching import Compiler, Invalid
from reconciler.ports import Repository


class SettledUnits:
    """Settled states by unit and cluster."""

    def __init__(self, repository: Repository, books: Books) -> None:
        self._repository = repository
        self._books = books
        self._settled: dict[Place, Unit] = {}

    def remember(self, desired: DesiredState, places: Iterable[Place]) -> None:
        """These units are settled as `desired` declares them."""
        for place in places:
            if place in desired.units:
                self._settled[place] = desired.units[place]
            else:
                self._settled.pop(place, None)

    async def get(self, place: Place) -> Unit | None:
        """The unit as it last settled; None when it never did, or settled as gone.

        Raises Terminal when the commit of then does not compile any more.
        """
        cluster, name = place
        state = self._books.ledger(cluster).units.get(name)
        if state is None or state.commit is None:
            return None
        known = self._settled.get(place)
        if known is None or known.digest != state.digest:
            compiler = Compiler(self._repository, lambda: self._books.pins)
            result = await compiler.compile(state.commit, rules=None)
            if isinstance(result, Invalid):
                raise Terminal(f"commit {short(state.commit)} of {name} does not compile any more")
            known = result.compilation.state.units.get(place)
            if known is not None:
                self._settled[place] = known
        return known
