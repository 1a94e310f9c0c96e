"""JSON Schemas of the kinds, for editors and for other people's tools.

Separate because validation does not use them: both come from the same models, and a test holds
them together. The invariant: the same models give the same bytes.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import cast

import orjson
from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from reconciler.core.kinds import KINDS, Declaration
from reconciler.core.manifests import JsonObject, JsonValue
from reconciler.core.quantities import Percent, duration_text

DIALECT = "https://json-schema.org/draft/2020-12/schema"
ALL = "all.json"


def schema_files() -> Mapping[str, bytes]:
    """Content of every file of `schemas/` by name: one a kind, and one that takes any kind."""
    files = {f"{name}.json": rendered(schema_of(kind)) for name, kind in KINDS.items()}
    any_kind: JsonObject = {
        "$schema": DIALECT,
        "title": "Any document of Fairlead",
        "oneOf": [{"$ref": f"{name}.json"} for name in KINDS],
    }
    return {**files, ALL: rendered(any_kind)}


def schema_of(kind: type[Declaration]) -> JsonObject:
    """The JSON Schema of one kind, complete in itself."""
    schema = kind.model_json_schema(schema_generator=SchemaGenerator)
    return {"$schema": DIALECT, "title": kind.__name__, **schema}


def rendered(schema: JsonObject) -> bytes:
    """The bytes of a schema file."""
    return orjson.dumps(schema, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)


class SchemaGenerator(GenerateJsonSchema):
    """Leaves out what tells a reader nothing, and writes defaults as a document would."""

    def field_title_should_be_set(self, schema: object) -> bool:  # noqa: ARG002
        return False

    def dict_schema(self, schema: core_schema.DictSchema) -> JsonSchemaValue:
        """pydantic describes the keys that fit, and says nothing about the others."""
        described = super().dict_schema(schema)
        if "patternProperties" in described:
            described.pop("propertyNames", None)
            described["additionalProperties"] = False
        return described

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> JsonSchemaValue:
        described = super().default_schema(schema)
        if described.get("default", ...) in (None, "", [], {}):
            del described["default"]
        return described

    def model_schema(self, schema: core_schema.ModelSchema) -> JsonSchemaValue:
        described = super().model_schema(schema)
        described.pop("title", None)
        return described

    def encode_default(self, dft: object) -> JsonValue:
        match dft:
            case Percent():
                return str(dft)
            case timedelta():
                return duration_text(dft)
            case BaseModel():
                return cast(JsonValue, dft.model_dump(mode="json", exclude_defaults=True))
            case _:
                return cast(JsonValue, super().encode_default(dft))
