"""Kind Evaluation: a golden set, or an evaluation plug-in, that a gate can ask for.

Separate from Gate, so that several gates and people by hand can use the same items.
"""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import ConfigDict, Field, JsonValue, field_validator

from reconciler.core.kinds.common import Choice, Declaration, Part, one_of, unique
from reconciler.core.kinds.scalars import ContainerImage, DnsLabel, Duration, Maybe


class GoldenItem(Part):
    """A request and the answer that is right."""

    name: DnsLabel
    """Name, unique within the set."""
    request: JsonValue
    """What the model is asked."""
    answer: JsonValue
    """What it must answer."""


class GoldenSet(Part):
    """Requests with known answers, kept in Git."""

    items: tuple[GoldenItem, ...] = Field(min_length=1)
    """The requests with their answers."""

    @field_validator("items")
    @classmethod
    def _refuse_repeated_items(cls, items: tuple[GoldenItem, ...]) -> tuple[GoldenItem, ...]:
        return unique(items, name=lambda item: item.name)


class Plugin(Part):
    """A program that evaluates a version and reports each item as passed or failed."""

    image: ContainerImage
    """Its image, pinned by digest."""
    args: tuple[str, ...] = ()
    """Arguments."""
    timeout: Duration
    """How long it may take."""


class EvaluationSpec(Choice):
    """What is evaluated, and how: exactly one of golden, plugin."""

    choices: ClassVar = ("golden", "plugin")
    model_config = ConfigDict(json_schema_extra=one_of(*choices))

    owner: DnsLabel
    """Team that answers for the evaluation."""
    golden: Maybe[GoldenSet] = None
    """Requests with known answers."""
    plugin: Maybe[Plugin] = None
    """A program that evaluates."""


class Evaluation(Declaration):
    """A way to find out how good a version is."""

    kind: Literal["Evaluation"]
    """What this document declares."""
    spec: EvaluationSpec
    """What is evaluated, and how."""
