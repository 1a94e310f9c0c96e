"""Files to documents: everything the repository says, one by one, checked by itself.

Separate from desired.py, which judges how documents fit together. The invariant: a Document is
well-formed and of a known shape, and every Problem points at the line and column to mend.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import islice
from typing import cast

import orjson
from pydantic import ValidationError

from reconciler.core import yaml_reading
from reconciler.core.field_problems import (
    FieldProblem,
    did_you_mean,
    field_path,
    field_problems,
    type_name,
)
from reconciler.core.identifiers import DocumentPath, GroupVersionKind
from reconciler.core.kinds import API_GROUP, API_VERSION, KINDS, Declaration
from reconciler.core.manifests import JsonObject, JsonValue, Source
from reconciler.core.problems import Problem, Span, in_order, printable
from reconciler.core.yaml_reading import Chunk, Place, Reading, Steps

MAX_FILE_BYTES = 1024 * 1024
MAX_DOCUMENTS_PER_FILE = 10_000

# What may stand in a path of the API and on a terminal; RBAC has ':' in names.
_NAME = re.compile(r"[A-Za-z0-9](?:[-A-Za-z0-9._:]*[A-Za-z0-9])?")
_API_VERSION = re.compile(r"(?:[a-z0-9][-a-z0-9.]*/)?[a-z0-9]+")


@dataclass(frozen=True, slots=True)
class Document:
    """One document of the repository.

    It keeps its text and its JSON, and neither objects nor places, because there are thousands
    for the whole life of the daemon: about 3 kB for 1 kB of YAML.
    """

    path: DocumentPath
    span: Span
    type: GroupVersionKind
    namespace: str
    name: str
    declaration: Declaration | None
    """What it declares, when it is of one of Fairlead's kinds; else it is a plain manifest."""
    content: bytes = field(repr=False)
    """The document as JSON, its fields in the order in which they were written."""
    _chunk: Chunk = field(repr=False, compare=False)

    @property
    def body(self) -> JsonObject:
        """A fresh copy that the caller may change."""
        return cast(JsonObject, orjson.loads(self.content))

    @property
    def source(self) -> Source:
        return Source(self.path, self.span)

    def span_at(self, pointer: str | Steps) -> Span:
        """The place of the value that a JSON pointer (RFC 6901) or its steps name.

        For what is not there: of the key of the innermost mapping that could hold it. Costs about
        0.3 ms per kB of text, so it is for problems and not for every field.
        """
        places = yaml_reading.places(self._chunk)
        return span_in(places, _steps(pointer, places), at_key=False)

    def key_span_at(self, pointer: str | Steps) -> Span:
        """The place of the key of that value."""
        places = yaml_reading.places(self._chunk)
        return span_in(places, _steps(pointer, places), at_key=True)


@dataclass(frozen=True, slots=True)
class ParsedFile:
    """What a file declares, and everything that is wrong with it by itself.

    `refused` has kind and name of the documents with problems, as far as they say them, so that
    what refers to them is not called wrong as well.
    """

    documents: tuple[Document, ...]
    problems: tuple[Problem, ...]
    refused: frozenset[tuple[str, str]] = frozenset()


def read_file(path: DocumentPath, content: bytes) -> ParsedFile:
    """Read all the documents of a file. Never raises, whatever the bytes are."""
    if len(content) > MAX_FILE_BYTES:
        message = f"the file has {len(content):,} bytes, more than {MAX_FILE_BYTES:,}"
        problem = Problem(path, None, "file-too-large", message, "split it into several files")
        return ParsedFile((), (problem,))
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        return ParsedFile((), (_encoding_problem(path, content, error),))
    is_json = path.endswith(".json")
    documents: list[Document] = []
    refused: set[tuple[str, str]] = set()
    problems: list[Problem] = list(_json_problems(path, text)) if is_json else []
    if problems:
        return ParsedFile((), tuple(problems))
    pieces = (yaml_reading.json_chunk(text),) if is_json else yaml_reading.chunks(text)
    for count, chunk in enumerate(pieces, start=1):
        if count > MAX_DOCUMENTS_PER_FILE:
            message = f"the file has more than {MAX_DOCUMENTS_PER_FILE:,} documents"
            hint = "split it into several files"
            where = Span(chunk.first_line, 1)
            problems.append(Problem(path, where, "too-many-documents", message, hint))
            break
        reading = yaml_reading.read(chunk)
        document, found = _check_document(path, chunk, reading)
        problems.extend(found)
        if document is not None:
            documents.append(document)
        elif identity := _identity(reading.value):
            refused.add(identity)
    return ParsedFile(tuple(documents), in_order(problems), frozenset(refused))


def _identity(value: JsonValue) -> tuple[str, str] | None:
    match value:
        case {"kind": str(kind), "metadata": {"name": str(name)}}:
            return kind, name
    return None


def _check_document(
    path: DocumentPath, chunk: Chunk, reading: Reading
) -> tuple[Document | None, list[Problem]]:
    problems = [Problem(path, f.span, f.code, f.message, f.hint) for f in reading.findings]
    if not reading.complete or reading.span is None:
        return None, problems
    if reading.value is None and not problems:
        return None, problems
    checked = _check(path, chunk, reading.span, reading.value)
    if isinstance(checked, Document) and not problems:
        return checked, problems
    known = {problem.span for problem in problems}
    if not isinstance(checked, Document):
        problems.extend(problem for problem in checked if problem.span not in known)
    return None, problems


def _check(
    path: DocumentPath, chunk: Chunk, span: Span, value: JsonValue
) -> Document | list[Problem]:
    if not isinstance(value, dict):
        message = f"the document is {type_name(value)}, not a mapping"
        hint = "start with apiVersion, kind and metadata"
        return [Problem(path, span, "not-an-object", message, hint)]
    misfits, declaration = _misfits(value), None
    if not misfits and _belongs_to_us(value):
        model = KINDS[cast(str, value["kind"])]
        try:
            declaration = model.model_validate(value)
        except ValidationError as error:
            misfits = list(islice(field_problems(error, model), yaml_reading.MAX_FINDINGS))
    if misfits:
        places = yaml_reading.places(chunk)
        return [
            Problem(path, span_in(places, m.steps, at_key=m.at_key), m.code, m.message, m.hint)
            for m in misfits
        ]
    metadata = cast(JsonObject, value["metadata"])
    return Document(
        path=path,
        span=span,
        type=_type_of(cast(str, value["apiVersion"]), cast(str, value["kind"])),
        namespace=cast(str, metadata.get("namespace") or ""),
        name=cast(str, metadata["name"]),
        declaration=declaration,
        # Copied for the reason given at canonical_json.
        content=bytes(memoryview(orjson.dumps(value))),
        _chunk=chunk,
    )


def _belongs_to_us(body: JsonObject) -> bool:
    return str(body["apiVersion"]).partition("/")[0] == API_GROUP


def _misfits(body: JsonObject) -> list[FieldProblem]:
    """Why a document cannot be told apart from others, or is of no kind that may be declared."""
    version, kind = body.get("apiVersion"), body.get("kind")
    if isinstance(version, str) and isinstance(kind, str):
        if _belongs_to_us(body):
            return list(_unknown_kind(version, kind))
        if refused := list(_refused_kind(version, kind)):
            return refused
    ours = isinstance(kind, str) and kind in KINDS
    hint = f"add apiVersion: {API_VERSION}" if ours else "add apiVersion, such as apps/v1"
    metadata = body.get("metadata")
    given = metadata if isinstance(metadata, dict) else {}
    namespace = given.get("namespace")
    return [
        *_identity_problems(("apiVersion",), version, hint, form=_API_VERSION),
        *_identity_problems(("kind",), kind, "add kind, such as ConfigMap"),
        *_identity_problems(("metadata", "name"), given.get("name"), "add a name"),
        *(_identity_problems(("metadata", "namespace"), namespace, "") if namespace else ()),
    ]


def _identity_problems(
    steps: Steps, value: JsonValue, hint: str, *, form: re.Pattern[str] = _NAME
) -> Iterator[FieldProblem]:
    """What is wrong with a value that will be printed, and be part of a path of the API.

    What the API allows beyond that depends on the kind, and is judged with the manifest.
    """
    if value is None or value == "":
        message = f"{field_path(steps)} is missing"
        yield FieldProblem(steps, True, "field-missing", message, hint)
    elif not isinstance(value, str):
        message = f"{field_path(steps)} is {type_name(value)}, not text"
        yield FieldProblem(steps, False, "field-type", message, "write text, quoted if need be")
    elif len(value) > 253 or not form.fullmatch(value):
        message = f"{field_path(steps)} is {printable(value, limit=60)}, which cannot be a name"
        hint = "use at most 253 letters, digits, '-' and '.'"
        yield FieldProblem(steps, False, "field-value", message, hint)


def _refused_kind(version: str, kind: str) -> Iterator[FieldProblem]:
    group = version.rpartition("/")[0]
    if group in ("", "core") and kind.strip().casefold() == "secret":
        # Refused before anything keeps the document, so that its values go no further: not even
        # to a server that would say it knows no such kind.
        message = "a Secret must not be kept in Git"
        hint = "remove it, replace the values, and refer to a secret store instead"
        yield FieldProblem(("kind",), False, "secret-in-git", message, hint)
    elif kind.endswith("List"):
        message = f"{printable(kind, limit=60)} holds several objects in one"
        hint = 'write each as a document of its own, with "---" between them'
        yield FieldProblem(("kind",), False, "list-kind", message, hint)


def _unknown_kind(version: str, kind: str) -> Iterator[FieldProblem]:
    if version != API_VERSION:
        message = f"apiVersion {printable(version, limit=60)} is not known"
        hint = f"write {API_VERSION}"
        yield FieldProblem(("apiVersion",), False, "unknown-api-version", message, hint)
    elif kind not in KINDS:
        message = f"kind {printable(kind, limit=60)} is not known"
        yield FieldProblem(("kind",), False, "unknown-kind", message, did_you_mean(kind, KINDS))


@lru_cache(maxsize=1024)
def _type_of(api_version: str, kind: str) -> GroupVersionKind:
    """The same object for the same type: it is kept by every document."""
    return GroupVersionKind.of(api_version, kind)


def span_in(places: Mapping[Steps, Place], steps: Steps, *, at_key: bool) -> Span:
    """Where `steps` lead, or the key of the innermost mapping that could hold what is not there."""
    while steps not in places:
        steps, at_key = steps[:-1], True
    place = places[steps]
    return place.key if at_key and place.key is not None else place.value


def _steps(pointer: str | Steps, places: Mapping[Steps, Place]) -> Steps:
    """The steps of a JSON pointer; a number is an index where there is a list."""
    if not isinstance(pointer, str):
        return pointer
    steps: Steps = ()
    for part in pointer.split("/")[1:]:
        name = part.replace("~1", "/").replace("~0", "~")
        indexed = (*steps, int(name)) if name.isdecimal() and len(name) < 10 else steps
        steps = indexed if indexed != steps and indexed in places else (*steps, name)
    return steps


def _encoding_problem(path: DocumentPath, content: bytes, error: UnicodeDecodeError) -> Problem:
    before = content[: error.start]
    start = before.rfind(b"\n") + 1
    column = len(before[start:].decode("utf-8", errors="replace")) + 1
    where = Span(before.count(b"\n") + 1, column)
    message = f"byte 0x{content[error.start]:02X} is not UTF-8"
    return Problem(path, where, "not-utf-8", message, "save the file as UTF-8")


def _json_problems(path: DocumentPath, text: str) -> Iterator[Problem]:
    try:
        orjson.loads(text)
    except orjson.JSONDecodeError as error:
        where = Span(error.lineno, error.colno)
        hint = "check commas, quotes and brackets"
        yield Problem(path, where, "invalid-json", f"not JSON: {error.msg}", hint)
