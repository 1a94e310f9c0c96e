"""What is wrong with a version, as a test or a demonstration asks for it.

Separate from serving, because people write it: `errors=0.2,delay=0.05,drift=0.3,wrong=0.1`.
Invariant: the draws of a replica depend on its name alone, so that a run can be repeated.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass, fields

from reconciler.sandbox.errors import SandboxError

VARIABLE = "FAIRLEAD_FAULT"
"""Environment variable of the container."""
ANNOTATION = "sandbox.fairlead.dev/fault"
"""Annotation of the pod. It goes before the variable, and acts at once when it is changed."""


@dataclass(frozen=True, slots=True)
class Faults:
    """None by default."""

    errors: float = 0.0
    """Share of requests that are answered with status 500."""
    delay: float = 0.0
    """Seconds that each answer takes longer."""
    drift: float = 0.0
    """Added to the logit of every score."""
    wrong: float = 0.0
    """Share of labels that are flipped."""

    @classmethod
    def parse(cls, text: str) -> Faults:
        """Raises SandboxError."""
        values: dict[str, float] = {}
        for part in filter(None, text.replace(" ", "").split(",")):
            name, _, value = part.partition("=")
            values[name] = _number(name, value, within=text)
        return cls(**values)


def draws_of(replica: str) -> random.Random:
    """Where a replica takes its chances from."""
    return random.Random(f"faults of {replica}")  # noqa: S311 - repeatable on purpose


def _number(name: str, value: str, *, within: str) -> float:
    known = [field.name for field in fields(Faults)]
    if name not in known:
        raise SandboxError(
            f"{within!r} names a fault {name!r}", hint=f"the faults are: {', '.join(known)}"
        )
    try:
        number = float(value)
    except ValueError:
        number = math.nan
    least, most = (-math.inf, math.inf) if name == "drift" else (0.0, math.inf)
    if name in {"errors", "wrong"}:
        most = 1.0
    if math.isfinite(number) and least <= number <= most:
        return number
    raise SandboxError(f"{within!r}: {name} can't be {value!r}", hint="write 0.2 for 20 percent")
