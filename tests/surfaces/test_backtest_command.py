"""`fairlead rollout backtest`, on a file and on what a provider remembers."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import pytest
from click.testing import CliRunner, Result

from reconciler.adapters.clocks import SystemClock
from reconciler.adapters.metrics_memory import MemoryMetrics
from reconciler.surfaces.backtest_command import backtest_command

EXAMPLE = Path(__file__).parents[2] / "example-repo"
TOTALS = ("--stable-requests", "sr", "--stable-errors", "se")
TOTALS = (*TOTALS, "--candidate-requests", "cr", "--candidate-errors", "ce")
SPAN = ("--from", "2027-01-31T12:00:00Z", "--to", "2027-01-31T12:10:00Z")


def run(*arguments: str, metrics: MemoryMetrics | None = None) -> Result:
    tools = SimpleNamespace(open_metrics=lambda _: metrics)
    words = [*arguments, "--repo", str(EXAMPLE)]
    return CliRunner().invoke(backtest_command, words, obj=tools)


def test_a_recording_tells_when_the_gate_would_have_acted(tmp_path: Path) -> None:
    lines = [
        {"at": n, "share": 0.05, "stableRequests": 95 * n, "candidateRequests": 5 * n}
        | ({"candidateErrors": 5 * (n - 20)} if n > 20 else {})
        for n in range(40)
    ]
    file = tmp_path / "looks.jsonl"
    file.write_text("\n".join(map(json.dumps, lines)))
    result = run("errors", "--file", str(file))
    assert "would have taken the version back at 1970-01-01T00:00:21+00:00" in result.output


def test_a_provider_is_asked_for_the_four_totals() -> None:
    metrics = MemoryMetrics(SystemClock())
    for expression, value in (("sr", 10.0), ("se", 0.0), ("cr", 10.0), ("ce", 0.0)):
        metrics.put(expression, value)
    result = run("errors", "--prometheus", "http://p", *SPAN, *TOTALS, metrics=metrics)
    assert "would have held all the time, over 41 looks" in result.output, result.output


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ((), "give one of --file and --prometheus"),
        (("--prometheus", "http://p", *TOTALS), "--prometheus needs --from"),
        (("--prometheus", "http://p", *SPAN), "needs --stable-requests"),
        (("--prometheus", "http://p", "--from", "noon", *TOTALS), "'noon' is not a time"),
    ],
)
def test_what_is_missing_is_said(arguments: tuple[str, ...], says: str) -> None:
    result = run("errors", *arguments)
    assert result.exit_code == 2
    assert says in result.output
