"""Problems for people and for programs.

Separate from the command, because everything that reads a repository shows its problems in the
same form. The invariant: what is shown can be printed on any terminal, and a line with a secret
in it is not shown again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator

import click

from reconciler.core.identifiers import DocumentPath
from reconciler.core.manifests import JsonObject
from reconciler.core.problems import Problem, Severity, Span, printable

Source = Callable[[DocumentPath], str | None]
"""The text of a file, for excerpts; None where it is not known."""

_WIDTH = 100
_SECRET_CODES = frozenset({"secret-in-git", "secret-value"})
_COLORS = {Severity.ERROR: "red", Severity.WARNING: "yellow"}


def problem_text(problem: Problem, source: Source) -> str:
    """A problem with an excerpt of the file, in the form that editors turn into a link."""
    label = click.style(
        f"{problem.severity}[{problem.code}]", fg=_COLORS[problem.severity], bold=True
    )
    lines = [f"{problem.location}  {label}: {printable(problem.message)}"]
    lines.extend(_excerpt(problem, source))
    if problem.hint:
        lines.append(f"    {click.style('hint:', bold=True)} {printable(problem.hint)}")
    return "\n".join(lines)


def problem_json(problem: Problem) -> JsonObject:
    span = problem.span
    return {
        "path": printable(problem.path),
        "line": span.line if span else None,
        "column": span.column if span else None,
        "endLine": (span.end_line or None) if span else None,
        "endColumn": (span.end_column or None) if span else None,
        "severity": str(problem.severity),
        "code": problem.code,
        "message": problem.message,
        "hint": problem.hint,
    }


def count_text(problems: Iterable[Problem]) -> str:
    """Such as "2 errors and 1 warning in 2 files"."""
    problems = tuple(problems)
    found = Counter(problem.severity for problem in problems)
    parts = [_plural(found[severity], str(severity)) for severity in Severity if found[severity]]
    return f"{' and '.join(parts)} in {_plural(len({p.path for p in problems}), 'file')}"


def _plural(count: int, noun: str) -> str:
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def _excerpt(problem: Problem, source: Source) -> Iterator[str]:
    if problem.span is None or problem.code in _SECRET_CODES:
        return
    text = source(problem.path)
    lines = text.split("\n") if text is not None else []
    if not 0 < problem.span.line <= len(lines):
        return
    line = lines[problem.span.line - 1].rstrip("\r")
    before, marked, after = _cut(line, problem.span)
    number = str(problem.span.line)
    yield f"    {number} | {before}{marked}{after}"
    yield f"    {' ' * len(number)} | {' ' * len(before)}{'^' * max(1, len(marked))}"


def _cut(line: str, span: Span) -> tuple[str, str, str]:
    """What stands before, at and after the place, harmless to print and not too long."""
    start = span.column - 1
    one_line = span.end_line in (0, span.line)
    end = span.end_column - 1 if one_line and span.end_column > span.column else len(line)
    if not one_line or not span.end_column:
        end = start + len(line[start:].split(": ", maxsplit=1)[0].rstrip())
    before, marked, after = (
        printable(part, limit=10 * _WIDTH) for part in (line[:start], line[start:end], line[end:])
    )
    if len(before) > _WIDTH // 2:
        before = f"…{before[-_WIDTH // 2 :]}"
    marked = marked if len(marked) <= _WIDTH // 2 else f"{marked[: _WIDTH // 2]}…"
    return before, marked, after[: max(0, _WIDTH - len(before) - len(marked))]
