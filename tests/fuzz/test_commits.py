"""Damaged files of the example repository, compiled as the daemon would: never an exception."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from reconciler.core.compiling import Compilation
from reconciler.core.problems import errors_among
from tests.desired.builders import compile_tree, compiled

EXAMPLE = Path(__file__).parents[2] / "example-repo"
CASES = 5_000
PIECES = [
    *(b"\n", b": ", b"- ", b"&a ", b"*a", b"{", b"}", b"[", b"]", b"---\n", b"'", b'"', b"|\n"),
    *(b"null", b"no", b"0777", b"-1", b"1e999", b"9" * 30, b".inf", b"\0", b"\xff", b"\t", b"#"),
    *(b"kind: Secret\n", b"kind: Repository\n", b"spec:\n", b"metadata: []\n", b"<<: *a\n"),
    *("\u202e\u200b\ufeff".encode(), b"\\ud800", b"%", b"!!int ", b"fairlead.dev/v1alpha1"),
]

Tree = dict[str, str | bytes]


@pytest.fixture(scope="module")
def example() -> Tree:
    return {
        str(file.relative_to(EXAMPLE)): file.read_bytes()
        for file in sorted(EXAMPLE.rglob("*"))
        if file.is_file()
    }


def mutations(tree: Tree, count: int, *, seed: int) -> Iterator[tuple[str, bytes]]:
    """One damaged file at a time: bytes flipped, cut, repeated, or spliced in from another file."""
    chosen = random.Random(seed)
    paths = [path for path in tree if path.endswith(".yaml")]
    for _ in range(count):
        path = chosen.choice(paths)
        content = bytearray(tree[path])
        other = tree[chosen.choice(paths)]
        for _ in range(chosen.randint(1, 4)):
            at = chosen.randrange(len(content) + 1)
            end = min(len(content), at + chosen.choice([0, 0, 1, 3, 40]))
            source = chosen.randrange(len(other))
            content[at:end] = chosen.choice(
                [
                    b"",
                    chosen.choice(PIECES),
                    bytes([chosen.randrange(256)]),
                    content[at : at + 60],
                    other[source : source + 200],
                ]
            )
        yield path, bytes(content)


def test_no_damage_to_a_file_makes_compiling_raise(example: Tree) -> None:
    base: Compilation = compiled(example)
    started, valid = time.process_time(), 0
    for path, content in mutations(example, CASES, seed=20270101):
        compilation, problems = compile_tree(
            {**example, path: content},
            before=example,
            previous=base,
            rules=base.state.policy,
        )
        assert (compilation is None) == bool(errors_among(problems)), path
        for problem in problems:
            assert problem.message.isprintable(), problem
            assert problem.hint.isprintable(), problem
            assert problem.location.isprintable(), problem
            assert len(problem.message) < 2000, problem
        valid += compilation is not None
    assert 0 < valid < CASES
    assert time.process_time() - started < 30


def test_no_damage_to_the_only_commit_makes_compiling_raise(example: Tree) -> None:
    for path, content in mutations(example, 30, seed=7):
        compilation, problems = compile_tree({**example, path: content})
        assert (compilation is None) == bool(errors_among(problems)), path
