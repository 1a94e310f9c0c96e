"""Commands are a few fixed first lines; everything else that people write is talk."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.core.approval_edits import StepApproval, with_approval
from reconciler.core.change_requests import Comment
from reconciler.core.commands import Command, CommandName, command_in, parse
from reconciler.core.errors import Refused

SHA = "0123456789abcdef"


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("/fairlead plan", Command(CommandName.PLAN)),
        ("/fairlead plan  \r\nplease", Command(CommandName.PLAN)),
        ("/fairlead approve", Command(CommandName.APPROVE)),
        ("/fairlead approve fraud-detector", Command(CommandName.APPROVE, "fraud-detector")),
        (f"/fairlead revert {SHA}", Command(CommandName.REVERT, SHA)),
        ("/fairlead explain fraud\n\nthank you", Command(CommandName.EXPLAIN, "fraud")),
    ],
)
def test_a_command_is_read(body: str, expected: Command) -> None:
    assert parse(body) == expected


@pytest.mark.parametrize(
    "body",
    [
        "",
        "please /fairlead plan",
        "thanks\n/fairlead plan",
        "> /fairlead plan",
        "/fairlead",
        "/fairlead apply",
        "/fairlead plan now",
        "/fairlead revert main",
        "/fairlead revert HEAD~1",
        "/fairlead revert 0123456; rm -rf /",
        "/fairlead approve $(id)",
        "/fairlead approve ../x",
        "/fairlead approve a b",
        "/fairlead explain `id`",
        "/FAIRLEAD PLAN",
        "/fairlead\u00a0plan",
        "/fairlead \u202eplan",
        "/fairlead plan\u2028x",
        f"/fairlead approve {'a' * 300}",
    ],
)
def test_s16_what_only_resembles_a_command_is_talk(body: str) -> None:
    assert parse(body) is None


@given(st.text())
def test_s16_no_text_makes_reading_fail_or_gives_anything_but_names(text: str) -> None:
    for body in (
        text,
        f"/fairlead {text}",
        f"/fairlead approve {text}",
        f"/fairlead revert {text}",
    ):
        found = parse(body)
        assert found is None or found.argument == "" or found.argument.replace("-", "").isalnum()


def test_an_edited_comment_and_our_own_are_no_commands() -> None:
    mine = Comment(1, "fairlead[bot]", "/fairlead plan", "2027-01-01T00:00:00Z")
    edited = Comment(2, "ada", "/fairlead plan", "2027-01-01T00:00:00Z", edited=True)
    assert command_in(mine, ours="fairlead[bot]") is None
    assert command_in(edited, ours="fairlead[bot]") is None


APPROVAL = StepApproval("fraud", "v3", 5, "product-owner")
LINE = "- {version: v3, step: 5, by: product-owner}"

BLOCK = """\
apiVersion: fairlead.dev/v1alpha1
kind: Rollout
metadata: {name: fraud}
spec:
  # Why so.
  model: fraud
  version: v3
"""


def test_an_approval_is_added_and_every_other_byte_stays() -> None:
    changed = with_approval(BLOCK.encode(), APPROVAL).decode()
    assert changed == BLOCK.replace("  model", f"  approved:\n  {LINE}\n  model")


def test_an_approval_goes_beside_earlier_ones_in_their_margin() -> None:
    before = (
        BLOCK + "  approved:\n    -   version: v2\n        step: 5\n        by: product-owner\n"
    )
    changed = with_approval(before.encode(), APPROVAL).decode()
    assert changed == before.replace("approved:\n", f"approved:\n    {LINE}\n")


def test_only_the_document_of_that_rollout_is_changed() -> None:
    before = BLOCK.replace("name: fraud", "name: other") + "---\n" + BLOCK
    changed = with_approval(before.encode(), APPROVAL).decode()
    assert changed.count(LINE) == 1
    assert changed.startswith(BLOCK.replace("name: fraud", "name: other"))


def test_a_version_that_reads_as_a_number_is_quoted() -> None:
    approval = StepApproval("fraud", "3", 5, "product-owner")
    assert '{version: "3", step: 5' in with_approval(BLOCK.encode(), approval).decode()


@pytest.mark.parametrize(
    "text",
    [
        "kind: Rollout\nmetadata: {name: fraud}\nspec: {model: fraud}\n",
        BLOCK + "  approved: []\n",
        BLOCK + "  approved: [{version: v2, step: 5, by: product-owner}]\n",
        BLOCK.replace("name: fraud", "name: other"),
        BLOCK.replace("kind: Rollout", "kind: Model"),
    ],
)
def test_a_form_that_is_not_certain_is_left_to_people(text: str) -> None:
    with pytest.raises(Refused):
        with_approval(text.encode(), APPROVAL)
