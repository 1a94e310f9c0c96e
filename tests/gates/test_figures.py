"""The figures of docs/gates.md: a small run makes them, and they fit together."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import pytest

from bench.gates import drifts, errors
from bench.gates.chances import chance, few, many, spread
from bench.gates.figures import Figures, Target, targets
from bench.gates.page import BEGIN, END, figures_text, plots, with_figures
from bench.gates.peers import ARGO, FLAGGER
from bench.gates.running import measure
from bench.plots import Axis
from reconciler.core.gates import judge
from reconciler.core.kinds.gate import GateSpec
from reconciler.core.samples import Exposure, Samples, Traffic
from reconciler.core.verdicts import Outcome

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "gates.md").read_text(encoding="utf-8")
RUNS = 200
GATE = GateSpec.model_validate({"errorRate": {"atMost": "1%"}})


@pytest.fixture(scope="module")
def figures() -> Figures:
    return measure(RUNS, lambda _: None)


def rows(text: str) -> Iterator[list[str]]:
    for line in text.splitlines():
        if line.startswith("| "):
            yield [cell.strip() for cell in line.strip("|").split("|")]


def test_a_small_run_holds_what_needs_no_large_one(figures: Figures) -> None:
    """Shares near their limits need more runs than these."""
    assert figures.promoted_without_data == 0
    assert figures.asked_without_data > RUNS
    assert figures.false_promotions[0.05]["gate"] == 0
    assert figures.worst_errors(1.0) <= 5


def test_the_figures_fit_together(figures: Figures) -> None:
    kinds = figures.false_aborts.values()
    for curve in figures.aborted_by_look:
        assert list(curve.y) == sorted(curve.y)
        mean = sum(by[curve.name] for by in kinds) / len(kinds)
        assert curve.y[-1] == pytest.approx(mean)
    for exposure in figures.exposures:
        assert 3 <= exposure.errors.middle <= exposure.errors.high <= exposure.requests.high
        assert exposure.requests.middle <= exposure.requests.high
    for late in figures.late:
        assert 3 <= late.beside.middle <= late.beside.high
        assert 3 <= late.full.middle <= late.full.high


def test_the_same_seeds_give_the_same_figures_however_they_are_shared_out() -> None:
    kind = next(iter(errors.HEALTHY))
    whole = errors.false_aborts(kind, range(6))
    parts = [errors.false_aborts(kind, range(low, low + 2)) for low in (0, 2, 4)]
    assert whole == [[look for part in parts for look in part[n]] for n in range(len(whole))]


def test_the_page_takes_its_figures_and_keeps_its_words(figures: Figures) -> None:
    page = with_figures(PAGE, figures)
    assert page.partition(BEGIN)[0] == PAGE.partition(BEGIN)[0]
    assert page.partition(END)[2] == PAGE.partition(END)[2]
    assert figures_text(figures) in page
    assert with_figures(page, figures) == page


def test_every_table_is_as_wide_as_its_head(figures: Figures) -> None:
    for block in figures_text(figures).split("\n\n"):
        assert len({len(row) for row in rows(block)}) <= 1


def test_the_published_page_was_made_whole() -> None:
    """And keeps every promise, or says which it does not."""
    (runs,) = re.findall(r"^([\d,]+) seeded runs or more", PAGE, re.MULTILINE)
    assert int(runs.replace(",", "")) >= 10_000
    table = {row[0]: row[1:] for row in rows(PAGE.partition(BEGIN)[2].partition("\n\n")[0])}
    assert len(table) == 11
    for limit, value, held in list(table.values())[2:]:
        number, most = (float(re.sub(r"[^\d.]", "", text)) for text in (value, limit))
        assert (number >= most if "≥" in limit else number <= most) == (held == "yes")


def test_the_plots_are_pictures_with_titles_and_axes(figures: Figures) -> None:
    for name, svg in plots(figures).items():
        assert (DOCS / "images" / name).exists()
        assert f"images/{name}" in PAGE
        root = ElementTree.fromstring(svg)
        texts = [element.text for element in root.iter("{http://www.w3.org/2000/svg}text")]
        assert len(texts) > 8
        assert "prefers-color-scheme: dark" in svg
        for line in root.iter("{http://www.w3.org/2000/svg}polyline"):
            places = [tuple(map(float, p.split(","))) for p in line.attrib["points"].split()]
            assert all(0 <= x <= 760 and 0 <= y <= 400 for x, y in places)


def test_a_target_is_held_up_to_its_limit() -> None:
    assert Target("errors", 5, 5).held
    assert not Target("errors", 6, 5).held
    assert not Target("seen", 0.949, 0.95, is_share=True, is_least=True).held


def test_every_promise_of_the_gates_has_a_target(figures: Figures) -> None:
    assert [target.limit for target in targets(figures)] == [
        *(0.01, 0.01, 0, 5, 50, 600, 0.01, 0.01, 0.95)
    ]


@pytest.mark.parametrize("seed", range(20))
def test_what_is_simulated_is_the_verdict_of_the_gate(seed: int) -> None:
    """The simulation leaves out the words of verdicts, and nothing that decides."""
    rate, beside = (0.5, 0.01) if seed % 2 else (0.2, None)
    ((requests, failed),) = errors.exposures(rate, beside, range(seed, seed + 1))
    source = chance("exposure", rate, beside, seed)
    share = 1.0 if beside is None else errors.SHARE
    traffic = Traffic.COHORT if beside is None else Traffic.WEIGHT
    mine, stable = [0, 0], [0, 0]
    while True:
        own = source.random() < share
        counts = mine if own else stable
        counts[0] += 1
        has_failed = source.random() < (rate if own else beside or 0.0)
        counts[1] += has_failed
        samples = Samples(exposures=(Exposure(traffic, share, *stable, *mine),))
        if own and has_failed and judge("errors", GATE, samples).outcome is Outcome.FAIL:
            break
    assert (mine[0], mine[1]) == (requests, failed)


@pytest.mark.parametrize("failed", [0, 1, 5, 20])
def test_the_gate_passes_at_the_requests_that_are_said_to_be_needed(failed: int) -> None:
    for requests, outcome in (
        (errors.needed(failed), Outcome.PASS),
        (errors.needed(failed) - 1, Outcome.HOLD),
    ):
        exposure = Exposure(Traffic.FULL, 1.0, 0, 0, requests, failed)
        assert judge("errors", GATE, Samples(exposures=(exposure,))).outcome is outcome


def test_rules_count_failed_looks() -> None:
    assert FLAGGER.fails(100, 2)
    assert not FLAGGER.fails(100, 1)
    assert not FLAGGER.fails(0, 0)
    source = random.Random(1)
    assert FLAGGER.exposure(source, 1.0, most=20_000) == 1200
    assert ARGO.exposure(source, 1.0, most=20_000) == 2400
    assert ARGO.promotes(source, 0.0, per_look=20)
    assert not FLAGGER.promotes(source, 1.0, per_look=20)


def test_a_rule_that_forgives_nothing_takes_back_as_the_binomial_distribution_says() -> None:
    *_, strict = errors.rule_aborts(0.01, 10, range(4000))
    assert strict / 4000 == pytest.approx(1 - 0.99**100, abs=0.03)


@pytest.mark.parametrize("probability", [0.0, 0.003, 0.5, 1.0])
def test_draws_have_the_mean_and_spread_of_their_chance(probability: float) -> None:
    source = chance("draws", probability)
    for draw in (few, many):
        drawn = [draw(source, 200, probability) for _ in range(4000)]
        mean, variance = 200 * probability, 200 * probability * (1 - probability)
        assert sum(drawn) / 4000 == pytest.approx(mean, abs=0.08 * variance**0.5 + 1e-9)
        squares = sum((n - mean) ** 2 for n in drawn) / 4000
        assert squares == pytest.approx(variance, rel=0.15, abs=1e-9)


def test_what_is_spread_over_cells_is_all_there() -> None:
    for seed in range(200):
        counts = spread(chance(seed), 1000, drifts.normal(0.3))
        assert sum(counts) == 1000
        assert min(counts) >= 0


def test_what_lies_outside_an_axis_is_drawn_at_its_end() -> None:
    axis = Axis("share", (0.01, 0.1, 1.0), log=True)
    assert [axis.place(value) for value in (0.0, 0.01, 0.1, 1.0, 9.0)] == [0, 0, 0.5, 1, 1]
