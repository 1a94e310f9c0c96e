"""Who may get requests of a route, in which others may keep backends and filters of their own."""

from __future__ import annotations

from typing import Any

import pytest

from reconciler.engine.authorizing_rules import backends_of

MARK: Any = {
    "type": "RequestHeaderModifier",
    "requestHeaderModifier": {"set": [{"name": "x-model-adapter", "value": "fraud@1"}]},
}
OTHERS: Any = [
    {"type": "URLRewrite", "urlRewrite": {"hostname": "docs.example.com"}},
    {"type": "RequestHeaderModifier", "requestHeaderModifier": {"remove": ["x-debug"]}},
    {
        "type": "RequestHeaderModifier",
        "requestHeaderModifier": {"set": [{"name": "x-team", "value": "docs"}]},
    },
]


def named(*filters: Any) -> list[str]:
    backend = {"name": "base", "port": 80, "filters": list(filters)}
    return list(backends_of({"spec": {"rules": [{"backendRefs": [backend]}]}}))


@pytest.mark.parametrize("other", OTHERS)
def test_a_backend_with_filters_of_others_is_known_by_its_name(other: Any) -> None:
    assert named(other) == ["base"]


@pytest.mark.parametrize("other", OTHERS)
def test_a_mark_is_found_among_filters_of_others(other: Any) -> None:
    assert named(other, MARK) == named(MARK, other) == ["fraud@1"]
