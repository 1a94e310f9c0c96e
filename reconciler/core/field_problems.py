"""What pydantic objects to, in words for the person who wrote the document.

Separate because pydantic speaks to programmers. The invariant: no value of a field is repeated,
except where it had to be one of a few words, so that a misplaced secret does not travel on.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from reconciler.core.problems import printable
from reconciler.core.redaction import masked
from reconciler.core.yaml_reading import Steps

_EXPECTED = {
    "bool_type": "true or false",
    "dict_type": "a mapping",
    "float_type": "a number",
    "int_from_float": "a whole number",
    "int_type": "a whole number",
    "list_type": "a list",
    "mapping_type": "a mapping",
    "model_attributes_type": "a mapping",
    "model_type": "a mapping",
    "string_type": "text",
    "tuple_type": "a list",
}
_LIMITS = {
    "greater_than_equal": ("ge", "is less than {}", "give at least {}"),
    "less_than_equal": ("le", "is more than {}", "give at most {}"),
    "string_too_short": ("min_length", "is empty", "give a value or remove the field"),
    "too_short": ("min_length", "has fewer than {} entries", "give at least {}"),
}


@dataclass(frozen=True, slots=True)
class FieldProblem:
    """One objection. `at_key` says that the key is wrong and not the value."""

    steps: Steps
    at_key: bool
    code: str
    message: str
    hint: str


def field_problems(error: ValidationError, model: type[BaseModel]) -> Iterator[FieldProblem]:
    """Everything in `error`, which came from validating a document as `model`."""
    for details in error.errors(include_url=False):
        if not _is_consequence(details):
            yield _field_problem(details, model)


def field_path(steps: Steps) -> str:
    """`spec.versions[0].name`, with keys that are not plain words quoted."""
    text = ""
    for step in steps:
        if isinstance(step, int):
            text += f"[{step}]"
        elif step.replace("_", "").replace("-", "").isalnum():
            text += f".{printable(step, limit=60)}"
        else:
            text += f'["{printable(step, limit=60)}"]'
    return text.removeprefix(".")


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """A hint: the nearest of `known`, or all of them when none is near."""
    names = sorted(known)
    lowered = {name.lower(): name for name in names}
    near = difflib.get_close_matches(word.lower()[:100], lowered, n=1)
    if near:
        return f"did you mean {lowered[near[0]]}?"
    return f"use one of {', '.join(names)}" if names else "remove it"


def type_name(value: object) -> str:
    """What a value of a document is, in words."""
    match value:
        case None:
            return "empty"
        case bool():
            return "true or false"
        case int() | float():
            return "a number"
        case str():
            return "text"
        case list():
            return "a list"
        case _:
            return "a mapping"


def _is_consequence(details: ErrorDetails) -> bool:
    """pydantic counts only the valid items of a tuple, and so calls it too short as well."""
    given = details["input"]
    return (
        details["type"] == "too_short"
        and isinstance(given, list | dict)
        and len(given) >= details["ctx"]["min_length"]
    )


def _field_problem(details: ErrorDetails, model: type[BaseModel]) -> FieldProblem:
    steps: Steps = details["loc"]
    at_key = bool(steps) and steps[-1] == "[key]"
    if at_key:
        steps = steps[:-1]
    match details["type"]:
        case "extra_forbidden":
            return _unknown_field(steps, model)
        case "missing":
            return _missing_field(steps, model)
        case "literal_error":
            return _wrong_word(steps, details)
        case kind if kind in _EXPECTED:
            code, reason, hint = _wrong_type(details, _EXPECTED[kind])
        case kind if kind in _LIMITS:
            name, reason, hint = _LIMITS[kind]
            limit = details["ctx"][name]
            code, reason, hint = "field-value", reason.format(limit), hint.format(limit)
        case kind:
            context = details.get("ctx", {})
            code = kind if "reason" in context else "field-value"
            reason = context.get("reason") or f"is invalid: {details['msg'].lower()}"
            hint = context.get("hint", "")
    subject = field_path(steps) or "the document"
    message = f"{subject}: the key {reason}" if at_key else f"{subject} {reason}"
    return FieldProblem(steps, at_key, code, message, hint)


def _unknown_field(steps: Steps, model: type[BaseModel]) -> FieldProblem:
    name = str(steps[-1])
    owner = _model_at(model, steps[:-1])
    known = _fields(owner) if owner is not None else ()
    where = f" in {field_path(steps[:-1])}" if len(steps) > 1 else ""
    message = f"unknown field {printable(masked(name), limit=60)}{where}"
    return FieldProblem(steps, True, "field-unknown", message, did_you_mean(name, known))


def _missing_field(steps: Steps, model: type[BaseModel]) -> FieldProblem:
    owner = _model_at(model, steps[:-1])
    hint = f"add {steps[-1]}"
    for name, field in owner.model_fields.items() if owner is not None else ():
        if (field.alias or name) == steps[-1] and field.description:
            hint += f" ({field.description.splitlines()[0].rstrip('.')})"
    return FieldProblem(steps, True, "field-missing", f"{field_path(steps)} is missing", hint)


def _wrong_word(steps: Steps, details: ErrorDetails) -> FieldProblem:
    given = details["input"]
    if not isinstance(given, str):
        code, reason, hint = _wrong_type(details, "text")
    else:
        code, reason = "field-value", f"is {printable(given, limit=40)}, which is not known here"
        # pydantic words it as "'revert', 'pull-request' or 'hold'".
        hint = did_you_mean(given, re.findall("'([^']*)'", details["ctx"]["expected"]))
    return FieldProblem(steps, False, code, f"{field_path(steps)} {reason}", hint)


def _wrong_type(details: ErrorDetails, expected: str) -> tuple[str, str, str]:
    given = details["input"]
    if given is None:
        return "field-empty", "is empty", f"give {expected}, or remove the field"
    hint = "quote it" if expected == "text" and not isinstance(given, list | dict) else ""
    return "field-type", f"is {type_name(given)}, not {expected}", hint or f"give {expected}"


def _model_at(model: type[BaseModel], steps: Steps) -> type[BaseModel] | None:
    """The class of the mapping at `steps`, so that its fields can be suggested."""
    here: type[BaseModel] | None = model
    for step in steps:
        if here is None or isinstance(step, int):
            continue
        fields = here.model_fields.items()
        annotations = (field.annotation for name, field in fields if step == (field.alias or name))
        here = next((inner for found in annotations for inner in _models_in(found)), None)
    return here


def _models_in(annotation: object) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from _models_in(argument)


def _fields(model: type[BaseModel]) -> tuple[str, ...]:
    return tuple(field.alias or name for name, field in model.model_fields.items())
