"""What is signed, what is anchored, and when neither happens."""

from __future__ import annotations

import asyncio
import os
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pygit2
import pytest

from audit.builders import COMMIT, OTHER_SIGNER, SIGNER, a_log, decision
from reconciler.adapters.audit_anchor_git import ANCHOR_REF, GitAnchor
from reconciler.adapters.audit_anchor_push import AnchorRemote
from reconciler.adapters.audit_commits_git import commits_in
from reconciler.adapters.audit_key_file import load_signer
from reconciler.adapters.git_remotes import GitSource
from reconciler.adapters.state_memory import MemoryStateStore
from reconciler.core.audit import merkle
from reconciler.core.audit.notes import Signer, open_checkpoint
from reconciler.core.audit.verification import Evidence, verify
from reconciler.core.errors import Corrupt, Misconfigured, Missing, Refused, Unavailable
from reconciler.core.identifiers import CommitSha
from reconciler.engine.checkpointing import Checkpointer


async def log_of(size: int, *, start: int = 0) -> MemoryStateStore:
    log = MemoryStateStore()
    await log.append([decision(start + number) for number in range(size)])
    return log


# --- Signing ----------------------------------------------------------------------------------


async def test_a_checkpoint_signs_the_head() -> None:
    log = await log_of(7)
    published = await Checkpointer(log, SIGNER).publish()
    opened = open_checkpoint(published.note, [SIGNER.verifier])
    head = await log.head()
    assert (opened.origin, opened.size, opened.root) == (SIGNER.name, head.size, head.root)
    assert await log.latest_checkpoint() == published.note


async def test_an_empty_log_can_be_signed_and_grow() -> None:
    log = MemoryStateStore()
    checkpointer = Checkpointer(log, SIGNER)
    assert (await checkpointer.publish()).root == merkle.EMPTY_ROOT
    await log.append([decision()])
    assert (await checkpointer.publish()).size == 1


async def test_nothing_new_gives_the_same_checkpoint() -> None:
    checkpointer = Checkpointer(await log_of(7), SIGNER)
    assert await checkpointer.publish() == await checkpointer.publish()


async def test_publishing_at_once_signs_once() -> None:
    log = await log_of(7)
    checkpointer = Checkpointer(log, SIGNER)
    published = await asyncio.gather(*(checkpointer.publish() for _ in range(5)))
    assert len(set(published)) == len(await log.checkpoints()) == 1


async def test_a_rewritten_log_is_not_signed() -> None:
    signed = await log_of(7)
    note = (await Checkpointer(signed, SIGNER).publish()).note
    rewritten = await log_of(9, start=1)
    await rewritten.keep_checkpoint(7, note)
    with pytest.raises(Corrupt, match="does not extend"):
        await Checkpointer(rewritten, SIGNER).publish()
    assert await rewritten.latest_checkpoint() == note


async def test_a_log_of_the_same_size_and_another_root_is_not_signed() -> None:
    note = (await Checkpointer(await log_of(7), SIGNER).publish()).note
    rewritten = await log_of(7, start=1)
    await rewritten.keep_checkpoint(7, note)
    with pytest.raises(Corrupt, match="does not extend"):
        await Checkpointer(rewritten, SIGNER).publish()


async def test_a_shorter_log_is_not_signed() -> None:
    note = (await Checkpointer(await log_of(7), SIGNER).publish()).note
    shorter = await log_of(5)
    await shorter.keep_checkpoint(7, note)
    with pytest.raises(Corrupt, match="7 were signed"):
        await Checkpointer(shorter, SIGNER).publish()


async def test_a_log_signed_by_another_key_is_not_signed() -> None:
    log = await log_of(7)
    await Checkpointer(log, OTHER_SIGNER).publish()
    with pytest.raises(Corrupt, match="cannot be trusted"):
        await Checkpointer(log, SIGNER).publish()


# --- Anchoring in Git -------------------------------------------------------------------------


@pytest.fixture
async def anchor(tmp_path: Path) -> AsyncIterator[GitAnchor]:
    made = GitAnchor(tmp_path / "anchors.git")
    yield made
    made.close()


async def grown(log: MemoryStateStore, checkpointer: Checkpointer, *sizes: int) -> None:
    records = a_log(max(sizes))
    for size in sizes:
        await log.append(records[(await log.head()).size : size])
        await checkpointer.publish()


async def test_anchors_are_a_line_of_commits_that_prove_each_step(anchor: GitAnchor) -> None:
    log = MemoryStateStore()
    await grown(log, Checkpointer(log, SIGNER, anchor), 3, 300, 301, 700)
    anchors = await anchor.anchors()
    assert [open_checkpoint(a.note, [SIGNER.verifier]).size for a in anchors] == [3, 300, 301, 700]
    evidence = Evidence(await log.leaves(), [], anchors=anchors)
    assert verify(evidence, verifiers=[SIGNER.verifier]).passed


async def test_the_anchor_repository_holds_no_branch_and_no_work_tree(
    anchor: GitAnchor, tmp_path: Path
) -> None:
    await Checkpointer(await log_of(7), SIGNER, anchor).publish()
    repository = pygit2.Repository(str(tmp_path / "anchors.git"))
    assert repository.is_bare
    assert list(repository.references) == [ANCHOR_REF]


async def test_a_head_that_did_not_move_is_anchored_once(anchor: GitAnchor) -> None:
    checkpointer = Checkpointer(await log_of(7), SIGNER, anchor)
    await checkpointer.publish()
    await checkpointer.publish()
    assert len(await anchor.anchors()) == 1


async def test_a_log_restored_from_an_old_backup_is_not_signed(anchor: GitAnchor) -> None:
    await Checkpointer(await log_of(7), SIGNER, anchor).publish()
    restored = await log_of(5)
    with pytest.raises(Corrupt, match="7 were signed"):
        await Checkpointer(restored, SIGNER, anchor).publish()
    assert await restored.latest_checkpoint() is None


async def test_a_log_rewritten_with_its_checkpoints_is_not_signed(anchor: GitAnchor) -> None:
    await Checkpointer(await log_of(7), SIGNER, anchor).publish()
    with pytest.raises(Corrupt, match="does not extend"):
        await Checkpointer(await log_of(9, start=1), SIGNER, anchor).publish()


async def test_an_anchor_that_fell_behind_catches_up(anchor: GitAnchor) -> None:
    log = MemoryStateStore()
    await grown(log, Checkpointer(log, SIGNER, anchor), 3)
    await grown(log, Checkpointer(log, SIGNER), 5, 8)
    await Checkpointer(log, SIGNER, anchor).publish()
    assert len(await anchor.anchors()) == 2


async def test_a_ref_that_holds_something_else_is_corrupt(
    anchor: GitAnchor, tmp_path: Path
) -> None:
    await Checkpointer(await log_of(7), SIGNER, anchor).publish()
    repository = pygit2.Repository(str(tmp_path / "anchors.git"))
    author = pygit2.Signature("eve", "eve@example.com")
    tree, parent = repository.TreeBuilder().write(), repository.references[ANCHOR_REF].target
    repository.create_commit(ANCHOR_REF, author, author, "x", tree, [parent])
    with pytest.raises(Corrupt, match="holds no anchor"):
        await anchor.latest()


async def test_an_anchor_that_cannot_be_written_is_transient(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    anchor = GitAnchor(tmp_path / "file" / "anchors.git")
    with pytest.raises(Unavailable):
        await Checkpointer(await log_of(7), SIGNER, anchor).publish()
    anchor.close()


# --- Pushing ----------------------------------------------------------------------------------


def git(directory: Path, *arguments: str) -> str:
    command = ["git", "--git-dir", str(directory), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


@pytest.fixture
def remote(tmp_path: Path) -> Path:
    subprocess.run(["git", "init", "-q", "--bare", tmp_path / "remote.git"], check=True)
    return tmp_path / "remote.git"


async def test_anchors_are_pushed(remote: Path, tmp_path: Path) -> None:
    anchor = GitAnchor(tmp_path / "anchors.git", push=AnchorRemote(GitSource(str(remote))).push)
    log = MemoryStateStore()
    await grown(log, Checkpointer(log, SIGNER, anchor), 3, 7)
    assert git(remote, "log", "--format=%s", ANCHOR_REF).split("\n") == [
        "example.com/log: 7 records",
        "example.com/log: 3 records",
        "",
    ]
    anchor.close()


async def test_a_push_is_never_forced(remote: Path, tmp_path: Path) -> None:
    push = AnchorRemote(GitSource(str(remote))).push
    first = GitAnchor(tmp_path / "first.git", push=push)
    await Checkpointer(await log_of(7), SIGNER, first).publish()
    before = git(remote, "rev-parse", ANCHOR_REF)
    other = GitAnchor(tmp_path / "other.git", push=push)
    with pytest.raises(Refused, match="does not take the checkpoints"):
        await Checkpointer(await log_of(3), SIGNER, other).publish()
    assert git(remote, "rev-parse", ANCHOR_REF) == before
    first.close()
    other.close()


async def test_a_push_that_failed_is_made_up_for(tmp_path: Path) -> None:
    url = tmp_path / "remote.git"
    anchor = GitAnchor(tmp_path / "anchors.git", push=AnchorRemote(GitSource(str(url))).push)
    checkpointer = Checkpointer(await log_of(7), SIGNER, anchor)
    with pytest.raises((Unavailable, Missing)):
        await checkpointer.publish()
    git(url, "init", "-q", "--bare")
    await checkpointer.publish()
    assert "7 records" in git(url, "log", "--format=%s", ANCHOR_REF)
    anchor.close()


# --- The key ----------------------------------------------------------------------------------


def test_the_first_start_makes_a_key_and_later_ones_keep_it(tmp_path: Path) -> None:
    path = tmp_path / "keys" / "audit"
    signer = load_signer(path, name="example.com/log")
    assert load_signer(path, name="example.com/log") == signer
    assert path.stat().st_mode & 0o777 == 0o600
    assert sorted(os.listdir(path.parent)) == ["audit", "audit.vkey"]  # noqa: PTH208


def test_the_verifier_key_lies_beside_the_signing_key(tmp_path: Path) -> None:
    signer = load_signer(tmp_path / "audit.key", name="example.com/log")
    assert (tmp_path / "audit.vkey").read_text().strip() == signer.verifier.vkey


def test_two_logs_get_two_keys(tmp_path: Path) -> None:
    one, other = (load_signer(tmp_path / name, name="example.com/log") for name in ("a", "b"))
    assert one != other


def test_a_key_that_others_can_read_is_refused(tmp_path: Path) -> None:
    load_signer(tmp_path / "audit", name="example.com/log")
    (tmp_path / "audit").chmod(0o640)
    with pytest.raises(Misconfigured, match="read by others"):
        load_signer(tmp_path / "audit", name="example.com/log")


def test_the_key_of_another_log_is_refused(tmp_path: Path) -> None:
    load_signer(tmp_path / "audit", name="example.com/log")
    with pytest.raises(Misconfigured, match="signs as"):
        load_signer(tmp_path / "audit", name="example.com/other")


@pytest.mark.parametrize("name", ["", "a b", "a+b", "a\nb"])
def test_a_name_that_cannot_name_a_key_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(Misconfigured):
        load_signer(tmp_path / "audit", name=name)


def test_a_damaged_key_file_is_refused_without_showing_it(tmp_path: Path) -> None:
    secret = Signer.named("example.com/log", bytes(32)).skey[:-4]
    (tmp_path / "audit").write_text(secret)
    (tmp_path / "audit").chmod(0o600)
    with pytest.raises(Misconfigured) as refused:
        load_signer(tmp_path / "audit", name="example.com/log")
    assert secret[-20:] not in str(refused.value)


# --- Commits ----------------------------------------------------------------------------------


def test_commits_are_looked_up_in_a_repository(tmp_path: Path) -> None:
    repository = pygit2.init_repository(str(tmp_path / "config.git"), bare=True)
    author = pygit2.Signature("ada", "ada@example.com")
    tree = repository.TreeBuilder().write()
    sha = str(repository.create_commit("refs/heads/main", author, author, "first", tree, []))
    has_commit = commits_in(tmp_path / "config.git")
    asked = [sha, str(tree), COMMIT, "", "no sha at all"]
    assert [has_commit(CommitSha(text)) for text in asked] == [True, False, False, False, False]


def test_looking_in_something_else_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(Missing):
        commits_in(tmp_path)
