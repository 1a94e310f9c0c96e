"""The generated pages in docs/ are those that the models give."""

from __future__ import annotations

import pytest

from scripts.write_reference import DOCS, pages


@pytest.mark.parametrize("page", pages())
def test_a_generated_page_is_the_generated_one(page: str) -> None:
    assert (DOCS / page).read_text(encoding="utf-8") == pages()[page], "run: make reference"
