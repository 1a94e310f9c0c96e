"""Asking a server for our rights, where it cannot list them."""

from __future__ import annotations

from typing import Any

import pytest

from reconciler.adapters.cluster_rights import rights_in
from reconciler.core.manifests import JsonObject
from reconciler.core.rights import PROBES, excessive_rights


class Told:
    """A connection that answers reviews. `allowed` are the resources that are."""

    def __init__(self, *allowed: str, incomplete: bool) -> None:
        self._allowed = allowed
        self._incomplete = incomplete
        self.bodies: list[JsonObject] = []

    async def request(self, method: str, path: str, *, doing: str, body: Any) -> Any:
        self.bodies.append(body)
        if path.endswith("selfsubjectrulesreviews"):
            return {"status": {"resourceRules": [], "incomplete": self._incomplete}}
        return {
            "status": {"allowed": body["spec"]["resourceAttributes"]["resource"] in self._allowed}
        }


@pytest.mark.parametrize(("allowed", "found"), [("secrets", True), ("deployments", False)])
async def test_a_server_that_cannot_list_rights_is_asked_for_each(
    allowed: str, found: bool
) -> None:
    server = Told(allowed, incomplete=True)
    rules = await rights_in(server, "team-a")
    assert bool(excessive_rights(rules)) is found
    assert len(server.bodies) == 1 + len(PROBES)


async def test_one_that_lists_them_all_is_asked_once() -> None:
    server = Told("secrets", incomplete=False)
    assert await rights_in(server, "") == ()
    assert server.bodies[0]["spec"] == {"namespace": "default"}
    assert len(server.bodies) == 1
