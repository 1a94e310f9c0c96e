"""The Chromium that the tests drive: where it is, and how it is started.

Separate from the tests, so that all of them say the same where there is none. The invariant: no
browser is fetched; it is one that the machine has.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Browser, sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")
VARIABLE = "FAIRLEAD_CHROMIUM"
HOW_TO_GET = (
    f"there is no Chromium: `apt-get install chromium`, or name its executable in {VARIABLE}"
)


def chromium() -> str | None:
    """Its executable."""
    named = os.environ.get(VARIABLE)
    return named or next(filter(None, map(shutil.which, NAMES)), None)


@contextmanager
def browsing(executable: str) -> Iterator[Browser]:
    with sync_playwright() as playwright:
        # Its sandbox needs rights that root in a container has not, and it loads our pages only.
        browser = playwright.chromium.launch(executable_path=executable, args=["--no-sandbox"])
        try:
            yield browser
        finally:
            browser.close()
