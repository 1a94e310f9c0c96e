"""No request is lost or invented over replicas that come, go, restart or do not answer."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from reconciler.core.rollouts.counting import NOTHING, Requests, Tally

LIFE = st.lists(
    st.tuples(st.integers(0, 50), st.integers(0, 50)).map(
        lambda pair: Requests(max(pair), min(pair))
    ),
    min_size=1,
    max_size=8,
)
"""What one replica answered between one look and the next, in the order of the looks."""

UIDS = ("a", "b", "c")


def totals(life: list[Requests]) -> list[Requests]:
    """Counters that only grow."""
    grown, found = NOTHING, []
    for more in life:
        grown += more
        found.append(grown)
    return found


def total(life: list[Requests]) -> Requests:
    return totals(life)[-1]


def counted(looks: list[Mapping[str, Requests]], start: Tally | None = None) -> Requests:
    tally = start or Tally()
    for seen in looks:
        tally = tally.add(seen)
    return tally.counted


@given(life=LIFE)
def test_all_that_a_replica_answered_is_counted(life: list[Requests]) -> None:
    assert counted([{"a": now} for now in totals(life)]) == total(life)


@given(life=LIFE, skipped=st.sets(st.integers(0, 6)))
def test_a_replica_that_did_not_answer_loses_nothing(
    life: list[Requests], skipped: set[int]
) -> None:
    looks: list[Mapping[str, Requests]] = [
        {} if number in skipped else {"a": now} for number, now in enumerate(totals(life))
    ]
    assert counted([*looks, {"a": total(life)}]) == total(life)


@given(lives=st.fixed_dictionaries(dict.fromkeys(UIDS, LIFE)), data=st.data())
def test_the_order_in_which_replicas_answer_does_not_matter(
    lives: dict[str, list[Requests]], data: st.DataObject
) -> None:
    looks = [{uid: now} for uid, life in lives.items() for now in totals(life)]
    apart = counted(list(looks))
    together = counted([{uid: total(life) for uid, life in lives.items()}])
    by_turns = sorted(((number, uid) for uid, life in lives.items() for number in range(len(life))))
    turned = counted([{uid: totals(lives[uid])[number]} for number, uid in by_turns])
    assert apart == together == turned


@given(before=LIFE, after=LIFE)
def test_a_restart_that_is_noticed_counts_both_lives(
    before: list[Requests], after: list[Requests]
) -> None:
    """A new process of the same replica begins at zero, and is looked at before it has grown."""
    looks = [{"a": now} for now in [*totals(before), NOTHING, *totals(after)]]
    assert counted(looks) == total(before) + total(after)


@given(before=LIFE, after=LIFE)
def test_a_restart_never_invents_requests(before: list[Requests], after: list[Requests]) -> None:
    found = counted([{"a": total(before)}, {"a": total(after)}])
    both = total(before) + total(after)
    assert found.requests <= both.requests
    assert found.errors <= both.errors


@given(before=LIFE, after=LIFE)
def test_a_replica_that_takes_the_place_of_another_is_counted_whole(
    before: list[Requests], after: list[Requests]
) -> None:
    looks = [{"a": total(before)}, {"b": total(after)}]
    assert counted(looks) == total(before) + total(after)


@given(lives=st.fixed_dictionaries(dict.fromkeys(UIDS, LIFE)))
def test_what_was_before_a_step_is_not_counted_in_it(lives: dict[str, list[Requests]]) -> None:
    start = Tally.beginning({uid: totals(life)[0] for uid, life in lives.items()})
    found = counted([{uid: total(life) for uid, life in lives.items()}], start)
    wanted = NOTHING
    for life in lives.values():
        wanted += total(life).since(life[0])
    assert found == wanted


@given(
    looks=st.lists(
        st.dictionaries(
            st.sampled_from(UIDS),
            st.builds(Requests, st.integers(0, 99), st.integers(0, 99)),
        ),
        max_size=20,
    )
)
def test_a_tally_never_shrinks_whatever_counters_say(
    looks: list[Mapping[str, Requests]],
) -> None:
    tally = Tally()
    for seen in looks:
        grown = tally.add(seen)
        assert grown.counted.requests >= tally.counted.requests
        assert grown.counted.errors >= tally.counted.errors
        tally = grown


@given(life=LIFE, cut=st.integers(0, 8))
def test_a_restart_of_this_process_changes_no_count(life: list[Requests], cut: int) -> None:
    adapter = TypeAdapter(Tally)
    tally = Tally()
    for number, now in enumerate(totals(life)):
        if number == cut:
            tally = adapter.validate_json(adapter.dump_json(tally))
        tally = tally.add({"a": now})
    assert tally.counted == total(life)


@pytest.mark.parametrize("seen", [{}, {"a": Requests(9, 1)}])
def test_looking_twice_counts_once(seen: dict[str, Requests]) -> None:
    once = Tally().add(seen)
    assert once.add(seen) == once


def test_adding_leaves_the_tally_before_as_it_was() -> None:
    before = Tally.beginning({"a": Requests(1)})
    before.add({"a": Requests(5)})
    assert before == Tally.beginning({"a": Requests(1)})


def test_counters_that_fall_a_little_are_not_counted_again() -> None:
    """As of a server with several processes, of which any answers."""
    tally = Tally.beginning({"a": Requests(40, 0)})
    for count in (39, 40, 38, 41):
        tally = tally.add({"a": Requests(count, 0)})
    assert tally.counted == Requests(1, 0)


def test_a_replica_that_was_not_ready_as_counting_began_keeps_its_place() -> None:
    known = {"a": Requests(500, 3)}
    tally = Tally.beginning({"b": Requests(10, 0)}, known)
    assert tally.add({"a": Requests(510, 3), "b": Requests(10, 0)}).counted == Requests(10, 0)
