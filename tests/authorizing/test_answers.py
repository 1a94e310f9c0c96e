"""Answers of others: asked for once, used for their time, renewed before it is over."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

import pytest

from reconciler.core.errors import Unavailable
from reconciler.engine.authorizing_answers import Answers


@dataclass
class Source:
    """Answers when it is let, and counts. It stands for the clock as well."""

    now: float = 100.0
    value: str = "yes"
    asked: int = 0
    trouble: Exception | None = None
    open: asyncio.Event = field(default_factory=asyncio.Event)

    def monotonic(self) -> float:
        return self.now

    async def ask(self) -> str:
        self.asked += 1
        await self.open.wait()
        if self.trouble is not None:
            raise self.trouble
        return self.value


@pytest.fixture
async def source() -> Source:
    made = Source()
    made.open.set()
    return made


def answers(source: Source) -> Answers[str, str]:
    return Answers(source, lambda answer: 2.0 if answer == "yes" else 1.0)  # type: ignore[arg-type]


async def settled() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_many_who_want_the_same_ask_once(source: Source) -> None:
    known = answers(source)
    found = await asyncio.gather(*(known.get("q", source.ask) for _ in range(50)))
    assert (set(found), source.asked) == ({"yes"}, 1)
    await known.get("other", source.ask)
    assert source.asked == 2


async def test_an_answer_is_not_used_after_its_time(source: Source) -> None:
    known = answers(source)
    await known.get("q", source.ask)
    source.now, source.value = source.now + 2, "no"
    assert await known.get("q", source.ask) == "no"
    source.now, source.value = source.now + 1, "yes"
    assert await known.get("q", source.ask) == "yes"


async def test_who_goes_on_asking_waits_for_nobody_and_hears_of_a_no_in_half_the_time(
    source: Source,
) -> None:
    known = answers(source)
    await known.get("q", source.ask)
    source.now, source.value = source.now + 1, "no"
    assert await known.get("q", source.ask) == "yes"
    await settled()
    assert await known.get("q", source.ask) == "no"
    assert source.asked == 2


async def test_a_renewal_that_fails_leaves_the_answer_to_end_by_itself(source: Source) -> None:
    known = answers(source)
    await known.get("q", source.ask)
    source.now, source.trouble = source.now + 1.5, Unavailable("nobody answers")
    assert await known.get("q", source.ask) == "yes"
    await settled()
    assert await known.get("q", source.ask) == "yes"
    source.now += 1
    with pytest.raises(Unavailable):
        await known.get("q", source.ask)


async def test_who_gives_up_does_not_end_it_for_the_others(source: Source) -> None:
    known = answers(source)
    source.open.clear()
    impatient, patient = (asyncio.create_task(known.get("q", source.ask)) for _ in range(2))
    await settled()
    impatient.cancel()
    await settled()
    source.open.set()
    assert await patient == "yes"
    assert source.asked == 1


async def test_what_was_refused_to_all_who_wait_is_asked_for_anew(source: Source) -> None:
    known = answers(source)
    source.trouble = Unavailable("nobody answers")
    waiting = [known.get("q", source.ask) for _ in range(3)]
    refused = await asyncio.gather(*waiting, return_exceptions=True)
    assert all(isinstance(one, Unavailable) for one in refused)
    source.trouble = None
    assert await known.get("q", source.ask) == "yes"
