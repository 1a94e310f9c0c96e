"""A survey: every page of every world looked at once, and all that can be wrong with it.

Separate from the claims, which each read one part of it, since coming to a page takes longer than
looking. The invariant: no page is left out, and none is looked at in fewer widths or themes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from playwright.sync_api import Page

from .axe import violations
from .conftest import Estate
from .visiting import Visit

WIDTHS = (1440, 768, 360, 320)
"""320 is what 1280 is at 400 %, as WCAG 1.4.10 asks."""
OUTSET = (("light", 1440), ("dark", 360))
"""Both themes, the widest and what telephones have."""
BY_OUTSET = ("target-size", "scrollable-region-focusable", "color-contrast")
"""The rules whose answer depends on width or theme; the others are asked once."""

_SPILLED = """
() => {
  const wide = document.documentElement.clientWidth;
  const out = [...document.querySelectorAll("main *, header *")].filter((element) => {
    const box = element.getBoundingClientRect();
    return box.width > 0 && box.right > wide + 1 && element.checkVisibility()
           && !element.closest(".scroll, pre, .unseen, .skip, svg, .sprite");
  }).map((element) => element.outerHTML.slice(0, 120));
  const past = document.documentElement.scrollWidth - wide;
  return past ? [`${past} pixels`, ...out.slice(0, 4)] : out.slice(0, 4);
}
"""
_VOIDS = """
() => [...document.querySelectorAll(".card li, .card p, .card dd, .card h2")].filter((element) =>
  element.getBoundingClientRect().height > 200 && element.textContent.trim().length < 200
  && !element.querySelector("svg:not(.icon), table, pre")
).map((element) => element.outerHTML.slice(0, 120))
"""


@dataclass(slots=True)
class Survey:
    """What is wrong, by address and outset. Empty where nothing is."""

    spilled: dict[str, list[str]] = field(default_factory=dict)
    voids: dict[str, list[str]] = field(default_factory=dict)
    violations: dict[str, list[str]] = field(default_factory=dict)


def survey(visit: Visit, worlds: Estate, *, axe: bool) -> Survey:
    found = Survey()
    for address in worlds.pages:
        page = visit.to(address)
        if page.locator("#live").count():
            page.wait_for_selector("#live.good")
        _note(found.voids, address, page.evaluate(_VOIDS))
        if axe:
            _ask_axe(found, page, address)
        for width in WIDTHS:
            _resize(page, width)
            _note(found.spilled, f"{address} {width}", page.evaluate(_SPILLED))
        _resize(page, WIDTHS[0])
    return found


def _ask_axe(found: Survey, page: Page, address: str) -> None:
    rules: tuple[str, ...] = ()
    for theme, width in OUTSET:
        _resize(page, width)
        page.emulate_media(color_scheme="dark" if theme == "dark" else "light")
        _note(found.violations, f"{address} {theme} {width}", violations(page, *rules))
        rules = BY_OUTSET
    page.emulate_media(color_scheme="light")


def _resize(page: Page, width: int) -> None:
    """Returns when the page has been told, and has drawn itself."""
    page.set_viewport_size({"width": width, "height": 900})
    page.evaluate("new Promise((drawn) => requestAnimationFrame(() => setTimeout(drawn)))")


def _note(where: dict[str, list[str]], key: str, wrong: Any) -> None:
    if wrong:
        where[key] = wrong
