"""Reading what model servers say of themselves, and what others may say in their place."""

import math
import time
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.core.distributions import plus, since, total
from reconciler.core.exposition import ReplicaSignals, read_signals
from reconciler.core.samples import Distribution

GOOD = rb"""# HELP requests_success_total Requests.
# TYPE requests_success_total counter
requests_success_total{model="fraud",version="v1"} 10.0
requests_success_total{model="fraud",version="v2"} 5
# TYPE requests_failure_total counter
requests_failure_total{model="fraud",why="a } brace, a \" quote"} 2 1700000000000
# TYPE latency_seconds histogram
latency_seconds_bucket{model="fraud",le="0.1"} 3
latency_seconds_bucket{model="fraud",le="0.5"} 7
latency_seconds_bucket{model="fraud",le="+Inf"} 8
latency_seconds_bucket{model="other",le="0.1"} 1
latency_seconds_bucket{le="0.5",model="other"} 1
latency_seconds_bucket{model="other",le="+Inf"} 1
latency_seconds_count{model="fraud"} 8
latency_seconds_sum{model="fraud"} 2.5
# TYPE outputs histogram
outputs_bucket{signal="score",le="0.5"} 4
outputs_bucket{signal="score",le="+Inf"} 6
outputs_bucket{signal="length",le="10"} 1
outputs_bucket{signal="length",le="+Inf"} 1
outputs_bucket{le="+Inf"} 99
"""


def read(text: bytes, only: tuple[str, str] | None = None) -> ReplicaSignals:
    return read_signals(
        text,
        only=only,
        succeeded="requests_success_total",
        failed="requests_failure_total",
        latency="latency_seconds",
        outputs="outputs",
    )


def test_counters_are_summed_and_histograms_read() -> None:
    assert read(GOOD) == ReplicaSignals(
        requests=17,
        errors=2,
        latency=Distribution((0.1, 0.5, math.inf), (4, 4, 1)),
        outputs={
            "score": Distribution((0.5, math.inf), (4, 2)),
            "length": Distribution((10.0, math.inf), (1, 0)),
        },
    )


def test_lines_may_end_as_on_windows_and_stand_without_labels() -> None:
    text = b"requests_success_total 3\r\nrequests_failure_total 1\r\n"
    assert read(text) == ReplicaSignals(requests=4, errors=1)


def test_a_declared_counter_without_a_series_is_zero() -> None:
    text = b"requests_success_total 3\n# TYPE requests_failure_total counter\n"
    assert read(text) == ReplicaSignals(requests=3, errors=0)


def test_openmetrics_declares_a_counter_without_its_ending() -> None:
    text = b"requests_success_total 3\n# TYPE requests_failure counter\n# EOF\n"
    assert read(text) == ReplicaSignals(requests=3, errors=0)


def test_a_counter_that_is_not_there_is_trouble_and_the_rest_is_read() -> None:
    signals = read(GOOD.replace(b"requests_failure_total", b"requests_failed_total"))
    assert signals.trouble == "there is no metric requests_failure_total"
    assert (signals.requests, signals.errors) == (0, 0)
    assert signals.latency is not None


@pytest.mark.parametrize("value", [b"NaN", b"-1", b"+Inf", b"1e30", b"1_0", b"ten", b"\x1b[2J"])
def test_a_counter_that_is_no_count_is_trouble(value: bytes) -> None:
    signals = read(b"requests_success_total 3\nrequests_failure_total " + value + b"\n")
    assert signals.trouble.startswith("requests_failure_total is ")
    assert signals.trouble.isprintable()
    assert signals.requests == 0


@pytest.mark.parametrize(
    "line",
    [
        b'outputs_bucket{signal="score",le="0.5"} NaN',
        b'outputs_bucket{signal="score",le="low"} 1',
        b'outputs_bucket{signal="score"} 1',
        b'outputs_bucket{signal="score",shard="2",le="0.5"} 1',
        b'outputs_bucket{signal="score",le="0.4"} 5',
        b'outputs_bucket{signal="score",le="1"} +Inf\noutputs_bucket{signal="score",le="1"} -Inf',
    ],
)
def test_a_histogram_against_itself_is_left_out_and_others_are_kept(line: bytes) -> None:
    assert set(read(GOOD + line + b"\n").outputs) == {"length"}


def test_a_histogram_without_its_last_edge_is_left_out() -> None:
    assert read(b'latency_seconds_bucket{le="1"} 1\n').latency is None


def test_a_label_within_the_value_of_another_is_no_label() -> None:
    text = rb'outputs_bucket{x="le=",y="signal=\"evil\",le=\"7\"",signal="a\\\"b",le="+Inf"} 1'
    assert read(text).outputs == {'a\\"b': Distribution((math.inf,), (1,))}


def test_a_metric_whose_name_begins_alike_is_another() -> None:
    assert read(b"requests_success_total_created 3\nrequests_failure_total 1\n").trouble


@given(st.binary(max_size=300), st.integers(0, len(GOOD)))
def test_garbage_is_read_without_an_exception(garbage: bytes, place: int) -> None:
    signals = read(GOOD[:place] + garbage + GOOD[place:])
    assert signals.errors <= signals.requests


@pytest.mark.parametrize(
    "line",
    [
        'other_bucket{{path="/{0}",le="0.5"}} {0}\n',
        'latency_seconds_bucket{{model="fraud",replica="r{0}",le="+Inf"}} {0}\n',
        'latency_seconds_bucket{{model="fraud,replica="r{0}",le=+Inf"}} {0}\n',
        "latency_seconds_bucket{{" + '"' * 30 + "{0}\n",
    ],
)
def test_64_thousand_lines_take_no_longer_than_a_few_plain_readings(line: str) -> None:
    """About eight. A bound in seconds would be one on what else the machine does."""
    text = "".join(line.format(number) for number in range(64_000)).encode()
    reading = least(lambda: read(text))
    assert reading < 25 * least(lambda: [one.rpartition(" ") for one in text.decode().split("\n")])


def least(work: Callable[[], object]) -> float:
    """Seconds of the processor, the least of five times."""
    times = []
    for _ in range(5):
        started = time.process_time()
        work()
        times.append(time.process_time() - started)
    return min(times)


def test_what_came_between_two_readings() -> None:
    earlier = Distribution((1.0, math.inf), (3, 1))
    assert since(Distribution((1.0, math.inf), (5, 1)), earlier).counts == (2, 0)
    assert since(earlier, None) == earlier


def test_a_count_that_fell_says_that_the_process_began_anew() -> None:
    earlier, now = Distribution((1.0, math.inf), (3, 1)), Distribution((1.0, math.inf), (9, 0))
    assert since(now, earlier) == now


def test_other_edges_say_that_the_process_began_anew() -> None:
    now = Distribution((2.0, math.inf), (9, 9))
    assert since(now, Distribution((1.0, math.inf), (3, 1))) == now


def test_histograms_of_the_same_edges_are_added() -> None:
    one, other = Distribution((1.0, math.inf), (3, 1)), Distribution((1.0, math.inf), (1, 1))
    assert plus(one, other) == total([one, other]) == Distribution((1.0, math.inf), (4, 2))
    assert total([]) is None
    with pytest.raises(ValueError, match="different edges"):
        plus(one, Distribution((math.inf,), (1,)))


def test_a_reading_since_an_earlier_one_and_since_a_restart() -> None:
    earlier = read(GOOD)
    later = read(
        GOOD.replace(b'"v2"} 5', b'"v2"} 9').replace(
            b'signal="length",le="+Inf"} 1', b'signal="length",le="+Inf"} 3'
        )
    )
    grown = later.since(earlier)
    assert (grown.requests, grown.errors) == (4, 0)
    assert grown.latency is not None
    assert grown.latency.total == 0
    assert grown.outputs["length"].counts == (0, 2)
    assert earlier.since(later) == earlier


def test_of_one_adapter_only_its_own_series_count() -> None:
    read_v1 = read(GOOD, ("version", "v1"))
    assert (read_v1.requests, read_v1.errors, read_v1.trouble) == (10, 0, "")
    of_other = read(GOOD, ("model", "other"))
    assert (of_other.requests, of_other.errors) == (0, 0)
    assert of_other.latency == Distribution((0.1, 0.5, math.inf), (1, 0, 0))


def test_an_adapter_whose_name_is_escaped_is_found() -> None:
    assert read(GOOD, ("why", 'a } brace, a " quote')).errors == 2
