"""Compile a commit: from the files that changed to a DesiredState, or to everything wrong.

Separate from its parts, each of which makes one step of it. The invariant: what comes out
depends on the commit, the rules and the pins of secrets alone, never on the commits that were
compiled before; those only make it cheaper. Cost follows the change: an unchanged file is not
read, an unchanged unit not built. One thing may differ: a Problem that a new policy has with an
unchanged file points at the document, and not at the field in it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from reconciler.core.access.bypasses import manifest_problems, model_servers
from reconciler.core.access_units import NO_SUBJECTS, Subjects
from reconciler.core.commits import TreeDifference
from reconciler.core.declarations import declared_as
from reconciler.core.declared import Declared, declare
from reconciler.core.desired import DesiredState
from reconciler.core.documents import Document
from reconciler.core.identifiers import BlobId, CommitSha, UnitName
from reconciler.core.kinds import Repository
from reconciler.core.kinds.repository import RepositorySpec
from reconciler.core.layout import POLICY_PATH, Layout, path_problems
from reconciler.core.manifests import Manifest
from reconciler.core.placing import Placed, place
from reconciler.core.plain_units import PlainUnit, PlainUnits, regroup
from reconciler.core.policy import Policy
from reconciler.core.problems import Problem, errors_among, in_order
from reconciler.core.reading import place_of
from reconciler.core.redaction import unquoted
from reconciler.core.secret_versions import NO_BOOK, PinBook
from reconciler.core.source_files import (
    NO_FILES,
    Contents,
    FileChanges,
    Files,
    entries_after,
    excess,
    needed,
    policy_document,
    read_changes,
)
from reconciler.core.uniqueness import Owners, reindex


@dataclass(frozen=True, slots=True)
class Compilation:
    """A valid commit, and what the next one is compiled from."""

    state: DesiredState
    files: Files
    declared: Declared
    plain_units: Mapping[UnitName, PlainUnit]
    owners: Owners
    subjects: Subjects


def blobs_to_read(
    difference: TreeDifference, contents: Contents, *, previous: Compilation | None
) -> tuple[BlobId, ...]:
    """Blobs that `compile_commit` needs and `contents` lacks; ask again until there are none.

    The policy comes first, because it says which other files matter. `difference` is relative
    to the commit of `previous`, or is the whole tree.
    """
    before = previous.files if previous else NO_FILES
    entries = entries_after(before.entries, difference)
    root = entries.get(POLICY_PATH)
    if root is not None and before.entries.get(POLICY_PATH) is root:
        assert before.layout is not None, "a compilation has a layout"
        layout = before.layout
    elif root is not None and Layout.bare().wants(root) and root.blob not in contents:
        return (root.blob,)
    else:
        document, _ = policy_document(root, contents)
        if document is None:
            return ()
        layout = Layout.of(declared_as(Repository, document))
    changed = tuple(needed(before, entries, difference, layout))
    if excess(layout, changed):
        return ()
    wanted = (e.blob for e in changed if layout.wants(e) and e.blob not in contents)
    return tuple(dict.fromkeys(wanted))


def compile_commit(
    commit: CommitSha,
    difference: TreeDifference,
    contents: Contents,
    *,
    previous: Compilation | None,
    rules: RepositorySpec | None,
    pins: PinBook = NO_BOOK,
) -> tuple[Compilation | None, tuple[Problem, ...]]:
    """Compile `commit`, which differs by `difference` from the commit of `previous`.

    `rules` is the policy of the last accepted commit; without one the commit is judged by its
    own. `pins` says which versions of secrets were decided. Nothing comes out when there is an
    error; warnings come out beside the result.
    """
    before = previous.files if previous else NO_FILES
    document, problems = _policy_document(before, difference, contents)
    if document is None:
        paths = (p for entry in difference.changed for p in path_problems(entry))
        return None, _told((*problems, *paths))
    own = declared_as(Repository, document)
    policy = Policy(in_force=rules or own.spec, own=own.spec)
    changes = read_changes(before, difference, document, contents)
    if changes.unread:
        return None, _told(changes.problems)
    base = previous if changes.before.layout is not None else None
    return _assemble(commit, policy, changes, base, contents, pins=pins)


def _told(problems: Iterable[Problem]) -> tuple[Problem, ...]:
    """In order, and without the credentials that they quote, as names of fields and of files."""
    return tuple(unquoted(problem) for problem in in_order(problems))


def _policy_document(
    before: Files, difference: TreeDifference, contents: Contents
) -> tuple[Document | None, tuple[Problem, ...]]:
    """The Repository document, from `contents` only when it has changed."""
    root = entries_after(before.entries, difference).get(POLICY_PATH)
    if root is not None and before.entries.get(POLICY_PATH) is root:
        return before.documents[POLICY_PATH][0], ()
    return policy_document(root, contents)


def _assemble(
    commit: CommitSha,
    policy: Policy,
    changes: FileChanges,
    base: Compilation | None,
    contents: Contents,
    *,
    pins: PinBook,
) -> tuple[Compilation | None, tuple[Problem, ...]]:
    """Put what was read together with what `base` has."""
    declared, declared_problems = _declared(policy, changes, base, pins)
    plain_before = base.plain_units if base else {}
    plain = regroup(
        plain_before,
        before=changes.before.plain,
        after=changes.after.plain,
        touched=changes.touched,
    )
    placed = place(
        base.state.units if base else {},
        declared=(base.declared if base else None, declared),
        plain=(plain_before, plain.units),
        changed=plain.changed,
        subjects=base.subjects if base else NO_SUBJECTS,
    )
    owners, conflicts = reindex(base.owners if base else {}, placed.changes)
    problems = _told(
        (
            *changes.problems,
            *declared_problems,
            *plain.problems,
            *conflicts,
            *_objections(policy, plain, changes, base, contents),
            *_bypasses(declared, plain),
        )
    )
    if errors_among(problems):
        return None, problems
    state = _state(commit, declared, placed)
    found = Compilation(state, changes.after, declared, plain.units, owners, placed.subjects)
    return found, problems


def _state(commit: CommitSha, declared: Declared, placed: Placed) -> DesiredState:
    return DesiredState(
        commit=commit,
        repository=declared.environment.repository,
        policy=declared.policy.own,
        clusters=declared.environment.estate.clusters,
        units=placed.units,
        rollouts=declared.rollouts,
        models=declared.models,
        gates=declared.gates,
        evaluations=declared.evaluations,
        prompts=declared.prompts,
        roles=declared.roles,
        agents=declared.agents,
        emergencies={glass.name: glass for _, glass in declared.emergencies},
        sources=declared.sources,
        readers=declared.readers,
        namespaces=placed.namespaces,
        notices=declared.notices,
    )


def _declared(
    policy: Policy, changes: FileChanges, base: Compilation | None, pins: PinBook
) -> tuple[Declared, tuple[Problem, ...]]:
    previous = base.declared if base else None
    same = previous and previous.policy == policy and previous.pins == pins
    if previous and same and not changes.declarations_changed:
        return previous, previous.warnings
    documents = (d for found in changes.after.documents.values() for d in found)
    return declare(documents, policy, refused=changes.refused, previous=previous, pins=pins)


def _objections(
    policy: Policy,
    plain: PlainUnits,
    changes: FileChanges,
    base: Compilation | None,
    contents: Contents,
) -> Iterator[Problem]:
    """Plain manifests that the policy refuses. All are judged anew when the policy is another."""
    judged = base.declared.policy.allowances if base else ()
    if all(allowance in judged for allowance in policy.allowances):
        manifests = _touched_manifests(changes)
    else:
        manifests = (m for unit in plain.units.values() for m in unit.manifests.values())
    for manifest in manifests:
        objection = policy.object_objection(manifest)
        if objection is not None:
            path, span = manifest.source.path, manifest.source.span
            entry = changes.after.entries[path]
            if entry.blob in contents:
                content = contents[entry.blob]
                span = place_of(path, content, document=span, pointer=objection.pointer)
            yield Problem(path, span, objection.code, objection.message, objection.hint)


def _bypasses(declared: Declared, plain: PlainUnits) -> Iterator[Problem]:
    """Plain manifests that lead round the authorizer. Documents decide it as well as they."""
    authorizer = declared.policy.own.authorizer
    if authorizer is None or authorizer.admit is None:
        return
    environment = declared.environment
    gateways = (environment.gateway(name) for name in environment.estate.clusters)
    yield from manifest_problems(
        (manifest for unit in plain.units.values() for manifest in unit.openings),
        model_servers(declared.rollouts, declared.models),
        authorizer.admit,
        frozenset(gateway.namespace for gateway in gateways if gateway is not None),
    )


def _touched_manifests(changes: FileChanges) -> Iterable[Manifest]:
    for path in changes.touched:
        if file := changes.after.plain.get(path):
            yield from file.manifests
