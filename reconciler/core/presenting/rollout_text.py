"""Rollouts as lines for a terminal: where they stand, and why they moved.

Separate from the statuses and records that are told. The invariant: whatever a rollout waits for,
and whatever decided, is said with its number and the line that it must cross.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from reconciler.core.identifiers import CommitSha, short
from reconciler.core.presenting.evidence_chart import Curve, curve_of, terminal_chart
from reconciler.core.presenting.lines import Line, Tone, line, piece, plural
from reconciler.core.rollouts.advancing import Move
from reconciler.core.rollouts.history import RecordedMove
from reconciler.core.rollouts.reporting import FailureStatus, RolloutStatus
from reconciler.core.rollouts.states import Phase
from reconciler.core.verdicts import Outcome, Verdict

_TONES = {Outcome.PASS: Tone.GOOD, Outcome.FAIL: Tone.BAD, Outcome.HOLD: Tone.WARNING}
_MOVES = {Move.ABORT.value: Tone.BAD, Move.PROMOTE.value: Tone.GOOD}


def rollout_summary(status: RolloutStatus) -> Line:
    """One line for one rollout."""
    if status.candidate:
        text = f"{status.stable} → {status.candidate}, {status.step}"
        return _summary(status, text, Tone.WARNING)
    if status.failure:
        text = f"{status.stable}; {status.failure.version} was taken back"
        return _summary(status, text, Tone.BAD)
    watched = ", watched" if status.phase is Phase.WATCHED else ""
    return _summary(status, f"{status.stable} has all requests{watched}", Tone.GOOD)


def _summary(status: RolloutStatus, text: str, tone: Tone) -> Line:
    return line(piece(status.rollout, Tone.STRONG), "  ", piece(text, tone))


def rollout_lines(status: RolloutStatus) -> Iterator[Line]:
    """All that is known of one rollout now."""
    yield rollout_summary(status)
    if status.candidate and status.since:
        yield line(f"since      {status.since}", indent=1)
    if status.why:
        yield line(f"waits for  {status.why}", indent=1)
    if status.after:
        yield line(f"then       {status.after}", indent=1)
    for exposure in status.exposures:
        yield line(
            f"{exposure.traffic:<10} {exposure.candidate_errors:,} of "
            f"{plural(exposure.candidate_requests, 'request')} failed; stable "
            f"{exposure.stable_errors:,} of {exposure.stable_requests:,}",
            indent=1,
        )
    for verdict in status.verdicts:
        yield _verdict(verdict)
    for kept in status.kept:
        yield line(f"warm       {kept.version} until {kept.until}", indent=1)
    if status.failure:
        yield from _failure(status.failure)
    if status.candidate or status.phase is Phase.WATCHED:
        yield line("roll back  git revert the commit, or merge its revert", indent=1)


def _failure(failure: FailureStatus) -> Iterator[Line]:
    words = f"{failure.version} was taken back at {failure.at} ({failure.step})"
    yield line(piece(words, Tone.BAD), indent=1)
    yield line(f"because    {failure.reason}", indent=1)
    if failure.undone:
        yield line(f"in Git     undone by {failure.undone}", indent=1)
    elif failure.trouble:
        yield line(f"in Git     not undone: {failure.trouble}", indent=1)


def _verdict(verdict: Verdict) -> Line:
    advisory = " (advises)" if verdict.advisory else ""
    return line(
        piece(f"{verdict.outcome:<5}", _TONES[verdict.outcome]),
        piece(f"gate {verdict.gate}{advisory}: ", Tone.STRONG),
        verdict.summary,
        indent=1,
    )


def moves_table(moves: Sequence[RecordedMove]) -> Iterator[Line]:
    """One line for each move, oldest first."""
    for move in moves:
        time = move.time.isoformat(timespec="seconds")
        words = piece(f"{move.move:<11}", _MOVES.get(move.move, Tone.PLAIN))
        yield line(f"{time}  record {move.index:<6} ", words, f" {move.why}", indent=1)


def explanation_lines(move: RecordedMove) -> Iterator[Line]:
    """Why one move was made: the number, the line that it crossed, and when."""
    versions = [target.version for target in (move.evidence.state.candidate,) if target]
    subject = f" of {versions[0]}" if versions else ""
    tone = _MOVES.get(move.move, Tone.STRONG)
    yield line(
        piece(move.rollout, Tone.STRONG),
        "  ",
        piece(f"{move.move}{subject}", tone),
        f" at {move.time.isoformat(timespec='seconds')}, "
        f"commit {short(CommitSha(move.commit))}, record {move.index}",
    )
    yield line(f"at         {move.step}", indent=1)
    yield line(f"because    {move.why}", indent=1)
    for verdict in move.verdicts:
        yield _verdict(verdict)
        yield from _lines_of(verdict)
    failure = move.after.failure if move.move == Move.ABORT else None
    for verdict in move.verdicts:
        if failure is None or verdict.gate != failure.gate:
            continue
        curve = curve_of(move.trail, verdict)
        if curve is not None and len(curve.times) > 1:
            yield ()
            yield from _chart(curve)


def _lines_of(verdict: Verdict) -> Iterator[Line]:
    for what, found in (("takes back", verdict.abort), ("promotes", verdict.promote)):
        if found is not None:
            side = "above" if found.above else "below"
            yield line(
                piece(
                    f"{what} when {found.name} is {side} {found.limit:,.4g}: {found.value:,.4g}",
                    Tone.FAINT,
                ),
                indent=3,
            )


def _chart(curve: Curve) -> Iterator[Line]:
    crossed = curve.crossed_at
    when = (
        f"crossed its line {crossed:.0f} s after the first look"
        if crossed is not None
        else ("did not cross its line")
    )
    yield line(piece(f"gate {curve.gate}: ", Tone.STRONG), f"{curve.name}; {when}", indent=1)
    for row in terminal_chart(curve):
        yield line(row)
