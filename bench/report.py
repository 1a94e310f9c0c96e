"""The table of docs/benchmarks.md, made of figures.

Separate so that the page can never say what was not measured: its numbers come from here.
"""

from __future__ import annotations

from collections.abc import Sequence

from bench.page import PAGE_ROWS, page_cells
from bench.scenario import Figures

_ROWS: Sequence[tuple[str, str]] = (
    ("API requests for a one-object commit", "≤ 5"),
    ("push (webhook) → object changed, p50 / p95", "p95 ≤ 0.3 s (1,000), ≤ 0.5 s (10,000)"),
    ("engine CPU for that commit", "≤ 0.1 s"),
    ("compile and plan of one changed file", "≤ 1 s with 1,000 units"),
    ("drift → corrected, p50 / p95", "p95 ≤ 0.1 s"),
    ("API requests for that correction", "≤ 2"),
    ("first bulk apply, objects/s", "≥ 250"),
    ("… the API server's own limit for that mix, objects/s", ""),
    ("… share of that limit", "≥ 0.8"),
    ("API reads / writes in an idle minute", "≤ 10 / 0"),
    ("peak memory in the bulk apply / over all, MiB", "≤ 150 (1,000), ≤ 200 (10,000)"),
    *PAGE_ROWS,
)


def table(measured: Sequence[Figures], *, machine: str) -> str:
    """Markdown: one column for each estate, and the targets of the design beside them."""
    heads = [f"{f.objects:,} objects, {f.units:,} units" for f in measured]
    columns = [_cells(figures) for figures in measured]
    lines = [
        f"Measured on {machine}, with etcd, API server and controllers on the same machine.",
        "",
        f"| what | target | {' | '.join(heads)} |",
        f"| --- | --- |{' --- |' * len(heads)}",
    ]
    for number, (what, target) in enumerate(_ROWS):
        cells = " | ".join(column[number] for column in columns)
        lines.append(f"| {what} | {target} | {cells} |")
    return "\n".join(lines) + "\n"


def _cells(f: Figures) -> Sequence[str]:
    return (
        f"{f.commit_requests:.1f}",
        f"{f.commit_seconds[0]:.3f} / {f.commit_seconds[1]:.3f} s",
        f"{f.commit_cpu:.3f} s",
        f"{f.plan_seconds:.3f} s",
        f"{f.drift_seconds[0]:.3f} / {f.drift_seconds[1]:.3f} s",
        f"{f.drift_requests:.1f}",
        f"{f.bulk:.0f}",
        f"{f.limit:.0f}",
        f"{f.bulk / f.limit:.2f}",
        f"{f.idle_reads:.0f} / {f.idle_writes:.0f}",
        f"{f.peak_bulk:.0f} / {f.peak:.0f}",
        *page_cells(f.page),
    )
