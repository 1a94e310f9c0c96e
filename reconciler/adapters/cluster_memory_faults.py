"""What goes wrong between a client and an API server, on request.

Separate so that the in-memory cluster stays correct and everything incorrect is here. The
invariant: faults happen in the order they were asked for, each exactly as often, and a run with
the same requests has the same faults.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from reconciler.core.errors import FairleadError
from reconciler.core.identifiers import ObjectKey
from reconciler.ports import WatchEvent


@dataclass(frozen=True, slots=True)
class Request:
    """A call that reached the cluster. `key` is None where a call is not about one object, and
    `asker` is empty where it is the daemon's own."""

    verb: str
    """apply, dry-run, delete, dry-delete, get, list, watch, discover, rights or who-am-i."""
    key: ObjectKey | None = None
    asker: str = ""


@dataclass(slots=True)
class _Failure:
    error: FairleadError
    verb: str
    key: ObjectKey | None
    after_effect: bool
    times: int

    def concerns(self, request: Request) -> bool:
        return (
            self.times > 0
            and self.verb in {"", request.verb}
            and (self.key is None or self.key == request.key)
        )


class CallFaults:
    """Failures that wait for the call they are meant for."""

    def __init__(self) -> None:
        self._waiting: list[_Failure] = []

    def add(
        self,
        error: FairleadError,
        *,
        verb: str,
        key: ObjectKey | None,
        after_effect: bool,
        times: int,
    ) -> None:
        self._waiting.append(_Failure(error, verb, key, after_effect, times))

    def before(self, request: Request) -> None:
        """Raise what is to happen instead of the call."""
        self._raise_first(request, after_effect=False)

    def after(self, request: Request) -> None:
        """Raise what is to happen once the call has had its effect: the answer is lost."""
        self._raise_first(request, after_effect=True)

    def _raise_first(self, request: Request, *, after_effect: bool) -> None:
        for failure in self._waiting:
            if failure.after_effect is after_effect and failure.concerns(request):
                failure.times -= 1
                self._waiting = [waiting for waiting in self._waiting if waiting.times > 0]
                raise failure.error


class EventFaults:
    """Events of watches on their way: some get lost, come twice or come late."""

    def __init__(self) -> None:
        self._to_drop = 0
        self._to_repeat = 0
        self._to_hold = 0
        self._held: list[WatchEvent] = []

    def drop(self, count: int) -> None:
        """Lose the next events. Only a new listing can tell what they said."""
        self._to_drop += count

    def repeat(self, count: int) -> None:
        """Deliver each of the next events twice."""
        self._to_repeat += count

    def reverse(self, count: int) -> None:
        """Hold the next `count` events back, then deliver them last to first."""
        self._to_hold += count

    def passing(self, event: WatchEvent) -> Iterator[WatchEvent]:
        """What arrives when `event` is sent."""
        if self._to_drop:
            self._to_drop -= 1
            return
        for copy in self._repeated(event):
            yield from self._released(copy)

    def _repeated(self, event: WatchEvent) -> Iterable[WatchEvent]:
        if not self._to_repeat:
            return (event,)
        self._to_repeat -= 1
        return (event, event)

    def _released(self, event: WatchEvent) -> Iterator[WatchEvent]:
        if not self._to_hold:
            yield event
            return
        self._to_hold -= 1
        self._held.append(event)
        if not self._to_hold:
            held, self._held = self._held, []
            yield from reversed(held)
