"""What changes is on the page within a second, for whoever looks."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser

from .conftest import Estate
from .visiting import Visit, visiting

CHANGES = 20
MOST_SECONDS = 1.0

_WATCH = """
() => {
  window.arrivals = {};
  new MutationObserver(() => {
    for (const found of document.body.innerText.matchAll(/Change number \\d+/g))
      window.arrivals[found[0]] ??= Date.now() / 1000;
  }).observe(document.querySelector("main"), { childList: true, subtree: true });
}
"""


@pytest.fixture(scope="module")
def visit(browser: Browser) -> Iterator[Visit]:
    with visiting(browser) as found:
        yield found


def test_changes_arrive_within_a_second(
    visit: Visit, worlds: Estate, record_property: Callable[[str, object], None]
) -> None:
    page = visit.to(f"{worlds.moving.address}/pulls")
    page.wait_for_selector("#live.good")
    page.evaluate(_WATCH)
    lags = []
    for number in range(CHANGES):
        words = f"Change number {number + 100}"
        made = worlds.retitle(words)
        page.wait_for_function("(words) => words in window.arrivals", arg=words, polling=20)
        lags.append(page.evaluate("(words) => window.arrivals[words]", words) - made)
    lags.sort()
    p95 = lags[round(len(lags) * 0.95) - 1]
    middle = lags[len(lags) // 2]
    record_property("figure", f"page: {CHANGES} changes, p50 {middle:.3f} s, p95 {p95:.3f} s")
    assert p95 <= MOST_SECONDS


def test_a_page_that_was_cut_off_says_so_and_comes_back(visit: Visit, worlds: Estate) -> None:
    page = visit.to(f"{worlds.moving.address}/pulls")
    page.wait_for_selector("#live.good")
    worlds.thread.run(worlds.moving.cut())
    page.wait_for_selector("#live.bad")
    worlds.retitle("Written while it was away")
    page.wait_for_selector("#live.good")
    page.get_by_text("Written while it was away").wait_for()


def test_a_refused_commit_shows_on_the_open_overview(visit: Visit, worlds: Estate) -> None:
    site = worlds.door
    page = visit.to(f"{site.address}/sign-in")
    page.get_by_role("link", name="Sign in").click()
    page.wait_for_selector("#live.good")
    assert page.locator(".headline").inner_text() == "Everything is as declared"

    async def push() -> str:
        return site.world.push({"apps/billing/one.yaml": b"kind: [oops\n"}, message="oops")

    commit = worlds.thread.run(push())
    page.get_by_text(f"Commit {commit[:10]} was refused").wait_for()
    assert page.locator("h1").count() == 1
