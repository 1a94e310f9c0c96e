"""What a model server says of itself in Prometheus' text format: the few metrics that count.

Separate from asking for the text, because servers of all makers write it and anything may be in
it. The invariant: a number is read whole or not at all; what is absent, not a number or against
itself is told as trouble or left out, and never becomes a zero.

Only lines of the named metrics are looked at closely, since a server shows thousands of others.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from reconciler.core.distributions import since
from reconciler.core.problems import printable
from reconciler.core.samples import Distribution

SIGNAL_LABEL = "signal"
"""Label of the histogram of outputs that tells what was measured."""

# Possessive throughout: a line that does not fit is given up at once.
_LABELS = rb'\{((?:[^"}\n]++|"(?:[^"\\\n]++|\\.)*+")*+)\}'
_REST = rb"(?:" + _LABELS + rb")?+[ \t]++([^ \t\r\n]++)(?:[ \t]++[^\r\n]*+)?\r?$"
_LABEL = re.compile(rb'([a-zA-Z_][a-zA-Z0-9_]*+)[ \t]*+=[ \t]*+"((?:[^"\\]++|\\.)*+)"')
_ESCAPED = re.compile(r"\\(.)")

_LARGEST = 2**53
"""Above it, a float is no count of anything."""


@dataclass(frozen=True, slots=True)
class ReplicaSignals:
    """One reading of one replica: totals since its process began.

    `trouble` says why requests and errors are not known; they are 0 then and mean nothing. A
    histogram that is absent or unreadable is None, or has no entry.
    """

    requests: int = 0
    """Those that succeeded and those that failed."""
    errors: int = 0
    latency: Distribution | None = None
    outputs: Mapping[str, Distribution] = field(default_factory=dict)
    """By the value of the label `signal`."""
    trouble: str = ""

    def since(self, earlier: ReplicaSignals) -> ReplicaSignals:
        """What came after `earlier`, a reading of the same process.

        Where a number fell, that process began anew, and all of it came after. Neither reading
        may have trouble.
        """
        restarted = self.requests < earlier.requests or self.errors < earlier.errors
        if restarted:
            return self
        return ReplicaSignals(
            requests=self.requests - earlier.requests,
            errors=self.errors - earlier.errors,
            latency=self.latency and since(self.latency, earlier.latency),
            outputs={
                name: since(seen, earlier.outputs.get(name)) for name, seen in self.outputs.items()
            },
        )


class _Unreadable(Exception):
    """Why a metric cannot be read. Never leaves this module."""


def read_signals(
    text: bytes,
    *,
    succeeded: str,
    failed: str,
    latency: str,
    outputs: str,
    only: tuple[str, str] | None = None,
) -> ReplicaSignals:
    """Read the four named metrics; names are those of the series, without `_bucket`.

    Counters are summed over their label sets, of which `only` may demand a label and its value.
    One that is declared by a TYPE line and has no series yet is 0; one that is not even declared
    is trouble.
    """
    trouble = ""
    requests = errors = 0
    try:
        errors = _counter(text, failed, only)
        requests = _counter(text, succeeded, only) + errors
    except _Unreadable as reason:
        requests = errors = 0
        trouble = str(reason)
    return ReplicaSignals(
        requests=requests,
        errors=errors,
        latency=_histogram(text, latency, only, by=None).get(""),
        outputs=_histogram(text, outputs, only, by=SIGNAL_LABEL.encode()),
        trouble=trouble,
    )


def _lines(
    text: bytes, name: str, only: tuple[str, str] | None
) -> Iterator[tuple[Mapping[bytes, bytes], bytes]]:
    """Labels and value of each sample of one series name, if it has the label that is demanded."""
    pattern = re.compile(rb"^" + re.escape(name.encode()) + _REST, re.MULTILINE)
    for found in pattern.finditer(text):
        labels, value = found.groups()
        given = dict(_LABEL.findall(labels or b""))
        if only is None or _unescaped(given.get(only[0].encode(), b"")) == only[1]:
            yield given, value


def _counter(text: bytes, name: str, only: tuple[str, str] | None) -> int:
    total, seen = 0, False
    for _, value in _lines(text, name, only):
        seen = True
        total += _count(value, name)
        if total >= _LARGEST:
            raise _Unreadable(f"{printable(name)} adds up to {total}, which is no count")
    if not seen and not _is_declared(text, name):
        raise _Unreadable(f"there is no metric {printable(name)}")
    return total


def _is_declared(text: bytes, name: str) -> bool:
    """OpenMetrics declares a counter without its `_total`."""
    family = rb"(?:" + re.escape(name.removesuffix("_total").encode()) + rb"(?:_total)?)"
    declaration = rb"^# TYPE " + family + rb"[ \t]+(?:counter|unknown|untyped)[ \t\r]*$"
    return re.search(declaration, text, re.MULTILINE) is not None


def _count(value: bytes, name: str) -> int:
    number = _number(value)
    if not 0 <= number < _LARGEST:  # false for NaN, too
        raise _Unreadable(f"{printable(name)} is {_shown(value)}, which is no count")
    return round(number)


def _number(value: bytes) -> float:
    """NaN for what is no number; Python's own underscores are none."""
    try:
        return math.nan if b"_" in value else float(value)
    except ValueError:
        return math.nan


def _shown(value: bytes) -> str:
    return printable(value[:40].decode("utf-8", "replace"))


def _histogram(
    text: bytes, name: str, only: tuple[str, str] | None, *, by: bytes | None
) -> Mapping[str, Distribution]:
    """One histogram for each value of the label `by`; of all series, under "", without one."""
    buckets: dict[tuple[bytes, bytes], list[float]] = {}
    for given, value in _lines(text, f"{name}_bucket", only):
        group = given.get(by) if by is not None else b""
        if group is not None:
            buckets.setdefault((group, given.get(b"le", b"")), []).append(_number(value))
    cumulative: dict[bytes, dict[float, list[float]]] = {}
    for (group, edge), counts in buckets.items():
        cumulative.setdefault(group, {}).setdefault(_number(edge), []).extend(counts)
    return {
        _unescaped(group): distribution
        for group, edges in cumulative.items()
        if (distribution := _distribution(edges)) is not None
    }


def _distribution(buckets: Mapping[float, list[float]]) -> Distribution | None:
    """None unless every series has every edge, the last is infinity, and counts add up."""
    if any(map(math.isnan, buckets)) or len({len(counts) for counts in buckets.values()}) != 1:
        return None
    if not all(0 <= count < _LARGEST for counts in buckets.values() for count in counts):
        return None
    edges = tuple(sorted(buckets))
    totals = [round(math.fsum(buckets[edge])) for edge in edges]
    if edges[-1] != math.inf:
        return None
    counts = tuple(now - before for before, now in zip([0, *totals], totals, strict=False))
    return Distribution(edges, counts) if min(counts) >= 0 else None


def _unescaped(value: bytes) -> str:
    text = value.decode("utf-8", "replace")
    return _ESCAPED.sub(lambda found: "\n" if found[1] == "n" else found[1], text)
