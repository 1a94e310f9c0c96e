"""How tests are divided among the workers of pytest-xdist, when there are any.

Separate from the fixtures, which start a server for whoever asks first. The invariant: what tests
share is started by one worker only, and the tests of a file that share nothing stay together. What
takes longest begins first, so that no worker ends long before another.
"""

from __future__ import annotations

import pytest
from xdist.scheduler import LoadGroupScheduling

GATEWAY, CLUSTER, PROMETHEUS, VAULT = "gateway", "cluster", "prometheus", "vault"
GROUPS = (GATEWAY, CLUSTER, "browser", PROMETHEUS, "postgres", VAULT)
"""Names of markers, those whose tests take longest first; a test is of the first that it has."""


def group(items: list[pytest.Item]) -> None:
    """Needs every marker of GROUPS to be there already."""
    for item in items:
        if name := next(filter(item.get_closest_marker, GROUPS), None):
            item.add_marker(pytest.mark.xdist_group(name))


def longest_first(items: list[pytest.Item]) -> None:
    """Keeps the order of the others."""

    def place(item: pytest.Item) -> tuple[int, bool]:
        shared = [number for number, name in enumerate(GROUPS) if item.get_closest_marker(name)]
        return min(shared, default=len(GROUPS)), not item.get_closest_marker("slow")

    items.sort(key=place)


class Division(LoadGroupScheduling):
    """Hands out a group, or what is in none of them of a file."""

    def _split_scope(self, nodeid: str) -> str:
        scope = super()._split_scope(nodeid)
        return scope if scope in GROUPS else nodeid.partition("::")[0]


def without_group(nodeid: str) -> str:
    """A test's name as one can type it: a worker says `name@group`."""
    name, at, ending = nodeid.rpartition("@")
    return name if at and ending in GROUPS else nodeid
