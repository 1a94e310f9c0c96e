"""Who brought an object to where the candidate has it: nobody's change under another's name."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from reconciler.core.authorship import Author, Needed, Past, People, Unattributed, brought_by
from reconciler.core.commits import Commit
from reconciler.core.identifiers import ClusterName, CommitSha, Digest, ObjectKey, commit_sha

ONE = ClusterName("one")
WHERE = (ONE, ObjectKey("apps", "Deployment", "team-a", "web"))

DOES_NOT_COMPILE = "?"
ABSENT = ""


def sha(name: str) -> CommitSha:
    return commit_sha(name.encode().hex().ljust(40, "0"))


class History:
    """Commits, oldest first, each `NAME: SIGNER, parents…, what it declares`."""

    def __init__(self, **commits: tuple[str, str, str]) -> None:
        self.commits = {
            sha(name): Commit(
                sha(name),
                tuple(map(sha, parents.split())),
                name,
                "",
                datetime.now(UTC),
                name,
                signer,
            )
            for name, (signer, parents, _) in commits.items()
        }
        self.told = {
            sha(name): None
            if declared == DOES_NOT_COMPILE
            else {WHERE: Digest(declared)}
            if declared
            else {}
            for name, (_, _, declared) in commits.items()
        }

    def authors(self, *, since: str = "base", written: str = "") -> list[str]:
        """Signers of what came after `since`, which is not of the past that is looked at."""
        commits = [c for c in self.commits.values() if c.sha != sha(since)]
        past = Past.of(commits[-1].sha, commits)
        over = past.until(sha(written)) if written else frozenset()
        found = brought_by(WHERE, past, self.told, over=over)
        assert not isinstance(found, Needed)
        return [str(commit.signer) for commit in found]


BASE = ("root", "", "v1")


def test_a_change_is_of_whom_made_it_and_not_of_whom_came_after() -> None:
    history = History(base=BASE, a=("alice", "base", "v2"), b=("bob", "a", "v2"))
    assert history.authors() == ["alice"]


def test_the_last_of_several_changes_counts() -> None:
    history = History(base=BASE, a=("alice", "base", "v2"), b=("bob", "a", "v3"))
    assert history.authors() == ["bob"]


def test_who_puts_it_back_to_what_is_applied_brings_nothing_of_the_one_before() -> None:
    history = History(base=BASE, a=("alice", "base", "v2"), b=("bob", "a", "v1"))
    assert history.authors() == ["bob"]


def test_a_removal_has_an_author_as_well() -> None:
    history = History(base=BASE, a=("alice", "base", ABSENT), b=("bob", "a", ABSENT))
    assert history.authors() == ["alice"]


def test_what_no_commit_changed_has_no_author() -> None:
    assert History(base=BASE, a=("alice", "base", "v1")).authors() == []


def test_what_was_written_for_a_commit_has_had_its_effect() -> None:
    history = History(base=BASE, a=("alice", "base", "v2"), b=("bob", "a", "v2"))
    assert history.authors(written="a") == []
    assert history.authors(written="b") == []


def test_a_merged_change_is_of_whom_made_it_and_of_whom_merged_it() -> None:
    history = History(
        base=BASE,
        other=("carol", "base", "v1"),
        a=("alice", "base", "v2"),
        merge=("bob", "other a", "v2"),
    )
    assert history.authors() == ["bob", "alice"]


def test_who_merges_an_old_branch_brings_back_what_it_says() -> None:
    history = History(
        base=("root", "", "v2"), old=("bob", "", "v1"), evil=("alice", "base old", "v1")
    )
    # The old commit is not of the past that is looked at.
    commits = [history.commits[sha("evil")]]
    found = brought_by(WHERE, Past.of(sha("evil"), commits), history.told, over=frozenset())
    assert not isinstance(found, Needed)
    assert [commit.signer for commit in found] == ["alice"]


def test_who_merges_differently_from_both_sides_is_the_author() -> None:
    history = History(
        base=BASE,
        a=("alice", "base", "v2"),
        b=("bob", "base", "v3"),
        merge=("carol", "a b", "v4"),
    )
    assert history.authors() == ["carol"]


def test_of_a_stretch_in_which_nothing_compiles_everybody_counts() -> None:
    history = History(
        base=BASE,
        a=("alice", "base", DOES_NOT_COMPILE),
        b=("bob", "a", DOES_NOT_COMPILE),
        c=("carol", "b", "v2"),
    )
    assert history.authors() == ["carol", "bob", "alice"]


def test_a_stretch_that_changed_nothing_counts_nobody() -> None:
    history = History(
        base=BASE,
        a=("alice", "base", "v2"),
        b=("bob", "a", DOES_NOT_COMPILE),
        c=("carol", "b", "v2"),
    )
    assert history.authors() == ["alice"]


def test_a_merge_that_does_not_compile_makes_everybody_count() -> None:
    history = History(
        base=BASE,
        a=("alice", "base", "v2"),
        b=("bob", "base", "v3"),
        merge=("carol", "a b", DOES_NOT_COMPILE),
        d=("dave", "merge", "v4"),
    )
    assert history.authors() == ["dave", "carol"]


def test_nobody_knows_what_came_out_of_a_beginning_that_does_not_compile() -> None:
    history = History(
        base=("root", "", DOES_NOT_COMPILE),
        a=("alice", "base", "v2"),
        b=("bob", "a", "v2"),
        c=("carol", "b", "v2"),
    )
    assert set(history.authors()) == {"alice", "bob", "carol"}


def test_only_as_much_is_asked_for_as_is_needed() -> None:
    history = History(base=BASE, a=("alice", "base", "v1"), b=("bob", "a", "v2"))
    commits = [history.commits[sha(name)] for name in "ab"]
    del history.told[sha("a")], history.told[sha("base")]
    past = Past.of(sha("b"), commits)
    assert brought_by(WHERE, past, history.told, over=frozenset()) == Needed(sha("a"))
    history.told[sha("a")] = {WHERE: Digest("v1")}
    found = brought_by(WHERE, past, history.told, over=frozenset())
    assert not isinstance(found, Needed)
    assert [commit.signer for commit in found] == ["bob"]


ALICE = Author("alice@example.com", "oidc:alice", ("oidc:researchers",))


def signed_by(signer: str | None, *person: str) -> Commit:
    return Commit(sha("a"), (), "Alice", "", datetime.now(UTC), "change", signer, person)


def test_a_signer_is_who_the_settings_say() -> None:
    people = People({ALICE.signer: ALICE}, frozenset({ONE}))
    hers = signed_by("a@example.com", "a@example.com", ALICE.signer)
    assert people.of([hers, hers]) == (ALICE,)


@pytest.mark.parametrize(
    ("commit", "why"),
    [
        (signed_by(None), "is not signed by anybody"),
        (signed_by("eve", "eve"), "signed by eve, whom the settings"),
        # A key for `*@example.com` signs as whomever its holder says.
        (signed_by(ALICE.signer), "do not say whose it is"),
    ],
    ids=["unsigned", "unknown", "anybody"],
)
def test_nobody_is_named_whom_the_settings_do_not_know(commit: Commit, why: str) -> None:
    found = People({ALICE.signer: ALICE}, frozenset({ONE})).of([commit])
    assert isinstance(found, Unattributed)
    assert why in found.reason


def test_what_the_daemon_commits_is_its_own_doing() -> None:
    people = People({}, frozenset({ONE}), own="fairlead@example.com")
    assert people.of([signed_by("fairlead@example.com", "fairlead@example.com")]) == ()
