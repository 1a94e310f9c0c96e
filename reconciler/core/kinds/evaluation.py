"""Kind Evaluation: a golden set, a plug-in or a service, that a gate can ask for.

Separate from Gate, so that several gates and people by hand can use the same items.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, TypeAlias

from pydantic import ConfigDict, Field, JsonValue, field_validator

from reconciler.core.kinds.common import Choice, Declaration, Part, one_of, unique
from reconciler.core.kinds.scalars import DnsLabel, Duration, Maybe, TextForm

EntryPointName: TypeAlias = Annotated[
    str,
    TextForm(
        what="the name of an entry point",
        pattern=r"^[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_])?$",
        hint="use letters, digits, '_', '.' and '-', such as helpfulness",
        examples=("helpfulness",),
        longest=128,
    ),
]
HttpUrlText: TypeAlias = Annotated[
    str,
    TextForm(
        what="an http or https address without user and password",
        pattern=r"^https?://[A-Za-z0-9.-]+(:[0-9]{1,5})?(/[A-Za-z0-9._~/%+=&?-]*)?$",
        hint="write https://HOST/PATH; credentials never belong in Git",
        examples=("https://evaluations.example.com/helpfulness",),
    ),
]


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
    """Python code, installed beside the daemon, that reports each item as right or wrong."""

    entry_point: EntryPointName
    """Its name in the entry point group `fairlead.evaluations`."""


class HttpEvaluation(Part):
    """A service that is asked to evaluate, and reports each item as right or wrong."""

    url: HttpUrlText
    """Where it is asked, by POST."""
    timeout: Duration
    """How long it may take."""


class EvaluationSpec(Choice):
    """What is evaluated, and how: exactly one of golden, plugin, http."""

    choices: ClassVar = ("golden", "plugin", "http")
    model_config = ConfigDict(json_schema_extra=one_of(*choices))

    owner: DnsLabel
    """Team that answers for the evaluation."""
    golden: Maybe[GoldenSet] = None
    """Requests with known answers."""
    plugin: Maybe[Plugin] = None
    """Python code that evaluates."""
    http: Maybe[HttpEvaluation] = None
    """A service that evaluates."""


class Evaluation(Declaration):
    """A way to find out how good a version is."""

    kind: Literal["Evaluation"]
    """What this document declares."""
    spec: EvaluationSpec
    """What is evaluated, and how."""
