"""The colours of the page: enough contrast in both themes, by the formula of WCAG 2.2."""

from __future__ import annotations

import re

import pytest

from reconciler.surfaces.page.static_files import DIRECTORY

CSS = (DIRECTORY / "page.css").read_text(encoding="utf-8")
TOKENS = {
    name: pair
    for name, *pair in re.findall(r"--([\w-]+): light-dark\((#[0-9a-f]{6}), (#[0-9a-f]{6})\)", CSS)
}
TEXTS = ("text", "muted", "accent", "good", "active", "warning", "bad", "quiet")
GROUNDS = ("bg", "surface", "raised")
TONES = ("good", "active", "warning", "bad", "quiet", "accent")


def luminance(colour: str) -> float:
    channels = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def test_the_formula_is_that_of_wcag() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#767676", "#ffffff") == pytest.approx(4.54, abs=0.01)


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
@pytest.mark.parametrize("ground", GROUNDS)
@pytest.mark.parametrize("text", TEXTS)
def test_text_is_readable(text: str, ground: str, theme: int) -> None:
    assert contrast(TOKENS[text][theme], TOKENS[ground][theme]) >= 4.5


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
@pytest.mark.parametrize("tone", TONES)
def test_a_state_is_readable_on_its_own_ground(tone: str, theme: int) -> None:
    assert contrast(TOKENS[tone][theme], TOKENS[f"{tone}-bg"][theme]) >= 4.5
    assert contrast(TOKENS["text"][theme], TOKENS[f"{tone}-bg"][theme]) >= 4.5


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
@pytest.mark.parametrize("ground", ["bg", "surface"])
@pytest.mark.parametrize("part", ["line-strong", "curve", "new"])
def test_what_is_drawn_and_what_one_types_into_stands_out(
    part: str, ground: str, theme: int
) -> None:
    assert contrast(TOKENS[part][theme], TOKENS[ground][theme]) >= 3


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
def test_the_old_and_the_new_version_are_told_apart_in_a_bar(theme: int) -> None:
    assert contrast(TOKENS["new"][theme], TOKENS["old"][theme]) >= 2.3


def test_people_who_want_less_motion_or_other_colours_get_them() -> None:
    for query in ("prefers-reduced-motion", "forced-colors", "@media print"):
        assert query in CSS
    assert "url(http" not in CSS
    assert "@import" not in CSS
