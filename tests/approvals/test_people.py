"""Which keys belong to one person."""

from __future__ import annotations

from reconciler.core.approvals.people import Listing, People, same


def test_a_person_has_the_names_of_all_their_keys() -> None:
    people = People([Listing(("ada@example.com", "ada"), b"1"), Listing(("Ada", "a@home"), b"2")])
    assert people.by_key(b"1") == people.by_key(b"2") == ("ada@example.com", "ada", "a@home")
    assert people.by_name("A@HOME") == people.by_key(b"1")


def test_lines_that_join_two_people_make_them_one() -> None:
    people = People(
        [
            Listing(("ada",), b"1"),
            Listing(("a@home",), b"2"),
            Listing(("ada", "a@home"), b"3"),
        ]
    )
    assert same(people.by_key(b"1"), people.by_key(b"2"))


def test_one_key_under_two_names_is_one_person() -> None:
    people = People([Listing(("ada",), b"1"), Listing(("robot",), b"1")])
    assert people.by_name("robot") == ("ada", "robot")


def test_a_key_that_is_listed_under_patterns_alone_is_nobodys() -> None:
    people = People([Listing((), b"1"), Listing(("ada",), b"2")])
    assert people.by_key(b"1") == ()
    assert not same(people.by_key(b"1"), people.by_key(b"1"))
    assert not same(people.by_key(b"1"), people.by_key(b"2"))


def test_strangers_are_nobody() -> None:
    assert People([]).by_name("ada") == People([]).by_key(b"1") == ()
