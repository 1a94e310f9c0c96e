"""Comments that are about no plan: one is made, one cannot be made, and a rollout was taken back.

Separate from the comment of a plan, which has another shape. The invariants: none of them can be
read as "no changes", each says what happens next and who has to act, and all of them fit.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from reconciler.core.identifiers import short
from reconciler.core.presenting.comment_facts import Request
from reconciler.core.presenting.comment_sections import warned
from reconciler.core.presenting.lines import plural
from reconciler.core.presenting.markdown import (
    Block,
    Inline,
    Symbol,
    bullets,
    code,
    document,
    heading,
    line,
    link,
    paragraph,
    shortened,
    strong,
    symbol,
    table,
    text,
)
from reconciler.core.problems import Problem, errors_among
from reconciler.core.rollouts.reporting import FailureStatus, RolloutStatus
from reconciler.core.verdicts import Line, Outcome, Verdict

MOST_PROBLEMS: Final = 25
MOST_VERDICTS: Final = 10
_LONGEST: Final = 1_200
"""Bytes of a line."""


def planning_comment(request: Request) -> str:
    """While a plan is made."""
    return document(
        [
            heading(3, symbol(Symbol.RUNNING), "The plan is being made"),
            paragraph(
                f"Of {short(request.head)} merged into {short(request.base)}. What stood here "
                "before was of an earlier state and no longer holds; this comment will be edited."
            ),
        ]
    )


def unplanned_comment(
    trouble: str, *, hint: str, problems: Sequence[Problem], request: Request
) -> str:
    """Where there is no plan: for problems at files, or for `trouble`, with what to do."""
    errors = errors_among(problems)
    if errors:
        title = f"Would be refused: {plural(len(errors), 'problem')} in its files"
        told = "Nothing of it would be applied, and no cluster was asked."
    else:
        title = "No plan could be made, so what merging would do is unknown"
        told = trouble
    blocks = [
        heading(3, symbol(Symbol.BAD), title),
        paragraph(shortened(text(told), most=_LONGEST)),
    ]
    blocks += _listed(errors)
    if hint:
        blocks.append(paragraph(shortened(line(strong("What to do:"), f" {hint}"), most=_LONGEST)))
    elif errors:
        blocks.append(paragraph(strong("What to do:"), " mend these places and push again."))
    blocks.append(_planned(request))
    return document(blocks)


def _listed(problems: Sequence[Problem]) -> Iterator[Block]:
    items = [shortened(item, most=_LONGEST) for item in warned(problems[:MOST_PROBLEMS])]
    if (more := len(problems) - MOST_PROBLEMS) > 0:
        items.append(text(f"and {more:,} more, left out here for length"))
    if items:
        yield bullets(items)


def _planned(request: Request) -> Block:
    page = line(" · ", link("more on the page", request.url)) if request.url else ()
    return paragraph(f"Looked at: {short(request.head)} merged into {short(request.base)}", page)


def untrusted_comment(request: Request) -> str:
    """Of a fork of which not even the declarations are planned until a maintainer says so."""
    return document(
        [
            heading(3, symbol(Symbol.WAITING), "Not planned yet: this comes from a fork"),
            paragraph(
                "Until a maintainer has looked at it, no cluster is asked about it and nothing of "
                "it is rendered, so what merging would do is unknown."
            ),
            bullets(
                [
                    line(
                        strong("Maintainers:"),
                        " read the change, then comment ",
                        code("/fairlead plan"),
                        f". That holds for commit {short(request.head)} alone; the next push has "
                        "to be looked at anew",
                    )
                ]
            ),
        ]
    )


def aborted_comment(
    status: RolloutStatus, failure: FailureStatus, verdicts: Sequence[Verdict], *, url: str = ""
) -> str:
    """A version was taken back: which number crossed which line, and what undoes its commit.

    `verdicts` are those that decided, or that stood when it was decided.
    """
    title = f"{status.model} {failure.version} was taken back"
    blocks = [heading(3, symbol(Symbol.BACK), title), *_happened(status, failure)]
    ordered = sorted(verdicts, key=lambda verdict: (verdict.gate != failure.gate, verdict.gate))
    if ordered:
        rows = [_evidence(verdict, failure) for verdict in ordered[:MOST_VERDICTS]]
        blocks.append(table(["Gate", "Said", "Number", "Its line"], rows))
    blocks.append(bullets(shortened(item, most=_LONGEST) for item in _next(status, failure, url)))
    return document(blocks)


def _happened(status: RolloutStatus, failure: FailureStatus) -> Iterator[Block]:
    serving = f"{status.stable} has all requests again" if status.stable else "no version serves"
    told = line(
        "At ",
        code(failure.at),
        f", at {failure.step}: ",
        strong(failure.reason),
    )
    yield paragraph(shortened(told, most=_LONGEST))
    yield paragraph(
        shortened(line(serving, " in rollout ", code(status.rollout), "."), most=_LONGEST)
    )


def _evidence(verdict: Verdict, failure: FailureStatus) -> tuple[Inline, ...]:
    decided = verdict.abort if verdict.outcome is Outcome.FAIL else verdict.promote
    found = decided or verdict.abort
    name = code(verdict.gate)
    gate = line(name, " decided") if verdict.gate == failure.gate else name
    if verdict.advisory:
        gate = line(name, " advises only")
    said = line(strong(verdict.outcome.value), f": {verdict.summary}")
    number = line(f"{found.name}: ", code(f"{found.value:,.4g}")) if found else text("–")
    return (
        gate,
        shortened(said, most=_LONGEST),
        shortened(number, most=_LONGEST),
        _limit(found),
    )


def _limit(found: Line | None) -> Inline:
    if found is None:
        return text("–")
    side = "above" if found.above else "below"
    return line(f"{side} ", code(f"{found.limit:,.4g}"))


def _next(status: RolloutStatus, failure: FailureStatus, url: str) -> Iterator[Inline]:
    commit = code(short(failure.commit))
    if failure.undone:
        yield line(strong("In Git:"), " commit ", commit, " is undone by ", code(_undone(failure)))
    elif failure.trouble:
        yield line(strong("In Git:"), " commit ", commit, f" is not undone yet: {failure.trouble}")
    else:
        yield line(strong("In Git:"), " commit ", commit, " is about to be undone")
    yield line(
        strong("Why:"),
        " ",
        code(f"fairlead rollout explain {status.rollout}"),
        " has every number, and ",
        code(f"fairlead rollout replay {status.rollout}"),
        " decides anew from the log",
    )
    if url:
        yield line(strong("See:"), " ", link("the rollout", url))
    yield line(
        strong("Again:"),
        f" {failure.version} is not tried again from the same commit; mend the cause and open a "
        "new pull request",
    )


def _undone(failure: FailureStatus) -> str:
    """A commit is shortened; a branch or a pull request is not."""
    found = failure.undone
    return short(found) if len(found) >= 40 and found.isalnum() else found
