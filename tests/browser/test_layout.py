"""What matters is in view, in the theme that was chosen, and on paper."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser

from .conftest import Estate
from .visiting import Visit, visiting


@pytest.fixture(scope="module")
def visit(browser: Browser) -> Iterator[Visit]:
    with visiting(browser) as found:
        yield found


def test_what_decides_is_seen_without_scrolling(visit: Visit, worlds: Estate) -> None:
    visit.page.set_viewport_size({"width": 360, "height": 740})
    page = visit.to(f"{worlds.aborted.address}/")
    box = page.locator(".headline").bounding_box()
    assert box
    assert box["y"] + box["height"] < 740
    for width in (360, 1440):
        page.set_viewport_size({"width": width, "height": 740})
        mark = page.locator(".matrix tbody .mark").first.bounding_box()
        table = page.locator(".scroll:has(.matrix)").bounding_box()
        assert mark
        assert table
        assert mark["x"] < table["x"] + table["width"], "a long name pushes states out of sight"


def test_a_chosen_theme_is_kept_whatever_the_machine_likes(visit: Visit, worlds: Estate) -> None:
    page = visit.to(f"{worlds.moving.address}/models")
    page.set_viewport_size({"width": 1440, "height": 900})
    page.emulate_media(color_scheme="light")
    page.get_by_role("link", name="Dark").click()
    page.wait_for_selector("[data-theme=dark] .drawn")
    assert page.url == f"{worlds.moving.address}/models"
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(11, 12, 15)"
    page.get_by_role("link", name="System").click()
    page.wait_for_selector("[data-theme=system] .drawn")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(246, 247, 249)"


def test_paper_gets_the_facts_and_no_navigation(visit: Visit, worlds: Estate) -> None:
    page = visit.to(f"{worlds.aborted.address}/rollouts/fraud")
    page.emulate_media(media="print", color_scheme="dark")
    for hidden in ("header", ".skip", "#live"):
        assert not page.locator(hidden).is_visible(), hidden
    for shown in ("h1", ".banner", ".chart svg", ".timeline"):
        assert page.locator(shown).first.is_visible(), shown
    assert page.evaluate("getComputedStyle(document.body).color") == "rgb(20, 23, 29)"
    assert page.pdf(format="A4").startswith(b"%PDF")
    page.emulate_media(media="screen", color_scheme="light")
