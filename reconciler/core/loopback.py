"""Hosts to which a credential may travel in the clear.

Separate because settings, Git and every HTTP client ask the same. The invariant: these names lead
to this machine and no other.
"""

from __future__ import annotations

from typing import Final

LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})
"""As `urllib.parse` names hosts: an IPv6 address without its brackets."""
