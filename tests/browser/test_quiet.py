"""Pages run nothing that others wrote, and are whole where no script runs at all."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Page

from .conftest import Estate
from .estate import HOSTILE, WIDE
from .visiting import visiting


def test_what_others_wrote_is_text(browser: Browser, worlds: Estate) -> None:
    with visiting(browser) as visit:
        dialogs: list[str] = []
        visit.page.on("dialog", lambda dialog: (dialogs.append(dialog.message), dialog.dismiss()))
        page = visit.to(f"{worlds.moving.address}/pr/42")
        heading = page.locator("h1").inner_text()
        assert heading.startswith("<img src=x onerror=alert(1)> \\u202egnp.exe")
        assert WIDE in heading.replace("\n", "")
        assert page.locator("main img, main script").count() == 0
        assert dialogs == []
    assert "\u202e" in HOSTILE


def test_the_policy_stops_what_gets_in_all_the_same(browser: Browser, worlds: Estate) -> None:
    """If an escape were forgotten, nothing of it would run or load."""
    with visiting(browser) as visit:
        page = visit.to(worlds.moving.address)
        page.evaluate(
            """() => {
              document.querySelector("h1").innerHTML =
                "<img src='https://evil.example/x.png' onerror='window.ran = true'>" +
                "<form action='https://evil.example/'><button>Sign in</button></form>";
              const script = document.createElement("script");
              script.textContent = "window.ran = true";
              document.body.append(script);
            }"""
        )
        page.wait_for_function("document.querySelector('h1 img').complete")
        assert page.evaluate("window.ran") is None
        assert any("img-src" in words for words in visit.complaints)
        assert any("script-src" in words for words in visit.complaints)


def lines(page: Page, selector: str) -> set[str]:
    """What is read there, but for numbers that grow while time passes."""
    text = page.locator(selector).inner_text()
    return {re.sub(r"\d+", "#", line.strip()) for line in text.splitlines()}


@pytest.mark.parametrize("path", ["/", "/rollouts/fraud", "/pr/41", "/audit"])
def test_a_page_is_whole_without_a_script(browser: Browser, worlds: Estate, path: str) -> None:
    with visiting(browser, java_script_enabled=False) as plain, visiting(browser) as scripted:
        without = plain.to(f"{worlds.moving.address}{path}")
        with_it = scripted.to(f"{worlds.moving.address}{path}")
        assert lines(without, "main") - lines(with_it, "main") <= lines(without, ".drawn")
        refresh = without.locator("noscript meta[http-equiv=refresh], meta[http-equiv=refresh]")
        assert refresh.count() == (path != "/audit")


def test_a_page_without_a_script_loads_itself_again(browser: Browser, worlds: Estate) -> None:
    with visiting(browser, java_script_enabled=False) as visit:
        page = visit.to(f"{worlds.moving.address}/pulls")
        content = page.locator("meta[http-equiv=refresh]").get_attribute("content")
        assert content == "15"
        assert "Loaded again every 15 seconds." in page.locator(".drawn").inner_text()


def test_somebody_signs_in_looks_and_signs_out(browser: Browser, worlds: Estate) -> None:
    with visiting(browser) as visit:
        page = visit.to(f"{worlds.door.address}/rollouts/fraud?x=1")
        assert urlsplit(page.url).path == "/sign-in"
        page.get_by_role("link", name="Sign in").click()
        assert page.url == f"{worlds.door.address}/rollouts/fraud?x=1"
        page.wait_for_selector("#live.good")
        page.get_by_role("link", name="Sign out").click()
        page.get_by_role("button").click()
        assert "Signed out" in page.title()
        assert urlsplit(visit.to(worlds.door.address).url).path == "/sign-in"
        assert visit.complaints == []
