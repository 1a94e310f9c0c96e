"""All of Fairlead's documents of one commit, found by kind and name.

Separate from the files they stand in, because documents refer to each other by name wherever
they are. The invariant: a name that was declared, even by a document with problems of its own, is
known, so that one mistake is reported once and not by everything that refers to it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TypeVar

from reconciler.core.documents import Document
from reconciler.core.kinds import Declaration
from reconciler.core.problems import Problem

_Kind = TypeVar("_Kind", bound=Declaration)


@dataclass(frozen=True, slots=True)
class Declarations:
    """Documents by kind and name. `refused` has kind and name of those that could not be read."""

    documents: Mapping[str, Mapping[str, Document]]
    refused: frozenset[tuple[str, str]]

    def of(self, kind: type[Declaration]) -> Mapping[str, Document]:
        return self.documents.get(kind.__name__, {})

    def knows(self, kind: type[Declaration], name: str) -> bool:
        return name in self.of(kind) or (kind.__name__, name) in self.refused

    def get(self, kind: type[_Kind], name: str) -> _Kind | None:
        document = self.of(kind).get(name)
        return None if document is None else declared_as(kind, document)

    def all(self, kind: type[_Kind]) -> Iterator[tuple[Document, _Kind]]:
        """Documents of a kind with what they declare, in the order of their names."""
        for _, document in sorted(self.of(kind).items()):
            yield document, declared_as(kind, document)


def declared_as(kind: type[_Kind], document: Document) -> _Kind:
    """What the document declares, which is known to be of that kind."""
    assert isinstance(document.declaration, kind), f"{document.source} is no {kind.__name__}"
    return document.declaration


def index(
    documents: Iterable[Document], *, refused: frozenset[tuple[str, str]]
) -> tuple[Declarations, tuple[Problem, ...]]:
    """Index documents; a Problem for every name that is declared twice."""
    found: dict[str, dict[str, Document]] = {}
    problems = []
    for document in documents:
        names = found.setdefault(document.type.kind, {})
        first = names.setdefault(document.name, document)
        if first is not document:
            problems.append(_repeated(*sorted((first, document), key=_order)))
    return Declarations(found, refused), tuple(problems)


def _order(document: Document) -> tuple[str, int]:
    return document.path, document.span.line


def _repeated(first: Document, second: Document) -> Problem:
    return Problem(
        second.path,
        second.span_at(("metadata", "name")),
        "duplicate-name",
        f"{second.type.kind} {second.name} is declared already, at {first.source}",
        "rename or remove one of the two",
    )
