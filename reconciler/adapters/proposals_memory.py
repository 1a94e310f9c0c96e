"""The ProposedChanges port over the repository in memory.

Separate from MemoryRepository, which plays the remote. The invariant: it passes the contract suite
of the real one, but for texts and histories: files are merged whole, and a merge has one parent.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from reconciler.adapters.git_memory import MemoryFile, MemoryRepository
from reconciler.core.change_requests import MergeConflict
from reconciler.core.commits import Commit
from reconciler.core.errors import Missing
from reconciler.core.identifiers import CommitSha, DocumentPath, short
from reconciler.core.problems import printable


class MemoryProposals(MemoryRepository):
    """What was fetched of `remote`, and of references beside its branch, in `heads`."""

    def __init__(self, remote: MemoryRepository) -> None:
        super().__init__(branch=remote.branch)
        self.heads: dict[str, CommitSha] = {}
        self._remote = remote
        self._commits, self._trees, self._blobs = remote._commits, remote._trees, remote._blobs

    async def fetch(self) -> CommitSha:
        self._pushed = self._remote.head
        return await super().fetch()

    async def fetch_ref(self, ref: str) -> CommitSha:
        self._raise_planned("fetch_ref")
        if ref not in self.heads:
            raise Missing(f"the repository has no {printable(ref)!r}")
        head = self.heads[ref]
        self._mirrored.update(self._line(head, until=self._mirrored))
        return head

    async def refs(self, prefix: str) -> Mapping[str, CommitSha]:
        self._raise_planned("refs")
        return {name: head for name, head in self.heads.items() if name.startswith(prefix)}

    async def proposed(self, base: CommitSha, head: CommitSha) -> tuple[Commit, ...]:
        self._raise_planned("proposed")
        known = set(self._line(self._resolved(base), until=set()))
        line = self._line(self._resolved(head), until=known)
        return tuple(self._commits[sha] for sha in reversed(line))

    async def merged(self, base: CommitSha, head: CommitSha) -> CommitSha:
        self._raise_planned("merged")
        line = self._line(self._resolved(head), until=set())
        if self._resolved(base) in line:
            return head
        behind = self._line(base, until=set())
        start = next((sha for sha in line if sha in behind), None)
        before = self._trees[start] if start else {}
        changes = self._changes(before, self._trees[base], self._trees[head])
        known = self._commits[head]
        commit = replace(
            known,
            sha=CommitSha(""),
            parents=(base,),
            author="Fairlead",
            email="fairlead@invalid",
            time=self._start,
            message=f"Merge {short(head)} into {short(base)}\n",
        )
        files = {path: file for path, file in self._trees[base].items() if path not in changes}
        files |= {path: file for path, file in changes.items() if file is not None}
        made = self._store(commit, files, {str(path): file for path, file in changes.items()})
        self._mirrored.add(made)
        return made

    def _changes(
        self,
        before: Mapping[DocumentPath, MemoryFile],
        ours: Mapping[DocumentPath, MemoryFile],
        theirs: Mapping[DocumentPath, MemoryFile],
    ) -> dict[DocumentPath, MemoryFile | None]:
        changed = {
            path: theirs.get(path)
            for path in {*before, *theirs}
            if before.get(path) != theirs.get(path)
        }
        conflicts = [
            path for path, file in changed.items() if ours.get(path) not in (before.get(path), file)
        ]
        if conflicts:
            raise MergeConflict(tuple(sorted(conflicts)))
        return changed
