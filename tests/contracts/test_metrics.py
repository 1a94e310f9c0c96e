"""What every implementation of the MetricsSource port does, in memory and of a real Prometheus."""

from __future__ import annotations

import math
import time
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass

import pytest

from reconciler.adapters.clocks import SystemClock
from reconciler.adapters.metrics_memory import Course, MemoryMetrics
from reconciler.adapters.metrics_prometheus import PrometheusMetrics
from reconciler.core.errors import FairleadError, Invalid, Transient, Unavailable
from reconciler.ports import MetricsSource

EPOCH = 1_767_225_600.0
ABSENT = "nothing_has_this_name"
UNCLOSED = "sum("
TWO = 'vector(1) or label_replace(vector(2), "a", "b", "", "")'

VALUES: Mapping[str, float | Course] = {
    "vector(3)": 3.0,
    "42.5": 42.5,
    "vector(1) / 0": math.inf,
    "-vector(1) / 0": -math.inf,
    "vector(0) / 0": math.nan,
    "vector(time())": lambda at: at,
    "vector(time()) % 20 < 10": lambda at: at % 20 if at % 20 < 10 else None,
}
"""What the real one makes of an expression, for the one in memory."""

ERRORS: Mapping[str, FairleadError] = {
    UNCLOSED: Invalid("unclosed left parenthesis"),
    TWO: Invalid("it gives more than one series"),
}


@dataclass
class World:
    """A provider that answers, and one that nobody runs."""

    source: MetricsSource
    away: MetricsSource


def in_memory() -> World:
    source, away = MemoryMetrics(SystemClock()), MemoryMetrics(SystemClock())
    away.trouble = Unavailable("nobody answers")
    for expression, value in VALUES.items():
        source.put(expression, value)
    for expression, error in ERRORS.items():
        source.refuse(expression, error)
    return World(source, away)


@pytest.fixture(params=["memory", pytest.param("prometheus", marks=pytest.mark.prometheus)])
async def world(request: pytest.FixtureRequest) -> AsyncIterator[World]:
    if request.param == "memory":
        yield in_memory()
        return
    url = request.getfixturevalue("prometheus")
    source = PrometheusMetrics(url, SystemClock())
    away = PrometheusMetrics("http://127.0.0.1:9", SystemClock())
    yield World(source, away)
    await source.close()
    await away.close()


@pytest.mark.parametrize(("expression", "expected"), [("vector(3)", 3.0), ("42.5", 42.5)])
async def test_an_expression_gives_its_number_now(
    world: World, expression: str, expected: float
) -> None:
    before = time.time()
    point = await world.source.instant(expression)
    assert (point.value, point.trouble) == (expected, "")
    assert before - 1 <= point.at <= time.time() + 1


@pytest.mark.parametrize(
    ("expression", "is_it"),
    [
        ("vector(0) / 0", math.isnan),
        ("vector(1) / 0", lambda value: value == math.inf),
        ("-vector(1) / 0", lambda value: value == -math.inf),
    ],
)
async def test_what_is_no_finite_number_is_kept_as_it_is(
    world: World, expression: str, is_it: Callable[[float], bool]
) -> None:
    point = await world.source.instant(expression)
    assert point.value is not None
    assert is_it(point.value)
    points = await world.source.over(expression, start=EPOCH, end=EPOCH, step=1)
    assert [point.value is not None and is_it(point.value) for point in points] == [True]


async def test_no_sample_is_no_number_and_no_trouble(world: World) -> None:
    point = await world.source.instant(ABSENT)
    assert (point.value, point.trouble) == (None, "")


async def test_a_wrong_expression_is_told(world: World) -> None:
    point = await world.source.instant(UNCLOSED)
    assert point.value is None
    assert "unclosed left parenthesis" in point.trouble
    with pytest.raises(Invalid, match="unclosed left parenthesis"):
        await world.source.over(UNCLOSED, start=EPOCH, end=EPOCH + 10, step=1)


async def test_more_than_one_series_is_no_answer(world: World) -> None:
    point = await world.source.instant(TWO)
    assert point.value is None
    assert "more than one series" in point.trouble
    with pytest.raises(Invalid, match="more than one series"):
        await world.source.over(TWO, start=EPOCH, end=EPOCH + 10, step=1)


@pytest.mark.parametrize("step", [1.0, 5.0, 0.29])
async def test_a_range_gives_a_value_for_each_step(world: World, step: float) -> None:
    points = await world.source.over(
        "vector(time())", start=EPOCH, end=EPOCH + 10 * step, step=step
    )
    assert [point.at for point in points] == [round(EPOCH + n * step, 3) for n in range(11)]
    assert [point.value for point in points] == [point.at for point in points]


async def test_a_step_without_a_sample_has_no_value(world: World) -> None:
    expression = "vector(time()) % 20 < 10"
    points = await world.source.over(expression, start=EPOCH, end=EPOCH + 35, step=5)
    assert [point.value for point in points] == [0.0, 5.0, None, None, 0.0, 5.0, None, None]
    assert [point.trouble for point in points] == [""] * 8


async def test_a_range_without_any_sample_has_no_values(world: World) -> None:
    points = await world.source.over(ABSENT, start=EPOCH, end=EPOCH + 20, step=10)
    assert [(point.at - EPOCH, point.value) for point in points] == [
        (0, None),
        (10, None),
        (20, None),
    ]


async def test_a_week_is_given_whole_and_in_order(world: World) -> None:
    week = 7 * 24 * 3600
    points = await world.source.over("vector(time())", start=EPOCH, end=EPOCH + week, step=30)
    assert [point.value for point in points] == [EPOCH + n * 30 for n in range(week // 30 + 1)]


async def test_nobody_who_answers_is_trouble_in_the_point(world: World) -> None:
    point = await world.away.instant("vector(3)")
    assert point.value is None
    assert point.trouble


async def test_nobody_who_answers_is_transient_for_a_range(world: World) -> None:
    with pytest.raises(Transient):
        await world.away.over("vector(3)", start=EPOCH, end=EPOCH + 10, step=1)
