"""On every page, in both themes and at every width, nothing is wrong."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser

from tests.npm_packages import NoPackage

from .axe import axe_script
from .conftest import Estate
from .survey import Survey, survey
from .visiting import Visit, visiting

# The survey is the first test's: some 40 pages, each looked at in four ways.
pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def visit(browser: Browser) -> Iterator[Visit]:
    with visiting(browser) as found:
        yield found


@pytest.fixture(scope="module")
def missing(visit: Visit) -> str:
    """Why there is no axe-core; empty where it is."""
    try:
        visit.context.add_init_script(path=axe_script())
    except NoPackage as error:
        return str(error)
    return ""


@pytest.fixture(scope="module")
def found(visit: Visit, worlds: Estate, missing: str) -> Survey:
    return survey(visit, worlds, axe=not missing)


def test_no_rule_of_the_guidelines_is_broken(found: Survey, missing: str) -> None:
    if missing:
        pytest.skip(missing)
    assert found.violations == {}


def test_no_page_scrolls_sideways(found: Survey) -> None:
    assert found.spilled == {}


def test_nothing_is_blown_up_in_a_card(found: Survey) -> None:
    assert found.voids == {}


def test_no_page_makes_the_browser_complain(found: Survey, visit: Visit) -> None:
    assert visit.complaints == []


def test_no_page_asks_another_host(found: Survey, visit: Visit, worlds: Estate) -> None:
    assert visit.hosts == {urlsplit(site.address).netloc for site in worlds.sites}
