"""Checking a log: is it what was signed, and do its records follow the rules?

Separate from everything that writes a log, and offline: it needs the records, the checkpoints and
a key that the caller trusts. The invariant: any record that was changed, removed, reordered or
added since a checkpoint was signed is found, whatever else was changed along with it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from reconciler.core.audit import merkle
from reconciler.core.audit.comparing import Finding, differences
from reconciler.core.audit.encoding import decode, encode
from reconciler.core.audit.notes import Checkpoint, NoteError, Verifier, open_checkpoint
from reconciler.core.audit.pairing import pairing_fault, subject
from reconciler.core.audit.records import AuditRecord, Phase
from reconciler.core.identifiers import CommitSha


@dataclass(frozen=True, slots=True)
class Anchor:
    """A checkpoint kept outside the log, and the proof that it extends the anchor before it."""

    note: bytes
    proof: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is there to be checked. `anchors` are in the order in which they were made.

    `logged` are the hashes that the log itself keeps of its records; they are not trusted, but
    when the checkpoints confirm them they tell exactly which record is not the one that was
    logged.
    """

    leaves: Iterable[bytes]
    checkpoints: Sequence[bytes]
    logged: Sequence[bytes] = ()
    anchors: Sequence[Anchor] = ()


@dataclass(frozen=True, slots=True)
class Verification:
    """The answer. `covered` is how many records the largest good checkpoint signs."""

    size: int
    root: bytes
    covered: int
    checkpoints: int
    findings: tuple[Finding, ...]
    open_intents: tuple[int, ...]

    @property
    def passed(self) -> bool:
        return not self.findings


def verify(
    evidence: Evidence,
    *,
    verifiers: Sequence[Verifier],
    has_commit: Callable[[CommitSha], bool] | None = None,
) -> Verification:
    """Check everything that can be checked, and name all that is wrong.

    Records after the last checkpoint are counted, not condemned: a running log always has some,
    and the caller knows whether this one may. `has_commit` tells whether the config repository
    has a commit; without it, commits are not looked up.
    """
    rules = _Rules(has_commit)
    hashes: list[bytes] = []
    for index, leaf in enumerate(evidence.leaves):
        hashes.append(merkle.leaf_hash(leaf))
        rules.judge(index, leaf)
    trusted, findings = _trusted(evidence, verifiers)
    findings += _anchor_findings(evidence.anchors, verifiers)
    covered, contradictions = _root_findings(trusted, hashes=hashes, logged=evidence.logged)
    findings += contradictions
    frontier, _ = merkle.Frontier().extended(hashes)
    return Verification(
        size=frontier.size,
        root=frontier.root,
        covered=covered,
        checkpoints=len(trusted),
        findings=(*findings, *rules.findings),
        open_intents=tuple(rules.opened),
    )


@dataclass(slots=True)
class _Rules:
    """The rules of records, judged one after another."""

    has_commit: Callable[[CommitSha], bool] | None
    findings: list[Finding] = field(default_factory=list)
    opened: dict[int, str] = field(default_factory=dict)
    commits: dict[CommitSha, bool] = field(default_factory=dict)

    def judge(self, index: int, leaf: bytes) -> None:
        try:
            record = decode(leaf)
            canonical = encode(record) == leaf
        except ValueError as error:
            self.findings.append(Finding("unreadable", f"record {index}: {error}", index))
            return
        if not canonical:
            message = f"record {index} is not in its canonical form"
            self.findings.append(Finding("not-canonical", message, index))
        self._judge_pairing(index, record)
        self._judge_commit(index, record)

    def _judge_pairing(self, index: int, record: AuditRecord) -> None:
        known = None if record.intent is None else self.opened.get(record.intent)
        fault = pairing_fault(record, open_subject=known)
        if fault:
            self.findings.append(Finding("unpaired", f"record {index}: {fault}", index))
        elif record.intent is not None:
            del self.opened[record.intent]
        if record.phase is Phase.INTENT:
            self.opened[index] = subject(record)

    def _judge_commit(self, index: int, record: AuditRecord) -> None:
        if self.has_commit is None or not record.commit:
            return
        if record.commit not in self.commits:
            self.commits[record.commit] = self.has_commit(record.commit)
        if not self.commits[record.commit]:
            message = f"record {index} names commit {record.commit}, which the repository lacks"
            self.findings.append(Finding("unknown-commit", message, index))


def _trusted(
    evidence: Evidence, verifiers: Sequence[Verifier]
) -> tuple[list[Checkpoint], list[Finding]]:
    """The checkpoints with a good signature, smallest first, and what is wrong with the others."""
    trusted: list[Checkpoint] = []
    findings: list[Finding] = []
    for note in (*evidence.checkpoints, *(anchor.note for anchor in evidence.anchors)):
        try:
            trusted.append(open_checkpoint(note, verifiers))
        except NoteError as error:
            findings.append(Finding("bad-checkpoint", f"a checkpoint is no evidence: {error}"))
    origins = sorted({checkpoint.origin for checkpoint in trusted})
    if len(origins) > 1:
        message = f"the checkpoints are of several logs: {', '.join(origins)}"
        findings.append(Finding("several-logs", message))
    if not trusted:
        findings.append(Finding("no-checkpoint", "no checkpoint with a good signature was found"))
    return sorted(set(trusted), key=lambda checkpoint: checkpoint.size), findings


def _anchor_findings(anchors: Sequence[Anchor], verifiers: Sequence[Verifier]) -> list[Finding]:
    findings: list[Finding] = []
    previous: Checkpoint | None = None
    for anchor in anchors:
        try:
            checkpoint = open_checkpoint(anchor.note, verifiers)
        except NoteError:
            continue  # Named by _trusted already.
        if (
            previous is not None
            and previous.size
            and not merkle.is_consistent(
                old=previous.size,
                new=checkpoint.size,
                old_root=previous.root,
                new_root=checkpoint.root,
                proof=anchor.proof,
            )
        ):
            message = (
                f"the anchor over {checkpoint.size} records has no proof that it extends the one "
                f"over {previous.size}"
            )
            findings.append(Finding("inconsistent-anchors", message))
        previous = checkpoint
    return findings


def _root_findings(
    checkpoints: Sequence[Checkpoint], *, hashes: Sequence[bytes], logged: Sequence[bytes]
) -> tuple[int, list[Finding]]:
    """How many records are covered, and how the records differ from what was signed."""
    covered, contradicted = _agreeing(checkpoints, hashes)
    if logged and _agreeing(checkpoints, logged)[1] is None:
        return covered, differences(found=hashes, logged=logged)
    if contradicted is None:
        message = "the stored hashes are not those of the records, which are as signed"
        return covered, [Finding("stored-hashes", message)] if logged else []
    if contradicted.size > len(hashes):
        message = (
            f"a checkpoint signs {contradicted.size} records and there are {len(hashes)}: "
            f"at least {contradicted.size - len(hashes)} were removed"
        )
        return covered, [Finding("removed", message)]
    message = (
        f"records {covered} to {contradicted.size - 1} are not those that were signed: the "
        f"checkpoint over {covered} records agrees, the one over {contradicted.size} does not"
    )
    return covered, [Finding("contradicts-checkpoint", message, covered)]


def _agreeing(
    checkpoints: Sequence[Checkpoint], hashes: Sequence[bytes]
) -> tuple[int, Checkpoint | None]:
    """The size of the last checkpoint before the first that `hashes` contradict, and that one."""
    frontier, covered = merkle.Frontier(), 0
    for checkpoint in checkpoints:
        frontier, _ = frontier.extended(hashes[frontier.size : checkpoint.size])
        if (frontier.size, frontier.root) != (checkpoint.size, checkpoint.root):
            return covered, checkpoint
        covered = checkpoint.size
    return covered, None
