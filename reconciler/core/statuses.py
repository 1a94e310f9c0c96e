"""Statuses: what a rule of health reads, and the answer it gives.

Separate so that the rules of workloads and those of everything else share one vocabulary. The
invariant: a status is another program's text, so a part that is missing or of another type reads
as empty and never raises.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from reconciler.core.manifests import JsonObject, JsonValue

MESSAGE_LENGTH: Final = 300
"""Characters of a controller's message that an explanation keeps."""


class Condition(StrEnum):
    """The five answers of kstatus that concern an object which exists."""

    CURRENT = "current"
    IN_PROGRESS = "in-progress"
    FAILED = "failed"
    TERMINATING = "terminating"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Health:
    """`explanation` is for people. `gate` says whether a wave must wait for this object."""

    condition: Condition
    explanation: str
    gate: bool = True


@dataclass(frozen=True, slots=True)
class Subject:
    """The object that a rule judges."""

    spec: JsonObject
    status: JsonObject
    generation: JsonValue


def part(parent: JsonObject, name: str) -> JsonObject:
    value = parent.get(name)
    return value if isinstance(value, dict) else {}


def parts(parent: JsonObject, name: str) -> list[JsonObject]:
    """The objects in a list."""
    value = parent.get(name)
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def count(parent: JsonObject, name: str, default: int = 0) -> int:
    value = parent.get(name)
    return value if isinstance(value, int) else default


def conditions_of(status: JsonObject) -> dict[str, JsonObject]:
    """The conditions of a status by their type."""
    return {str(condition.get("type")): condition for condition in parts(status, "conditions")}


def holds(conditions: dict[str, JsonObject], name: str, value: str) -> bool:
    return conditions.get(name, {}).get("status") == value


def said(condition: JsonObject, default: str) -> str:
    """The message of a condition, else its reason, else `default`."""
    text = str(condition.get("message") or condition.get("reason") or default)
    return text if len(text) <= MESSAGE_LENGTH else f"{text[:MESSAGE_LENGTH]}…"
