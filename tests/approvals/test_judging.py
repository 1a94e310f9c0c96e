"""Whose approval counts, and for what."""

from __future__ import annotations

from datetime import timedelta

import pytest

from reconciler.core.approvals.judging import enforced
from reconciler.core.approvals.people import Person
from reconciler.core.approvals.statements import Approval
from reconciler.core.identifiers import CommitSha, TreeId
from reconciler.core.kinds.repository import RepositorySpec

from .builders import (
    ADA,
    BASE,
    GAIN,
    GRACE,
    LINUS,
    NOOR,
    RULES,
    TWO,
    approval,
    candidate,
    commit,
    judge,
)


def test_wider_access_needs_somebody_else() -> None:
    assert not judge().complete
    assert judge(approval(GRACE)).complete


def test_nobody_approves_their_own_change() -> None:
    judgement = judge(approval(ADA))
    assert not judgement.complete
    assert judgement.passed_over == ("the approval of ada@example.com is of their own change",)


def test_attack_25_the_authors_second_key_is_no_second_person() -> None:
    """Two keys of one person have the same names, whichever of them one shows."""
    second_key: Person = ("ada", "ada@home.example", "ada@example.com")
    assert not judge(approval(second_key)).complete


def test_two_keys_of_one_person_count_once() -> None:
    laptop, token = ("grace@example.com", "grace"), ("grace", "grace@example.com")
    judgement = judge(approval(laptop), approval(token), rules=TWO)
    [need] = judgement.missing
    assert need.open == 1
    assert judge(approval(laptop), approval(token), approval(LINUS), rules=TWO).complete


def test_a_review_and_a_signature_of_one_person_count_once() -> None:
    assert not judge(approval(GRACE), approval(GRACE, ends=None), rules=TWO).complete


@pytest.mark.parametrize(
    ("given", "why"),
    [
        (approval(GRACE, ends=timedelta(0)), "has ended"),
        (approval(GRACE, ends=timedelta(days=8)), "is for more than 7 days"),
        (approval(GRACE, tree=TreeId("8" * 40)), "is of another tree"),
        (approval(GRACE, base=CommitSha("c" * 40)), "is upon cccccccccc, which is not in force"),
        (approval(GRACE, repository="other"), "is for another repository"),
        (approval(()), "is by nobody whom the allowed signers name"),
    ],
)
def test_an_approval_is_of_one_change_and_for_a_time(given: Approval, why: str) -> None:
    judgement = judge(given)
    assert not judgement.complete
    [told] = judgement.passed_over
    assert told.endswith(why)


def test_an_approval_that_does_not_count_takes_none_away_that_does() -> None:
    assert judge(approval(GRACE, ends=timedelta(0)), approval(GRACE)).complete


def test_whoever_signed_a_part_of_the_change_does_not_approve_it() -> None:
    merged = candidate(commit(*ADA), commit(*GRACE, sha="d"))
    assert not judge(approval(GRACE), of=merged).complete
    assert judge(approval(LINUS), of=merged).complete


def test_without_the_role_an_approval_is_none() -> None:
    assert not judge(approval(NOOR)).complete


def test_an_owner_has_to_approve_besides() -> None:
    change = candidate(paths="models/fraud.yaml")
    judgement = judge(approval(LINUS), of=change)
    assert [str(need) for need in judgement.missing] == [
        "1 of researcher, because models/fraud.yaml changes"
    ]
    assert judge(approval(LINUS), approval(NOOR), of=change).complete


def test_one_person_with_both_roles_is_enough_for_both() -> None:
    assert judge(approval(GRACE), of=candidate(paths="models/fraud.yaml")).complete


def test_an_owner_who_is_not_in_the_quorum_does_not_widen() -> None:
    assert not judge(approval(NOOR), of=candidate(paths="models/fraud.yaml")).complete


def test_what_gives_nobody_more_needs_its_author_alone() -> None:
    judgement = judge(of=candidate(gains=""))
    assert judgement.complete
    assert not judgement.needs


def test_owners_are_not_asked_about_what_only_narrows() -> None:
    change = candidate(paths="models/fraud.yaml", gains="", exempt="it only takes access away")
    assert judge(of=change).complete


def test_what_only_narrows_and_widens_is_not_exempt_from_the_quorum() -> None:
    assert not judge(of=candidate(exempt="it undoes a failed version")).complete


def test_an_author_whom_nobody_knows_keeps_every_approval_from_counting() -> None:
    """The key may be anybody's, the approver's too."""
    judgement = judge(approval(GRACE), of=candidate(commit()))
    assert not judgement.complete
    assert "is by a key that the allowed signers list under no name" in judgement.explanation


def test_the_explanation_says_who_gains_whose_approval_is_missing_and_what_to_do() -> None:
    explanation = judge().explanation
    assert explanation == (
        f"{GAIN}; waits for approval: 1 of platform, because it gives more access than before;"
        f" fairlead approve {'a' * 10} --base {BASE[:10]}"
    )


def test_a_name_moves_no_cursor() -> None:
    forged = f"{GAIN}\r\n\x1b[2Kcommit accepted"
    assert not {"\r", "\n", "\x1b"} & set(judge(of=candidate(gains=forged)).explanation)


@pytest.mark.parametrize(
    ("change", "asks"),
    [
        ({}, True),
        ({"signatures": {"required": False}}, False),
        ({"owners": [], "approvals": {}}, False),
        ({"owners": []}, True),
        ({"approvals": {}}, True),
    ],
)
def test_approvals_of_pushes_are_asked_for_where_commits_are_signed(
    change: dict[str, object], asks: bool
) -> None:
    given = RULES.model_dump(by_alias=True, mode="json", exclude_defaults=True)
    assert enforced(RepositorySpec.model_validate(given | change)) is asks
