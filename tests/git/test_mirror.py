"""The life of the mirror: what is fetched, what it costs, and how damage is mended."""

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pygit2
import pytest

from reconciler.adapters.git_mirror import GitMirror
from reconciler.adapters.git_packs import PACKS_LIMIT
from reconciler.adapters.git_remotes import GitSource
from reconciler.core.errors import (
    Transient,
    Unavailable,
)

from .builders import SourceRepository, serving


def generation(directory: Path) -> Path:
    """The repository inside the mirror's directory."""
    (found,) = directory.glob("*.git")
    return found


def names_below(directory: Path) -> set[str]:
    return {path.name for path in directory.rglob("*")}


async def test_only_the_branch_is_fetched(
    remote: SourceRepository, mirror: GitMirror, directory: Path
) -> None:
    head = remote.push({"a": b"1"})
    remote.repository.references.create("refs/tags/v1", pygit2.Oid(hex=head))
    remote.repository.references.create("refs/heads/other", pygit2.Oid(hex=head))
    await mirror.fetch()
    names = list(pygit2.Repository(str(generation(directory))).references)
    assert sorted(names) == ["refs/fairlead/head", "refs/fairlead/staging"]


async def test_nothing_is_checked_out_and_no_submodule_is_followed(
    remote: SourceRepository, mirror: GitMirror, directory: Path
) -> None:
    module = b'[submodule "m"]\n\tpath = m\n\turl = file:///etc\n'
    remote.push({".gitmodules": module, ".gitattributes": b"* filter=evil\n", "a": b"1"})
    await mirror.fetch()
    assert not {"a", "m", ".gitmodules"} & names_below(directory)


async def test_an_unchanged_branch_is_asked_for_once_and_not_fetched(
    remote: SourceRepository, directory: Path
) -> None:
    remote.push({"a": b"1"})
    with serving(remote.directory.parent) as server:
        mirror = GitMirror(GitSource(url=f"{server.url}/config.git"), directory)
        await mirror.fetch()
        server.requests.clear()
        await mirror.fetch()
        assert server.requests == ["GET /config.git/info/refs?service=git-upload-pack"]
        mirror.close()


async def test_many_fetches_leave_few_packs(
    remote: SourceRepository, mirror: GitMirror, directory: Path
) -> None:
    shas = []
    for number in range(PACKS_LIMIT + 5):
        shas.append(remote.push({"a": b"%d" % number}))
        await mirror.fetch()
    assert len(list((generation(directory) / "objects" / "pack").glob("*.pack"))) < 10
    assert len(await mirror.range(None, shas[-1])) == len(shas)
    for sha in shas:
        await mirror.read([entry.blob for entry in (await mirror.difference(None, sha)).changed])


async def test_one_changed_file_among_ten_thousand_costs_little(
    remote: SourceRepository, mirror: GitMirror
) -> None:
    remote.push({f"t{n % 10}/m{n // 10 % 100}/{n}.yaml": b"%d" % n for n in range(10_000)})
    base = await mirror.fetch()
    costs = []
    for number in range(7):
        remote.push({"t1/m1/11.yaml": b"new %d" % number})
        started = time.process_time()
        head = await mirror.fetch()
        difference = await mirror.difference(base, head)
        costs.append(time.process_time() - started)
        assert len(difference.changed) == 1
        base = head
    started = time.process_time()
    await mirror.difference(None, base)
    whole = time.process_time() - started
    # A fifth of it on an idle machine. Beside what it must not cost, as the machine is shared.
    assert min(costs) < whole / 2


# Damage


def vanish(mirror: Path) -> None:
    shutil.rmtree(mirror)


def lose_head_file(mirror: Path) -> None:
    (mirror / "HEAD").unlink()


def replace(file: Path, content: bytes) -> None:
    """Not in place: the kernel answers reads of a mapping that shrank with SIGBUS."""
    file.unlink()
    file.write_bytes(content)


def empty_packs(mirror: Path) -> None:
    for file in (mirror / "objects" / "pack").iterdir():
        replace(file, b"")


def flip_bytes(mirror: Path) -> None:
    for file in (mirror / "objects" / "pack").glob("*.pack"):
        content = bytearray(file.read_bytes())
        content[12:-20] = bytes(byte ^ 0xFF for byte in content[12:-20])
        replace(file, content)


def lose_reference(mirror: Path) -> None:
    (mirror / "refs" / "fairlead" / "head").write_text("f" * 40 + "\n")


@pytest.mark.parametrize(
    "damage", [vanish, lose_head_file, empty_packs, flip_bytes, lose_reference]
)
async def test_a_damaged_mirror_is_rebuilt_by_the_next_fetch(
    remote: SourceRepository, directory: Path, damage: Callable[[Path], None]
) -> None:
    head = remote.push({"a": b"1"})
    mirror = GitMirror(GitSource(url=str(remote.directory)), directory)
    await mirror.fetch()
    damage(generation(directory))
    assert await mirror.fetch() == head
    assert len((await mirror.difference(None, head)).changed) == 1
    mirror.close()


async def test_damage_met_while_reading_is_transient_and_mended(
    remote: SourceRepository, directory: Path
) -> None:
    head = remote.push({"a": os.urandom(3000)})
    # libgit2 keeps packs open by path, so the damage is done to a copy.
    original = GitMirror(GitSource(url=str(remote.directory)), directory.with_name("original"))
    await original.fetch()
    (entry,) = (await original.difference(None, head)).changed
    original.close()
    shutil.copytree(directory.with_name("original"), directory)
    (pack,) = (generation(directory) / "objects" / "pack").glob("*.pack")
    content = bytearray(pack.read_bytes())
    # The blob is by far the largest object, so the middle of the pack is inside it.
    middle = len(content) // 2
    content[middle : middle + 200] = bytes(200)
    replace(pack, content)
    mirror = GitMirror(GitSource(url=str(remote.directory)), directory)
    with pytest.raises(Unavailable, match="is damaged"):
        await mirror.read([entry.blob])
    assert await mirror.fetch() == head
    assert len((await mirror.read([entry.blob]))[entry.blob]) == 3000
    mirror.close()


async def test_a_rebuild_that_died_half_way_is_begun_anew(
    remote: SourceRepository, mirror: GitMirror, directory: Path
) -> None:
    head = remote.push({"a": b"1"})
    await mirror.fetch()
    pygit2.init_repository(str(directory / "0002.git"), bare=True)
    assert (await mirror.commit("main")).sha == head
    lose_reference(directory / "0001.git")
    assert await mirror.fetch() == head


async def test_a_commit_whose_objects_the_remote_lacks_never_becomes_the_head(
    remote: SourceRepository, mirror: GitMirror
) -> None:
    good = remote.push({"f": b"x"})
    await mirror.fetch()
    remote.push_tree(remote.raw_tree((b"100644", b"f", pygit2.Oid(hex="a" * 40))))
    with pytest.raises(Unavailable, match="a" * 20):
        await mirror.fetch()
    assert (await mirror.commit("main")).sha == good


async def test_reading_before_the_first_fetch_is_transient(mirror: GitMirror) -> None:
    with pytest.raises(Transient):
        await mirror.commit("main")


def test_a_process_killed_while_fetching_leaves_a_usable_mirror(
    remote: SourceRepository, directory: Path
) -> None:
    remote.push({f"f{n}": os.urandom(2000) for n in range(300)})
    program = (
        "import asyncio, sys, pathlib\n"
        "from reconciler.adapters.git_mirror import GitMirror\n"
        "from reconciler.adapters.git_remotes import GitSource\n"
        "m = GitMirror(GitSource(url=sys.argv[1]), pathlib.Path(sys.argv[2]))\n"
        "print('ready', flush=True)\n"
        "asyncio.run(m.fetch())\n"
    )
    for delay in (0.0, 0.005, 0.02, 0.06):
        child = subprocess.Popen(
            [sys.executable, "-c", program, str(remote.directory), str(directory)],
            stdout=subprocess.PIPE,
        )
        assert child.stdout is not None
        child.stdout.readline()
        time.sleep(delay)  # the moment to be killed at, not a wait for something
        child.send_signal(signal.SIGKILL)
        child.wait()
        child.stdout.close()
    head = remote.push({"a": b"1"})

    async def fetched() -> int:
        mirror = GitMirror(GitSource(url=str(remote.directory)), directory)
        assert await mirror.fetch() == head
        difference = await mirror.difference(None, head)
        contents = await mirror.read([entry.blob for entry in difference.changed])
        mirror.close()
        return len(contents)

    assert asyncio.run(fetched()) == 301


async def test_a_cancelled_fetch_does_not_stop_the_next_one(
    remote: SourceRepository, mirror: GitMirror
) -> None:
    head = remote.push({"a": b"1"})
    fetching = asyncio.create_task(mirror.fetch())
    await asyncio.sleep(0)
    fetching.cancel()
    assert await mirror.fetch() == head


async def test_the_event_loop_runs_on_while_a_large_branch_is_fetched(
    remote: SourceRepository, mirror: GitMirror
) -> None:
    remote.push({f"d{n % 50}/{n}": b"%d" % n for n in range(10_000)})
    fetching = asyncio.create_task(mirror.fetch())
    ticks = 0
    while not fetching.done():
        await asyncio.sleep(0.001)
        ticks += 1
    await fetching
    assert ticks > 20
