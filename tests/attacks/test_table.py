"""The table of attacks in the documentation names tests that exist, for every one of them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")
ATTACKS = range(1, 26)
_ROW = re.compile(r"^\| (\d+) \|.*\| ([^|]+) \|$", re.M)
_FILE = re.compile(r"`(tests/[\w/]+\.py)`: ((?:`test_attack_\d\d_\w+`(?:, )?)+)")


def rows() -> dict[int, str]:
    return {int(number): cell for number, cell in _ROW.findall(PAGE)}


def test_every_attack_is_in_the_table() -> None:
    assert list(rows()) == list(ATTACKS)


@pytest.mark.parametrize("number", ATTACKS)
def test_the_tests_of_an_attack_exist(number: int) -> None:
    named = _FILE.findall(rows()[number])
    assert named
    for file, tests in named:
        text = (ROOT / file).read_text(encoding="utf-8")
        for test in re.findall(r"`(\w+)`", tests):
            assert test.startswith(f"test_attack_{number:02}_")
            assert re.search(rf"^(?:async )?def {test}\(", text, re.M), f"{file} has no {test}"
