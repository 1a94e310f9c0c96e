"""Paths and modes that would lead a program astray that checks trees out."""

from __future__ import annotations

from pathlib import Path

import pygit2
import pytest

from reconciler.adapters.git_remotes import GitSource
from tests.engine.world import config_map
from tests.git.builders import serving

from .estate import Origin, Siege, besieged

pytestmark = pytest.mark.asyncio(loop_scope="module")

LINK, SUBMODULE, DIRECTORY = b"120000", b"160000", b"40000"
SOMETHING = config_map("planted")


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ((b"..", b"outside.yaml"), "path-traversal"),
        ((b"apps", b"web", b"..", b"..", b"x.yaml"), "path-traversal"),
        ((b"apps", b".", b"x.yaml"), "path-traversal"),
        ((b"apps", b"web\\..\\x.yaml"), "path-traversal"),
        ((b"C:\\x.yaml",), "path-traversal"),
        ((b".git", b"config"), "path-traversal"),
        ((b"apps", b".GIT", b"hooks", b"post-checkout"), "path-traversal"),
        ((b"apps", b"web", b"\xff\xfe.yaml"), "path-characters"),
        ((b"apps", b"web", b"new\nline.yaml"), "path-characters"),
        ((b"apps", b"web", b"car\rriage.yaml"), "path-characters"),
        ((b"apps", b"web", b"\x1b[2J\x1b[31mred.yaml"), "path-characters"),
        ((b"apps", b"web", b"\x1b]8;;mailto:evil\x07x.yaml"), "path-characters"),
        ((b"apps", b"web", "lmay\u202e.daolyap".encode()), "path-characters"),
        ((b"apps", b"web", "zero\u200bwidth.yaml".encode()), "path-characters"),
        ((b"apps", b"web", "\u2028line.yaml".encode()), "path-characters"),
        ((b"README\x1b[31m",), "path-characters"),
    ],
)
async def test_attack_20_a_path_that_could_mislead(
    siege: Siege, path: tuple[bytes, ...], code: str
) -> None:
    commit = siege.origin.plant(*path, content=SOMETHING)
    refusal = await siege.resists(commit)
    assert code in {problem[0] for problem in refusal.problems}


async def test_a_name_with_a_slash_cannot_pose_as_a_path(siege: Siege) -> None:
    commit = siege.origin.plant(b"apps/web/a.yaml", content=config_map("a", "forged"))
    await siege.resists(commit, code="corrupt")


async def test_a_tree_with_a_name_twice_is_refused(siege: Siege) -> None:
    """Whoever reviews it may be shown the one, and the daemon would apply the other."""
    origin = siege.origin
    web = origin.raw_tree(
        (b"100644", b"a.yaml", origin.blob(config_map("a", "shown"))),
        (b"100644", b"a.yaml", origin.blob(config_map("a", "applied"))),
    )
    await siege.resists(origin.plant(b"apps", b"web", mode=DIRECTORY, oid=web), code="corrupt")


async def test_a_name_that_is_file_and_directory_is_refused(siege: Siege) -> None:
    origin = siege.origin
    inner = origin.raw_tree((b"100644", b"x.yaml", origin.blob(SOMETHING)))
    web = origin.raw_tree((b"100644", b"x", origin.blob(b"harmless")), (DIRECTORY, b"x", inner))
    await siege.resists(origin.plant(b"apps", b"web", mode=DIRECTORY, oid=web), code="corrupt")


@pytest.mark.parametrize("target", [b"/etc/passwd", b"../../fairlead.yaml", b"b.yaml", b"x" * 5000])
async def test_attack_20_a_symbolic_link_is_not_followed(siege: Siege, target: bytes) -> None:
    commit = siege.origin.plant(b"apps", b"web", b"link.yaml", content=target, mode=LINK)
    await siege.resists(commit, ("symbolic-link", "apps/web/link.yaml", None))
    assert "root:" not in "".join(await siege.output())


async def test_a_link_in_place_of_a_directory_is_refused(siege: Siege) -> None:
    commit = siege.origin.plant(b"apps", b"web", content=b"../other", mode=LINK)
    await siege.resists(commit, ("symbolic-link", "apps/web", None))


async def test_the_policy_behind_a_link_is_refused(siege: Siege) -> None:
    commit = siege.origin.plant(b"fairlead.yaml", content=b"other.yaml", mode=LINK)
    await siege.resists(commit, ("symbolic-link", "fairlead.yaml", None))


async def test_attack_20_a_submodule_with_a_command_for_a_url(siege: Siege, tmp_path: Path) -> None:
    proof = tmp_path / "executed"
    origin = siege.origin
    modules = f'[submodule "x"]\n\tpath = apps/x\n\turl = ext::sh -c touch% {proof}\n'
    gitlink = pygit2.Oid(hex="1" * 40)
    commit = origin.plant_all(
        [
            ((b".gitmodules",), b"100644", origin.blob(modules.encode())),
            ((b"apps", b"x"), SUBMODULE, gitlink),
        ]
    )
    await siege.resists(commit, ("submodule", "apps/x", None))
    assert not proof.exists()


async def test_a_tree_that_poses_as_a_file_is_refused(siege: Siege) -> None:
    tree = siege.origin.raw_tree((b"100644", b"x", siege.origin.blob(SOMETHING)))
    commit = siege.origin.plant(b"apps", b"web", b"t.yaml", oid=tree)
    await siege.resists(commit)


@pytest.mark.parametrize("name", [b"", b"\x1b[31m"])
async def test_a_tree_that_cannot_be_fetched_changes_nothing(siege: Siege, name: bytes) -> None:
    """The trouble is shown, and ends when the branch no longer has such a commit."""
    origin = siege.origin
    origin.plant(b"apps", b"web", name, mode=DIRECTORY, oid=origin.blob(SOMETHING))
    siege.engine.branch.hint()
    await siege.until(lambda: bool(siege.engine.branch.trouble))
    await siege.keeps_in_place()
    origin.rewrite(siege.good)
    await siege.goes_on()
    assert not siege.engine.branch.trouble


async def test_attack_20_filters_and_attributes_run_nothing(siege: Siege) -> None:
    attributes = b"* filter=evil text eol=crlf working-tree-encoding=UTF-16\n*.yaml ident\n"
    commit = siege.origin.push(
        {".gitattributes": attributes, "apps/web/b.yaml": config_map("b", "$Id$")}
    )
    await siege.applies(commit)
    assert siege.value("b") == "$Id$"


async def test_attack_20_a_pointer_of_git_lfs(siege: Siege) -> None:
    pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:ab\nsize 9\n"
    commit = siege.origin.push({"apps/web/a.yaml": pointer})
    await siege.resists(commit, ("lfs-pointer", "apps/web/a.yaml", None))


async def test_names_that_differ_in_case_are_two_files(siege: Siege) -> None:
    """Nothing is checked out, so no file system can merge them."""
    await siege.applies(
        siege.origin.push(
            {"apps/web/Z.yaml": config_map("upper"), "apps/web/z.yaml": config_map("lower")}
        )
    )
    assert (siege.value("upper"), siege.value("lower")) == ("1", "1")


async def test_a_very_long_path_is_shown_short(siege: Siege) -> None:
    name = b"n" * 60_000 + b".yaml"
    refusal = await siege.resists(siege.origin.plant(b"apps", b"web", name, content=b"a: 1\n"))
    assert len(refusal.explanation) < 2000


async def test_a_name_too_long_for_the_library_is_refused(tmp_path: Path) -> None:
    """What git serves and libgit2 cannot parse is the author's doing, and no damage to mend."""
    origin = Origin(tmp_path / "served" / "config.git")
    with serving(origin.directory.parent) as server:
        source = GitSource(url=f"{server.url}/config.git")
        async with besieged(tmp_path, origin=origin, source=source) as siege:
            commit = origin.plant(b"apps", b"web", b"n" * 70_000, content=SOMETHING)
            await siege.resists(commit, code="corrupt")
            assert "mirror_rebuilt" not in siege.log.getvalue()


async def test_a_very_deep_tree_is_walked_without_recursion(siege: Siege) -> None:
    origin = siege.origin
    tree = origin.raw_tree((b"100644", b"x.yaml", origin.blob(b"a: 1\n")))
    for _ in range(2_000):
        tree = origin.raw_tree((DIRECTORY, b"d", tree))
    await siege.resists(origin.plant(b"apps", mode=DIRECTORY, oid=tree))


async def test_a_tree_bomb_is_refused(siege: Siege) -> None:
    """A few kilobytes that name 10^9 files."""
    origin = siege.origin
    tree = origin.raw_tree((b"100644", b"x.yaml", origin.blob(SOMETHING)))
    for _ in range(9):
        tree = origin.raw_tree(*((DIRECTORY, b"%d" % n, tree) for n in range(10)))
    await siege.resists(origin.plant(b"bomb", mode=DIRECTORY, oid=tree), code="refused")
