"""What every implementation of the Repository port does, in memory and against real Git."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest
from git.builders import SourceRepository, serving

from reconciler.adapters.git_memory import MemoryFile, MemoryRepository
from reconciler.adapters.git_mirror import GitMirror
from reconciler.adapters.git_remotes import GitCredentials, GitSource
from reconciler.core.errors import HistoryRewritten, Missing
from reconciler.core.identifiers import BlobId, CommitSha
from reconciler.ports import Repository

NOWHERE = CommitSha("f" * 40)


@dataclass
class World:
    """A remote to push to and a mirror of it."""

    remote: SourceRepository | MemoryRepository
    mirror: Repository


@pytest.fixture(params=["memory", "path", "http", "http-token"])
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    if request.param == "memory":
        repository = MemoryRepository()
        yield World(repository, repository)
        return
    remote = SourceRepository(tmp_path / "served" / "config.git")
    if request.param == "path":
        source = GitSource(url=str(remote.directory))
        with_mirror = GitMirror(source, tmp_path / "mirror.git")
        yield World(remote, with_mirror)
        with_mirror.close()
        return
    token = "s3cret-token" if request.param == "http-token" else ""
    token_file = tmp_path / "token"
    token_file.write_text(f"{token}\n")
    credentials = GitCredentials(token_file=token_file) if token else GitCredentials()
    with serving(tmp_path / "served", token=token) as server:
        source = GitSource(url=f"{server.url}/config.git", credentials=credentials)
        mirror = GitMirror(source, tmp_path / "mirror.git")
        yield World(remote, mirror)
        mirror.close()


async def test_fetch_returns_the_head_of_the_branch(world: World) -> None:
    first = world.remote.push({"a.yaml": b"1"})
    assert await world.mirror.fetch() == first
    second = world.remote.push({"a.yaml": b"2"})
    assert await world.mirror.fetch() == second
    assert await world.mirror.fetch() == second


async def test_fetch_of_a_branch_without_commits_is_missing(world: World) -> None:
    with pytest.raises(Missing, match="no branch 'main', or it has no commit"):
        await world.mirror.fetch()


async def test_what_was_pushed_is_invisible_until_it_was_fetched(world: World) -> None:
    world.remote.push({"a.yaml": b"1"})
    await world.mirror.fetch()
    second = world.remote.push({"a.yaml": b"2"})
    with pytest.raises(Missing):
        await world.mirror.commit(second)


@pytest.mark.parametrize("length", [40, 10, 7])
async def test_a_commit_is_found_by_its_full_or_short_sha(world: World, length: int) -> None:
    sha = world.remote.push({"a.yaml": b"1"}, message="Add a\n\nBecause.\n", author="Grace")
    await world.mirror.fetch()
    commit = await world.mirror.commit(sha[:length])
    assert (commit.sha, commit.author, commit.subject) == (sha, "Grace", "Add a")
    assert commit.parents == ()
    assert commit.signer is None
    assert commit.time.utcoffset() == timedelta(0)


async def test_a_commit_is_found_by_the_name_of_the_branch(world: World) -> None:
    sha = world.remote.push({"a.yaml": b"1"})
    await world.mirror.fetch()
    assert (await world.mirror.commit("main")).sha == sha


@pytest.mark.parametrize(
    "revision",
    [
        NOWHERE,
        "other",
        "",
        "HEAD",
        "main~1",
        "main@{0}",
        ":/change",
        "..",
        "--all",
        "a\nb",
        "$(id)",
    ],
)
async def test_any_other_revision_is_missing(world: World, revision: str) -> None:
    world.remote.push({"a.yaml": b"1"})
    await world.mirror.fetch()
    with pytest.raises(Missing):
        await world.mirror.commit(revision)


async def test_the_first_difference_is_every_file(world: World) -> None:
    sha = world.remote.push({"b/c.yaml": b"12", "a.yaml": b"1"})
    await world.mirror.fetch()
    difference = await world.mirror.difference(None, sha)
    assert [(entry.path, entry.size, entry.mode) for entry in difference.changed] == [
        ("a.yaml", 1, 0o100644),
        ("b/c.yaml", 2, 0o100644),
    ]
    assert difference.gone == ()


async def test_a_difference_names_what_changed_and_what_is_gone(world: World) -> None:
    before = world.remote.push({"same": b"0", "changed": b"1", "gone": b"1", "moved": b"move"})
    after = world.remote.push(
        {"changed": b"2", "gone": None, "new/file": b"3", "moved": None, "new/moved": b"move"}
    )
    await world.mirror.fetch()
    difference = await world.mirror.difference(before, after)
    assert [entry.path for entry in difference.changed] == ["changed", "new/file", "new/moved"]
    assert difference.gone == ("gone", "moved")
    back = await world.mirror.difference(after, before)
    assert [entry.path for entry in back.changed] == ["changed", "gone", "moved"]
    assert back.gone == ("new/file", "new/moved")


async def test_a_changed_mode_is_a_change(world: World) -> None:
    before = world.remote.push({"run": b"1"})
    after = world.remote.push({"run": MemoryFile(b"1", 0o100755)})
    await world.mirror.fetch()
    (entry,) = (await world.mirror.difference(before, after)).changed
    assert entry.mode == 0o100755


async def test_a_link_and_a_submodule_are_reported_as_they_are(world: World) -> None:
    sha = world.remote.push(
        {"link": MemoryFile(b"/etc/passwd", 0o120000), "module": MemoryFile(b"", 0o160000)}
    )
    await world.mirror.fetch()
    link, module = (await world.mirror.difference(None, sha)).changed
    assert (link.mode, link.size) == (0o120000, 11)
    assert (module.mode, module.size) == (0o160000, 0)
    assert (await world.mirror.read([link.blob]))[link.blob] == b"/etc/passwd"


async def test_the_difference_of_a_commit_and_itself_is_empty(world: World) -> None:
    sha = world.remote.push({"a": b"1"})
    await world.mirror.fetch()
    difference = await world.mirror.difference(sha, sha)
    assert (difference.changed, difference.gone) == ((), ())


async def test_a_difference_with_an_unknown_commit_is_missing(world: World) -> None:
    sha = world.remote.push({"a": b"1"})
    await world.mirror.fetch()
    with pytest.raises(Missing):
        await world.mirror.difference(NOWHERE, sha)
    with pytest.raises(Missing):
        await world.mirror.difference(sha, NOWHERE)


@pytest.mark.parametrize("name", ["no commit", "f" * 41, "ü", "\ud800"])
async def test_a_difference_with_what_is_no_sha_is_missing(world: World, name: str) -> None:
    sha = world.remote.push({"a": b"1"})
    await world.mirror.fetch()
    with pytest.raises(Missing):
        await world.mirror.difference(sha, CommitSha(name))


async def test_blobs_are_read_by_id_and_byte_for_byte(world: World) -> None:
    contents = {"crlf": b"a\r\nb\r\n", "binary": bytes(range(256)), "empty": b""}
    sha = world.remote.push({**contents, ".gitattributes": b"* text eol=lf filter=run\n"})
    await world.mirror.fetch()
    entries = {e.path: e.blob for e in (await world.mirror.difference(None, sha)).changed}
    read = await world.mirror.read(list(entries.values()))
    assert {path: read[entries[path]] for path in contents} == contents


async def test_an_unknown_blob_is_missing(world: World) -> None:
    world.remote.push({"a": b"1"})
    await world.mirror.fetch()
    with pytest.raises(Missing):
        await world.mirror.read([BlobId("e" * 40)])


async def test_the_same_content_has_the_same_blob_id(world: World) -> None:
    sha = world.remote.push({"a": b"hello\n"})
    await world.mirror.fetch()
    (entry,) = (await world.mirror.difference(None, sha)).changed
    assert entry.blob == "ce013625030ba8dba906f756967f9e9ca394464a"


async def test_a_range_is_oldest_first_and_without_its_base(world: World) -> None:
    shas = [world.remote.push({"a": b"%d" % n}, message=f"c{n}") for n in range(4)]
    await world.mirror.fetch()
    assert [c.sha for c in await world.mirror.range(shas[0], shas[3])] == shas[1:]
    assert [c.sha for c in await world.mirror.range(None, shas[3])] == shas
    assert await world.mirror.range(shas[3], shas[3]) == ()


async def test_a_rewritten_branch_is_refused(world: World) -> None:
    first = world.remote.push({"a": b"1"})
    applied = world.remote.push({"a": b"2"})
    await world.mirror.fetch()
    world.remote.rewrite(first)
    forced = world.remote.push({"a": b"3"}, message="other")
    assert await world.mirror.fetch() == forced
    with pytest.raises(HistoryRewritten, match=applied[:10]):
        await world.mirror.range(applied, forced)


async def test_a_branch_that_was_reset_is_rewritten(world: World) -> None:
    first = world.remote.push({"a": b"1"})
    applied = world.remote.push({"a": b"2"})
    await world.mirror.fetch()
    world.remote.rewrite(first)
    assert await world.mirror.fetch() == first
    with pytest.raises(HistoryRewritten):
        await world.mirror.range(applied, first)


async def test_a_base_that_the_mirror_never_saw_is_a_rewritten_history(world: World) -> None:
    sha = world.remote.push({"a": b"1"})
    await world.mirror.fetch()
    with pytest.raises(HistoryRewritten):
        await world.mirror.range(NOWHERE, sha)
