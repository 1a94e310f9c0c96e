"""The figures of docs/gates.md as tables, and the plots beside them.

Separate so that the page can never say what was not measured: its numbers come from here. The
words around them are written by hand, and stay as they are when the figures are made anew.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from bench.gates.errors import JUDGES, LOOKS, OWN_LOOKS, PER_LOOK, needed
from bench.gates.figures import Curve, Exposure, Figures, Spread, targets
from bench.gates.peers import PER_SECOND, RULES
from bench.gates.running import LOOKS as DRIFT_LOOKS
from bench.gates.running import PER_LOOK as DRIFT_PER_LOOK
from bench.plots import Axis, plot

BEGIN, END = "<!-- figures: begin -->", "<!-- figures: end -->"


def with_figures(page: str, figures: Figures) -> str:
    """The page with its figures in place of those it had."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{figures_text(figures)}{END}{after}"


def figures_text(figures: Figures) -> str:
    parts = (_targets, _false_aborts, _exposures, _promotions, _drift)
    return "\n".join(line for part in parts for line in part(figures)) + "\n"


def plots(figures: Figures) -> Mapping[str, str]:
    """The SVG files, by name."""
    alarms = [curve for curve in figures.drift_alarms if not curve.name.startswith("gate,")]
    return {
        "gates-false-aborts.svg": plot(
            "Healthy rollouts that were taken back",
            Axis("looks at the evidence", (0, 60, 120, 180, LOOKS)),
            _rare("rollouts so far"),
            figures.aborted_by_look,
            limit=0.01,
        ),
        "gates-exposure.svg": plot(
            "Bad canaries: requests before the abort",
            Axis("error rate of the canary", (0.05, 0.1, 0.2, 0.5, 1.0), log=True, percent=True),
            Axis("requests to the canary, p95", (1, 10, 100, 1000, 10_000), log=True),
            _exposure_curves(figures),
        ),
        "gates-drift-alarms.svg": plot(
            "Drift that is none: false alarms",
            Axis("observations of each version", (50, 200, 1000, 10_000, 100_000), log=True),
            _rare("comparisons"),
            alarms,
            limit=0.01,
        ),
        "gates-drift-power.svg": plot(
            "Drift that is real: how much of it is seen",
            Axis("shift, in standard deviations", (0, 0.2, 0.4, 0.6, 0.8, 1.0)),
            Axis("share of comparisons that fail", (0, 0.25, 0.5, 0.75, 1.0), percent=True),
            figures.power_by_shift,
        ),
    }


def _rare(what: str) -> Axis:
    """Shares of which some are zero, which a logarithmic axis has no place for."""
    title = f"share of {what} (none at all is drawn at 0.01 %)"
    return Axis(title, (0.0001, 0.001, 0.01, 0.1, 1.0), log=True, percent=True)


def _targets(figures: Figures) -> Iterator[str]:
    yield "| promise | target | measured | held |"
    yield "| --- | --- | --- | --- |"
    for target in targets(figures):
        limit, value = target.texts
        yield f"| {target.what} | {limit} | {value} | {'yes' if target.held else '**no**'} |"
    yield ""
    yield (
        f"{figures.runs:,} seeded runs or more behind every line, shared out among the cases of "
        "its table below; the worst case counts."
    )


def _false_aborts(figures: Figures) -> Iterator[str]:
    yield from _section("False aborts", "gates-false-aborts.svg", "healthy rollouts taken back")
    yield (
        f"Both versions are equally good. A rollout takes {LOOKS} looks with {PER_LOOK} requests "
        "each, over a cohort, a mirror, 5 %, 25 %, 50 % and all of the traffic."
    )
    yield ""
    rows = ([kind, *map(_percent, by.values())] for kind, by in figures.false_aborts.items())
    yield from _table(["taken back, of healthy rollouts", *JUDGES], rows)
    yield from _rule_aborts(figures)


def _rule_aborts(figures: Figures) -> Iterator[str]:
    yield ""
    yield (
        "There, the rules judge every one of these looks, and most have few requests of the "
        "canary. With looks as their examples have them (five passes for Flagger's, ten "
        "measurements for Argo Rollouts'), it depends on the traffic:"
    )
    yield ""
    rows = (
        [_percent(rate), f"{requests:,}", *map(_percent, by.values())]
        for (rate, requests), by in figures.rule_aborts.items()
    )
    heads = ["errors of both", "canary requests in a look", *(rule.name for rule in OWN_LOOKS)]
    yield from _table(heads, rows)


def _exposures(figures: Figures) -> Iterator[str]:
    yield from _section("Exposure", "gates-exposure.svg", "requests before the abort")
    yield (
        "Requests that the new version answered before FAIL, median / 95th percentile, and of "
        "them the failed ones."
    )
    yield ""
    rows = (
        [_percent(e.rate), _beside(e), _both(e.requests), _both(e.errors)]
        for e in figures.exposures
    )
    yield from _table(["errors of the canary", "beside it", "requests", "errors"], rows)
    yield from _late(figures)
    yield ""
    yield (
        f"The same by rules that look at fixed intervals, at {PER_SECOND} canary requests a "
        "second: every request until the last of the failed looks was exposed."
    )
    yield ""
    names = [rule.name for rule in RULES]
    rule_rows = (
        [_percent(rate), *(_both(by[name]) for name in names)]
        for rate, by in figures.rule_exposures.items()
    )
    yield from _table(["errors of the canary", *names], rule_rows)


def _late(figures: Figures) -> Iterator[str]:
    yield ""
    yield (
        "A version that was good at first has that in its favour. Failed requests before FAIL, of "
        "one that fails no more often than the stable version until it goes bad:"
    )
    yield ""
    rows = (
        [_percent(late.rate), f"{late.before:,}", _both(late.beside), _both(late.full)]
        for late in figures.late
    )
    heads = ["errors of the canary", "after good requests", "with 5 % of them", "with all of them"]
    yield from _table(heads, rows)


def _promotions(figures: Figures) -> Iterator[str]:
    yield from _section("False promotions")
    yield (
        f"At most 1 % of the requests may fail. The gate passes at {needed(0):,} requests without "
        f"an error, at {needed(1):,} with one, at {needed(5):,} with five. Beside it, rules that "
        "look at 50 requests at a time."
    )
    yield ""
    rows = (
        [_percent(r), *map(_percent, by.values())] for r, by in figures.false_promotions.items()
    )
    names = [rule.name for rule in RULES]
    yield from _table(["errors of the canary", "promoted by the gate", *names], rows)
    yield ""
    yield (
        f"Of {figures.asked_without_data:,} verdicts of all gates on samples that lack something "
        "(too few requests, replicas that did not answer, a hole in a query's answers, a signal "
        "or evaluation that is missing, somebody else's approval), "
        f"{figures.promoted_without_data:,} were PASS."
    )


def _drift(figures: Figures) -> Iterator[str]:
    yield from _section("Drift: false alarms", "gates-drift-alarms.svg", "false alarms of drift")
    yield "Both versions put out the same. Share of single comparisons that are called drift:"
    yield ""
    sizes = [f"{size:,.0f} of each" for size in figures.drift_alarms[0].x]
    yield from _table(["judged by", *sizes], _rows(figures.drift_alarms))
    yield ""
    yield (
        f"And of rollouts that are looked at {DRIFT_LOOKS} times, with {DRIFT_PER_LOOK} "
        "observations more of each version every time:"
    )
    yield ""
    rows = ([who, _percent(share)] for who, share in figures.drift_looks.items())
    yield from _table(["judged by", "called drift at any look"], rows)
    yield from _section("Drift: what is seen", "gates-drift-power.svg", "drift that is seen")
    yield "The mean moved by half a standard deviation, 200 observations of each version:"
    yield ""
    power = ([metric, _percent(share)] for metric, share in figures.drift_power.items())
    yield from _table(["metric of the gate", "seen"], power)
    yield ""
    yield "By the shift in standard deviations, with metric `psi` and its default effect of 0.1:"
    yield ""
    heads = [f"{shift:g}" for shift in figures.power_by_shift[0].x]
    yield from _table(["observations", *heads], _rows(figures.power_by_shift))


def _section(title: str, image: str = "", words: str = "") -> Iterator[str]:
    yield ""
    yield f"### {title}"
    yield ""
    if image:
        yield f"![Plot: {words}](images/{image})"
        yield ""


def _table(heads: Sequence[str], rows: Iterator[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(heads)} |"
    yield f"|{' --- |' * len(heads)}"
    for row in rows:
        yield f"| {' | '.join(row)} |"


def _rows(curves: Sequence[Curve]) -> Iterator[Sequence[str]]:
    return ([curve.name, *map(_percent, curve.y)] for curve in curves)


def _exposure_curves(figures: Figures) -> list[Curve]:
    rates = list(figures.rule_exposures)
    gate = [float(figures.worst_requests(rate)) for rate in rates]
    found = [Curve("gate, 5 % of the traffic", rates, gate)]
    for rule in RULES:
        highs = [float(figures.rule_exposures[rate][rule.name].high) for rate in rates]
        found.append(Curve(rule.name, rates, highs))
    return found


def _beside(exposure: Exposure) -> str:
    if exposure.beside is None:
        return "a cohort: nothing"
    return f"stable, {_percent(exposure.beside)} errors"


def _both(spread: Spread) -> str:
    return f"{spread.middle:,} / {spread.high:,}"


def _percent(share: float) -> str:
    return f"{share * 100:.3g} %"
