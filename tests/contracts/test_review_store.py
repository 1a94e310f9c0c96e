"""What every ReviewStore promises, asked of memory, SQLite and a real PostgreSQL server."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import sqlalchemy

from contracts.state_worlds import Store, decision
from reconciler.adapters.state_connecting import state_url
from reconciler.adapters.state_sql import open_state
from reconciler.core.change_requests import Approval, PlanKey, ReviewRecord
from reconciler.core.identifiers import ClusterName, CommitSha, Digest

DIGEST = Digest(f"sha256:{'1' * 64}")
KEY = PlanKey(
    head=CommitSha("a" * 40),
    base=CommitSha("b" * 40),
    policy=DIGEST,
    release="1.0",
    clusters={ClusterName("edge-1"): DIGEST},
)
FULL = ReviewRecord(
    number=7,
    comment=70,
    plan=DIGEST,
    key=KEY,
    approvals=(Approval("grace", 3, DIGEST, KEY),),
    answered=71,
    trusted=KEY.head,
    announced=("abort:fraud",),
    shown="2027-01-31T12:00:00+00:00",
    rollouts=("fraud",),
    merged=CommitSha("c" * 40),
    done=True,
)


async def test_nothing_is_remembered_at_first(store: Store) -> None:
    assert await store.reviews() == {}


async def test_a_record_is_read_back_as_it_was_kept(store: Store) -> None:
    await store.keep_review(FULL)
    await store.keep_review(ReviewRecord(8))
    assert await store.reviews() == {7: FULL, 8: ReviewRecord(8)}


async def test_the_newest_record_of_a_number_counts(store: Store) -> None:
    await store.keep_review(ReviewRecord(7))
    await store.keep_review(FULL)
    await store.keep_review(replace(FULL, comment=None))
    assert await store.reviews() == {7: replace(FULL, comment=None)}


async def test_records_outlive_the_process(tmp_path: Path) -> None:
    place = str(tmp_path / "state.db")
    first = await open_state(place)
    await first.keep_review(FULL)
    await first.close()
    second = await open_state(place)
    assert await second.reviews() == {7: FULL}
    await second.close()


async def test_a_database_from_before_there_were_reviews_is_brought_up_to_date(
    tmp_path: Path,
) -> None:
    place = str(tmp_path / "state.db")
    first = await open_state(place)
    await first.append([decision()])
    await first.close()
    engine = sqlalchemy.create_engine(state_url(place))
    with engine.begin() as connection:
        connection.execute(sqlalchemy.text("DROP TABLE review"))
    engine.dispose()
    second = await open_state(place)
    await second.keep_review(FULL)
    assert await second.reviews() == {7: FULL}
    assert len(await second.records()) == 1
    await second.close()
