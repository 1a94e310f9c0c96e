"""`fairlead validate` as people and programs see it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from reconciler.adapters.git_memory import MemoryRepository
from reconciler.ports import Repository
from reconciler.surfaces.validate_command import ValidateTools, validate_command
from tests.desired.builders import MODEL, ROLLOUT, Tree, config_map, repository

TOKEN = "ghp_" + "a1B2" * 9


def write(root: Path, tree: Tree) -> Path:
    for path, content in tree.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(content if isinstance(content, bytes) else content.encode())
    return root


def validate(root: Path, *options: str, tools: ValidateTools | None = None) -> Result:
    return CliRunner().invoke(validate_command, [str(root), *options], obj=tools)


def test_a_valid_repository_is_summed_up(tmp_path: Path) -> None:
    tree = repository(models=MODEL, rollouts=ROLLOUT, platform__x__a=config_map("a"))
    result = validate(write(tmp_path, tree))
    assert result.exit_code == 0
    assert result.output.splitlines() == [
        "note: Model fraud-detector has a route, but cluster staging-1 has no gateway",
        "valid: 13 objects in 4 units for 2 clusters, from 5 files",
    ]


def test_a_problem_is_shown_with_its_line_and_what_to_do(tmp_path: Path) -> None:
    result = validate(
        write(tmp_path, repository(models=MODEL, rollouts=ROLLOUT.replace("v3", "v9")))
    )
    assert result.exit_code == 1
    assert result.output.splitlines() == [
        "rollouts.yaml:6:12  error[unknown-version]: Model fraud-detector has no version v9",
        "    6 |   version: v9",
        "      |            ^^",
        "    hint: use one of v3, v4",
        "",
        "1 error in 1 file",
    ]


def test_a_line_with_a_secret_is_not_shown_again(tmp_path: Path) -> None:
    content = config_map("a").replace("value: '1'", f"api-token: {TOKEN}")
    result = validate(write(tmp_path, repository(platform__x__a=content)))
    assert "secret-value" in result.output
    assert TOKEN not in result.output


def test_nothing_that_is_shown_can_move_the_cursor(tmp_path: Path) -> None:
    content = 'apiVersion: v1\nkind: "\\e[2J"\nmetadata: {name: "a\\u202Eb"}\n# \x1b[31m\n'
    result = validate(write(tmp_path, repository(**{"platform__x__a": content})))
    assert result.exit_code == 1
    assert all(line.isprintable() for line in result.output.splitlines())


def test_the_report_for_programs_has_code_and_place(tmp_path: Path) -> None:
    tree = repository(platform__x__a=config_map("a", namespace="kube-system"))
    report = json.loads(validate(write(tmp_path, tree), "--json").output)
    (problem,) = report["problems"]
    assert report["valid"] is False
    assert (problem["code"], problem["path"]) == ("namespace-not-allowed", "platform/x/a.yaml")
    assert (problem["line"], problem["column"]) == (5, 14)


def test_links_in_the_working_tree_are_refused_and_not_followed(tmp_path: Path) -> None:
    root = write(tmp_path / "repo", repository())
    (root / "models.yaml").symlink_to("/etc/passwd")
    (root / "more").symlink_to(tmp_path)
    result = validate(root, "--json")
    codes = [problem["code"] for problem in json.loads(result.output)["problems"]]
    assert codes == ["symbolic-link", "symbolic-link"]


def test_a_repository_inside_the_repository_is_refused_as_a_submodule(tmp_path: Path) -> None:
    root = write(tmp_path, repository() | {"vendor/.git": "gitdir: x", "vendor/a.yaml": "a: 1"})
    assert "vendor is a submodule" in validate(root).output


@pytest.mark.parametrize(("version", "exit_code"), [("v3", 0), ("v9", 1)])
def test_a_commit_is_validated_without_its_files_on_disk(
    tmp_path: Path, version: str, exit_code: int
) -> None:
    tree = repository(models=MODEL, rollouts=ROLLOUT.replace("v3", version))

    @asynccontextmanager
    async def open_repository(path: Path) -> AsyncIterator[Repository]:
        assert path == tmp_path
        repository = MemoryRepository()
        repository.push({path: str(content).encode() for path, content in tree.items()})
        await repository.fetch()
        yield repository

    tools = ValidateTools(open_repository)
    assert validate(tmp_path, "--commit", "main", tools=tools).exit_code == exit_code


def test_a_directory_without_a_policy_is_not_valid(tmp_path: Path) -> None:
    result = validate(tmp_path)
    assert result.exit_code == 1
    assert "fairlead.yaml is missing" in result.output


def test_a_thousand_documents_take_little_time(tmp_path: Path) -> None:
    plain = {
        f"platform__u{index % 40}__f{index}": config_map(f"f{index}", value="x" * 500)
        for index in range(1000)
    }
    root = write(tmp_path, repository(**plain))
    program = (
        "import sys, time\n"
        "from pathlib import Path\n"
        "from reconciler.surfaces.validate_command import validate_directory\n"
        "assert validate_directory(Path(sys.argv[1])).compilation\n"
        "print(time.process_time())"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(root)], capture_output=True, text=True, check=True
    )
    assert float(done.stdout) < 1.5, "measured 0.7 s on an idle machine"
