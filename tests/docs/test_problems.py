"""docs/problems.md documents every code, and no other."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from reconciler.core import errors

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "problems.md"
SOURCES = sorted((ROOT / "reconciler").rglob("*.py"))

POSITIONS = {
    "Problem": 2,
    "FieldProblem": 2,
    "Objection": 1,
    "PydanticCustomError": 0,
    "self._find": 1,
    "self._stop": 1,
    "self._found": 0,
    "self._refuse": 1,
    "_finding": 0,
}
"""Where each call that makes a problem takes its code."""

SEPARATE_FINDINGS = {"comparing.py", "verification.py", "audit_export.py", "audit_reading.py"}
"""Findings about an audit log begin with the code, those about a document with the place."""

CODE = re.compile(r"[a-z]+(?:-[a-z0-9]+)*")


def documented() -> list[str]:
    return re.findall(r"^\| `([a-z0-9-]+)` \|", PAGE.read_text(encoding="utf-8"), re.MULTILINE)


@cache
def parsed(file: Path) -> ast.Module:
    return ast.parse(file.read_bytes())


def code_argument(call: ast.Call, file: Path) -> ast.expr | None:
    name = ast.unparse(call.func)
    position = POSITIONS.get(name)
    if name == "Finding":
        position = 0 if file.name in SEPARATE_FINDINGS else 1
    if position is None or len(call.args) <= position:
        return None
    return call.args[position]


def in_calls(file: Path) -> Iterator[str]:
    """Codes at the calls that make problems, in tables, and tuples that begin with one."""
    for node in ast.walk(parsed(file)):
        match node:
            case ast.Call(func=ast.Name(id="_Codes"), args=codes):
                yield from map(ast.literal_eval, codes)
            case ast.Call():
                match code_argument(node, file):
                    case ast.Constant(value=str(code)) if CODE.fullmatch(code):
                        yield code
                for keyword in node.keywords:
                    match keyword:
                        case ast.keyword(arg="code", value=ast.Constant(value=str(code))):
                            yield code
            case ast.Tuple(elts=[ast.Constant(value=str(code)), *_]) if code.startswith("field-"):
                yield code


def referred_kinds() -> Iterator[str]:
    """The codes `unknown-KIND`: one for each kind that documents refer to."""
    tree = ast.parse((ROOT / "reconciler" / "core" / "references.py").read_bytes())
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "Reference":
            for name in ast.walk(node.args[1]):
                if isinstance(name, ast.Name) and name.id[0].isupper():
                    yield f"unknown-{re.sub('(?<=[a-z])(?=[A-Z])', '-', name.id).lower()}"


def of_errors() -> Iterator[str]:
    for file in SOURCES:
        for node in ast.walk(parsed(file)):
            if isinstance(node, ast.ClassDef):
                for statement in node.body:
                    match statement:
                        case ast.Assign(
                            targets=[ast.Name(id="code")], value=ast.Constant(value=str(code))
                        ):
                            yield code


@cache
def in_code() -> set[str]:
    return {code for file in SOURCES for code in in_calls(file)} | {*referred_kinds(), *of_errors()}


def test_every_code_is_documented() -> None:
    assert in_code() - set(documented()) == set()


def test_no_code_is_documented_that_does_not_exist() -> None:
    assert set(documented()) - in_code() == set()


def test_a_code_is_documented_once() -> None:
    codes = documented()
    assert sorted(codes) == sorted(set(codes))


def test_the_search_finds_the_codes_of_every_kind() -> None:
    """One of each way in which code names a code; else the search has a gap."""
    assert {
        "duplicate-name",
        "field-empty",
        "not-pinned",
        "unknown-model",
        "kind-not-allowed",
        "yaml-syntax",
        "server-field",
        "reordered",
        "damaged-file",
        "renamed",
        "sandbox-build-failed",
        errors.Conflict.code,
    } <= in_code()
