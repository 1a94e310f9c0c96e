"""Trees and texts that no honest Git would write are data, or refused."""

from pathlib import Path

import pygit2
import pytest

from reconciler.adapters import git_objects
from reconciler.adapters.git_mirror import GitMirror
from reconciler.adapters.git_remotes import GitSource
from reconciler.core.errors import (
    Corrupt,
    FairleadError,
    Refused,
)
from reconciler.core.problems import printable

from .builders import SourceRepository


async def test_a_path_that_is_not_utf8_can_be_refused_by_name(
    remote: SourceRepository, mirror: GitMirror
) -> None:
    blob = remote.blob(b"x")
    remote.push_tree(remote.raw_tree((b"100644", b"caf\xe9.yaml", blob)))
    (entry,) = (await mirror.difference(None, await mirror.fetch())).changed
    assert not entry.path.isprintable()
    assert printable(entry.path) == r"caf\udce9.yaml"


@pytest.mark.parametrize(
    "name",
    [b"..", b".git", b"$(touch evil)", b"a\nb", b"-rf", b"x" * 5000, b"\x1b[31m", b"a;b|c&d"],
)
async def test_hostile_names_are_only_data(
    remote: SourceRepository, mirror: GitMirror, tmp_path: Path, name: bytes
) -> None:
    blob = remote.blob(b"x")
    inner = remote.raw_tree((b"100644", name, blob))
    remote.push_tree(remote.raw_tree((b"40000", name, inner)))
    (entry,) = (await mirror.difference(None, await mirror.fetch())).changed
    assert entry.path.encode() == name + b"/" + name
    assert (await mirror.read([entry.blob]))[entry.blob] == b"x"


async def test_a_directory_disguised_as_a_file_is_reported_as_a_directory(
    remote: SourceRepository, mirror: GitMirror
) -> None:
    inner = remote.raw_tree((b"100644", b"a", remote.blob(b"x")))
    remote.push_tree(remote.raw_tree((b"100644", b"file", inner)))
    (entry,) = (await mirror.difference(None, await mirror.fetch())).changed
    assert entry.mode == 0o040000


async def test_a_file_disguised_as_a_directory_is_refused(
    remote: SourceRepository, mirror: GitMirror
) -> None:
    remote.push_tree(remote.raw_tree((b"40000", b"dir", remote.blob(b"x"))))
    try:
        head = await mirror.fetch()
    except FairleadError:
        return
    with pytest.raises(Corrupt, match="calls dir/ a directory"):
        await mirror.difference(None, head)


async def test_a_tree_bomb_is_refused(remote: SourceRepository, mirror: GitMirror) -> None:
    tree = remote.raw_tree(*((b"100644", b"f%d" % n, remote.blob(b"x")) for n in range(10)))
    for _ in range(9):
        tree = remote.raw_tree(*((b"40000", b"d%d" % n, tree) for n in range(10)))
    remote.push_tree(tree)
    head = await mirror.fetch()
    with pytest.raises(Refused, match=f"more than {git_objects.ENTRIES_LIMIT:,} files"):
        await mirror.difference(None, head)


async def test_a_tree_as_deep_as_it_likes_is_walked(
    remote: SourceRepository, mirror: GitMirror
) -> None:
    tree = remote.raw_tree((b"100644", b"f", remote.blob(b"x")))
    for _ in range(1500):
        tree = remote.raw_tree((b"40000", b"d", tree))
    remote.push_tree(tree)
    (entry,) = (await mirror.difference(None, await mirror.fetch())).changed
    assert entry.path == "d/" * 1500 + "f"


async def test_a_directory_and_a_file_may_take_each_others_place(
    remote: SourceRepository, mirror: GitMirror
) -> None:
    file = remote.push({"x": b"1"})
    folder = remote.push({"x": None, "x/y": b"2"})
    await mirror.fetch()
    forth = await mirror.difference(file, folder)
    assert ([entry.path for entry in forth.changed], forth.gone) == (["x/y"], ("x",))
    back = await mirror.difference(folder, file)
    assert ([entry.path for entry in back.changed], back.gone) == (["x"], ("x/y",))


async def test_texts_that_are_not_utf8_and_times_out_of_range_are_shown_as_far_as_possible(
    remote: SourceRepository, mirror: GitMirror
) -> None:
    tree = remote.raw_tree()
    remote.repository.references.create(
        "refs/heads/main",
        remote.repository.odb.write(
            pygit2.enums.ObjectType.COMMIT,
            b"tree %s\nauthor J\xf6rg <j\xf6@x> 1 +0000\ncommitter C <c@x> 99999999999999 +9999\n"
            b"encoding no-such\n\nGr\xfc\xdfe\n" % str(tree).encode(),
        ),
    )
    commit = await mirror.commit(await mirror.fetch())
    assert (commit.author, commit.subject, commit.time.year) == ("J�rg", "Gr��e", 9999)


@pytest.mark.parametrize("branch", ["$(id)", "a;b", "-upload-pack", "x" * 200, "ünïcode"])
async def test_a_branch_of_any_valid_name_is_fetched(
    tmp_path: Path, directory: Path, branch: str
) -> None:
    remote = SourceRepository(tmp_path / "config.git", branch=branch)
    head = remote.push({"a": b"1"})
    mirror = GitMirror(GitSource(url=str(remote.directory), branch=branch), directory)
    assert await mirror.fetch() == head
    mirror.close()
