"""A visit: pages looked at in one context of the browser, and whatever they did beside that.

Separate from the tests, since each of them wants the quiet ones to be quiet. The invariant: nothing
that a browser complains of or asks for goes unnoticed.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from playwright.sync_api import Browser, BrowserContext, Page

WAIT_MILLISECONDS = 10_000

_NOTE_VIOLATIONS = """
document.addEventListener("securitypolicyviolation", (event) => {
  console.error(`policy: ${event.violatedDirective} ${event.blockedURI}`);
});
"""


@dataclass(slots=True)
class Visit:
    """`complaints` are errors and warnings of the console, `hosts` those that were asked."""

    context: BrowserContext
    page: Page
    complaints: list[str] = field(default_factory=list)
    hosts: set[str] = field(default_factory=set)

    def to(self, address: str) -> Page:
        self.page.goto(address, wait_until="load")
        return self.page


@contextmanager
def visiting(browser: Browser, *, width: int = 1440, **said: Any) -> Iterator[Visit]:
    """`said` is what a context of playwright takes."""
    said = {"reduced_motion": "reduce", **said}
    context = browser.new_context(viewport={"width": width, "height": 900}, **said)
    context.set_default_timeout(WAIT_MILLISECONDS)
    if said.get("java_script_enabled", True):
        context.add_init_script(_NOTE_VIOLATIONS)
    visit = Visit(context, context.new_page())

    def heard(message: Any) -> None:
        if message.type in ("error", "warning") and "status of 4" not in message.text:
            visit.complaints.append(f"{visit.page.url}: {message.text}")

    visit.page.on("console", heard)
    visit.page.on("pageerror", lambda error: visit.complaints.append(f"{error}"))
    context.on("request", lambda request: visit.hosts.add(urlsplit(request.url).netloc))
    try:
        yield visit
    finally:
        context.close()
