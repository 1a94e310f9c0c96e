"""Which file of a repository is for what, judged by its path alone.

Separate from reading, because paths are judged before any content is read, by rules of their
own. The invariant: every file that could hold a document either is read or is a Problem, unless
it is hidden or the repository excludes it; so that no document vanishes by a typo.
"""

from __future__ import annotations

import stat
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase

from reconciler.core.commits import TreeEntry
from reconciler.core.documents import MAX_FILE_BYTES
from reconciler.core.identifiers import DocumentPath, UnitName
from reconciler.core.kinds import Repository
from reconciler.core.kinds.repository import IgnoredFields, ManifestSource
from reconciler.core.problems import Problem, printable

POLICY_PATH = DocumentPath("fairlead.yaml")
"""The file of the Repository document."""

_SUFFIXES = (".yaml", ".yml", ".json")
_SUBMODULE = 0o160000
# What other tools build from, with the advice for it.
_UNSUPPORTED = {
    "kustomization.yaml": "a Kustomize overlay",
    "kustomization.yml": "a Kustomize overlay",
    "Chart.yaml": "a Helm chart",
}


@dataclass(frozen=True, slots=True)
class Place:
    """The unit that a file of plain manifests belongs to, and the entry that says so."""

    unit: UnitName
    source: ManifestSource


@dataclass(frozen=True, slots=True)
class Layout:
    """How the files of a repository are read: the part of its policy that decides about that."""

    repository: str
    manifests: tuple[ManifestSource, ...]
    exclude: tuple[str, ...]
    ignore: tuple[IgnoredFields, ...]

    @classmethod
    def of(cls, repository: Repository) -> Layout:
        spec = repository.spec
        return cls(repository.name, spec.manifests, spec.exclude, spec.ignore)

    @classmethod
    def bare(cls) -> Layout:
        """The layout by which the policy itself is found."""
        return cls("", (), (), ())

    def excludes(self, path: DocumentPath) -> bool:
        return any(_directory(path, pattern, whole=True) for pattern in self.exclude)

    def places(self, path: DocumentPath) -> tuple[Place, ...]:
        """Where `path` belongs among the plain manifests; more than one place is a mistake."""
        return tuple(
            Place(UnitName(f"manifests/{directory}"), source)
            for source in self.manifests
            if (directory := _directory(path, source.path, whole=False))
        )

    def wants(self, entry: TreeEntry) -> bool:
        """Whether the content of the file has to be read."""
        return (
            may_hold_documents(entry)
            and stat.S_ISREG(entry.mode)
            and entry.size <= MAX_FILE_BYTES
            and not self.excludes(entry.path)
            and _name(entry.path) not in _UNSUPPORTED
        )


def path_problems(entry: TreeEntry) -> Iterator[Problem]:
    """What is wrong with a path, wherever it leads."""
    path, segments = entry.path, entry.path.split("/")
    if not path.isprintable():
        yield Problem(
            path,
            None,
            "path-characters",
            f"the path {printable(path)!r} has characters that are not shown or move the cursor",
            "rename the file",
        )
    if "\\" in path or any(segment in ("", ".", "..") for segment in segments):
        yield Problem(
            path,
            None,
            "path-traversal",
            f"the path {printable(path)!r} could lead elsewhere on some systems",
            "rename the file without '..' and '\\'",
        )
    elif any(segment.lower() == ".git" for segment in segments):
        yield Problem(
            path,
            None,
            "path-traversal",
            f"the path {printable(path)!r} would be part of Git's own files in a clone",
            "rename the file; git itself never writes such a path",
        )


def may_hold_documents(entry: TreeEntry) -> bool:
    """Whether any layout could make this file matter. Links and submodules may hide documents."""
    if any(segment.startswith(".") for segment in entry.path.split("/")):
        return False
    return entry.path.endswith(_SUFFIXES) or not stat.S_ISREG(entry.mode)


def entry_problems(layout: Layout, entry: TreeEntry) -> Iterator[Problem]:
    """What is wrong with a file that matters, before it is read."""
    if layout.excludes(entry.path):
        return
    where = printable(entry.path)
    out = f"or name it under spec.exclude of {POLICY_PATH}"
    if entry.mode == _SUBMODULE:
        hint = f"copy the files into this repository, {out}"
        yield Problem(entry.path, None, "submodule", f"{where} is a submodule", hint)
    elif not stat.S_ISREG(entry.mode):
        hint = f"replace it by the file it points to, {out}"
        yield Problem(entry.path, None, "symbolic-link", f"{where} is a symbolic link", hint)
    elif entry.size > MAX_FILE_BYTES:
        message = f"the file has {entry.size:,} bytes, more than {MAX_FILE_BYTES:,}"
        yield Problem(
            entry.path, None, "file-too-large", message, f"split it into several files, {out}"
        )
    elif tool := _UNSUPPORTED.get(_name(entry.path)):
        message = f"{tool}, which is not supported yet"
        hint = f"write out what it builds as plain manifests, {out}"
        yield Problem(entry.path, None, "unsupported-source", message, hint)
    else:
        yield from _overlap_problems(layout, entry)


def _overlap_problems(layout: Layout, entry: TreeEntry) -> Iterator[Problem]:
    places = layout.places(entry.path)
    if len(places) > 1:
        patterns = " and ".join(place.source.path for place in places)
        yield Problem(
            entry.path,
            None,
            "manifests-overlap",
            f"the file belongs to several entries of spec.manifests: {patterns}",
            f"change their paths in {POLICY_PATH} so that one matches",
        )


def _name(path: DocumentPath) -> str:
    return path.rpartition("/")[2]


def _directory(path: DocumentPath, pattern: str, *, whole: bool) -> str:
    """The beginning of `path` that `pattern` matches, segment by segment; "" when none.

    With `whole` the beginning may be the whole path, otherwise it is a directory above the file.
    """
    segments, wanted = path.split("/"), pattern.split("/")
    if len(segments) < len(wanted) + (not whole):
        return ""
    start = segments[: len(wanted)]
    return "/".join(start) if all(map(fnmatchcase, start, wanted)) else ""
