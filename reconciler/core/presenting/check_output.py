"""What a check of a commit says: title, summary, details, and remarks at lines of files.

Separate from the comment, which is one for the pull request, because a check stays with its commit
and is its history. The invariant: every part is within what forges take, whatever is in the plan.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from reconciler.core.change_requests import Annotation, Level
from reconciler.core.presenting.comment_facts import Request
from reconciler.core.presenting.comment_notes import unplanned_comment
from reconciler.core.presenting.impact import Impact
from reconciler.core.presenting.plan_comment import plan_details, plan_summary
from reconciler.core.presenting.plan_view import PlanView
from reconciler.core.problems import Problem, Severity, in_order, printable
from reconciler.core.redaction import masked

LONGEST_DESCRIPTION: Final = 140
"""Characters of a commit status: https://docs.github.com/en/rest/commits/statuses"""

MOST_ANNOTATIONS: Final = 50
"""As many as GitHub takes in one request; the text counts the others."""

_LONGEST_TITLE: Final = 250
_LONGEST_MESSAGE: Final = 2_000
_LOOKED_AT: Final = 2 * _LONGEST_MESSAGE


@dataclass(frozen=True, slots=True)
class CheckOutput:
    """The parts of a Check that people read. `title` is plain text, the next two Markdown."""

    title: str
    summary: str
    text: str
    annotations: tuple[Annotation, ...]


def check_output(view: PlanView, impact: Impact, *, title: str, request: Request) -> CheckOutput:
    """Of a plan."""
    return CheckOutput(
        title=_plain(title, limit=_LONGEST_TITLE),
        summary=plan_summary(view, impact, request=request),
        text=plan_details(view, impact, request=request),
        annotations=annotations_of(request.problems),
    )


def unplanned_output(
    trouble: str, *, title: str, hint: str, problems: Sequence[Problem], request: Request
) -> CheckOutput:
    """Where there is no plan."""
    return CheckOutput(
        title=_plain(title, limit=_LONGEST_TITLE),
        summary=unplanned_comment(trouble, hint=hint, problems=problems, request=request),
        text="",
        annotations=annotations_of(problems),
    )


def annotations_of(problems: Iterable[Problem]) -> tuple[Annotation, ...]:
    """Remarks at the lines of the problems, errors first."""
    placed = [problem for problem in in_order(problems) if problem.path]
    placed.sort(key=lambda problem: problem.severity is not Severity.ERROR)
    return tuple(map(_annotation, placed[:MOST_ANNOTATIONS]))


def _annotation(problem: Problem) -> Annotation:
    first = max(1, problem.span.line) if problem.span else 1
    last = max(first, problem.span.end_line) if problem.span else 1
    message = f"{problem.message}\n{problem.hint}" if problem.hint else problem.message
    parts = (_plain(part, limit=_LONGEST_MESSAGE) for part in message.split("\n"))
    return Annotation(
        path=problem.path,
        line=first,
        end_line=last,
        level=Level.FAILURE if problem.severity is Severity.ERROR else Level.WARNING,
        title=_plain(problem.code, limit=_LONGEST_TITLE),
        message="\n".join(parts)[:_LONGEST_MESSAGE],
    )


def _plain(words: str, *, limit: int) -> str:
    """Plain text in one line, without what may be a credential."""
    return printable(masked(words[:_LOOKED_AT]), limit=limit)


def status_description(words: str) -> str:
    """Plain text for a commit status."""
    return _plain(words, limit=LONGEST_DESCRIPTION)
