"""The form that every file of code keeps, as far as no linter checks it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LONGEST_FILE = 400
LONGEST_FUNCTION = 40
FORBIDDEN_NAMES = {"utils", "util", "helpers", "helper", "manager", "common_utils", "misc"}

CODE = sorted(
    file for top in ("reconciler", "bench", "scripts") for file in (ROOT / top).rglob("*.py")
)
TESTS = sorted((ROOT / "tests").rglob("*.py"))


def name(file: Path) -> str:
    return str(file.relative_to(ROOT))


@cache
def parsed(file: Path) -> ast.Module:
    return ast.parse(file.read_bytes())


def functions(file: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(parsed(file)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


@pytest.mark.parametrize("file", [*CODE, *TESTS], ids=name)
def test_a_file_is_short_enough_to_read(file: Path) -> None:
    lines = file.read_text(encoding="utf-8").count("\n")
    assert lines <= LONGEST_FILE, f"{lines} lines; part it by what its readers ask for"


@pytest.mark.parametrize("file", CODE, ids=name)
def test_a_module_says_what_it_is_for(file: Path) -> None:
    said = ast.get_docstring(parsed(file))
    assert said, "start with a docstring: what it does, why it is separate, what always holds"


@pytest.mark.parametrize("file", CODE, ids=name)
def test_a_function_is_short_enough_to_see_whole(file: Path) -> None:
    long = [
        f"{function.name} has {length} lines"
        for function in functions(file)
        if (length := _statement_lines(function)) > LONGEST_FUNCTION
    ]
    assert not long, "; ".join(long)


@pytest.mark.parametrize("file", CODE, ids=name)
def test_a_module_is_named_for_what_is_in_it(file: Path) -> None:
    assert file.stem not in FORBIDDEN_NAMES


@pytest.mark.parametrize("file", TESTS, ids=name)
def test_no_test_sleeps_for_time_to_pass(file: Path) -> None:
    """A sleep inside a loop that waits for a condition is one poll of it; any other is a guess."""
    tree = parsed(file)
    polls = {
        id(inner)
        for loop in ast.walk(tree)
        if isinstance(loop, ast.While | ast.For | ast.AsyncFor)
        for inner in ast.walk(loop)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and id(node) not in polls:
            assert ast.unparse(node.func) not in {"time.sleep"}, f"line {node.lineno} sleeps"


def _statement_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines from the signature to the end, without the docstring."""
    assert function.end_lineno is not None, "parsed from a file"
    length = function.end_lineno - function.lineno + 1
    first = function.body[0]
    if ast.get_docstring(function, clean=False) is not None and first.end_lineno is not None:
        length -= first.end_lineno - first.lineno + 1
    return length
