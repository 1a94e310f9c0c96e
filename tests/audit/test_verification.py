"""Verification finds what was done to a log, given its records and a key."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit.builders import (
    COMMIT,
    OTHER_SIGNER,
    SIGNER,
    a_log,
    decision,
    intent,
    outcome,
    signed_log,
)
from reconciler.core.audit import merkle
from reconciler.core.audit.encoding import encode
from reconciler.core.audit.notes import checkpoint_text
from reconciler.core.audit.records import AuditRecord
from reconciler.core.audit.verification import Anchor, Evidence, Verification, verify
from reconciler.core.identifiers import CommitSha, ObjectKey

SIZES = (3, 10, 40)
LEAVES = [encode(record) for record in a_log(SIZES[-1])]
HASHES = [merkle.leaf_hash(leaf) for leaf in LEAVES]


def notes(*sizes: int, leaves: Sequence[bytes] = LEAVES) -> list[bytes]:
    made = []
    for size in sizes:
        frontier, _ = merkle.Frontier().extended(map(merkle.leaf_hash, leaves[:size]))
        text = checkpoint_text(origin=SIGNER.name, size=size, root=frontier.root)
        made.append(SIGNER.signed(text))
    return made


def verified(leaves: Sequence[bytes], **changes: object) -> Verification:
    evidence = replace(Evidence(leaves, notes(*SIZES)), **changes)  # type: ignore[arg-type]
    return verify(evidence, verifiers=[SIGNER.verifier])


def of_records(*records: AuditRecord) -> Verification:
    leaves = [encode(record) for record in records]
    return verify(Evidence(leaves, notes(len(leaves), leaves=leaves)), verifiers=[SIGNER.verifier])


def codes(verification: Verification) -> list[str]:
    return [finding.code for finding in verification.findings]


def test_a_log_as_it_was_written_passes() -> None:
    verification = verified(LEAVES)
    assert verification.passed
    assert (verification.size, verification.covered, verification.checkpoints) == (40, 40, 3)


def test_records_after_the_last_checkpoint_are_counted_and_allowed() -> None:
    verification = verified([*LEAVES, encode(decision())])
    assert verification.passed
    assert (verification.size, verification.covered) == (41, 40)


# --- Tampering, without and with the log's own hashes -----------------------------------------

positions = st.integers(0, SIZES[-1] - 1)
own_hashes = st.sampled_from([(), tuple(HASHES)])


@given(positions, st.integers(0, 7), st.data())
def test_any_flipped_bit_is_found(index: int, bit: int, data: st.DataObject) -> None:
    spoilt = bytearray(LEAVES[index])
    spoilt[data.draw(st.integers(0, len(spoilt) - 1))] ^= 1 << bit
    leaves = [*LEAVES[:index], bytes(spoilt), *LEAVES[index + 1 :]]
    assert not verified(leaves).passed
    named = verified(leaves, logged=HASHES)
    assert ("changed", index) in [(finding.code, finding.index) for finding in named.findings]


@given(positions, own_hashes)
def test_any_removed_record_is_found(index: int, logged: tuple[bytes, ...]) -> None:
    verification = verified([*LEAVES[:index], *LEAVES[index + 1 :]], logged=logged)
    assert not verification.passed
    if logged:
        assert ("removed", index) in [(f.code, f.index) for f in verification.findings]


@given(positions, positions, own_hashes)
def test_any_exchange_is_found(one: int, other: int, logged: tuple[bytes, ...]) -> None:
    leaves = list(LEAVES)
    leaves[one], leaves[other] = leaves[other], leaves[one]
    verification = verified(leaves, logged=logged)
    assert verification.passed == (one == other)
    if logged and one != other:
        assert ("reordered", min(one, other)) in [(f.code, f.index) for f in verification.findings]


@given(st.integers(0, SIZES[-1]), own_hashes)
def test_any_added_record_is_found(index: int, logged: tuple[bytes, ...]) -> None:
    added = encode(decision(1000))
    verification = verified([*LEAVES[:index], added, *LEAVES[index:]], logged=logged)
    # Without its hashes, a log may have grown since the last checkpoint.
    assert verification.passed == (index == SIZES[-1] and not logged)
    if logged:
        assert ("added", index) in [(f.code, f.index) for f in verification.findings]


@given(st.integers(0, SIZES[-1] - 1))
def test_a_history_rewritten_with_its_hashes_is_found(index: int) -> None:
    leaves = [*LEAVES[:index], encode(decision(1000)), *LEAVES[index + 1 :]]
    hashes = [merkle.leaf_hash(leaf) for leaf in leaves]
    verification = verified(leaves, logged=hashes)
    contradicted = next(f for f in verification.findings if f.code == "contradicts-checkpoint")
    good = max((size for size in (0, *SIZES) if size <= index), default=0)
    assert contradicted.index == verification.covered == good


def test_attack_23_a_log_cut_short() -> None:
    verification = verified(LEAVES[:30])
    assert "at least 10 were removed" in verification.findings[0].message


def test_hashes_that_contradict_signed_records_are_found() -> None:
    assert codes(verified(LEAVES, logged=[b"x" * 32, *HASHES[1:]])) == ["stored-hashes"]


def test_many_changes_at_once_are_found() -> None:
    leaves = [encode(decision(1000)), *LEAVES[5:20], encode(decision(1001)), *LEAVES[20:]]
    verification = verified(leaves, logged=HASHES)
    assert ("changed", 0) in [(finding.code, finding.index) for finding in verification.findings]


# --- Checkpoints ------------------------------------------------------------------------------


def test_a_log_without_checkpoints_proves_nothing() -> None:
    assert codes(verified(LEAVES, checkpoints=[])) == ["no-checkpoint"]


def test_attack_23_checkpoints_by_another_key_are_no_evidence() -> None:
    text = checkpoint_text(origin=SIGNER.name, size=0, root=merkle.EMPTY_ROOT)
    forged = verified(LEAVES, checkpoints=[OTHER_SIGNER.signed(text)])
    assert codes(forged) == ["bad-checkpoint", "no-checkpoint"]


def test_checkpoints_of_another_log_are_found() -> None:
    frontier, _ = merkle.Frontier().extended(HASHES)
    text = checkpoint_text(origin="example.com/other", size=40, root=frontier.root)
    other = verified(LEAVES, checkpoints=[*notes(40), SIGNER.signed(text)])
    assert codes(other) == ["several-logs"]


def test_attack_23_a_fork_with_two_roots_of_one_size() -> None:
    forked = [*LEAVES[:9], encode(decision(1000))]
    assert not verified(LEAVES, checkpoints=[*notes(10), *notes(10, leaves=forked)]).passed


# --- Anchors ----------------------------------------------------------------------------------


def anchors(*sizes: int) -> list[Anchor]:
    async def made() -> list[Anchor]:
        store = await signed_log(*sizes)
        found, before = [], 0
        for size, note in zip(sizes, await store.checkpoints(), strict=True):
            proof = await store.consistency(old=before, new=size)
            found.append(Anchor(note, tuple(proof)))
            before = size
        return found

    return asyncio.run(made())


def test_anchored_checkpoints_are_checked_with_their_proofs() -> None:
    verification = verified(LEAVES, anchors=anchors(*SIZES))
    assert verification.passed


def test_an_anchor_without_its_proof_is_found() -> None:
    first, second, third = anchors(*SIZES)
    spoilt = [first, replace(second, proof=second.proof[1:]), third]
    assert codes(verified(LEAVES, anchors=spoilt)) == ["inconsistent-anchors"]


def test_anchors_in_another_order_are_found() -> None:
    first, second, third = anchors(*SIZES)
    assert "inconsistent-anchors" in codes(verified(LEAVES, anchors=[second, first, third]))


def test_a_log_that_is_shorter_than_its_anchor_is_found() -> None:
    shorter = verified(LEAVES[:10], checkpoints=notes(10), anchors=anchors(*SIZES))
    assert codes(shorter) == ["removed"]


# --- Rules of records -------------------------------------------------------------------------


def test_intents_without_outcome_are_reported_and_no_failure() -> None:
    verification = of_records(intent(), decision(), intent(), outcome(0))
    assert verification.passed
    assert verification.open_intents == (2,)


@pytest.mark.parametrize(
    "records",
    [
        pytest.param([intent(), outcome(0), outcome(0)], id="two outcomes of one intent"),
        pytest.param([decision(), outcome(0)], id="an outcome of a decision"),
        pytest.param([intent(), outcome(5)], id="an outcome of a later record"),
        pytest.param([intent(), outcome(1)], id="an outcome of itself"),
        pytest.param([intent(), outcome(0, intent=None)], id="an outcome of nothing"),
        pytest.param(
            [intent(), outcome(0, object=ObjectKey("", "Pod", "a", "b"))],
            id="an outcome of another object",
        ),
        pytest.param([intent(), decision(intent=0)], id="a decision that names an intent"),
    ],
)
def test_a_broken_pair_is_found(records: list[AuditRecord]) -> None:
    verification = of_records(*records)
    assert codes(verification) == ["unpaired"]
    assert verification.findings[0].index == len(records) - 1


def test_a_signed_record_that_cannot_be_read_is_found() -> None:
    leaves = [encode(decision()), b'{"v":99}']
    verification = verify(Evidence(leaves, notes(2, leaves=leaves)), verifiers=[SIGNER.verifier])
    assert codes(verification) == ["unreadable"]


def test_a_signed_record_in_another_form_is_found() -> None:
    leaves = [encode(decision()).replace(b'"v":1', b'"v": 1')]
    verification = verify(Evidence(leaves, notes(1, leaves=leaves)), verifiers=[SIGNER.verifier])
    assert codes(verification) == ["not-canonical"]


def test_commits_that_the_repository_lacks_are_found() -> None:
    strange = CommitSha("d" * 40)
    leaves = [encode(decision()), encode(decision(commit=strange))]
    verification = verify(
        Evidence(leaves, notes(2, leaves=leaves)),
        verifiers=[SIGNER.verifier],
        has_commit=lambda sha: sha == COMMIT,
    )
    assert [(f.code, f.index) for f in verification.findings] == [("unknown-commit", 1)]
