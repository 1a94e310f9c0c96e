"""What a repository may try, and what is said about it."""

from __future__ import annotations

import pytest

from tests.desired.builders import (
    LINK,
    MODEL,
    POLICY,
    SUBMODULE,
    codes,
    compile_tree,
    config_map,
    repository,
)

SECRET = (
    "apiVersion: v1\nkind: Secret\nmetadata: {name: x, namespace: team-risk}\n"
    "data: {a: aHVudGVyMg==}\n"
)


@pytest.mark.parametrize(
    "path",
    [
        "platform/x/\x1b[31mred.yaml",
        "a\u202elmay.yaml",
        "x/new\nline.yaml",
        "x/\udcff.yaml",
        "z\u200b.md",
    ],
)
def test_a_path_that_would_play_with_the_terminal_is_refused_and_shown_harmless(path: str) -> None:
    _, problems = compile_tree(repository() | {path: config_map("a")})
    found = [problem for problem in problems if problem.code == "path-characters"]
    assert len(found) == 1
    assert found[0].message.isprintable()
    assert found[0].location.isprintable()


@pytest.mark.parametrize(
    "path", ["../outside.yaml", "platform/../x.yaml", "a\\b.yaml", ".git/../a.md"]
)
def test_a_path_that_could_lead_elsewhere_is_refused(path: str) -> None:
    assert "path-traversal" in codes(repository() | {path: config_map("a")})


@pytest.mark.parametrize("path", ["models/fraud.yaml", "models", "platform/x", "platform/x/a.yaml"])
def test_a_symbolic_link_is_refused_without_following_it(path: str) -> None:
    tree = repository() | {path: "/etc/passwd"}
    assert codes(tree, modes={path: LINK}) == ["symbolic-link"]


def test_the_policy_may_not_be_a_symbolic_link() -> None:
    assert codes(repository(), modes={"fairlead.yaml": LINK}) == ["symbolic-link"]


def test_a_submodule_is_refused() -> None:
    assert codes(repository() | {"vendor": "0" * 40}, modes={"vendor": SUBMODULE}) == ["submodule"]


def test_links_in_hidden_and_excluded_directories_are_left_alone() -> None:
    tree = repository() | {
        "fairlead.yaml": POLICY + "  exclude: [docs]\n",
        ".config/link": "x",
        "docs/link.yaml": "x",
    }
    assert codes(tree, modes={".config/link": LINK, "docs/link.yaml": LINK}) == []


def test_a_huge_file_is_refused_without_being_read() -> None:
    tree = repository(platform__x__big="x" * (1024 * 1024 + 1))
    assert codes(tree) == ["file-too-large"]


def test_a_pointer_of_git_lfs_is_refused() -> None:
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:ab\nsize 12\n"
    assert codes(repository(models=pointer)) == ["lfs-pointer"]


@pytest.mark.parametrize("name", ["kustomization.yaml", "Chart.yaml"])
def test_what_would_be_half_applied_is_refused(name: str) -> None:
    tree = repository() | {f"platform/x/{name}": "resources: []\n"}
    assert codes(tree) == ["unsupported-source"]


@pytest.mark.parametrize("path", ["platform__x__s", "secrets"])
def test_a_secret_is_refused_wherever_it_stands(path: str) -> None:
    _, problems = compile_tree(repository(**{path: SECRET}))
    assert [problem.code for problem in problems] == ["secret-in-git"]
    assert all("aHVudGVy" not in problem.message + problem.hint for problem in problems)


@pytest.mark.parametrize(
    "name", ["a;rm -rf", "$(id)", "a`id`", "'a\\nb'", '"\\e[31m"', "../a", "a|b", "A"]
)
def test_a_name_with_metacharacters_is_refused(name: str) -> None:
    tree = repository(platform__x__a=config_map("NAME").replace("name: NAME", f"name: {name}"))
    compilation, problems = compile_tree(tree)
    assert compilation is None
    assert all(problem.message.isprintable() for problem in problems)


def test_one_of_fairleads_documents_among_plain_manifests_is_refused() -> None:
    assert codes(repository(platform__x__model=MODEL)) == ["misplaced-document"]


def test_a_second_policy_is_refused() -> None:
    assert codes(repository(sub__fairlead=POLICY)) == ["misplaced-document"]


def test_directories_that_two_sources_match_are_refused() -> None:
    tree = repository(platform__x__a=config_map("a"))
    tree["fairlead.yaml"] = POLICY + "  - path: platform/x\n"
    assert codes(tree) == ["manifests-overlap"]


@pytest.mark.parametrize(
    "content", [b"\xff\xfe\x00", b"a: &a [*a]", b"{" * 5000, b"---\n" * 20_000]
)
def test_hostile_bytes_are_a_problem_and_nothing_worse(content: bytes) -> None:
    compile_tree(repository(platform__x__a=content))
