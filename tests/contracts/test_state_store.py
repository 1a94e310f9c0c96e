"""What every StateStore promises, asked of memory, SQLite and a real PostgreSQL server."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable
from dataclasses import replace
from pathlib import Path

import pytest

from contracts.state_worlds import (
    CLUSTER,
    COMMIT,
    UNIT,
    Store,
    decision,
    entry,
    everything,
    intent,
    outcome,
)
from reconciler.adapters.state_sql import open_state
from reconciler.core.audit import merkle
from reconciler.core.audit.encoding import encode
from reconciler.core.audit.records import AuditRecord
from reconciler.core.identifiers import ClusterName, Digest, UnitName
from reconciler.core.ledger import LedgerUpdate, Position, Standing, UnitState
from reconciler.core.secret_versions import Pin

# --- Appending and reading back ---------------------------------------------------------------


async def test_a_new_store_is_empty(store: Store) -> None:
    assert await store.records() == () or list(await store.records()) == []
    assert dict((await store.ledger(CLUSTER)).entries) == {}
    assert await store.position() == Position()
    assert (await store.head()).root == merkle.EMPTY_ROOT


async def test_records_come_back_as_they_were_written(store: Store) -> None:
    written = [intent(), outcome(0), decision()]
    assert list(await store.append(written)) == [0, 1, 2]
    assert [logged.record for logged in await store.records()] == written


async def test_a_pin_comes_back_and_is_never_another(store: Store) -> None:
    owner, reference = "Model/fraud@v3", "vault:kv/risk/fraud#token"
    first = Pin(owner, "vault/main", reference, "7")
    elsewhere = Pin(owner, "vault/other", reference, "2")
    assert list(await store.pins()) == []
    await store.append([], pins=[first])
    await store.append([], pins=[replace(first, version="8"), elsewhere])
    assert list(await store.pins()) == [first, elsewhere]


async def test_records_can_be_read_in_pages(store: Store) -> None:
    await store.append([decision() for _ in range(10)])
    assert [logged.index for logged in await store.records(4, 3)] == [4, 5, 6]
    assert list(await store.records(10, 3)) == []


async def test_ledger_entries_come_back_with_their_source(store: Store) -> None:
    entries = (entry("a"), entry("b", confirmed=False))
    await store.append([], updates=[LedgerUpdate(CLUSTER, put=entries)])
    ledger = await store.ledger(CLUSTER)
    assert dict(ledger.entries) == {one.key: one for one in entries}
    applied = ledger.entries[entry("a").key].applied
    assert applied is not None
    assert applied.manifest.source == entry("a").applied.manifest.source  # type: ignore[union-attr]
    assert applied.manifest.type == entry("a").applied.manifest.type  # type: ignore[union-attr]


async def test_an_entry_written_again_replaces_the_earlier_one(store: Store) -> None:
    await store.append([], updates=[LedgerUpdate(CLUSTER, put=(entry(value="1"),))])
    await store.append([], updates=[LedgerUpdate(CLUSTER, put=(entry(value="2"),))])
    assert list((await store.ledger(CLUSTER)).entries.values()) == [entry(value="2")]


async def test_an_entry_can_lose_its_confirmation(store: Store) -> None:
    await store.append([], updates=[LedgerUpdate(CLUSTER, put=(entry(),))])
    await store.append([], updates=[LedgerUpdate(CLUSTER, put=(entry(confirmed=False),))])
    assert (await store.ledger(CLUSTER)).entries[entry().key].applied is None


async def test_dropped_entries_are_gone_and_others_stay(store: Store) -> None:
    await store.append([], updates=[LedgerUpdate(CLUSTER, put=(entry("a"), entry("b")))])
    await store.append([], updates=[LedgerUpdate(CLUSTER, drop=(entry("a").key,))])
    assert list((await store.ledger(CLUSTER)).entries) == [entry("b").key]


async def test_clusters_do_not_see_each_other(store: Store) -> None:
    await store.append([], updates=[LedgerUpdate(CLUSTER, put=(entry(),))])
    assert dict((await store.ledger(ClusterName("edge-2"))).entries) == {}


async def test_units_are_kept_and_forgotten(store: Store) -> None:
    held = UnitState(UNIT, Standing.HELD, refused=Digest("sha256:x"), explanation="no\nquota")
    settled = UnitState(UnitName("manifests"), Standing.SETTLED, commit=COMMIT)
    await store.append([], updates=[LedgerUpdate(CLUSTER, units=(held, settled))])
    assert set((await store.ledger(CLUSTER)).units.values()) == {held, settled}
    await store.append([], updates=[LedgerUpdate(CLUSTER, forget_units=(UNIT,))])
    assert list((await store.ledger(CLUSTER)).units.values()) == [settled]


async def test_the_position_comes_back_with_its_journal(store: Store) -> None:
    position = Position(accepted=COMMIT, explanation="ok", journal={"fraud": {"step": 2, "x": 0.5}})
    await store.append([decision()], position=position)
    await store.append([decision()])
    assert await store.position() == position


async def test_a_loaded_ledger_does_not_change_behind_the_reader(store: Store) -> None:
    before = await store.ledger(CLUSTER)
    await store.append([], updates=[LedgerUpdate(CLUSTER, put=(entry(),))])
    assert dict(before.entries) == {}


# --- Intents and outcomes ---------------------------------------------------------------------


async def test_pending_names_the_intents_without_outcome(store: Store) -> None:
    await store.append([intent("a"), intent("b"), intent("c")])
    await store.append([outcome(1, "b")])
    assert [(p.index, p.record) for p in await store.pending()] == [
        (0, intent("a")),
        (2, intent("c")),
    ]


async def test_an_outcome_may_follow_its_intent_in_one_call(store: Store) -> None:
    await store.append([intent(), outcome(0)])
    assert list(await store.pending()) == []


@pytest.mark.parametrize(
    "wrong",
    [
        pytest.param(outcome(0), id="a second outcome"),
        pytest.param(outcome(1), id="an outcome of an outcome"),
        pytest.param(outcome(2, "other"), id="an outcome of another object"),
        pytest.param(outcome(99), id="an outcome of nothing"),
        pytest.param(replace(outcome(0), intent=None), id="an outcome that names no intent"),
        pytest.param(replace(decision(), intent=2), id="a decision that names an intent"),
    ],
)
async def test_a_call_that_breaks_the_pairing_writes_nothing(
    store: Store, wrong: AuditRecord
) -> None:
    await store.append([intent(), outcome(0), intent()])
    before = await everything(store)
    with pytest.raises(AssertionError, match="pairing"):
        await store.append(
            [decision(), wrong],
            updates=[LedgerUpdate(CLUSTER, put=(entry(),))],
            position=Position(accepted=COMMIT),
        )
    assert await everything(store) == before


async def test_a_record_without_json_form_writes_nothing(store: Store) -> None:
    with pytest.raises(ValueError, match="nan"):
        await store.append([decision(), replace(decision(), detail={"p": float("nan")})])
    assert (await store.head()).size == 0


# --- The tree ---------------------------------------------------------------------------------


async def test_the_head_is_the_root_over_all_records(store: Store) -> None:
    for size in (1, 2, 300, 255, 10):
        await store.append([decision() for _ in range(size)])
    leaves = [leaf for start in (0, 500) for leaf in await store.leaves(start, 500)]
    frontier, _ = merkle.Frontier().extended(map(merkle.leaf_hash, leaves))
    assert await store.head() == type(await store.head())(frontier.size, frontier.root)


async def test_leaves_are_the_encoded_records(store: Store) -> None:
    await store.append([intent(), decision()])
    assert list(await store.leaves()) == [encode(intent()), encode(decision())]


async def test_proofs_from_the_store_verify(store: Store) -> None:
    await store.append([decision() for _ in range(300)])
    old = await store.head()
    await store.append([intent(str(number)) for number in range(300)])
    new = await store.head()
    proof = await store.inclusion(index=299, size=new.size)
    leaf = merkle.leaf_hash((await store.leaves(299, 1))[0])
    assert merkle.includes(leaf=leaf, index=299, size=600, proof=proof, root=new.root)
    consistency = await store.consistency(old=old.size, new=new.size)
    assert merkle.is_consistent(
        old=300, new=600, old_root=old.root, new_root=new.root, proof=consistency
    )


async def test_checkpoints_are_kept_in_order_and_once(store: Store) -> None:
    for size, note in ((0, b"zero"), (7, b"seven"), (3, b"three"), (7, b"other")):
        await store.keep_checkpoint(size, note)
    assert list(await store.checkpoints()) == [b"zero", b"three", b"seven"]
    assert list(await store.checkpoints(1, 1)) == [b"three"]
    assert await store.latest_checkpoint() == b"seven"


# --- Concurrency ------------------------------------------------------------------------------


async def test_concurrent_calls_each_get_their_own_indices(store: Store) -> None:
    calls = [store.append([intent(f"a{n}"), intent(f"b{n}")]) for n in range(100)]
    indices = [index for found in await asyncio.gather(*calls) for index in found]
    assert sorted(indices) == list(range(200))
    stored = await store.records()
    assert [stored[index].record.object for index in indices[:2]] == [
        entry("a0").key,
        entry("b0").key,
    ]


async def test_a_call_that_breaks_a_rule_does_not_harm_those_beside_it(store: Store) -> None:
    good = [store.append([intent(str(n))]) for n in range(20)]
    calls = [*good[:10], store.append([outcome(99)]), *good[10:]]
    answers = await asyncio.gather(*calls, return_exceptions=True)
    assert [type(a) for a in answers if isinstance(a, BaseException)] == [AssertionError]
    assert (await store.head()).size == 20


async def test_of_two_outcomes_at_once_one_is_refused(store: Store) -> None:
    await store.append([intent()])
    answers = await asyncio.gather(
        store.append([outcome(0)]), store.append([outcome(0)]), return_exceptions=True
    )
    assert sorted(isinstance(answer, AssertionError) for answer in answers) == [False, True]


async def test_two_daemons_append_to_one_log(place: str) -> None:
    one, other = await open_state(place), await open_state(place)
    try:
        calls = [store.append([intent(str(n))]) for n in range(50) for store in (one, other)]
        indices = [index for found in await asyncio.gather(*calls) for index in found]
        assert sorted(indices) == list(range(100))
        assert await one.head() == await other.head()
    finally:
        await one.close()
        await other.close()
    await (await open_state(place)).close()


async def test_one_daemon_settles_the_intent_of_another(place: str) -> None:
    one, other = await open_state(place), await open_state(place)
    try:
        await one.append([intent()])
        await other.append([outcome(0)])
        assert list(await one.pending()) == []
    finally:
        await one.close()
        await other.close()


async def test_thousands_of_intents_are_settled_in_one_call(store: Store) -> None:
    await store.append([intent() for _ in range(2500)])
    await store.append([outcome(index) for index in range(2500)])
    assert list(await store.pending()) == []


# --- Cost -------------------------------------------------------------------------------------


async def timed(work: Awaitable[object]) -> float:
    """Seconds of the processor, since others of the suite use it, too."""
    started = time.process_time()
    await work
    return time.process_time() - started


async def test_ten_thousand_records_and_entries_take_under_three_seconds(tmp_path: Path) -> None:
    store = await open_state(str(tmp_path / "state.db"))
    spent = 0.0
    for batch in range(100):
        names = [f"{batch}-{n}" for n in range(100)]
        update = LedgerUpdate(CLUSTER, put=tuple(map(entry, names)))
        spent += await timed(store.append(list(map(intent, names)), updates=[update]))
    loading = await timed(store.ledger(CLUSTER))
    await store.close()
    assert spent < 3
    assert loading < 1
