"""A change of one field: the value that differences, redaction and every surface pass around.

Separate because those who show a change need not know how it was found. The invariant: a field
that is absent is told apart from one that is null.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Final

from reconciler.core.manifests import JsonValue


class Absent(Enum):
    """Stands for a field that is not there, which null would not say."""

    ABSENT = "absent"


ABSENT: Final = Absent.ABSENT


@dataclass(frozen=True, slots=True)
class FieldChange:
    """One field before and after. `path` is such as `.spec.containers[name=model].image`."""

    path: str
    before: JsonValue | Absent
    after: JsonValue | Absent
