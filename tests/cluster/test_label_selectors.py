"""Label selectors mean what the Kubernetes documentation says."""

from __future__ import annotations

import pytest

from reconciler.adapters.label_selectors import selects

LABELS = {"app": "web", "tier": "gold", "example.com/owner": "risk", "empty": ""}


@pytest.mark.parametrize(
    "selector",
    [
        "",
        "app=web",
        "app==web",
        "app = web , tier=gold",
        "app!=db",
        "absent!=anything",
        "app",
        "!absent",
        "example.com/owner=risk",
        "empty=",
        "app in (web, db)",
        "app in (web),tier notin (silver,bronze)",
        "absent notin (a)",
    ],
)
def test_selected(selector: str) -> None:
    assert selects(selector, LABELS)


@pytest.mark.parametrize(
    "selector",
    [
        "app=db",
        "app!=web",
        "absent",
        "!app",
        "app=web,tier=silver",
        "app in (db)",
        "app notin (web)",
    ],
)
def test_not_selected(selector: str) -> None:
    assert not selects(selector, LABELS)


@pytest.mark.parametrize("selector", ["app=web tier=gold", "=web", "app in web", "a=b=c"])
def test_what_is_not_a_selector_is_refused(selector: str) -> None:
    with pytest.raises(ValueError, match="not a label selector"):
        selects(selector, LABELS)
