"""Marks: how a state looks on the page, as a shape, a tone and a word.

Separate so that one state looks the same on every page. The invariant: a mark always has its word
and a shape of its own, so that nobody needs to tell colours apart, and only what is surely as
declared has the good one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from reconciler.core.change_requests import CheckState
from reconciler.core.ledger import Standing
from reconciler.core.plans import Action
from reconciler.core.rollouts.advancing import Move
from reconciler.core.standing import ClusterState
from reconciler.core.verdicts import Outcome


@dataclass(frozen=True, slots=True)
class Mark:
    """`tone` is one of good, active, warning, bad, quiet; `shape` the name of an icon."""

    tone: str
    shape: str
    word: str


GOOD = Mark("good", "check", "as declared")
STARTING = Mark("quiet", "dots", "starting")
NOT_THERE = Mark("active", "dots", "not there yet")
ALLOWED = Mark("good", "check", "allowed")
DENIED = Mark("quiet", "minus", "denied")
LENT = Mark("warning", "clock", "lent")
TO_COME = Mark("quiet", "clock", "to come")

CLUSTERS: Mapping[ClusterState, Mark] = {
    ClusterState.AS_DECLARED: GOOD,
    ClusterState.PROGRESSING: Mark("active", "dots", "progressing"),
    ClusterState.WAITING: Mark("warning", "clock", "waiting"),
    ClusterState.CONTESTED: Mark("warning", "swords", "contested"),
    ClusterState.HELD: Mark("bad", "hand", "held"),
    ClusterState.REFUSED: Mark("bad", "cross", "refused"),
    ClusterState.STALE: Mark("bad", "unknown", "stale"),
}

UNITS: Mapping[Standing, Mark] = {
    Standing.SETTLED: Mark("good", "check", "settled"),
    Standing.PROGRESSING: Mark("active", "dots", "progressing"),
    Standing.WAITING: Mark("warning", "clock", "waiting"),
    Standing.HELD: Mark("bad", "hand", "held"),
    Standing.REFUSED: Mark("bad", "cross", "refused"),
}

OUTCOMES: Mapping[Outcome, Mark] = {
    Outcome.PASS: Mark("good", "check", "pass"),
    Outcome.FAIL: Mark("bad", "cross", "fail"),
    Outcome.HOLD: Mark("warning", "clock", "not proven yet"),
}

CHECKS: Mapping[CheckState, Mark] = {
    CheckState.RUNNING: Mark("active", "dots", "planning"),
    CheckState.SUCCESS: Mark("good", "check", "may be merged"),
    CheckState.FAILURE: Mark("bad", "cross", "may not be merged"),
    CheckState.WAITING: Mark("warning", "clock", "waits for somebody"),
    CheckState.CANCELLED: Mark("quiet", "minus", "cancelled"),
}

MOVES: Mapping[str, Mark] = {
    Move.ENTER.value: Mark("active", "arrow", "next step"),
    Move.WAVE.value: Mark("active", "arrow", "next wave"),
    Move.APPROVE.value: Mark("good", "check", "approved"),
    Move.PROMOTE.value: Mark("good", "check", "promoted"),
    Move.ABORT.value: Mark("bad", "back", "taken back"),
    Move.RETIRE.value: Mark("quiet", "minus", "retired"),
    Move.SETTLE.value: Mark("good", "check", "settled"),
    "revise": Mark("active", "commit", "new commit"),
}

ACTIONS: Mapping[Action, Mark] = {
    Action.CREATE: Mark("good", "plus", "create"),
    Action.UPDATE: Mark("warning", "tilde", "change"),
    Action.REPLACE: Mark("bad", "swap", "replace"),
    Action.DELETE: Mark("bad", "minus", "delete"),
    Action.ADOPT: Mark("quiet", "check", "record"),
    Action.FORGET: Mark("quiet", "minus", "forget"),
}


def move_mark(move: str) -> Mark:
    """That of a move of a rollout, or a quiet one with its own word."""
    return MOVES.get(move, Mark("quiet", "dot", move))


def result_mark(result: str) -> Mark:
    """That of the result of an audit record: empty on an intent, `ok`, or an error code."""
    if not result:
        return Mark("quiet", "dot", "intended")
    if result in ("ok", "unchanged"):
        return Mark("good", "check", result)
    return MOVES.get(result) or Mark("bad", "cross", result)
