"""Addresses within the page.

Separate because everything that sends a browser somewhere asks the same. The invariant: what comes
out leads to this page and nowhere else.
"""

from __future__ import annotations


def own_path(target: str) -> str:
    """A path of this page, as it was; `/` for anything that could lead elsewhere."""
    is_path = target.startswith("/") and not target.startswith("//")
    plain = target.isascii() and target.isprintable() and "\\" not in target
    return target if is_path and plain and " " not in target else "/"
