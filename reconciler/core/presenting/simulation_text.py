"""Simulated rollouts as lines for a terminal.

Separate from the simulation, which programs read as it is. The invariant: what was supposed is said
before what follows from it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta

from reconciler.core.gates.wording import percent
from reconciler.core.presenting.lines import Line, Tone, line, piece, plural
from reconciler.core.quantities import duration_text
from reconciler.core.rollouts.advancing import Move
from reconciler.core.rollouts.simulating import Ending, Event, Scenario, Simulation
from reconciler.core.samples import Exposure

_TONES = {Move.ABORT: Tone.BAD, Move.PROMOTE: Tone.GOOD}


def simulation_lines(
    simulation: Simulation, scenario: Scenario, *, version: str, left_out: Sequence[str]
) -> Iterator[Line]:
    """All of it. `left_out` are gates that no error rate speaks of."""
    late = f" from {_clock(scenario.bad_after)} on" if scenario.bad_after else ""
    yield line(
        f"supposed: {scenario.requests_per_second:g} requests a second in each wave; "
        f"{percent(scenario.stable_errors)} of them fail, of {version} "
        f"{percent(scenario.candidate_errors)}{late}; approvals are given at once"
    )
    if left_out:
        names = ", ".join(left_out)
        yield line(piece(f"left out, as if they passed: gates {names}", Tone.WARNING))
    yield ()
    for event in simulation.events:
        yield from _event(event)
    yield ()
    yield _ended(simulation, version)


def _event(event: Event) -> Iterator[Line]:
    move = piece(f"{event.move:<13}", _TONES.get(event.move, Tone.STRONG))
    yield line(f"{_clock(event.at):>8}  ", move, event.why)
    if event.exposure is not None:
        yield line(piece(f"{'':23}{_counted(event.exposure)}", Tone.FAINT))


def _counted(exposure: Exposure) -> str:
    text = (
        f"till then {exposure.candidate_errors:,} of "
        f"{plural(exposure.candidate_requests, 'request')} failed"
    )
    if not exposure.stable_requests:
        return text
    return (
        f"{text}; of the version before {exposure.stable_errors:,} of {exposure.stable_requests:,}"
    )


def _ended(simulation: Simulation, version: str) -> Line:
    cost = (
        f"{version} answered {plural(simulation.requests, 'request')}, and users got "
        f"{plural(simulation.bad_answers, 'bad answer')}"
    )
    after = duration_text(timedelta(seconds=simulation.at))
    match simulation.ending:
        case Ending.PROMOTED:
            return line(piece(f"promoted after {after}; until then {cost}", Tone.GOOD))
        case Ending.TAKEN_BACK:
            return line(piece(f"taken back after {after}, at {simulation.step}; {cost}", Tone.BAD))
        case Ending.UNFINISHED:
            text = f"not over after {after}, at {simulation.step}; {cost}"
            return line(piece(text, Tone.WARNING))


def _clock(seconds: float) -> str:
    return str(timedelta(seconds=round(seconds)))
