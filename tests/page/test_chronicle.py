"""The chronicle: what the log says by commit, in bounded memory and whoever wrote it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from reconciler.adapters.clocks import VirtualClock
from reconciler.adapters.state_memory import MemoryStateStore
from reconciler.core import chronicle as module
from reconciler.core.audit.records import AuditRecord, Phase, Verb
from reconciler.core.chronicle import Chronicle
from reconciler.core.identifiers import ClusterName, CommitSha, UnitName
from reconciler.engine.concurrency import first_of
from reconciler.engine.notifying import NotifyingStore
from reconciler.ports import Logged
from reconciler.surfaces.page import chronicling
from reconciler.surfaces.page.chronicling import Chronicler

START = datetime(2027, 1, 1, tzinfo=UTC)
RECORD = AuditRecord(
    START, "acme", CommitSha("a" * 40), "daemon", Verb.ACCEPT, Phase.DECISION, result="ok"
)


def accepted(number: int) -> AuditRecord:
    return replace(
        RECORD, commit=CommitSha(f"{number:040x}"), time=START + timedelta(seconds=number)
    )


def applied(commit: str, *, result: str = "ok") -> AuditRecord:
    return replace(
        RECORD,
        commit=CommitSha(commit),
        verb=Verb.APPLY,
        phase=Phase.OUTCOME,
        cluster=ClusterName("one"),
        unit=UnitName("rollout/fraud"),
        result=result,
    )


def test_a_commit_tells_its_verdict_what_was_written_and_what_failed() -> None:
    found = Chronicle()
    records = [RECORD, applied("a" * 40), applied("a" * 40), applied("a" * 40, result="conflict")]
    for index, record in enumerate(records):
        found.read(index, record)
    [story] = found.commits()
    assert (story.verdict, story.changes, sum(story.failed.values())) == ("accepted", 2, 1)
    assert (story.first, story.last) == (0, 3)
    assert found.commit("aaaaaaa") is story
    assert [t.commit for t in found.tellings(UnitName("rollout/fraud"))] == ["a" * 40]


def test_an_abbreviation_that_two_commits_have_names_neither() -> None:
    found = Chronicle()
    found.read(0, accepted(1))
    found.read(1, accepted(2))
    assert found.commit("0000000") is None


def test_memory_is_bounded_and_the_oldest_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_COMMITS", 5)
    found = Chronicle()
    for number in range(100):
        found.read(number, accepted(number))
    assert [story.first for story in found.commits()] == [99, 98, 97, 96, 95]
    assert len(found.recent(1000)) == 100


def test_a_record_is_read_once() -> None:
    found = Chronicle()
    for index in (0, 1, 1, 0):
        found.read(index, applied("a" * 40))
    assert found.commits()[0].changes == 2


@pytest.mark.looptime
async def test_the_past_and_what_another_daemon_wrote_are_read_in_order(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(chronicling, "CHUNK", 7)
    store, clock, chronicler = MemoryStateStore(), VirtualClock(), Chronicler()
    own = NotifyingStore(store, chronicler)
    await store.append([accepted(number) for number in range(40)])

    async def write() -> None:
        await own.append([accepted(40)])
        await clock.sleep(1)
        await store.append([accepted(41)])
        await own.append([accepted(42)])
        await clock.sleep(1)

    await first_of(chronicler.run(store, clock), write())
    assert [story.first for story in chronicler.chronicle.commits()] == list(range(42, -1, -1))


def test_a_bug_in_the_chronicle_does_not_concern_who_writes_the_log() -> None:
    chronicler = Chronicler()
    broken = replace(RECORD, time=None)  # type: ignore[arg-type]
    chronicler([Logged(0, broken), Logged(1, None)])  # type: ignore[arg-type]
    chronicler([Logged(chronicler.chronicle.size, RECORD)])
    assert chronicler.chronicle.commit("a" * 40) is not None


@pytest.mark.looptime
async def test_a_long_past_is_read_from_where_it_still_matters(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(chronicling, "MOST_READ", 10)
    store, clock, chronicler = MemoryStateStore(), VirtualClock(), Chronicler()
    await store.append([accepted(number) for number in range(40)])
    await first_of(chronicler.run(store, clock), clock.sleep(1))
    assert (chronicler.chronicle.begin, chronicler.chronicle.size) == (30, 40)
