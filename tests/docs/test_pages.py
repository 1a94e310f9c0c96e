"""What the pages tell people to type exists, and what they point at is there."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
import yaml

from reconciler.settings_loading import load_settings
from reconciler.surfaces.cli import COMMANDS, fairlead
from reconciler.surfaces.validate_command import validate_directory

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    [
        *ROOT.glob("*.md"),
        *(ROOT / "docs").rglob("*.md"),
        *(ROOT / "deploy").rglob("*.md"),
        *(ROOT / "example-repo").rglob("*.md"),
    ]
)
_FENCE = re.compile(r"^(?P<indent> *)```(?P<language>\w*)\n(?P<body>.*?)^ *```$", re.M | re.S)
_LINK = re.compile(r"\[[^\]]*\]\((?P<target>[^)\s]+)\)")


def name(page: Path) -> str:
    return str(page.relative_to(ROOT))


def text(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def blocks(page: Path, *languages: str) -> Iterator[str]:
    for match in _FENCE.finditer(text(page)):
        if match["language"] in languages:
            indent = match["indent"]
            yield "".join(
                line.removeprefix(indent) for line in match["body"].splitlines(keepends=True)
            )


def typed_lines(page: Path) -> list[str]:
    """Lines of shell blocks, and the code in sentences."""
    lines = [line for block in blocks(page, "", "bash") for line in block.splitlines()]
    return [*lines, *re.findall(r"`([^`]+)`", _FENCE.sub("", text(page)))]


def typed_commands(page: Path) -> Iterator[list[str]]:
    """The words of every `fairlead …`, up to a pipe or comment."""
    for line in typed_lines(page):
        for found in re.findall(r"(?:^|&& |\$\()(fairlead [a-z][^#|&>;)\"]*)", line.strip()):
            yield shlex.split(found.replace("…", ""))[1:]


def resolved(words: list[str]) -> tuple[click.Command, list[str]]:
    """The command that the first words name, and the others."""
    command: click.Command = fairlead
    while isinstance(command, click.Group) and words:
        context = click.Context(command, resilient_parsing=True)
        inner = command.get_command(context, words[0])
        assert inner is not None, f"there is no command {words[0]}"
        command, words = inner, words[1:]
    return command, words


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_command_and_option_exists(page: Path) -> None:
    for words in typed_commands(page):
        command, rest = resolved(words)
        known = {option for parameter in command.params for option in parameter.opts}
        given = {word.partition("=")[0] for word in rest if word.startswith("-")}
        assert given <= known | {"--help"}, f"fairlead {' '.join(words)}"


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_make_target_exists(page: Path) -> None:
    makefile = text(ROOT / "Makefile")
    for line in typed_lines(page):
        command, *words = line.partition("#")[0].split() or [""]
        for target in words if command == "make" else ():
            if "=" in target:
                break  # ARGS="…"
            assert re.search(rf"^{target}:", makefile, re.MULTILINE), f"make {target}"


def test_the_commands_of_the_readme_are_found() -> None:
    """Else the tests above would pass on nothing."""
    found = {words[0] for words in typed_commands(ROOT / "README.md")}
    assert {"sandbox", "validate", "plan", "run", "status", "audit", "revert"} <= found


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_link_inside_the_repository_leads_somewhere(page: Path) -> None:
    for match in _LINK.finditer(text(page)):
        target = match["target"].partition("#")[0]
        if target and "://" not in target:
            assert (page.parent / target).exists(), target


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_is_explained(command: str) -> None:
    assert f"`fairlead {command}" in text(ROOT / "docs" / "operations.md")


def test_the_documents_in_the_readme_are_valid(tmp_path: Path) -> None:
    documents = [
        block for block in blocks(ROOT / "README.md", "yaml") if block.startswith("apiVersion")
    ]
    for document in documents:
        kind = yaml.safe_load(document)["kind"]
        file = "fairlead.yaml" if kind == "Repository" else f"{kind.lower()}.yaml"
        (tmp_path / file).write_text(document)
    assert validate_directory(tmp_path).problems == ()


def test_the_settings_in_the_readme_are_valid(tmp_path: Path) -> None:
    (block,) = (b for b in blocks(ROOT / "README.md", "yaml") if b.startswith("directory"))
    file = tmp_path / "settings.yaml"
    file.write_text(block)
    assert load_settings(file, {}).repository.name == "ml-platform"


def test_no_registry_is_named_in_the_lock_file() -> None:
    assert "://" not in text(ROOT / "requirements.lock")
