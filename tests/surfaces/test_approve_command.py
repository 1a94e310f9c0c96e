"""`fairlead approve`: from a person's clone to a daemon that goes on by itself."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import pygit2
import pytest
from click.testing import CliRunner, Result

from reconciler.adapters.clocks import SystemClock
from reconciler.core.audit.records import Verb
from reconciler.core.errors import Missing
from reconciler.core.identifiers import CommitSha
from reconciler.core.standing import Status
from reconciler.surfaces.approve_command import approve_command
from reconciler.surfaces.break_glass_command import break_glass_command
from reconciler.wiring.approving import approve_tools, break_glass_tools
from reconciler.wiring.ports import PortFactories
from tests.engine.test_access import MODEL
from tests.engine.test_approvals import BARE, PLATFORM, RULES, WIDER
from tests.engine.world import World, policy
from tests.git.builders import SourceRepository
from tests.git.signing import SshKey

from .daemons import DaemonWorld, Running

FILES = {
    "fairlead.yaml": policy(extra=RULES),
    "clusters/one.yaml": BARE,
    "models.yaml": MODEL.replace(b"[agent/bot, owner]", b"[owner]"),
    "platform.yaml": PLATFORM,
}
CHANGED = {"models.yaml": WIDER.replace(b"[agent/bot, owner]", b"[owner]")}


class Office:
    """A remote, Ada who pushes signed commits to it, and Grace with a clone and a key."""

    def __init__(self, directory: Path) -> None:
        self.remote = SourceRepository(directory / "config.git")
        self.ada, self.grace = (
            SshKey.generate(directory / name, kind="ed25519", bits="") for name in ("ada", "grace")
        )
        self.allowed = directory / "allowed_signers"
        self.allowed.write_text(
            f"ada@example.com,ada {self.ada.public}\ngrace@example.com,grace {self.grace.public}\n"
        )
        self.clone = directory / "clone"
        self.first = self.push(FILES)
        self.wider = self.push(CHANGED)

    def push(self, files: Mapping[str, bytes]) -> CommitSha:
        """As Ada: what the builder commits is made anew with her signature."""
        before = self.remote.head
        bare = self.remote.repository[self.remote.push(files)].peel(pygit2.Commit)
        content = self.remote.repository.create_commit_string(
            bare.author, bare.committer, bare.message, bare.tree_id, bare.parent_ids
        )
        armored = self.ada.sign(content.encode(), namespace="git").decode()
        sha = self.remote.repository.create_commit_with_signature(content, armored, "gpgsig")
        assert self.remote.head != before
        self.remote.rewrite(CommitSha(str(sha)))
        return CommitSha(str(sha))

    def approve(self, *words: str, answer: str = "", commit: str = "") -> Result:
        self.need_clone()
        key = str(self.grace.file)
        given = [commit or self.wider, "--repo", str(self.clone), "--key", key, *words]
        return CliRunner().invoke(approve_command, given, obj=approve_tools(), input=answer)

    def break_glass(self, *words: str, role: str = "owner") -> Result:
        self.need_clone()
        known = ["--repo", str(self.clone), "--key", str(self.ada.file), "--branch", "main"]
        asked = ["--role", role, "--because", "it: answers\nnobody", *words]
        config = pygit2.Repository(str(self.clone)).config
        config["user.name"], config["user.email"] = "Ada", "ada@example.com"
        return CliRunner().invoke(break_glass_command, asked + known, obj=break_glass_tools())

    def need_clone(self) -> None:
        if not self.clone.exists():
            pygit2.clone_repository(str(self.remote.directory), str(self.clone))

    @property
    def approvals(self) -> list[str]:
        return [name for name in self.remote.repository.references if "approvals" in name]


@pytest.fixture
def office(tmp_path: Path) -> Office:
    return Office(tmp_path)


def test_who_approves_sees_what_is_given_and_may_say_no(office: Office) -> None:
    result = office.approve(answer="n\n")
    assert "Role owner gains promote on fraud@v1" in result.output
    assert f"Upon {office.first[:10]}, which must be in force" in result.output
    assert result.exit_code == 1
    assert office.approvals == []


def test_an_approval_is_one_reference_and_changes_no_branch(office: Office) -> None:
    result = office.approve("--yes", "--json", "--for", "30m")
    given = json.loads(result.stdout)
    assert office.approvals == [given["reference"]]
    assert (given["base"], given["pushedTo"]) == (office.first, "origin")
    assert office.remote.head == office.wider


def test_an_approval_may_stay_in_the_clone(office: Office) -> None:
    result = office.approve("--yes", "--no-push")
    assert "git push REMOTE refs/fairlead/approvals/" in result.output
    assert office.approvals == []


def test_a_commit_that_is_not_in_the_clone_has_to_be_fetched(office: Office) -> None:
    result = office.approve("--yes", commit="c" * 40)
    assert isinstance(result.exception, Missing)
    assert "git fetch" in result.exception.hint


@pytest.mark.parametrize("lifetime", ["10s", "200h", "soon"])
def test_an_approval_is_for_a_minute_at_least_and_a_week_at_most(
    office: Office, lifetime: str
) -> None:
    assert office.approve("--yes", "--for", lifetime).exit_code == 2


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--person", "ada", "--for", "61m"], "give 1m to 1h"),
        ([], "Missing option '--person'"),
    ],
)
def test_the_glass_is_broken_for_somebody_and_an_hour_at_most(
    office: Office, words: list[str], said: str
) -> None:
    result = office.break_glass(*words)
    assert result.exit_code == 2
    assert said in result.output


@pytest.mark.parametrize(
    ("role", "said"),
    [("nobody", "is not valid"), ("../../x", "is no name of a Role"), ("The Owner", "is no name")],
)
def test_a_glass_that_nobody_could_give_is_not_pushed(office: Office, role: str, said: str) -> None:
    before = office.remote.head
    result = office.break_glass("--person", "ada@example.com", role=role)
    assert result.exit_code != 0
    assert said in f"{result.output}{result.exception}"
    assert office.remote.head == before


def test_a_reason_may_be_in_any_letters(office: Office) -> None:
    result = office.break_glass("--person", "ada@example.com", "--because", "brennt 🔥")
    assert result.exit_code == 0, result.exception


class OfficeDaemon(DaemonWorld):
    """A daemon that fetches from the office."""

    @property
    def factories(self) -> PortFactories:
        real = PortFactories()
        given = super().factories
        return PortFactories(
            clock=SystemClock,
            connection=given.connection,
            state=given.state,
            signer=given.signer,
            anchor=given.anchor,
            repository=real.repository,
        )


async def until(running: Running, condition: object) -> Status:
    assert callable(condition)
    async with asyncio.timeout(20):
        while True:
            status = await running.status()
            if status is not None and condition(status):
                return status
            await asyncio.sleep(0.02)


def daemons_of(office: Office, directory: Path) -> OfficeDaemon:
    settings = {
        "name": "acme",
        "url": str(office.remote.directory),
        "poll": "20ms",
        "allowedSignersFile": str(office.allowed),
    }
    return OfficeDaemon(directory, World(), options={"repository": settings})


async def test_a_daemon_gives_a_role_for_an_hour_once_somebody_else_agreed(
    office: Office, tmp_path: Path
) -> None:
    office.remote.rewrite(office.first)
    daemons = daemons_of(office, tmp_path / "daemon")
    async with daemons.running() as running:
        await until(running, lambda status: status.accepted == office.first)
        asked = await asyncio.to_thread(office.break_glass, "--person", "ada@example.com", "--json")
        assert asked.exit_code == 0, asked.output
        # The daemon logs to the same place while the command prints.
        told, _ = json.JSONDecoder().raw_decode(asked.stdout, asked.stdout.index('{\n  "name"'))
        status = await until(running, lambda status: status.held == told["commit"])
        assert "user ada@example.com gains Role owner" in status.waits_for
        base = told["approve"].rpartition(" ")[2]
        agree = partial(office.approve, "--yes", "--base", base, commit=told["commit"])
        result = await asyncio.to_thread(agree)
        assert result.exit_code == 0, result.output
        await until(running, lambda status: status.accepted == told["commit"])
    verbs = [record.verb for record in await daemons.records()]
    assert Verb.BREAK_GLASS in verbs


async def test_a_daemon_applies_what_was_pushed_once_somebody_else_approved(
    office: Office, tmp_path: Path
) -> None:
    office.remote.rewrite(office.first)
    daemons = daemons_of(office, tmp_path / "daemon")
    async with daemons.running() as running:
        await until(running, lambda status: status.accepted == office.first)
        office.remote.rewrite(office.wider)
        status = await until(running, lambda status: status.held == office.wider)
        assert "Role owner gains promote on fraud@v1" in status.waits_for
        assert status.accepted == office.first
        result = await asyncio.to_thread(office.approve, "--yes")
        assert result.exit_code == 0, result.output
        await until(running, lambda status: status.accepted == office.wider)
