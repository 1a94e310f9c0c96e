"""Files of a commit to what they declare: Fairlead documents or plain manifests.

Separate from compiling.py, which puts files together: reading is done once for each content of a
file, and its result is kept for as long as the file does not change. The invariant: a file was
understood completely, or there is a Problem; of plain manifests only their canonical bytes stay.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from reconciler.core.admission.findings import Finding, Pointer
from reconciler.core.admission.objects import object_findings
from reconciler.core.commits import TreeEntry
from reconciler.core.documents import Document, read_file
from reconciler.core.identifiers import DocumentPath
from reconciler.core.ignoring import without_ignored
from reconciler.core.kinds import API_VERSION, Repository
from reconciler.core.layout import POLICY_PATH, Layout, Place
from reconciler.core.manifests import JsonObject, Manifest, manifest_of
from reconciler.core.problems import Problem, Span
from reconciler.core.rendering.release import unit_labels

_LFS_HEADER = b"version https://git-lfs.github.com/spec/"


@dataclass(frozen=True, slots=True)
class PlainFile:
    """A file of plain manifests."""

    place: Place
    manifests: tuple[Manifest, ...]


@dataclass(frozen=True, slots=True)
class FileReading:
    """What a file declares. `refused` has kind and name of documents with problems."""

    documents: tuple[Document, ...] = ()
    plain: PlainFile | None = None
    problems: tuple[Problem, ...] = ()
    refused: frozenset[tuple[str, str]] = frozenset()


def read_entry(layout: Layout, entry: TreeEntry, content: bytes) -> FileReading:
    """Read a file whose path has no problems."""
    if content.startswith(_LFS_HEADER):
        return FileReading(problems=(_lfs_problem(entry),))
    parsed = read_file(entry.path, content)
    places = layout.places(entry.path)
    if places:
        return _read_plain(layout, places[0], parsed.documents, parsed.problems)
    strays = tuple(document for document in parsed.documents if _is_stray(document))
    return FileReading(
        documents=tuple(document for document in parsed.documents if document not in strays),
        problems=(*map(_advised, parsed.problems), *map(_stray_problem, strays)),
        refused=parsed.refused,
    )


def place_of(path: DocumentPath, content: bytes, *, document: Span, pointer: Pointer) -> Span:
    """The place of a field of a plain manifest, of which only the bytes were kept."""
    for candidate in read_file(path, content).documents:
        if candidate.span == document:
            return candidate.span_at(pointer)
    return document


def _is_stray(document: Document) -> bool:
    return document.declaration is None or isinstance(document.declaration, Repository)


def _stray_problem(document: Document) -> Problem:
    """A document outside the paths of plain manifests that must not stand here."""
    if isinstance(document.declaration, Repository):
        return Problem(
            document.path,
            document.span_at(("kind",)),
            "misplaced-document",
            f"a Repository document may only stand in {POLICY_PATH} at the root",
            f"remove it, or merge it into {POLICY_PATH}",
        )
    return Problem(
        document.path,
        document.span_at(("apiVersion",)),
        "not-a-document",
        f"a {document.type.kind} of {document.type.api_version} is none of Fairlead's kinds",
        f"write apiVersion: {API_VERSION}, move it below a path that spec.manifests of "
        f"{POLICY_PATH} names, or name the file under spec.exclude",
    )


def _advised(problem: Problem) -> Problem:
    """Files of other tools have no apiVersion: say how to keep us from reading them."""
    if problem.code != "field-missing" or not problem.message.startswith("apiVersion"):
        return problem
    hint = (
        f"{problem.hint}; a file that is not for Fairlead goes under spec.exclude of {POLICY_PATH}"
    )
    return replace(problem, hint=hint)


def _read_plain(
    layout: Layout,
    place: Place,
    documents: tuple[Document, ...],
    problems: tuple[Problem, ...],
) -> FileReading:
    labels = unit_labels(layout.repository, place.unit)
    manifests: list[Manifest] = []
    found = list(problems)
    for document in documents:
        body = document.body
        findings = object_findings(document.type, body)
        found.extend(_problem(document, finding) for finding in findings)
        if not findings:
            labelled = _labelled(document, body, labels)
            manifests.append(without_ignored(labelled, layout.ignore))
    return FileReading(plain=PlainFile(place, tuple(manifests)), problems=tuple(found))


def _labelled(document: Document, body: JsonObject, labels: JsonObject) -> Manifest:
    metadata = body["metadata"]
    assert isinstance(metadata, dict), "documents have metadata with a name"
    own = metadata.get("labels")
    metadata["labels"] = {**(own if isinstance(own, dict) else {}), **labels}
    return manifest_of(body, document.source)


def _problem(document: Document, finding: Finding) -> Problem:
    where = document.span_at(finding.pointer)
    return Problem(document.path, where, finding.code, finding.message, finding.hint)


def _lfs_problem(entry: TreeEntry) -> Problem:
    return Problem(
        entry.path,
        None,
        "lfs-pointer",
        "the file is a pointer of Git LFS, not the content",
        "take it out of Git LFS: git lfs untrack, then commit the file itself",
    )
