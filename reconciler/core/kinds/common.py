"""What all documents share: the envelope, metadata, and strictness.

Separate so that every kind is equally strict. The invariant: a value of one of these classes was
checked completely by itself, is never changed, and refers to others by name only.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import ClassVar, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic.alias_generators import to_camel
from pydantic_core import PydanticCustomError

from reconciler.core.kinds.scalars import DnsLabel, LabelKey, LabelMap
from reconciler.core.manifests import JsonObject

API_VERSION = "fairlead.dev/v1alpha1"
API_GROUP = "fairlead.dev"

_Item = TypeVar("_Item")


class Part(BaseModel):
    """A mapping with known fields and no others."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        alias_generator=to_camel,
        serialize_by_alias=True,
        use_attribute_docstrings=True,
        allow_inf_nan=False,
    )


class Choice(Part):
    """A mapping of which exactly one of `choices` is given."""

    choices: ClassVar[tuple[str, ...]]

    @model_validator(mode="after")
    def _require_one(self) -> Choice:
        given = [name for name in self.choices if getattr(self, name) is not None]
        if len(given) != 1:
            names = ", ".join(map(to_camel, self.choices))
            count = "none" if not given else " and ".join(map(to_camel, given))
            raise refusal(f"gives {count} of {names}", hint=f"give exactly one of {names}")
        return self

    @property
    def chosen(self) -> str:
        """Name of the choice that is given."""
        return next(name for name in self.choices if getattr(self, name) is not None)


def one_of(*names: str) -> Callable[[JsonObject], None]:
    """Say in a JSON Schema what Choice checks."""

    def extend(schema: JsonObject) -> None:
        schema["oneOf"] = [{"required": [to_camel(name)]} for name in names]

    return extend


class Metadata(Part):
    """Name and labels of a document."""

    name: DnsLabel
    """Name, unique among the documents of this kind."""
    labels: LabelMap = Field(default_factory=dict)
    """Labels by which clusters and models are selected; `team` and `tier` are customary."""
    annotations: Mapping[LabelKey, str] = Field(default_factory=dict)
    """Notes for people and tools. Fairlead keeps them and reads none."""


class Declaration(Part):
    """A document of one of Fairlead's kinds."""

    api_version: Literal["fairlead.dev/v1alpha1"]
    """Version of the format of this document."""
    kind: str
    """What this document declares."""
    metadata: Metadata
    """Name and labels."""

    @property
    def name(self) -> str:
        return self.metadata.name


def unique(items: tuple[_Item, ...], *, name: Callable[[_Item], object]) -> tuple[_Item, ...]:
    """`items` when no two have the same name. Raises PydanticCustomError naming the second."""
    seen: set[object] = set()
    for item in items:
        if name(item) in seen:
            raise refusal(f"lists {name(item)} twice", hint="remove or rename one of them")
        seen.add(name(item))
    return items


def refusal(reason: str, *, hint: str) -> PydanticCustomError:
    """An error of validation whose text completes the sentence "FIELD …"."""
    return PydanticCustomError("field-value", "{reason}", {"reason": reason, "hint": hint})
