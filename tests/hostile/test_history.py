"""Histories that are not what they seem: who wrote them, who signed them, where the branch is."""

from __future__ import annotations

import shutil
from pathlib import Path

import pygit2
import pytest

from reconciler.adapters.git_signatures import SignatureVerifier
from reconciler.core.identifiers import CommitSha
from tests.engine.world import config_map
from tests.git.signing import SecurityKey

from .estate import GOOD, POLICY, Origin, Siege, besieged

pytestmark = pytest.mark.asyncio(loop_scope="module")

EVIL = "Mallory\x1b[2J\x1b[31m\u202e\r"


async def test_attack_24_a_hostile_author_and_message_reach_no_line(siege: Siege) -> None:
    forged = 'x\r\n{"event": "commit.accepted", "commit": "forged"}\n\x1b]0;owned\x07'
    await siege.applies(
        siege.origin.push_tree(
            siege.origin.repository[siege.good].tree.id,
            message=forged,
            author=EVIL,
            email="m\udcffx",
        )
    )
    assert not [line for line in await siege.output() if "forged" in line]
    await siege.goes_on()


async def test_attack_22_a_rewritten_branch_is_refused_until_it_contains_the_applied_commit(
    siege: Siege,
) -> None:
    await siege.accepts_good()
    origin, good = siege.origin, siege.good
    parent = str(origin.repository[good].parent_ids[0])
    tree = origin.repository[good].tree.id
    other = origin.push_tree(tree, message="rewritten", parents=[parent])
    refusal = await siege.refuses(other, code="history-rewritten")
    assert good[:10] in refusal.explanation
    await siege.keeps_in_place()
    origin.rewrite(good)
    await siege.goes_on()


async def test_an_unrelated_history_is_refused(siege: Siege) -> None:
    origin, good = siege.origin, siege.good
    orphan = origin.push_tree(origin.repository[good].tree.id, parents=[])
    await siege.refuses(orphan, code="history-rewritten")
    origin.rewrite(good)
    await siege.goes_on()


async def test_attack_22_going_back_to_an_old_commit(siege: Siege) -> None:
    await siege.accepts_good()
    good = siege.good
    old = CommitSha(str(siege.origin.repository[good].parent_ids[0]))
    siege.origin.rewrite(old)
    await siege.refuses(old, code="history-rewritten")
    siege.origin.rewrite(good)
    await siege.goes_on()


async def test_a_mirror_made_anew_after_a_rewrite_changes_nothing(tmp_path: Path) -> None:
    """The commit that was compiled last is in no repository any more."""
    async with besieged(tmp_path) as siege:
        renamed = POLICY.replace(b"{name: acme}", b"{name: evil}")
        commit = siege.origin.push({"fairlead.yaml": renamed})
        await siege.refuses(commit, code="renamed")
        siege.origin.rewrite(siege.good)
        for generation in (tmp_path / "mirror").iterdir():
            shutil.rmtree(generation)
        await siege.goes_on()


async def test_a_deleted_branch_changes_nothing(siege: Siege) -> None:
    siege.origin.repository.references.delete(siege.origin.reference)
    siege.engine.branch.hint()
    await siege.until(lambda: "has no branch" in siege.engine.branch.trouble)
    await siege.keeps_in_place()
    siege.origin.rewrite(siege.good)
    await siege.goes_on()


async def test_a_tag_with_the_name_of_the_branch_is_not_followed(siege: Siege) -> None:
    origin, good = siege.origin, siege.good
    evil = origin.push({"apps/web/a.yaml": config_map("a", "evil")})
    origin.rewrite(good)
    for name in ("refs/tags/main", "refs/heads/refs/heads/main", "refs/main"):
        origin.repository.references.create(name, pygit2.Oid(hex=evil))
    await siege.goes_on()


async def test_the_head_of_the_remote_is_not_followed(siege: Siege) -> None:
    origin, good = siege.origin, siege.good
    evil = origin.push({"apps/web/a.yaml": config_map("a", "evil")})
    origin.rewrite(good)
    origin.repository.references.create("refs/heads/evil", pygit2.Oid(hex=evil))
    origin.repository.set_head("refs/heads/evil")
    await siege.goes_on()


def signed(origin: Origin, key: SecurityKey, sha: CommitSha) -> CommitSha:
    """The commit again, with a signature, as the head of the branch."""
    kind, raw = origin.repository.odb.read(sha)
    armored = key.sign(raw, namespace="git").strip().replace(b"\n", b"\n ")
    head, _, message = raw.partition(b"\n\n")
    oid = origin.repository.odb.write(kind, head + b"\ngpgsig " + armored + b"\n\n" + message)
    made = CommitSha(str(oid))
    origin.rewrite(made)
    return made


async def test_attack_21_an_unsigned_commit_beneath_a_signed_head(tmp_path: Path) -> None:
    key = SecurityKey.plain()
    allowed = tmp_path / "allowed"
    allowed.write_text(f'ada@example.com namespaces="git" {key.public}\n')
    origin = Origin(tmp_path / "served" / "config.git")
    rules = POLICY + b"  signatures: {required: true}\n"
    first = signed(origin, key, origin.push({**GOOD, "fairlead.yaml": rules}))
    verifier = SignatureVerifier(allowed)
    async with besieged(tmp_path, first={}, origin=origin, verifier=verifier) as siege:
        await siege.applies(first)
        origin.push({"apps/web/b.yaml": config_map("b", "unsigned")}, author=EVIL)
        head = signed(origin, key, origin.push({"README.md": b"signed"}))
        await siege.refuses(head, code="untrusted")
        await siege.keeps_in_place()
        await siege.shows_nothing_unprintable()
        origin.rewrite(first)
        good = signed(origin, key, origin.push({"apps/web/b.yaml": config_map("b", "2")}))
        await siege.applies(good)
        assert siege.value("b") == "2"


async def test_without_allowed_signers_nothing_counts_as_signed(tmp_path: Path) -> None:
    rules = POLICY + b"  signatures: {required: true}\n"
    async with besieged(tmp_path, first={**GOOD, "fairlead.yaml": rules}) as siege:
        off = POLICY + b"  signatures: {required: false}\n"
        commit = siege.origin.push({"fairlead.yaml": off}, author=EVIL)
        refusal = await siege.refuses(commit, code="untrusted")
        assert refusal.explanation.isprintable()
        await siege.keeps_in_place()
        await siege.shows_nothing_unprintable()
