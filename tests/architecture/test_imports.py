"""The direction of imports. The contracts themselves are sentences in pyproject.toml."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner
from importlinter.cli import lint_imports_command

ROOT = Path(__file__).parents[2]
CORE = ROOT / "reconciler" / "core"

ALLOWED_IN_CORE = {
    "annotated_types",  # pydantic's own vocabulary for constraints
    "cryptography",
    "jsonschema",
    "orjson",
    "pydantic",
    "pydantic_core",
    "yaml",
}
CLOCKS = {("datetime", "now"), ("datetime", "utcnow"), ("datetime", "today"), ("date", "today")}


def python_files(directory: Path) -> list[Path]:
    return sorted(directory.rglob("*.py"))


def imported(file: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(file.read_bytes())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module


def test_every_contract_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    result = CliRunner().invoke(lint_imports_command, ["--no-cache"])
    assert result.exit_code == 0, result.output


def test_the_core_imports_few_libraries() -> None:
    libraries = {
        (file.name, top)
        for file in python_files(CORE)
        for name in imported(file)
        if (top := name.partition(".")[0]) not in {"reconciler", *sys.stdlib_module_names}
    }
    assert {top for _, top in libraries} <= ALLOWED_IN_CORE, sorted(libraries)


def test_the_core_takes_only_signatures_from_the_cryptography_library() -> None:
    for file in python_files(CORE):
        for name in imported(file):
            if name.startswith("cryptography"):
                assert file.parent == CORE / "audit", file
                assert name.startswith(
                    ("cryptography.exceptions", "cryptography.hazmat.primitives")
                ), name


def test_the_core_asks_no_clock_and_opens_no_file() -> None:
    for file in python_files(CORE):
        for node in ast.walk(ast.parse(file.read_bytes())):
            match node:
                case ast.Call(func=ast.Name(id="open" | "input" | "print" | "exec" | "eval")):
                    raise AssertionError(f"{file}:{node.lineno} calls {ast.unparse(node)}")
                case ast.Call(func=ast.Attribute(value=ast.Name(id=owner), attr=name)):
                    asked = f"{file}:{node.lineno} asks a clock: {ast.unparse(node)}"
                    assert (owner, name) not in CLOCKS, asked


def test_the_core_never_waits() -> None:
    waiting = ast.AsyncFunctionDef | ast.Await | ast.AsyncWith | ast.AsyncFor
    for file in python_files(CORE):
        for node in ast.walk(ast.parse(file.read_bytes())):
            assert not isinstance(node, waiting), f"{file}:{node.lineno} is asynchronous"
