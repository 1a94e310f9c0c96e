"""axe-core: what assistive technology and the guidelines of WCAG find wrong with a page.

Separate from the tests that ask it. The invariant: a file of the pinned package, handed to the page
over the protocol of the debugger, since the policy of the page lets no other script in.

https://github.com/dequelabs/axe-core/blob/develop/doc/API.md
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from playwright.sync_api import Page

from tests.npm_packages import NpmPackage, made_of

AXE = NpmPackage(
    "axe-core",
    "4.14.1",
    "sha512-FHfa+lmNjQZfJz1q8wKqIDwC6DExcHt/pkjNQb09a3NPjCKg2rhu5qb2S4r76ASyFNNtuFooJpZe37OgudVGtQ==",
)
TAGS = ("wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice")

_RUN = """
(only) => axe.run(document, {
  runOnly: only.length ? { type: "rule", values: only } : { type: "tag", values: TAGS },
  rules: only.length ? {} : { "target-size": { enabled: true } },
  resultTypes: ["violations"],
}).then((found) => found.violations.map((one) => [one.id, one.help, one.nodes.map(
  (node) => `${node.target.join(" ")}: ${node.failureSummary}`)]))
"""


def axe_script() -> Path:
    """Raises NoPackage."""
    return made_of(AXE, "axe.min.js", "axe.min.js", lambda content: content)


def violations(page: Page, *only: str) -> list[str]:
    """Of all rules, or of some that a width or theme may change."""
    found: list[Any] = page.evaluate(_RUN.replace("TAGS", str(list(TAGS))), list(only))
    return [f"{rule}: {words}\n    " + "\n    ".join(nodes[:4]) for rule, words, nodes in found]
