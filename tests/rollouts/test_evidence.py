"""Evidence, its trail and its pictures: bounded, and the same again from their records."""

from __future__ import annotations

import itertools
import math
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.core.exposition import ReplicaSignals
from reconciler.core.gates import judge
from reconciler.core.identifiers import ClusterName
from reconciler.core.kinds.gate import GateSpec
from reconciler.core.presenting.evidence_chart import curve_of, svg_chart, terminal_chart
from reconciler.core.rollouts.gathering import (
    Histograms,
    Readings,
    Segments,
    condensed,
    counted,
)
from reconciler.core.rollouts.trail import (
    MOST_POINTS,
    Point,
    Reading,
    Trail,
    trail_from_json,
    trail_json,
)
from reconciler.core.samples import Distribution, Exposure, Samples, Traffic
from reconciler.core.verdicts import Line, Outcome, Verdict

ONE = ClusterName("one")
FAILED = Verdict(
    "errors",
    Outcome.FAIL,
    "too many",
    abort=Line("evidence", 1000.0, 100.0, above=True),
    promote=Line("surely below", 0.5, 0.01, above=False),
)


def point(at: float, value: float = 1.0) -> Point:
    return Point(at, 0, 0, int(at), 0, {"errors": Reading(Outcome.HOLD, abort=value)})


def trail(count: int) -> Trail:
    made = Trail()
    for number in range(count):
        made.add(point(float(number)))
    return made


@given(count=st.integers(1, 5000))
def test_a_trail_is_bounded_in_order_and_ends_with_the_newest(count: int) -> None:
    times = [point.at for point in trail(count).points]
    assert len(times) <= MOST_POINTS
    assert times == sorted(set(times))
    assert times[-1] == count - 1


@given(count=st.integers(1, 5000))
def test_a_trail_covers_all_of_the_time(count: int) -> None:
    times = [point.at for point in trail(count).points]
    assert times[0] <= count / 50
    gaps = [later - earlier for earlier, later in itertools.pairwise(times)]
    assert max(gaps, default=1) <= max(1, count / 40)


@pytest.mark.parametrize("value", [1.5, math.inf, math.nan, None])
def test_a_trail_comes_back_from_json(value: float | None) -> None:
    points = (Point(1.5, 0, 2, 3, 1, {"a": Reading(Outcome.PASS, value, 0.1)}),)
    assert repr(trail_from_json(trail_json(points))) == repr(points)


def test_a_curve_says_when_its_line_was_crossed() -> None:
    points = [point(10.0), point(11.0, 50.0), point(12.0, 150.0), point(13.0, 1000.0)]
    curve = curve_of(points, FAILED)
    assert curve is not None
    assert curve.crossed_at == 2.0


def test_a_curve_without_numbers_is_not_drawn() -> None:
    assert curve_of([point(1.0, math.nan)], FAILED) is None
    assert curve_of([point(1.0)], Verdict("errors", Outcome.HOLD, "nothing yet")) is None


@given(values=st.lists(st.floats(0, 1e300), min_size=1, max_size=200))
def test_any_curve_can_be_drawn(values: list[float]) -> None:
    curve = curve_of([point(float(n), value) for n, value in enumerate(values)], FAILED)
    assert curve is not None
    rows = terminal_chart(curve)
    assert len({len(row) for row in rows}) == 1 or all(len(row) <= 80 for row in rows)
    assert any("╌" in row or "●" in row for row in rows)
    ElementTree.fromstring(svg_chart(curve, title="<&>"))


def readings(stable: int, candidate: int, edge: float = 1.0) -> dict[ClusterName, Readings]:
    def signals(count: int) -> ReplicaSignals:
        return ReplicaSignals(count, 0, Distribution((edge, math.inf), (count, 0)))

    return {ONE: Readings({"a": signals(stable)}, {"b": signals(candidate)})}


def test_histograms_count_only_what_came_between_looks() -> None:
    histograms = Histograms()
    histograms.take(readings(500, 500))
    assert histograms.latencies() == ()
    histograms.take(readings(510, 505))
    batch = histograms.latencies()[0]
    assert (batch.stable.total, batch.candidate.total) == (10, 5)


def test_what_came_with_other_traffic_is_left_out() -> None:
    histograms = Histograms()
    histograms.take(readings(0, 0))
    histograms.pass_over(readings(100, 100))
    histograms.take(readings(110, 101))
    assert histograms.latencies()[0].stable.total == 10


def test_batches_double_so_that_they_stay_few() -> None:
    histograms = Histograms()
    for count in range(0, 200_000, 200):
        histograms.take(readings(count, count))
    sizes = [batch.candidate.total for batch in histograms.latencies()]
    assert len(sizes) <= 11
    assert sum(sizes) == 199_800


def test_a_server_that_changes_its_buckets_begins_anew() -> None:
    histograms = Histograms()
    histograms.take(readings(0, 0))
    histograms.take(readings(100, 100))
    histograms.take(readings(150, 150, edge=2.0))
    assert histograms.latencies()[0].stable.edges == (2.0, math.inf)


def test_counting_begins_only_when_every_replica_has_answered() -> None:
    silent = Readings({"a": ReplicaSignals(trouble="no answer")}, {}, trouble="no answer")
    assert counted(None, silent) is None
    begun = counted(None, readings(100, 100)[ONE])
    assert begun is not None
    grown = counted(begun, readings(130, 105)[ONE])
    assert grown is not None
    assert (grown.stable.counted.requests, grown.candidate.counted.requests) == (30, 5)


def test_a_replica_without_an_answer_keeps_its_place() -> None:
    begun = counted(None, readings(100, 100)[ONE])
    silent = Readings({"a": ReplicaSignals(trouble="no answer")}, {}, trouble="no answer")
    held = counted(begun, silent)
    grown = counted(held, readings(130, 105)[ONE])
    assert grown is not None
    assert grown.stable.counted.requests == 30


def counted_to(requests: int, errors: int = 0) -> dict[ClusterName, Exposure]:
    return {ONE: Exposure(Traffic.FULL, 1.0, 0, 0, requests, errors)}


@given(steps=st.lists(st.integers(0, 5000), min_size=1, max_size=60))
def test_parts_add_up_to_what_was_counted(steps: list[int]) -> None:
    segments, total = Segments(), 0
    for more in steps:
        total += more
        parts = segments.parts(counted_to(total, total // 7))
        assert sum(part.candidate_requests for part in parts) == total
        assert sum(part.candidate_errors for part in parts) == total // 7


def test_parts_stay_few_and_the_last_one_small() -> None:
    segments = Segments()
    for total in range(0, 1_000_000, 250):
        parts = segments.parts(counted_to(total))
    assert len(parts) < 300
    assert parts[-1].candidate_requests < 1_000_000 / 25


def test_counts_that_begin_anew_are_parted_anew() -> None:
    segments = Segments()
    segments.parts(counted_to(1000))
    assert segments.parts(counted_to(10)) == tuple(counted_to(10).values())


def test_the_parts_of_all_clusters_end_at_the_same_looks() -> None:
    two = ClusterName("two")
    segments = Segments()
    for total in (100, 200):
        one, other = counted_to(total)[ONE], counted_to(3 * total)[ONE]
        parts = segments.parts({ONE: one, two: other})
    assert [part.candidate_requests for part in parts] == [100, 300, 100, 300]


def test_steps_of_one_division_are_put_together() -> None:
    one, other = counted_to(5)[ONE], Exposure(Traffic.WEIGHT, 0.05, 9, 1, 2, 0)
    assert condensed([one, other, one]) == (counted_to(10)[ONE], other)


def test_a_version_that_was_good_for_long_is_found_out_by_what_came_last() -> None:
    gate = GateSpec.model_validate({"errorRate": {"atMost": "1%"}})
    whole = judge("errors", gate, Samples(exposures=tuple(counted_to(100_040, 40).values())))
    parts = (*counted_to(99_000).values(), *counted_to(1040, 40).values())
    assert whole.outcome is not Outcome.FAIL
    verdict = judge("errors", gate, Samples(exposures=parts))
    assert verdict.outcome is Outcome.FAIL
    assert "40 of 1,040 requests" in verdict.summary
