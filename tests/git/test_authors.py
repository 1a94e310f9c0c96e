"""Whose a change is, from the bytes of signed commits: the key says so, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from reconciler.core.authorship import Author, People, Unattributed
from reconciler.core.identifiers import ClusterName

from .signing import SecurityKey
from .test_signatures import Signed

ALICE = Author("alice@example.com", "oidc:alice")
BOB = Author("bob@example.com", "oidc:bob", ("oidc:platform-engineers",))
PEOPLE = People(
    {author.signer: author for author in (ALICE, BOB)},
    frozenset({ClusterName("one")}),
    own="fairlead@example.com",
)


@pytest.fixture
def signed(tmp_path: Path) -> Signed:
    return Signed(tmp_path)


def test_a_commit_is_of_whom_the_key_belongs_to_whatever_it_says_itself(signed: Signed) -> None:
    hers, his = SecurityKey.plain(), SecurityKey.plain()
    signed.allow(f"{ALICE.signer} {hers.public}", f"{BOB.signer} {his.public}")
    signed.commit(hers, email=BOB.signer, message="change\n\nSigned-off-by: bob@example.com")
    assert PEOPLE.of(signed.verify()) == (ALICE,)
    signed.commit(his, email=ALICE.signer)
    assert PEOPLE.of(signed.verify()) == (ALICE, BOB)


def test_a_key_for_a_whole_domain_is_nobodys(signed: Signed) -> None:
    key = SecurityKey.plain()
    signed.allow(f"*@example.com {key.public}")
    signed.commit(key, email=BOB.signer)
    found = PEOPLE.of(signed.verify())
    assert isinstance(found, Unattributed)
    assert "do not say whose it is" in found.reason


def test_nobody_passes_for_the_daemon_by_its_address(signed: Signed) -> None:
    key = SecurityKey.plain()
    signed.allow(f"{ALICE.signer} {key.public}")
    signed.commit(key, email=PEOPLE.own)
    assert PEOPLE.of(signed.verify()) == (ALICE,)


def test_a_second_key_of_a_person_is_the_same_author(signed: Signed) -> None:
    one, two = SecurityKey.plain(), SecurityKey.plain()
    signed.allow(f"{ALICE.signer} {one.public}", f"{ALICE.signer},alice@home {two.public}")
    signed.commit(one)
    signed.commit(two)
    assert PEOPLE.of(signed.verify()) == (ALICE,)
