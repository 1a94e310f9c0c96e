"""Everything can be reached with the keyboard alone, seen while it is, and left again."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page

from .conftest import Estate
from .visiting import Visit, visiting

MOST_STOPS = 250

_STOP = """
() => {
  const at = document.activeElement;
  if (!at || at === document.body) return null;
  const style = getComputedStyle(at);
  const box = at.getBoundingClientRect();
  const covered = document.elementFromPoint(
    Math.min(Math.max(box.x + box.width / 2, 0), innerWidth - 1),
    Math.min(Math.max(box.y + Math.min(box.height, innerHeight) / 2, 0), innerHeight - 1));
  return {
    what: at.outerHTML.slice(0, 100),
    key: [...document.querySelectorAll("*")].indexOf(at),
    outlined: style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2,
    seen: box.width > 0 && box.bottom > 0 && box.top < innerHeight && box.right > 0
          && box.left < innerWidth && (at.contains(covered) || covered?.contains(at)),
  };
}
"""
_REACHABLE = """
() => [...document.querySelectorAll("a[href], input, select, button, summary, [tabindex='0']")]
  .filter((element) => element.checkVisibility()).length
"""


@pytest.fixture(scope="module")
def visit(browser: Browser) -> Iterator[Visit]:
    with visiting(browser) as found:
        yield found


def walk(page: Page) -> list[dict[str, object]]:
    """Every stop of the tabulator, until it leaves the page or comes around."""
    stops: list[dict[str, object]] = []
    for _ in range(MOST_STOPS):
        page.keyboard.press("Tab")
        stop = page.evaluate(_STOP)
        if stop is None or (stops and stop["key"] == stops[0]["key"]):
            return stops
        # A field for a date has stops of its own within.
        if not stops or stop["key"] != stops[-1]["key"]:
            stops.append(stop)
    return stops


@pytest.mark.parametrize("width", [360, 1440])
@pytest.mark.parametrize(
    "path", ["/", "/rollouts/fraud", "/pr/41", "/audit?verb=delete&actor=nobody", "/models/fraud"]
)
def test_every_stop_is_seen_and_none_is_a_trap(
    visit: Visit, worlds: Estate, path: str, width: int
) -> None:
    visit.page.set_viewport_size({"width": width, "height": 900})
    page = visit.to(f"{worlds.moving.address}{path}")
    stops = walk(page)
    assert [stop["what"] for stop in stops if not stop["outlined"]] == []
    assert [stop["what"] for stop in stops if not stop["seen"]] == []
    keys = [stop["key"] for stop in stops]
    assert len(set(keys)) == len(keys), "it goes in circles"
    assert len(keys) == page.evaluate(_REACHABLE)


def test_the_first_stop_leads_past_the_navigation(visit: Visit, worlds: Estate) -> None:
    page = visit.to(f"{worlds.moving.address}/models")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    assert page.locator(".skip").bounding_box()["y"] >= 0  # type: ignore[index]
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.closest('main') !== null")


def test_keys_search_and_go_to_parts(visit: Visit, worlds: Estate) -> None:
    page = visit.to(f"{worlds.moving.address}/models")
    page.keyboard.press("/")
    assert page.evaluate("document.activeElement.id") == "find"
    page.keyboard.type("g fraud")
    page.keyboard.press("Enter")
    page.wait_for_url("**/search?q=g+fraud")
    page.keyboard.press("g")
    page.keyboard.press("r")
    page.wait_for_url("**/rollouts")


def test_the_focus_stays_where_it_is_while_the_page_changes(visit: Visit, worlds: Estate) -> None:
    page = visit.to(f"{worlds.moving.address}/pulls")
    page.wait_for_selector("#live.good")
    page.locator("main a[href='/pr/41']").focus()
    worlds.retitle("Written while somebody looks")
    page.get_by_text("Written while somebody looks").wait_for()
    assert page.evaluate("document.activeElement.getAttribute('href')") == "/pr/41"
