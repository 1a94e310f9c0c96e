"""The pushed revert against real Git: races, refusals, merges, signatures, and death anywhere."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from reconciler.adapters.git_mirror import GitMirror
from reconciler.adapters.git_objects import GitObjects
from reconciler.adapters.git_publishing import Committer, GitPublisher
from reconciler.adapters.git_remotes import GitCredentials, GitSource
from reconciler.adapters.git_signatures import SignatureVerifier
from reconciler.core.errors import Forbidden, Misconfigured, Refused, Transient, Untrusted
from reconciler.core.identifiers import CommitSha
from reconciler.core.reverting import undoes

from .builders import TOKEN, SourceRepository, answering, serving
from .signing import SshKey
from .test_reverting import merge
from .test_servers import failing, silent_server

FLEET = Committer("Fairlead", "fairlead@example.com")
WHY = "Rollout fraud was taken back from version v3: 12 of 40 requests failed"
RECEIVE = "POST /config.git/git-receive-pack"


@pytest.fixture
def remote(tmp_path: Path) -> SourceRepository:
    made = SourceRepository(tmp_path / "served" / "config.git")
    made.repository.config["http.receivepack"] = "true"
    return made


@contextmanager
def publishing(
    directory: Path, url: str, *, committer: Committer = FLEET, **source: object
) -> Iterator[GitPublisher]:
    made = GitPublisher(GitSource(url=url, **source), directory, committer)  # type: ignore[arg-type]
    yield made
    made.close()


def reverts(remote: SourceRepository, sha: CommitSha) -> list[CommitSha]:
    assert remote.head
    history = GitObjects(remote.repository).history(None, remote.head)
    return [commit.sha for commit in history if undoes(commit.message, sha)]


def content(remote: SourceRepository, path: str) -> bytes:
    return bytes(remote.repository[remote.head].tree[path].data)


# --- Others push too --------------------------------------------------------------------------


class Rival:
    """Pushes to the remote just before somebody else's push arrives, so many times."""

    def __init__(self, remote: SourceRepository, times: int) -> None:
        self.remote = remote
        self.times = times
        self.pushed = 0

    def meddle(self, request: str) -> None:
        if request.startswith(RECEIVE) and self.pushed < self.times:
            self.pushed += 1
            self.remote.push({"rival": b"%d" % self.pushed})


async def test_a_revert_goes_on_top_of_what_others_pushed_meanwhile(
    remote: SourceRepository, tmp_path: Path
) -> None:
    remote.push({"a": b"1\n"})
    bad = remote.push({"a": b"2\n"})
    rival = Rival(remote, 3)
    with (
        serving(tmp_path / "served", before=rival.meddle) as server,
        publishing(tmp_path / "reverts", f"{server.url}/config.git") as publisher,
    ):
        made = await publisher.push_revert(bad, reason=WHY)
    assert reverts(remote, bad) == [made]
    assert (content(remote, "a"), content(remote, "rival")) == (b"1\n", b"3")


async def test_a_branch_that_never_rests_is_left_for_later(
    remote: SourceRepository, tmp_path: Path
) -> None:
    bad = remote.push({"a": b"2\n"})
    rival = Rival(remote, 100)
    with (
        serving(tmp_path / "served", before=rival.meddle) as server,
        publishing(tmp_path / "reverts", f"{server.url}/config.git") as publisher,
        pytest.raises(Transient, match="moved 5 times"),
    ):
        await publisher.push_revert(bad, reason=WHY)
    assert content(remote, "rival") == b"5"
    assert reverts(remote, bad) == []


async def test_the_revert_of_another_daemon_that_was_faster_is_the_one(
    remote: SourceRepository, tmp_path: Path
) -> None:
    remote.push({"a": b"1\n"})
    bad = remote.push({"a": b"2\n"})
    faster: list[CommitSha] = []

    def revert_first(request: str) -> None:
        if request.startswith(RECEIVE) and not faster:
            faster.append(remote.push({"a": b"1\n"}, message=f"x\n\nFairlead-Abort: {bad}\n"))

    with (
        serving(tmp_path / "served", before=revert_first) as server,
        publishing(tmp_path / "reverts", f"{server.url}/config.git") as publisher,
    ):
        made = await publisher.push_revert(bad, reason=WHY)
    assert [made] == faster == reverts(remote, bad)


@pytest.mark.parametrize("over_http", [True, False], ids=["http", "path"])
async def test_daemons_that_push_at_the_same_time_make_one_revert(
    remote: SourceRepository, tmp_path: Path, over_http: bool
) -> None:
    remote.push({"a": b"1\n"})
    bad = remote.push({"a": b"2\n"})
    with serving(tmp_path / "served") as server, ExitStack() as daemons:
        url = f"{server.url}/config.git" if over_http else str(remote.directory)
        publishers = [
            daemons.enter_context(publishing(tmp_path / f"reverts-{n}", url)) for n in range(4)
        ]
        made = await asyncio.gather(*(each.push_revert(bad, reason=WHY) for each in publishers))
    assert set(made) == set(reverts(remote, bad)) == {remote.head}


async def test_a_branch_that_was_forced_meanwhile_keeps_what_was_forced(
    remote: SourceRepository, tmp_path: Path
) -> None:
    base = remote.push({"a": b"1\n"})
    bad = remote.push({"a": b"2\n"})

    def force(request: str) -> None:
        if request.startswith(RECEIVE):
            remote.rewrite(base)

    with (
        serving(tmp_path / "served", before=force) as server,
        publishing(tmp_path / "reverts", f"{server.url}/config.git") as publisher,
        pytest.raises(Refused, match="is not part of main"),
    ):
        await publisher.push_revert(bad, reason=WHY)
    assert remote.head == base


# --- Those who say no, or nothing -------------------------------------------------------------


@pytest.mark.parametrize("over_http", [True, False], ids=["http", "path"])
async def test_what_a_hook_says_is_told(
    remote: SourceRepository, tmp_path: Path, over_http: bool
) -> None:
    bad = remote.push({"a": b"2\n"})
    remote.protect("main", reason="ask the release team")
    with serving(tmp_path / "served") as server:
        url = f"{server.url}/config.git" if over_http else f"file://{remote.directory}"
        with (
            publishing(tmp_path / "reverts", url) as publisher,
            pytest.raises(Refused, match=r"hook declined.*ask the release team"),
        ):
            await publisher.push_revert(bad, reason=WHY)
    assert remote.head == bad


async def test_whoever_may_only_read_is_told_so(remote: SourceRepository, tmp_path: Path) -> None:
    bad = remote.push({"a": b"2\n"})
    remote.repository.config["http.receivepack"] = "false"
    with (
        serving(tmp_path / "served") as server,
        publishing(tmp_path / "reverts", f"{server.url}/config.git") as publisher,
        pytest.raises(Forbidden, match="does not let us in"),
    ):
        await publisher.push_revert(bad, reason=WHY)
    assert remote.head == bad


async def test_a_wrong_token_is_forbidden_and_not_told(
    remote: SourceRepository, tmp_path: Path, token_file: Path
) -> None:
    bad = remote.push({"a": b"2\n"})
    credentials = GitCredentials(token_file=token_file)
    with (
        serving(tmp_path / "served", token="another") as server,
        publishing(
            tmp_path / "reverts", f"{server.url}/config.git", credentials=credentials
        ) as publisher,
        pytest.raises(Forbidden) as caught,
    ):
        await publisher.push_revert(bad, reason=WHY)
    assert TOKEN not in f"{caught.value!r} {caught.value.hint}"


async def test_a_remote_that_is_away_is_transient(tmp_path: Path) -> None:
    with answering(failing(503, {})) as url:
        pass
    with publishing(tmp_path / "reverts", url) as publisher, pytest.raises(Transient):
        await publisher.push_revert(CommitSha("f" * 40), reason=WHY)


async def test_a_remote_that_hangs_is_transient_in_time(tmp_path: Path) -> None:
    with (
        silent_server() as url,
        publishing(tmp_path / "reverts", url, silence_seconds=0.3) as publisher,
        pytest.raises(Transient),
    ):
        await publisher.push_revert(CommitSha("f" * 40), reason=WHY)


# --- What is undone ---------------------------------------------------------------------------


async def test_a_merge_is_reverted_to_its_first_parent(
    remote: SourceRepository, tmp_path: Path
) -> None:
    base = remote.push({"a": b"1\n"})
    side = remote.push({"side": b"1\n"})
    remote.rewrite(base)
    ours = remote.push({"main": b"1\n"})
    merged = merge(remote, ours, side)
    with publishing(tmp_path / "reverts", str(remote.directory)) as publisher:
        made = await publisher.push_revert(merged, reason=WHY)
        assert await publisher.push_revert(merged, reason=WHY) == made
    repository = remote.repository
    assert repository[made].tree.id == repository[ours].tree.id
    assert f"reversing\nchanges made to {ours}." in repository[made].message


async def test_a_commit_that_came_with_a_merge_is_reverted_by_itself(
    remote: SourceRepository, tmp_path: Path
) -> None:
    base = remote.push({"a": b"1\n"})
    bad = remote.push({"a": b"2\n"})
    side = remote.push({"side": b"1\n"})
    remote.rewrite(base)
    merge(remote, remote.push({"main": b"1\n"}), side)
    with publishing(tmp_path / "reverts", str(remote.directory)) as publisher:
        made = await publisher.push_revert(bad, reason=WHY)
        assert await publisher.push_revert(bad, reason=WHY) == made
    assert [content(remote, path) for path in ("a", "main", "side")] == [b"1\n", b"1\n", b"1\n"]


async def test_other_places_of_the_same_file_stay_as_they_are(
    remote: SourceRepository, tmp_path: Path
) -> None:
    lines = [b"line %d\n" % number for number in range(30)]
    remote.push({"a": b"".join(lines)})
    bad = remote.push({"a": b"".join([*lines[:5], b"bad\n", *lines[5:]])})
    remote.push({"a": b"".join([*lines[:5], b"bad\n", *lines[5:], b"more\n"])})
    with publishing(tmp_path / "reverts", str(remote.directory)) as publisher:
        await publisher.push_revert(bad, reason=WHY)
    assert content(remote, "a") == b"".join([*lines, b"more\n"])


# --- Signatures -------------------------------------------------------------------------------


def git_accepts(remote: SourceRepository, commit: str, signers: Path) -> bool:
    """Whether git and ssh-keygen find the signature good."""
    setting = f"gpg.ssh.allowedSignersFile={signers}"
    command = ["git", "--git-dir", str(remote.directory), "-c", setting, "verify-commit", commit]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


@pytest.mark.parametrize(
    ("kind", "bits"), [("ed25519", ""), ("ecdsa", "256"), ("ecdsa", "521"), ("rsa", "2048")]
)
async def test_a_signed_revert_is_accepted_where_signatures_are_asked_for(
    remote: SourceRepository, tmp_path: Path, kind: str, bits: str
) -> None:
    key = SshKey.generate(tmp_path / "key", kind=kind, bits=bits)
    signers = tmp_path / "signers"
    signers.write_text(f"fairlead@example.com {key.public}\n")
    bad = remote.push({"a": b"2\n"}, message="Größe 🚢")
    committer = Committer("Fairlead", "fairlead@example.com", key.file)
    with publishing(tmp_path / "reverts", str(remote.directory), committer=committer) as publisher:
        made = await publisher.push_revert(bad, reason=WHY)
    verifier = SignatureVerifier(signers)
    mirror = GitMirror(GitSource(str(remote.directory)), tmp_path / "mirror", verifier=verifier)
    await mirror.fetch()
    (commit,) = await mirror.range(bad, made)
    assert commit.signer == "fairlead@example.com"
    mirror.close()
    assert git_accepts(remote, made, signers)


async def test_an_unsigned_revert_is_not_accepted_there(
    remote: SourceRepository, tmp_path: Path
) -> None:
    key = SshKey.generate(tmp_path / "key", kind="ed25519", bits="")
    signers = tmp_path / "signers"
    signers.write_text(f"fairlead@example.com {key.public}\n")
    bad = remote.push({"a": b"2\n"})
    with publishing(tmp_path / "reverts", str(remote.directory)) as publisher:
        made = await publisher.push_revert(bad, reason=WHY)
    verifier = SignatureVerifier(signers)
    mirror = GitMirror(GitSource(str(remote.directory)), tmp_path / "mirror", verifier=verifier)
    await mirror.fetch()
    with pytest.raises(Untrusted, match="is missing"):
        await mirror.range(bad, made)
    mirror.close()


@pytest.mark.parametrize("what", ["absent", "no key", "passphrase"])
def test_a_key_that_cannot_sign_is_told_at_the_start(tmp_path: Path, what: str) -> None:
    key = tmp_path / "key"
    if what == "no key":
        key.write_text("-----BEGIN OPENSSH PRIVATE KEY-----\nbm9uc2Vuc2U=\n")
    if what == "passphrase":
        make = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "hunter2", "-f", str(key)]
        subprocess.run(make, check=True)
    committer = Committer("Fairlead", "fairlead@example.com", key)
    with pytest.raises(Misconfigured, match=str(key)):
        GitPublisher(GitSource("/nowhere.git"), tmp_path / "reverts", committer)


# --- Death ------------------------------------------------------------------------------------

CHILD = """
import asyncio, sys
from pathlib import Path
from reconciler.adapters.git_publishing import Committer, GitPublisher
from reconciler.adapters.git_remotes import GitSource

url, directory, sha = sys.argv[1:]
publisher = GitPublisher(GitSource(url), Path(directory), Committer("Fairlead", "f@example.com"))
asyncio.run(publisher.push_revert(sha, reason="killed on the way"))
"""
REQUESTS = 4
"""What one revert asks the server for: to list and to send, to list and to take."""


class Reaper:
    """Kills a process when the server sees a certain request of it."""

    def __init__(self, victim_asks: int) -> None:
        self.left = victim_asks
        self.pid: int | None = None

    def count(self, _: str) -> None:
        self.left -= 1
        if self.left == 0 and self.pid is not None:
            os.kill(self.pid, 9)


def run_until_killed(reaper: Reaper, *arguments: str) -> int:
    with subprocess.Popen([sys.executable, "-c", CHILD, *arguments]) as child:
        reaper.pid = child.pid
        return child.wait(60)


@pytest.mark.parametrize("request_number", range(1, REQUESTS + 1))
@pytest.mark.parametrize("when", ["before", "after"])
async def test_whenever_the_process_dies_there_is_one_revert(
    remote: SourceRepository, tmp_path: Path, request_number: int, when: str
) -> None:
    remote.push({"a": b"1\n"})
    bad = remote.push({"a": b"2\n"})
    reaper = Reaper(request_number)
    meddling: dict[str, Callable[[str], None]] = {when: reaper.count}
    directory = tmp_path / "reverts"
    with serving(tmp_path / "served", **meddling) as server:
        url = f"{server.url}/config.git"
        assert run_until_killed(reaper, url, str(directory), bad) == -9
    with publishing(directory, str(remote.directory)) as publisher:
        made = await publisher.push_revert(bad, reason=WHY)
    assert reverts(remote, bad) == [made]
    assert remote.head == made
    assert content(remote, "a") == b"1\n"
    assert list(directory.iterdir()) == []
