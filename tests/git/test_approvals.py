"""Approvals in the config repository: signed by people in a clone, read by the daemon."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pygit2
import pytest

from reconciler.adapters.git_approvals import GitApprovals, reference_of
from reconciler.adapters.git_approving import give_approval
from reconciler.adapters.git_remotes import GitSource
from reconciler.core.approvals.statements import NAMESPACE, Approval, Statement
from reconciler.core.errors import Misconfigured, Refused
from reconciler.core.identifiers import CommitSha, TreeId

from .builders import SourceRepository, serving
from .signing import Key, SecurityKey, SshKey

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)
TREE, BASE = TreeId("7" * 40), CommitSha("b" * 40)
STATEMENT = Statement("acme", TREE, BASE, NOW + timedelta(hours=1))


@dataclass
class Desk:
    """A remote, a person's clone of it, and the daemon's file of allowed signers."""

    directory: Path

    def __post_init__(self) -> None:
        self.remote = SourceRepository(self.directory / "config.git")
        self.remote.push({"README": b"hello"})
        self.clone = self.directory / "clone"
        pygit2.init_repository(str(self.clone)).remotes.create("origin", str(self.remote.directory))
        self.allowed = self.directory / "allowed_signers"
        self.key = SshKey.generate(self.directory / "grace", kind="ed25519", bits="")
        self.allow(f"grace@example.com,grace {self.key.public}")

    def allow(self, *lines: str) -> None:
        self.allowed.write_text("".join(f"{line}\n" for line in lines))

    def give(self, statement: Statement = STATEMENT) -> str:
        given = give_approval(self.clone, statement, key=str(self.key.file), remote="origin")
        return given.reference

    def plant(self, text: str, key: Key, *, namespace: str = NAMESPACE, signed: str = "") -> None:
        """Push an approval as anybody could make it."""
        signature = key.sign((signed or text).encode(), namespace=namespace).decode()
        self.push(text + signature)

    @property
    def fingerprint(self) -> str:
        listed = ["ssh-keygen", "-lf", str(self.key.file)]
        return subprocess.run(listed, capture_output=True, text=True, check=True).stdout.split()[1]

    def push(self, message: str) -> None:
        repository = self.remote.repository
        who = pygit2.Signature("Grace", "grace@example.com")
        tree = repository.TreeBuilder().write()
        made = repository.create_commit(None, who, who, message, tree, [])
        name = reference_of(TREE, CommitSha(str(made)))
        repository.references.create(name, made, force=True)

    async def read(self, url: str = "", *trees: TreeId, now: datetime = NOW) -> list[Approval]:
        source = GitSource(url or str(self.remote.directory))
        approvals = GitApprovals(source, self.directory / "approvals", self.allowed)
        try:
            return list(await approvals.given(frozenset(trees or (TREE,)), now=now))
        finally:
            approvals.close()


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


async def test_what_a_person_approved_is_read_as_theirs(desk: Desk) -> None:
    desk.give()
    [approval] = await desk.read()
    assert approval.person == ("grace@example.com", "grace")
    assert (approval.tree, approval.base) == (TREE, BASE)
    assert (approval.repository, approval.until) == ("acme", STATEMENT.until)
    assert approval.how == f"key {desk.fingerprint}"


async def test_approvals_are_fetched_over_http(desk: Desk) -> None:
    desk.give()
    with serving(desk.directory) as server:
        [approval] = await desk.read(f"{server.url}/config.git")
    assert approval.person[0] == "grace@example.com"


async def test_two_people_do_not_overwrite_each_other(desk: Desk) -> None:
    other = SecurityKey.ed25519()
    desk.allow(f"grace {desk.key.public}", f"linus {other.public}")
    desk.give()
    desk.plant(STATEMENT.text, other)
    assert {approval.person for approval in await desk.read()} == {("grace",), ("linus",)}


async def test_only_the_trees_that_are_asked_for_are_fetched(desk: Desk) -> None:
    desk.give()
    assert await desk.read("", TreeId("8" * 40)) == []


async def test_an_agents_key_signs_as_its_public_half(desk: Desk) -> None:
    """A literal key, as git takes one, is looked for in the agent."""
    with pytest.raises(Misconfigured, match="ssh-keygen does not sign"):
        give_approval(desk.clone, STATEMENT, key=f"key::{SecurityKey.plain().public}")


async def test_gits_own_signing_key_is_used_when_none_is_named(desk: Desk) -> None:
    with pytest.raises(Misconfigured, match="with which SSH key"):
        give_approval(desk.clone, STATEMENT)
    config = pygit2.Repository(str(desk.clone)).config
    config["gpg.format"], config["user.signingkey"] = "ssh", str(desk.key.file)
    give_approval(desk.clone, STATEMENT, remote="origin")
    assert len(await desk.read()) == 1


async def test_what_the_remote_refuses_is_told(desk: Desk) -> None:
    hook = desk.remote.directory / "hooks" / "pre-receive"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\necho not yours; exit 1\n")
    hook.chmod(0o755)
    with pytest.raises(Refused, match="was not pushed"):
        desk.give()


async def test_a_signature_of_a_commit_is_no_approval(desk: Desk) -> None:
    desk.plant(STATEMENT.text, desk.key, namespace="git")
    assert await desk.read() == []


async def test_a_statement_that_was_changed_after_it_was_signed_is_none(desk: Desk) -> None:
    longer = STATEMENT.text.replace("2026-11-25", "2026-11-26")
    desk.plant(longer, desk.key, signed=STATEMENT.text)
    assert await desk.read() == []


async def test_a_strangers_key_approves_nothing_whatever_name_it_gives(desk: Desk) -> None:
    desk.plant(STATEMENT.text, SecurityKey.plain())
    assert await desk.read() == []


@pytest.mark.parametrize(
    ("options", "counts"),
    [
        ("", True),
        ('namespaces="fairlead-approval" ', True),
        ('namespaces="git" ', False),
        ('valid-before="20261125Z" ', False),
        ('valid-after="20261126Z" ', False),
        ('valid-before="20261126Z" ', True),
    ],
)
async def test_the_allowed_signers_say_for_what_and_when_a_key_is_good(
    desk: Desk, options: str, counts: bool
) -> None:
    desk.allow(f"grace {options}{desk.key.public}")
    desk.plant(STATEMENT.text, desk.key)
    assert len(await desk.read()) == counts


async def test_a_key_under_a_pattern_is_nobodys(desk: Desk) -> None:
    desk.allow(f"*@example.com {desk.key.public}")
    desk.plant(STATEMENT.text, desk.key)
    [approval] = await desk.read()
    assert approval.person == ()


@pytest.mark.parametrize(
    "message",
    ["", "no signature", STATEMENT.text, STATEMENT.text + "-----BEGIN SSH SIGNATURE-----\nx"],
)
async def test_what_cannot_be_read_keeps_no_other_from_counting(desk: Desk, message: str) -> None:
    desk.push(message)
    blob = desk.remote.blob(b"x")
    desk.remote.repository.references.create(f"refs/fairlead/approvals/{TREE}/blob", blob)
    desk.give()
    assert len(await desk.read()) == 1


async def test_an_approval_that_was_taken_back_is_gone(desk: Desk) -> None:
    reference = desk.give()
    source = GitSource(str(desk.remote.directory))
    approvals = GitApprovals(source, desk.directory / "approvals", desk.allowed)
    assert len(await approvals.given({TREE}, now=NOW)) == 1
    desk.remote.repository.references.delete(reference)
    assert await approvals.given({TREE}, now=NOW) == ()
    approvals.close()


async def test_a_key_that_is_taken_from_the_file_approves_no_more(desk: Desk) -> None:
    source = GitSource(str(desk.remote.directory))
    approvals = GitApprovals(source, desk.directory / "approvals", desk.allowed)
    desk.give()
    assert len(await approvals.given({TREE}, now=NOW)) == 1
    assert await approvals.person("GRACE") == ("grace@example.com", "grace")
    desk.allow("")
    assert await approvals.given({TREE}, now=NOW) == ()
    assert await approvals.person("grace") == ()
    approvals.close()


async def test_attack_25_the_second_key_of_an_author_is_the_author(desk: Desk) -> None:
    """By the file alone: the lines share a name, whichever address the commit has."""
    second = SecurityKey.plain()
    desk.allow(f"grace@example.com,grace {desk.key.public}", f"grace,g@home {second.public}")
    desk.plant(STATEMENT.text, second)
    [approval] = await desk.read()
    assert set(approval.person) == {"grace@example.com", "grace", "g@home"}
