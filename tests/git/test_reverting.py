"""`fairlead revert` on real repositories."""

import json
import subprocess
from pathlib import Path

import pygit2
import pytest
from click.testing import CliRunner, Result

from reconciler.adapters.git_objects import GitObjects
from reconciler.adapters.git_reverting import prepare_revert
from reconciler.core.errors import Misconfigured, Missing, Refused
from reconciler.core.identifiers import CommitSha
from reconciler.core.reverting import RevertConflict
from reconciler.surfaces.revert_command import revert_command
from reconciler.wiring.forges import revert_tools

from .builders import SourceRepository


@pytest.fixture
def source(tmp_path: Path) -> SourceRepository:
    made = SourceRepository(tmp_path / "config.git")
    made.repository.set_head("refs/heads/main")
    made.repository.config["user.name"] = "Grace"
    made.repository.config["user.email"] = "grace@example.com"
    return made


def git(repository: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["git", "-C", str(repository), *arguments], capture_output=True, text=True, check=True
    )
    return done.stdout


def references(source: SourceRepository) -> dict[str, str]:
    return {
        name: str(source.repository.references[name].target)
        for name in source.repository.references
    }


def revert(source: SourceRepository, *arguments: str) -> Result:
    return CliRunner().invoke(
        revert_command,
        [*arguments, "--repo", str(source.directory)],
        obj=revert_tools(),
    )


def same_tree(source: SourceRepository, one: str, other: str) -> bool:
    repository = source.repository
    return bool(repository[one].tree.id == repository[other].tree.id)


def merge(source: SourceRepository, ours: CommitSha, theirs: CommitSha) -> CommitSha:
    repository = source.repository
    tree = repository.merge_commits(repository[ours], repository[theirs]).write_tree(repository)
    return source.push_tree(tree, message="Merge side", parents=[ours, theirs])


def test_a_revert_restores_the_tree_of_before(source: SourceRepository) -> None:
    before = source.push({"a": b"1\n", "b": b"1\n"})
    bad = source.push({"a": b"2\n", "b": None, "c": b"new\n"}, message="Ship v3\n\nDetails.\n")
    prepared = prepare_revert(source.directory, bad)
    assert same_tree(source, prepared.commit, before)
    assert prepared.paths == ("a", "b", "c")
    assert prepared.branch == f"revert-{bad[:10]}"
    commit = GitObjects(source.repository).commit(prepared.commit)
    assert commit.message == f'Revert "Ship v3"\n\nThis reverts commit {bad}.\n'
    assert (commit.author, commit.email, commit.parents) == ("Grace", "grace@example.com", (bad,))


def test_a_revert_of_an_older_commit_keeps_what_came_after(source: SourceRepository) -> None:
    source.push({"a": b"1\n", "b": b"1\n"})
    bad = source.push({"a": b"2\n"})
    source.push({"b": b"2\n"})
    prepared = prepare_revert(source.directory, bad[:8])
    tree = source.repository[prepared.commit].tree
    assert (tree["a"].data, tree["b"].data) == (b"1\n", b"2\n")


def test_a_merge_is_reverted_to_its_first_parent(source: SourceRepository) -> None:
    base = source.push({"a": b"1\n"})
    side = source.push({"side": b"1\n"})
    source.rewrite(base)
    ours = source.push({"main": b"1\n"})
    merged = merge(source, ours, side)
    prepared = prepare_revert(source.directory, merged)
    assert same_tree(source, prepared.commit, ours)
    assert f"reversing\nchanges made to {ours}." in prepared.message


def test_the_first_commit_can_be_reverted(source: SourceRepository) -> None:
    first = source.push({"a": b"1\n"})
    source.push({"b": b"1\n"})
    prepared = prepare_revert(source.directory, first)
    assert [entry.name for entry in source.repository[prepared.commit].tree] == ["b"]


def test_a_revert_can_be_reverted(source: SourceRepository) -> None:
    source.push({"a": b"1\n"})
    bad = source.push({"a": b"2\n"})
    undone = prepare_revert(source.directory, bad)
    source.rewrite(undone.commit)
    again = prepare_revert(source.directory, undone.commit)
    assert same_tree(source, again.commit, bad)


def test_a_conflict_names_the_files_and_writes_nothing(source: SourceRepository) -> None:
    source.push({"models/a.yaml": b"1\n", "other": b"1\n"})
    bad = source.push({"models/a.yaml": b"2\n", "other": b"2\n"})
    source.push({"models/a.yaml": b"3\n"})
    before = references(source)
    with pytest.raises(RevertConflict, match="nothing was written") as caught:
        prepare_revert(source.directory, bad)
    assert caught.value.paths == ("models/a.yaml",)
    assert f"git revert {bad}" in caught.value.hint
    assert references(source) == before


def test_a_commit_that_is_undone_already_is_refused(source: SourceRepository) -> None:
    source.push({"a": b"1\n"})
    bad = source.push({"a": b"2\n"})
    source.push({"a": b"1\n"})
    with pytest.raises(Refused, match="undone already"):
        prepare_revert(source.directory, bad)


def test_a_commit_of_another_branch_is_refused(source: SourceRepository) -> None:
    base = source.push({"a": b"1\n"})
    other = source.push({"a": b"2\n"})
    source.rewrite(base)
    with pytest.raises(Refused, match="not part of main"):
        prepare_revert(source.directory, other)


def test_an_existing_branch_is_left_alone(source: SourceRepository) -> None:
    source.push({"a": b"1\n"})
    bad = source.push({"a": b"2\n"})
    before = references(source)
    with pytest.raises(Refused, match="a branch main already"):
        prepare_revert(source.directory, bad, branch="main")
    assert references(source) == before


@pytest.mark.parametrize("name", ["a..b", "a b", "-\n", "x" * 300 + "/", "../../evil", "a:b"])
def test_a_name_that_is_no_branch_is_refused(source: SourceRepository, name: str) -> None:
    bad = source.push({"a": b"1\n"})
    with pytest.raises(Misconfigured, match="not a name of a branch"):
        prepare_revert(source.directory, bad, branch=name)


def test_a_directory_without_git_is_missing(tmp_path: Path) -> None:
    with pytest.raises(Missing, match="not a Git repository"):
        prepare_revert(tmp_path, "abcd")


def test_an_unknown_commit_is_missing(source: SourceRepository) -> None:
    source.push({"a": b"1\n"})
    with pytest.raises(Missing):
        prepare_revert(source.directory, "f" * 40)


def test_a_clone_keeps_its_branch_index_and_work_tree(
    source: SourceRepository, tmp_path: Path
) -> None:
    source.push({"a": b"1\n"})
    bad = source.push({"a": b"2\n"})
    clone = tmp_path / "clone"
    pygit2.clone_repository(str(source.directory), str(clone))
    git(clone, "config", "user.name", "Grace")
    git(clone, "config", "user.email", "grace@example.com")
    (clone / "a").write_text("unsaved\n")
    (clone / "sub").mkdir()
    before = git(clone, "status", "--porcelain=v2", "--branch")
    prepared = prepare_revert(clone / "sub", bad)
    assert git(clone, "status", "--porcelain=v2", "--branch") == before
    assert (clone / "a").read_text() == "unsaved\n"
    assert prepared.remote == "origin"
    assert git(clone, "show", f"{prepared.branch}:a") == "1\n"


def test_the_result_is_what_git_revert_makes(source: SourceRepository, tmp_path: Path) -> None:
    lines = [f"line {number}\n" for number in range(30)]
    source.push({"a": "".join(lines).encode()})
    bad = source.push({"a": "".join([*lines[:5], "bad\n", *lines[5:]]).encode()}, message="Bad")
    source.push({"a": "".join([*lines[:5], "bad\n", *lines[5:], "more\n"]).encode()})
    clone = tmp_path / "clone"
    pygit2.clone_repository(str(source.directory), str(clone))
    git(clone, "-c", "user.name=G", "-c", "user.email=g@x", "revert", "--no-edit", bad)
    prepared = prepare_revert(source.directory, bad)
    assert git(clone, "rev-parse", "HEAD^{tree}").strip() == str(
        source.repository[prepared.commit].tree.id
    )
    assert git(clone, "log", "-1", "--format=%B").strip() == prepared.message.strip()


def test_the_command_says_how_to_push(source: SourceRepository) -> None:
    source.push({"a": b"1\n"})
    bad = source.push({"a": b"2\n"})
    source.repository.remotes.create("upstream", "https://git.example.com/config.git")
    result = revert(source, bad, "--branch", "undo")
    assert result.exit_code == 0, result.output
    assert result.output.splitlines()[-1] == "Push it:  git push upstream undo"


def test_the_command_reminds_of_the_signature_that_the_configuration_asks_for(
    source: SourceRepository,
) -> None:
    bad = source.push({"a": b"1\n"})
    source.repository.config["commit.gpgsign"] = "true"
    assert "git commit --amend --no-edit -S" in revert(source, bad).output


def test_the_command_prints_json(source: SourceRepository) -> None:
    source.push({"a": b"1\n"})
    bad = source.push({"a": b"2\n"})
    shown = json.loads(revert(source, bad, "--json", "-m", "Undo it").output)
    assert shown["reverts"] == bad
    assert shown["paths"] == ["a"]
    assert source.repository[shown["commit"]].message == "Undo it"
