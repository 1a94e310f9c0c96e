"""How texts are drawn: what others wrote stays text, whatever is done to it."""

from __future__ import annotations

import pytest

from reconciler.surfaces.page.drawing import foldable, said

HOSTILE = "<img src=x>/\u202e"


def test_what_is_to_be_typed_is_set_as_code() -> None:
    assert said("set `reverts` or `pulls`") == "set <code>reverts</code> or <code>pulls</code>"


def test_a_number_and_its_percent_sign_stay_in_one_line() -> None:
    assert said("a copy of 10 % of all") == "a copy of 10\N{NO-BREAK SPACE}% of all"


@pytest.mark.parametrize("text", ["one ` alone", "`", "no tick", ""])
def test_a_tick_that_stands_alone_stays_one(text: str) -> None:
    assert said(text) == text


def test_a_long_name_may_fold_after_a_slash_and_a_short_one_stays_whole() -> None:
    assert foldable("manifests/apps/billing") == "manifests/<wbr>apps/<wbr>billing"
    assert foldable("rollout/fraud") == "rollout/fraud"


def test_neither_lets_markup_or_hidden_letters_through() -> None:
    for drawn in (said(f"`{HOSTILE}` {HOSTILE}"), foldable(HOSTILE * 3)):
        assert "<img" not in drawn
        assert "\u202e" not in drawn
