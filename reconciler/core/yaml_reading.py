"""YAML text to values, strictly, with the place of every field.

Separate from documents because YAML has its own ways to lie: duplicate keys, merges, anchors that
explode, scalars that parsers read differently. The invariant: reading costs time and memory in
proportion to the text, never raises on any text, and what it returns is what every other parser
would return too.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import NoReturn, TypeAlias

import yaml
from yaml._yaml import Mark as CMark
from yaml.error import Mark
from yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    Event,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)

from reconciler.core.manifests import JsonValue
from reconciler.core.plain_scalars import Ambiguous, read_json, read_plain
from reconciler.core.problems import Span, printable

MAX_DEPTH = 64
MAX_EXPANDED = 4 * 1024 * 1024
"""Characters and nodes of one document with its aliases written out."""

MAX_FINDINGS = 100
"""Findings of one document after which the rest is not looked for."""

Steps: TypeAlias = "tuple[str | int, ...]"


@dataclass(frozen=True, slots=True)
class Chunk:
    """The text of one document of a file. Its first line is line `first_line` of the file."""

    text: str
    first_line: int
    is_json: bool = False


@dataclass(frozen=True, slots=True)
class Finding:
    """A problem of the text itself, before it is known what file it is in."""

    span: Span
    code: str
    message: str
    hint: str


@dataclass(frozen=True, slots=True)
class Place:
    """Where a field is: its key (absent in a list) and its value."""

    key: Span | None
    value: Span


@dataclass(frozen=True, slots=True)
class Reading:
    """What a chunk says. `span` is None where there is no document.

    A chunk that is not complete could not be read to its end, and `value` says nothing.
    """

    value: JsonValue
    span: Span | None
    findings: tuple[Finding, ...]
    complete: bool = False


_MARKER = re.compile(r"^(?:---|\.\.\.)(?=[ \t\r\n]|\Z)", re.MULTILINE)
_DIRECTIVE = re.compile(r"\A(?:[ \t]*(?:#[^\n]*)?\r?\n)*%")
# Controls and line separators that editors do not show as such, and the marks that reorder text
# (CVE-2021-42574). Inside double quotes they can be written as escapes, where they are seen.
_FORBIDDEN = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff\ufffe\uffff]"
    "|\r(?!\n)"
)
_SURROGATES = re.compile(
    r"(?<!\\)(?P<escaped>(?:\\\\)*)"
    r"\\u(?P<high>[dD][89abAB][0-9a-fA-F]{2})\\u(?P<low>[dD][c-fC-F][0-9a-fA-F]{2})"
)


def chunks(text: str) -> Iterator[Chunk]:
    """Split a file into documents.

    Markers at the start of a line end a document wherever they stand (YAML 1.2, c-forbidden), so
    that splitting first is sound, and one broken document hides nothing in the others.
    """
    start, line = 0, 1
    for marker in _MARKER.finditer(text):
        if marker.start() > start:
            yield Chunk(text[start : marker.start()], line)
            line += text.count("\n", start, marker.start())
        start = marker.start() if marker[0] == "---" else marker.end()
    if start < len(text):
        yield Chunk(text[start:], line)


def json_chunk(text: str) -> Chunk:
    """A JSON file as a chunk. YAML has no escapes for halves of a character, so they are joined."""
    return Chunk(_SURROGATES.sub(_joined, text), 1, is_json=True)


def _joined(match: re.Match[str]) -> str:
    halves = bytes.fromhex(match["high"] + match["low"])
    return f"{match['escaped']}{halves.decode('utf-16-be')}"


def read(chunk: Chunk) -> Reading:
    """Read one document; all its findings, as far as it can be read."""
    hidden = tuple(_forbidden_characters(chunk))
    if hidden:
        return Reading(None, None, hidden)
    if _DIRECTIVE.match(chunk.text):
        where = Span(chunk.first_line + chunk.text[: chunk.text.index("%")].count("\n"), 1)
        finding = Finding(where, "yaml-directive", "a YAML directive", "remove the line")
        return Reading(None, None, (finding,))
    composer = _Composer(chunk)
    try:
        value = composer.document()
        return Reading(value, composer.start, tuple(composer.findings), complete=True)
    except _Stop as stop:
        composer.findings.append(stop.finding)
    except yaml.YAMLError as error:
        composer.findings.append(_syntax_finding(error, chunk))
    return Reading(None, composer.start, tuple(composer.findings))


@lru_cache(maxsize=1)
def places(chunk: Chunk) -> Mapping[Steps, Place]:
    """The place of every field of a chunk that `read` could read.

    Recomputed when somebody asks: kept, it would be several times as large as the text. Only those
    of the last chunk are, because whoever asks for one place of it may ask for thousands.
    """
    composer = _Composer(chunk, places={})
    composer.document()
    assert composer.places is not None
    return composer.places


class _Stop(Exception):
    """Reading further would be unsafe or pointless."""

    def __init__(self, finding: Finding) -> None:
        super().__init__(finding.message)
        self.finding = finding


@dataclass(frozen=True, slots=True)
class _Anchored:
    value: JsonValue
    size: int


@dataclass(slots=True)
class _Composer:
    """Builds one value from the events of libyaml, which is 5 times as fast as from its nodes."""

    chunk: Chunk
    places: dict[Steps, Place] | None = None
    start: Span | None = None
    findings: list[Finding] = field(default_factory=list)
    _events: yaml.CSafeLoader = field(init=False)
    _anchors: dict[str, _Anchored | None] = field(default_factory=dict)
    _size: int = 0
    _last: Event | None = None
    """The last scalar, alias or closing bracket that was read."""

    def __post_init__(self) -> None:
        self._events = yaml.CSafeLoader(self.chunk.text)

    def document(self) -> JsonValue:
        while (event := self._next()) is not None:
            if isinstance(event, DocumentStartEvent):
                return self._root()
        return None

    def _root(self) -> JsonValue:
        event = self._next()
        assert event is not None
        self.start = self._span(event)
        value = self._value(event, ())
        if self.places is not None:
            self._record((), None, event)
        while (event := self._next()) is not None:
            if isinstance(event, DocumentStartEvent):
                self._stop(event, "yaml-syntax", "a second document", 'put "---" before it')
        return value

    def _next(self) -> Event | None:
        event: Event | None = self._events.get_event()
        return event

    def _value(self, event: Event, steps: Steps) -> JsonValue:
        if isinstance(event, AliasEvent):
            return self._alias(event)
        assert isinstance(event, ScalarEvent | MappingStartEvent | SequenceStartEvent)
        if event.tag is not None:
            self._find(event, "yaml-tag", f"tag {printable(event.tag, limit=60)}", "remove the tag")
        before, anchor = self._size, event.anchor
        if anchor is not None:
            self._anchors[anchor] = None
        value: JsonValue
        if isinstance(event, ScalarEvent):
            value = self._scalar(event)
        elif len(steps) >= MAX_DEPTH:
            hint = f"nest at most {MAX_DEPTH} levels"
            self._stop(event, "too-deep", "nested too deeply", hint)
        elif isinstance(event, MappingStartEvent):
            value = self._mapping(steps)
        else:
            value = self._sequence(steps)
        if anchor is not None:
            self._anchors[anchor] = _Anchored(value, self._size - before)
        return value

    def _scalar(self, event: ScalarEvent) -> JsonValue:
        text: str = event.value
        self._grow(event, len(text) + 1)
        self._last = event
        if event.style:
            return text
        if self.chunk.is_json and not text:
            # Where YAML found no colon: it looks for one up to 1,024 bytes after a key begins.
            hint = "shorten it to 1,000 bytes, escapes included"
            self._stop(event, "yaml-syntax", "a key that is too long to be read", hint)
        value = read_json(text) if self.chunk.is_json else read_plain(text)
        if isinstance(value, Ambiguous):
            message = f"{printable(text, limit=40)} {value.reason}"
            self._find(event, "ambiguous-scalar", message, value.hint)
            return text
        return value

    def _alias(self, event: AliasEvent) -> JsonValue:
        name = event.anchor
        assert name is not None
        anchored = self._anchors.get(name)
        self._last = event
        if anchored is None:
            reason = "contains itself" if name in self._anchors else "names no anchor before it"
            message = f"alias *{printable(name, limit=40)} {reason}"
            self._stop(event, "yaml-alias", message, "write the value out")
        self._grow(event, anchored.size)
        return anchored.value

    def _sequence(self, steps: Steps) -> list[JsonValue]:
        items: list[JsonValue] = []
        while not isinstance(event := self._next(), SequenceEndEvent):
            assert event is not None
            self._grow(event, 1)
            inner = (*steps, len(items))
            items.append(self._value(event, inner))
            if self.places is not None:
                self._record(inner, None, event)
        self._close(event)
        return items

    def _mapping(self, steps: Steps) -> dict[str, JsonValue]:
        fields: dict[str, JsonValue] = {}
        while not isinstance(key_event := self._next(), MappingEndEvent):
            assert key_event is not None
            key = self._key(key_event, steps)
            event = self._next()
            assert event is not None
            inner = (*steps, key)
            value = self._value(event, inner)
            if key in fields:
                message = f"field {printable(key, limit=60)} is given twice"
                self._find(key_event, "duplicate-key", message, "keep one of the two")
                continue
            fields[key] = value
            if self.places is not None:
                self._record(inner, key_event, event)
        self._close(key_event)
        return fields

    def _key(self, event: Event, steps: Steps) -> str:
        value = self._value(event, (*steps, ""))
        if isinstance(event, ScalarEvent):
            text: str = event.value
            if text == "<<" and not event.style:
                self._find(event, "yaml-merge", "a merge key", "write the fields out")
            elif not isinstance(value, str):
                message = f"key {printable(text, limit=40) or 'empty'} is not text"
                self._find(event, "key-not-text", message, "quote the key")
            elif not text.isprintable() and printable(text, limit=len(text)) != text:
                message = f"key {printable(text, limit=60)} has characters that are not shown"
                self._find(event, "forbidden-character", message, "type the key again")
            return text
        if isinstance(event, AliasEvent) and isinstance(value, str):
            return value
        self._find(event, "key-not-text", "a key that is a list or mapping", "use text as key")
        return ""

    def _grow(self, event: Event, size: int) -> None:
        self._size += size
        if self._size > MAX_EXPANDED:
            hint = "write fewer aliases to large values"
            self._stop(event, "yaml-alias", "aliases make the document too large", hint)

    def _close(self, event: Event | None) -> None:
        """Note where a collection ends; the end of a block is seen only at the next token."""
        assert event is not None
        if _mark(event.start_mark).index != _mark(event.end_mark).index:
            self._last = event

    def _record(self, steps: Steps, key: Event | None, value: Event) -> None:
        assert self.places is not None
        start, end = self._span(value), _mark((self._last or value).end_mark)
        ended = Span(start.line, start.column, self.chunk.first_line + end.line, end.column + 1)
        self.places[steps] = Place(self._span(key) if key is not None else None, ended)

    def _span(self, event: Event) -> Span:
        start, end, first = _mark(event.start_mark), _mark(event.end_mark), self.chunk.first_line
        return Span(start.line + first, start.column + 1, end.line + first, end.column + 1)

    def _find(self, event: Event, code: str, message: str, hint: str) -> None:
        finding = Finding(self._span(event), code, message, hint)
        if len(self.findings) >= MAX_FINDINGS:
            raise _Stop(finding)
        self.findings.append(finding)

    def _stop(self, event: Event, code: str, message: str, hint: str) -> NoReturn:
        raise _Stop(Finding(self._span(event), code, message, hint))


def _mark(mark: Mark | CMark | None) -> Mark | CMark:
    assert mark is not None
    return mark


def _forbidden_characters(chunk: Chunk) -> Iterator[Finding]:
    for count, match in enumerate(_FORBIDDEN.finditer(chunk.text)):
        if count == MAX_FINDINGS:
            return
        before = chunk.text[: match.start()]
        line, column = before.count("\n"), match.start() - before.rfind("\n")
        where = Span(chunk.first_line + line, column, chunk.first_line + line, column + 1)
        yield Finding(
            where,
            "forbidden-character",
            f"character U+{ord(match[0]):04X}, which is not shown or reorders what is shown",
            "remove it, or write it as an escape in double quotes",
        )


def _syntax_finding(error: yaml.YAMLError, chunk: Chunk) -> Finding:
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    where = (
        Span(mark.line + chunk.first_line, mark.column + 1) if mark else Span(chunk.first_line, 1)
    )
    parts = [getattr(error, "context", None), getattr(error, "problem", None)]
    message = ", ".join(part for part in parts if part) or "not YAML"
    return Finding(where, "yaml-syntax", message, "check indentation, quotes and brackets")
