"""The files of a commit, read as far as they changed.

Separate from compiling.py, which makes sense of them together. The invariant: after any sequence
of commits the files are what reading the last commit from nothing would give.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from reconciler.core.commits import TreeDifference, TreeEntry
from reconciler.core.declarations import declared_as
from reconciler.core.documents import Document, read_file
from reconciler.core.identifiers import BlobId, DocumentPath
from reconciler.core.kinds import Repository
from reconciler.core.layout import (
    POLICY_PATH,
    Layout,
    entry_problems,
    may_hold_documents,
    path_problems,
)
from reconciler.core.problems import Problem, errors_among
from reconciler.core.reading import FileReading, PlainFile, read_entry

MAX_READ_BYTES = 64 * 1024 * 1024
"""Text of one commit that is read. Git stores a megabyte once that a thousand paths name, so what
is small to push can be large to parse: some 25 s for this much, and 20,000 objects fit in it."""

Contents: TypeAlias = Mapping[BlobId, bytes]


@dataclass(frozen=True, slots=True)
class Files:
    """The files that matter. `entries` are all that any layout could make matter."""

    entries: Mapping[DocumentPath, TreeEntry] = field(default_factory=dict)
    layout: Layout | None = None
    documents: Mapping[DocumentPath, tuple[Document, ...]] = field(default_factory=dict)
    plain: Mapping[DocumentPath, PlainFile] = field(default_factory=dict)


NO_FILES = Files()


@dataclass(frozen=True, slots=True)
class FileChanges:
    """The files before and after, the paths that were read or went, and what was found wrong.

    `unread` is true when there was too much to read, so that nothing is known of the files after.
    """

    before: Files
    after: Files
    touched: tuple[DocumentPath, ...]
    problems: tuple[Problem, ...]
    refused: frozenset[tuple[str, str]]
    unread: bool = False

    @property
    def declarations_changed(self) -> bool:
        return any(
            path in self.before.documents or path in self.after.documents for path in self.touched
        ) or bool(self.refused)


def entries_after(
    entries: Mapping[DocumentPath, TreeEntry], difference: TreeDifference
) -> Mapping[DocumentPath, TreeEntry]:
    changed = {e.path: e for e in difference.changed if may_hold_documents(e)}
    gone = {*difference.gone, *(e.path for e in difference.changed)} - changed.keys()
    result = {**entries, **changed}
    for path in gone:
        result.pop(path, None)
    return result


def policy_document(
    entry: TreeEntry | None, contents: Contents
) -> tuple[Document | None, tuple[Problem, ...]]:
    """The Repository document in fairlead.yaml, without which nothing is known of the rest."""
    if entry is None:
        hint = f"add {POLICY_PATH} with a Repository document; nothing is deleted meanwhile"
        message = f"{POLICY_PATH} is missing at the root of the repository"
        return None, (Problem(POLICY_PATH, None, "repository-missing", message, hint),)
    if problems := tuple(entry_problems(Layout.bare(), entry)):
        return None, problems
    parsed = read_file(entry.path, contents[entry.blob])
    if problems := errors_among(parsed.problems):
        return None, problems
    found = [d for d in parsed.documents if isinstance(d.declaration, Repository)]
    if len(found) == len(parsed.documents) == 1:
        return found[0], ()
    message = f"{POLICY_PATH} has {len(parsed.documents)} documents, not one Repository document"
    hint = "keep the Repository document alone in it, and move others to files of their own"
    return None, (Problem(POLICY_PATH, None, "repository-missing", message, hint),)


def needed(
    before: Files,
    after: Mapping[DocumentPath, TreeEntry],
    difference: TreeDifference,
    layout: Layout,
) -> Iterable[TreeEntry]:
    """The entries that differ in content, or in what they are for."""
    if before.layout == layout:
        return [after[e.path] for e in difference.changed if e.path in after]
    return after.values()


def excess(layout: Layout, changed: Iterable[TreeEntry]) -> Problem | None:
    """The Problem of a commit with more text than is read."""
    total = sum(entry.size for entry in changed if layout.wants(entry))
    if total <= MAX_READ_BYTES:
        return None
    return Problem(
        POLICY_PATH,
        None,
        "too-much-text",
        f"the files to read have {total:,} bytes together, more than {MAX_READ_BYTES:,}",
        "split the commit or the repository, or name files that are not for Fairlead under"
        f" spec.exclude of {POLICY_PATH}",
    )


def read_changes(
    before: Files, difference: TreeDifference, policy: Document, contents: Contents
) -> FileChanges:
    """Read what `policy` says is to be read and has changed."""
    layout = Layout.of(declared_as(Repository, policy))
    entries = entries_after(before.entries, difference)
    changed = {e.path: e for e in needed(before, entries, difference, layout)}
    if before.layout != layout:
        before = Files(entries=before.entries)
    touched = tuple(sorted({*changed, *difference.gone}))
    documents, plain = dict(before.documents), dict(before.plain)
    problems = [p for entry in difference.changed for p in path_problems(entry)]
    if problem := excess(layout, changed.values()):
        return FileChanges(before, before, (), (*problems, problem), frozenset(), unread=True)
    refused: set[tuple[str, str]] = set()
    for path in touched:
        documents.pop(path, None)
        plain.pop(path, None)
        if path == POLICY_PATH:
            documents[path] = (policy,)
        elif path in changed:
            reading = _read(layout, changed[path], contents)
            problems.extend(reading.problems)
            refused |= reading.refused
            if reading.documents:
                documents[path] = reading.documents
            if reading.plain:
                plain[path] = reading.plain
    after = Files(entries, layout, documents, plain)
    return FileChanges(before, after, touched, tuple(problems), frozenset(refused))


def _read(layout: Layout, entry: TreeEntry, contents: Contents) -> FileReading:
    if problems := tuple(entry_problems(layout, entry)):
        return FileReading(problems=problems)
    if not layout.wants(entry):
        return FileReading()
    return read_entry(layout, entry, contents[entry.blob])
