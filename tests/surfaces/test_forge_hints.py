"""What a notification may make us look at: a number or a reference, whatever else it says.

Driven by the examples of deliveries that GitHub publishes.
"""

from __future__ import annotations

import json
from functools import cache
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.surfaces.forge_hints import Hint, hint_of
from tests.npm_packages import WEBHOOK_EXAMPLES, NoPackage, made_of

Payload = dict[str, Any]

OF_A_PULL = {"pull_request", "pull_request_review"}


@cache
def published() -> tuple[tuple[str, Payload], ...]:
    """Every published delivery, with its event."""
    member = "api.github.com/index.json"
    content = made_of(WEBHOOK_EXAMPLES, member, "index.json", lambda whole: whole).read_bytes()
    return tuple((each["name"], one) for each in json.loads(content) for one in each["examples"])


def examples() -> tuple[tuple[str, Payload], ...]:
    try:
        return published()
    except NoPackage as reason:
        pytest.skip(str(reason))


def hint(event: str, payload: object) -> Hint | None:
    return hint_of(event, json.dumps(payload).encode())


def test_every_published_delivery_is_understood_or_left_alone() -> None:
    given = examples()
    assert len(given) > 300
    understood = {event for event, payload in given if hint(event, payload) is not None}
    # The comments that GitHub publishes are all on issues.
    assert understood >= {*OF_A_PULL, "push"}
    assert understood <= {*OF_A_PULL, "push", "check_run", "check_suite", "merge_group"}


def test_a_published_delivery_of_a_pull_request_hints_at_its_number() -> None:
    given = [(event, payload) for event, payload in examples() if event in OF_A_PULL]
    assert len(given) > 20
    for event, payload in given:
        assert hint(event, payload) == Hint(number=payload["pull_request"]["number"])


def test_a_published_push_hints_at_its_reference() -> None:
    for payload in [payload for event, payload in examples() if event == "push"]:
        assert hint("push", payload) == Hint(ref=payload["ref"])


def test_a_comment_hints_at_its_pull_request_and_at_no_issue() -> None:
    for payload in [payload for event, payload in examples() if event == "issue_comment"]:
        number = payload["issue"]["number"]
        expected = Hint(number=number) if "pull_request" in payload["issue"] else None
        assert hint("issue_comment", payload) == expected
    issue = {"number": 7, "pull_request": {"url": "https://api.github.com/x"}}
    assert hint("issue_comment", {"issue": issue}) == Hint(number=7)


def test_a_group_of_the_merge_queue_hints_at_its_reference() -> None:
    ref = "refs/heads/gh-readonly-queue/main/pr-7-aaaa"
    assert hint("merge_group", {"merge_group": {"head_ref": ref}}) == Hint(ref=ref)


def test_only_the_button_of_a_check_is_a_hint() -> None:
    run = {"pull_requests": [{"number": 7}]}
    pressed = {"action": "rerequested", "check_run": run}
    assert hint("check_run", pressed) == Hint(number=7, again=True)
    assert hint("check_run", {"action": "created", "check_run": run}) is None
    assert hint("check_suite", {"action": "rerequested", "check_suite": {}}) == Hint(again=True)


@pytest.mark.parametrize("number", [0, -1, 2**31, 1.5, True, "7", None, [], {}])
def test_what_is_no_number_hints_at_everything(number: object) -> None:
    assert hint("pull_request", {"pull_request": {"number": number}}) == Hint()


@pytest.mark.parametrize(
    "ref", ["main", "refs/heads/a\nb", "refs/" + "x" * 300, "refs/heads/é", "--upload-pack=x", 7]
)
def test_s1_what_is_no_reference_hints_at_everything(ref: object) -> None:
    assert hint("push", {"ref": ref}) == Hint()


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"payload=%7B%7D", b"\xff", b"[" * 100_000])
def test_what_cannot_be_read_hints_at_everything(body: bytes) -> None:
    assert hint_of("pull_request", body) == Hint()


@given(
    st.sampled_from(["pull_request", "issue_comment", "push", "check_run", "merge_group", "ping"]),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=2)
            | st.dictionaries(
                st.sampled_from(
                    [
                        "pull_request",
                        "issue",
                        "number",
                        "ref",
                        "check_run",
                        "pull_requests",
                        "action",
                    ]
                ),
                inner,
                max_size=4,
            )
        ),
    ),
)
def test_no_content_of_a_delivery_is_an_error(event: str, payload: object) -> None:
    hint(event, payload)
