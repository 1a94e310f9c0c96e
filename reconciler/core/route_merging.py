"""Merging lists of an HTTPRoute: ours as declared, those of others as found, in one order.

Separate from route_sharing.py, which knows what is whose: here are rules, backends and filters,
each with what pairs one of ours with the one that is there. The invariants: what is ours keeps its
place, or stands before the next of ours; what is of others keeps its order; and merging again
changes nothing.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

Item: TypeAlias = "dict[str, Any]"
"""A rule, a backend or a filter."""

# The API server writes these into what is declared without them.
_DEFAULTS: Final = frozenset(
    {
        ("group", ""),
        ("group", "gateway.networking.k8s.io"),
        ("kind", "Service"),
        ("kind", "Gateway"),
    }
)

_NO_RULES: Final[Item] = {"matches": [{"path": {"type": "PathPrefix", "value": "/"}}]}
"""What the API server writes when nobody declares a rule: it is no more somebody's than ours."""


def united(ours: Sequence[Any], before: Sequence[Any], live: Sequence[Any]) -> list[Any]:
    """Plain items: those of `live` that we neither want nor wanted `before` are of others."""
    pairs = _paired(ours, live, range(len(live)), (same,))
    taken = [any(same(item, known) for known in (*ours, *before)) for item in live]
    return _woven(ours, live, pairs, taken, merged=lambda number: ours[number])


@dataclass(frozen=True, slots=True)
class RuleMerge:
    """Rules of one route. `own` are our backends, as `backend_name` names them."""

    own: AbstractSet[str]
    namespace: str

    def merged(
        self, ours: Sequence[Item], before: Sequence[Item], live: Sequence[Item]
    ) -> list[Item]:
        """Rules: `before` are those that we applied last, `live` those that are there.

        A rule of ours that is not there stands before one of others for the same requests: of two
        such the first gets them.
        """
        wanted_before = {
            id(rule): before[position]
            # From the end: the last rule is the one for all requests.
            for position, rule in zip(range(-1, -len(before) - 1, -1), reversed(ours), strict=False)
        }

        def stood(rule: Item, found: Item) -> bool:
            known = wanted_before.get(id(rule))
            return known is not None and _same_matches(known, found)

        taken = [self.is_ours(rule) or same(rule, _NO_RULES) for rule in live]
        open_ = [position for position, is_taken in enumerate(taken) if is_taken]
        pairs = _paired(ours, live, open_, (_same_matches, stood))

        def rule(number: int) -> Item:
            if number not in pairs:
                return ours[number]
            found = live[pairs[number]]
            known = next((rule for rule in before if _same_matches(rule, found)), {})
            return self._rule(ours[number], known, found)

        return _woven(ours, live, pairs, taken, merged=rule, first=_same_matches)

    def is_ours(self, rule: Item) -> bool:
        return not self.own.isdisjoint(backends_of(rule, self.namespace))

    def _rule(self, ours: Item, before: Item, live: Item) -> Item:
        merged = _laid_over(ours, before, live)
        merged["backendRefs"] = self._backends(ours["backendRefs"], live.get("backendRefs") or ())
        filters = [part.get("filters") or () for part in (ours, before, live)]
        return _with_filters(merged, self._filters(*filters))

    def _backends(self, ours: Sequence[Item], live: Sequence[Item]) -> list[Item]:
        def alike(wanted: Item, found: Item) -> bool:
            return self._leads_as(wanted, found) and all(
                any(same(one, other) for other in found.get("filters") or ())
                for one in wanted.get("filters") or ()
            )

        taken = [backend_name(found, self.namespace) in self.own for found in live]
        pairs = _paired(ours, live, range(len(live)), (alike, self._leads_as))

        def backend(number: int) -> Item:
            if number not in pairs:
                return ours[number]
            wanted, found = ours[number], live[pairs[number]]
            filters = self._filters(wanted.get("filters") or (), (), found.get("filters") or ())
            return _with_filters(_laid_over(wanted, {}, found), filters)

        return _woven(ours, live, pairs, taken, merged=backend)

    def _leads_as(self, one: Item, other: Item) -> bool:
        return backend_name(one, self.namespace) == backend_name(other, self.namespace)

    def _filters(
        self, ours: Sequence[Item], before: Sequence[Item], live: Sequence[Item]
    ) -> list[Item]:
        def corresponds(one: Item, other: Item) -> bool:
            """All but copies and extensions may be in a rule only once."""
            if one.get("type") != other.get("type"):
                return False
            if one.get("type") == "RequestMirror":
                return self._leads_as(_mirrored(one), _mirrored(other))
            return one.get("type") != "ExtensionRef" or same(one, other)

        pairs = _paired(ours, live, range(len(live)), (corresponds,))
        taken = [
            position in pairs.values()
            or any(same(found, known) for known in before)
            or backend_name(_mirrored(found), self.namespace) in self.own
            for position, found in enumerate(live)
        ]
        return _woven(ours, live, pairs, taken, merged=lambda number: ours[number])


def backends_of(rule: Item, namespace: str) -> Iterator[str]:
    """Where a rule sends requests or copies of them."""
    for reference in rule.get("backendRefs") or ():
        yield backend_name(reference, namespace)
    for copied in filter(None, map(_mirrored, rule.get("filters") or ())):
        yield backend_name(copied, namespace)


def backend_name(reference: Item, namespace: str) -> str:
    """The name of a Service beside the route; of anything else, also what and where it is."""
    name, kind = str(reference.get("name") or ""), str(reference.get("kind") or "Service")
    group, where = reference.get("group") or "", reference.get("namespace") or namespace
    if (kind, group, where) == ("Service", "", namespace):
        return name
    return f"{kind}.{group}/{where}/{name}"


def same(one: Any, other: Any) -> bool:
    """Whether two values are the same to the API server."""
    return bool(_plain(one) == _plain(other))


def _plain(value: Any) -> Any:
    """The value without what the server adds to references."""
    if isinstance(value, dict):
        return {
            name: _plain(part)
            for name, part in value.items()
            if not isinstance(part, str) or (name, part) not in _DEFAULTS
        }
    return [_plain(part) for part in value] if isinstance(value, (list, tuple)) else value


def _mirrored(filters: Item) -> Item:
    mirror: Item = filters.get("requestMirror") or {}
    reference: Item = mirror.get("backendRef") or {}
    return reference


def _same_matches(one: Item, other: Item) -> bool:
    return same(one.get("matches"), other.get("matches"))


def _laid_over(ours: Item, before: Item, live: Item) -> Item:
    """`ours`, and of `live` the fields that we do not set and did not set `before`."""
    kept = {name: part for name, part in live.items() if name in ours or name not in before}
    inner = {
        name: _laid_over(part, before.get(name) or {}, kept[name])
        for name, part in ours.items()
        if isinstance(part, dict) and isinstance(kept.get(name), dict)
    }
    return {**kept, **ours, **inner}


def _with_filters(item: Item, filters: list[Item]) -> Item:
    rest = {name: part for name, part in item.items() if name != "filters"}
    return {**rest, "filters": filters} if filters else rest


def _paired(
    ours: Sequence[Any],
    live: Sequence[Any],
    open_: Sequence[int],
    tests: Sequence[Callable[[Any, Any], bool]],
) -> dict[int, int]:
    """Which of `live`, at the positions `open_`, is which of `ours`; surer tests come first."""
    pairs: dict[int, int] = {}
    for test in tests:
        for number, item in enumerate(ours):
            free = (p for p in open_ if p not in pairs.values() and test(item, live[p]))
            if number not in pairs and (position := next(free, None)) is not None:
                pairs[number] = position
    return pairs


def _woven(
    ours: Sequence[Any],
    live: Sequence[Any],
    pairs: Mapping[int, int],
    taken: Sequence[bool],
    *,
    merged: Callable[[int], Any],
    first: Callable[[Any, Any], bool] = lambda _, __: False,
) -> list[Any]:
    """`ours` in the places where it is, and what of `live` is not `taken` in its own.

    What of ours is not there yet goes before the next that is, or before what it must be `first`
    of, or after the last; and in front when none is there.
    """
    places = sorted(pairs.values())
    ahead = deque(range(len(ours)))
    woven: list[Any] = []

    def put(until: Callable[[int], bool] = lambda _: False) -> None:
        while ahead:
            number = ahead.popleft()
            woven.append(merged(number))
            if until(number):
                return

    if not places:
        put()
    for position, item in enumerate(live):
        if position in places:
            put(until=pairs.__contains__)
        elif not taken[position]:
            rivals = {n for n in ahead if n not in pairs and first(ours[n], item)}
            if rivals:
                put(until=rivals.__contains__)
            woven.append(item)
        if places and position == places[-1]:
            put()
    return woven
