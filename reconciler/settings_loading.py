"""Settings from a file and the environment.

Separate from the settings themselves, which know neither. A value of the environment replaces one
of the file: `FAIRLEAD_` and the path of the field in capitals, such as FAIRLEAD_REPOSITORY_URL
for `repository.url` and FAIRLEAD_LOG_LEVEL for `log.level`; lists are in the file only, and an
empty variable counts as not set. The invariant: what comes out was checked whole, or every
problem is named with its place.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import cast, get_args, get_origin

from pydantic import BaseModel, ValidationError

from reconciler.core import yaml_reading
from reconciler.core.documents import span_in
from reconciler.core.errors import Misconfigured
from reconciler.core.field_problems import FieldProblem, field_problems, type_name
from reconciler.core.identifiers import DocumentPath
from reconciler.core.manifests import JsonObject, JsonValue
from reconciler.core.problems import Problem, Span, in_order, printable
from reconciler.core.yaml_reading import Chunk, Steps
from reconciler.settings import Settings
from reconciler.settings_places import BASE_DIRECTORY

PREFIX = "FAIRLEAD_"


@dataclass(frozen=True, slots=True)
class _File:
    path: DocumentPath
    chunk: Chunk
    body: JsonObject

    def problem(self, found: FieldProblem) -> Problem:
        places = yaml_reading.places(self.chunk)
        span = span_in(places, found.steps, at_key=found.at_key) if places else None
        return Problem(self.path, span, found.code, found.message, found.hint)


def load_settings(path: Path, environment: Mapping[str, str]) -> Settings:
    """Read and check the settings.

    Raises:
        Misconfigured: with every problem in file and environment.
    """
    file = _read(path)
    overrides = dict(_overrides(environment))
    for steps, (_, value) in overrides.items():
        _put(file.body, steps, value)
    try:
        return Settings.model_validate(
            file.body, context={BASE_DIRECTORY: path.expanduser().absolute().parent}
        )
    except ValidationError as error:
        problems = []
        for found in field_problems(error, Settings):
            variable = next((n for steps, (n, _) in overrides.items() if steps == found.steps), "")
            problems.append(_of_variable(variable, found) if variable else file.problem(found))
        raise _misconfigured(path, problems) from None


def variables() -> Mapping[str, Steps]:
    """The variables that are read, each with the field it sets."""
    return {name: steps for steps, name, _ in _fields(Settings, ())}


def _read(path: Path) -> _File:
    try:
        text = path.expanduser().read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise Misconfigured(
            f"the settings {printable(str(path))} cannot be read: {reason}",
            hint="name the file with --config or FAIRLEAD_CONFIG",
        ) from error
    name = DocumentPath(str(path))
    chunks = list(yaml_reading.chunks(text))
    chunk = chunks[0] if chunks else Chunk("", 1)
    reading = yaml_reading.read(chunk)
    problems = [Problem(name, f.span, f.code, f.message, f.hint) for f in reading.findings]
    if len(chunks) > 1:
        where = Span(chunks[1].first_line, 1)
        message = "the settings are more than one document"
        problems.append(Problem(name, where, "too-many-documents", message, 'remove "---"'))
    value = {} if reading.value is None else reading.value
    if not isinstance(value, dict):
        message = f"the settings are {type_name(value)}, not a mapping"
        problems.append(
            Problem(name, reading.span, "not-an-object", message, "start with repository:")
        )
    if problems or not isinstance(value, dict):
        raise _misconfigured(path, problems)
    return _File(name, chunk, value)


def _overrides(environment: Mapping[str, str]) -> Iterator[tuple[Steps, tuple[str, JsonValue]]]:
    for steps, name, annotation in _fields(Settings, ()):
        if text := environment.get(name):
            yield steps, (name, _value(text, annotation))


def _value(text: str, annotation: object) -> JsonValue:
    if annotation is bool:
        return {"true": True, "false": False}.get(text, text)
    return text


def _fields(model: type[BaseModel], above: Steps) -> Iterator[tuple[Steps, str, object]]:
    """Every field that holds one value, with its variable and type."""
    for name, field in model.model_fields.items():
        steps = (*above, field.alias or name)
        if get_origin(field.annotation) is tuple:
            continue
        inner = _model_in(field.annotation)
        if inner is not None:
            yield from _fields(inner, steps)
        else:
            yield steps, variable_of(steps), field.annotation


def _model_in(annotation: object) -> type[BaseModel] | None:
    for candidate in (annotation, *get_args(annotation)):
        if isinstance(candidate, type) and issubclass(candidate, BaseModel):
            return candidate
    return None


def variable_of(steps: Steps) -> str:
    """FAIRLEAD_REPOSITORY_CREDENTIALS_TOKEN_FILE for repository.credentials.tokenFile."""
    words = (re.sub(r"(?<=[a-z])(?=[A-Z])", "_", str(step)) for step in steps)
    return PREFIX + "_".join(words).upper()


def _put(body: JsonObject, steps: Steps, value: JsonValue) -> None:
    for step in steps[:-1]:
        below = body.setdefault(cast(str, step), {})
        if not isinstance(below, dict):
            return  # A problem of the file, which validation will name.
        body = below
    body[cast(str, steps[-1])] = value


def _of_variable(name: str, found: FieldProblem) -> Problem:
    return Problem(DocumentPath(name), None, found.code, found.message, found.hint)


def _misconfigured(path: Path, problems: list[Problem]) -> Misconfigured:
    count = f"{len(problems)} problems" if len(problems) > 1 else "a problem"
    return Misconfigured(
        f"the settings {printable(str(path))} have {count}", problems=in_order(problems)
    )
