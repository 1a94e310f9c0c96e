"""Moves of a rollout as the audit log has them, and the replay of each.

Separate from deciding, because whoever audits reads the log without a daemon. The invariant: a
replay asks the same function as the daemon did, and says exactly what comes out otherwise.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pydantic import TypeAdapter

from reconciler.core.audit.records import AuditRecord, Verb
from reconciler.core.errors import Corrupt
from reconciler.core.manifests import JsonObject
from reconciler.core.rollouts.evidence import Evidence, decide, evidence_from_json
from reconciler.core.rollouts.states import RolloutState, state_from_json, state_json
from reconciler.core.rollouts.trail import Point, trail_from_json
from reconciler.core.verdicts import Verdict, verdict_from_json, verdict_json

_OBJECT: TypeAdapter[JsonObject] = TypeAdapter(dict[str, Any])
_LIST: TypeAdapter[list[object]] = TypeAdapter(list[object])


@dataclass(frozen=True, slots=True)
class RecordedMove:
    """A decision as it was written down. `index` is the place of its record in the log."""

    index: int
    time: datetime
    commit: str
    rollout: str
    move: str
    step: str
    why: str
    evidence: Evidence
    verdicts: tuple[Verdict, ...]
    after: RolloutState
    trail: tuple[Point, ...]
    release: str

    def replayed(self) -> tuple[str, ...]:
        """What comes out otherwise when the decision is made again; empty when nothing does."""
        verdicts, decision = decide(self.evidence)
        return tuple(
            _differences(
                ("verdicts", _all_json(self.verdicts), _all_json(verdicts)),
                ("move", self.move, decision.move.value),
                ("reason", self.why, decision.why),
                ("next state", state_json(self.after), state_json(decision.state)),
            )
        )


def move_of(index: int, record: AuditRecord) -> RecordedMove | None:
    """The move that a record tells; None for records of other things.

    Raises Corrupt when it cannot be read.
    """
    detail = record.detail
    if record.verb is not Verb.ROLLOUT or "evidence" not in detail:
        return None
    try:
        return RecordedMove(
            index=index,
            time=record.time,
            commit=record.commit,
            rollout=str(detail["rollout"]),
            move=record.result,
            step=str(detail["step"]),
            why=str(detail["why"]),
            evidence=evidence_from_json(_object(detail["evidence"])),
            verdicts=tuple(verdict_from_json(_object(body)) for body in _list(detail["verdicts"])),
            after=state_from_json(_object(detail["state"])),
            trail=trail_from_json(detail["trail"]),
            release=str(detail["release"]),
        )
    except (KeyError, ValueError) as error:
        raise Corrupt(
            f"audit record {index} cannot be read as the move of a rollout: {error}",
            hint="read it with the release that wrote it",
        ) from error


def _differences(*parts: tuple[str, object, object]) -> Iterator[str]:
    for what, recorded, again in parts:
        if recorded != again:
            yield f"{what}: recorded {recorded}, now {again}"


def _all_json(verdicts: Sequence[Verdict]) -> list[JsonObject]:
    return [verdict_json(verdict) for verdict in verdicts]


def _object(value: object) -> JsonObject:
    return _OBJECT.validate_python(value)


def _list(value: object) -> list[object]:
    return _LIST.validate_python(value)
