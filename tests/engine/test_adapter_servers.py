"""What a model server may answer about adapters, and what is made of it."""

from __future__ import annotations

import pytest

from reconciler.adapters.replicas_memory import MemoryReplicas
from reconciler.core.errors import Unavailable
from reconciler.core.identifiers import Digest
from reconciler.core.rollouts.loadables import Sort
from reconciler.engine.adapter_servers import DIALECTS, AdapterServer
from reconciler.ports import Answer, Replica

ADAPTERS = DIALECTS[Sort.ADAPTER]


def server_that(path: str, answer: Answer, sort: Sort = Sort.ADAPTER) -> AdapterServer:
    replicas = MemoryReplicas()
    replica = Replica("team-a", "base-0", "uid", "10.0.0.1")
    replicas.put(replica, {})
    replicas.will_answer("base-0", path, answer)
    return AdapterServer(replicas, replica, 8000, sort)


async def test_a_listing_says_where_each_adapter_is_from() -> None:
    body = b'{"data": [{"id": "base", "root": null}, {"id": "a@1", "root": "/a/1"}, {"id": 7}, 3]}'
    assert await server_that(ADAPTERS.listing, Answer(200, body)).listing() == {
        "base": "",
        "a@1": "/a/1",
    }


@pytest.mark.parametrize(
    "answer",
    [
        Answer(500, b'{"data": []}'),
        Answer(200, b"<html>"),
        Answer(200, b"[]"),
        Answer(200, b'{"data": {}}'),
        Answer(404, b""),
    ],
)
async def test_what_is_no_listing_says_nothing(answer: Answer) -> None:
    with pytest.raises(Unavailable):
        await server_that(ADAPTERS.listing, answer).listing()


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b'{"error": {"message": "rank 64 is too large"}}', "rank 64 is too large"),
        (b'{"object": "error", "message": "no such file"}', "no such file"),
        (b"plain \x1b[2J words", "plain \\x1b[2J words"),
        (b'{"error": {}}', '{"error": {}}'),
        (b"x" * 1000, "x" * 199 + "…"),
    ],
)
async def test_a_refusal_is_told_in_the_words_of_the_server(body: bytes, words: str) -> None:
    refused = await server_that(ADAPTERS.load, Answer(400, body)).load("a@1", "/a/1")
    assert refused == f"base-0 answers 400: {words}"


@pytest.mark.parametrize("status", [429, 502, 503, 504])
async def test_a_server_that_is_busy_has_refused_nothing(status: int) -> None:
    with pytest.raises(Unavailable):
        await server_that(ADAPTERS.load, Answer(status, b"")).load("a@1", "/a/1")


@pytest.mark.parametrize("status", [200, 404])
async def test_what_is_gone_already_is_as_good_as_unloaded(status: int) -> None:
    await server_that(ADAPTERS.unload, Answer(status, b"")).unload("a@1")


async def test_what_a_server_says_of_a_prompt_that_it_refuses_is_not_repeated() -> None:
    text = "You draft answers."
    answer = Answer(400, b'{"message": "too long: You draft answers."}')
    server = server_that(DIALECTS[Sort.PROMPT].load, answer, Sort.PROMPT)
    assert await server.load("a@1", text) == "base-0 answers 400"


@pytest.mark.parametrize(
    ("sort", "told", "proven"),
    [
        (Sort.ADAPTER, "", True),
        (Sort.ADAPTER, f"/adapters/{'1' * 64}", True),
        (Sort.ADAPTER, f"/adapters/{'2' * 64}", False),
        (Sort.PROMPT, "1" * 64, True),
        (Sort.PROMPT, "", False),
        (Sort.PROMPT, f"/{'1' * 64}", False),
        (Sort.PROMPT, "2" * 64, False),
    ],
)
def test_a_prompt_is_proven_by_its_digest_alone(sort: Sort, told: str, proven: bool) -> None:
    assert DIALECTS[sort].proves(told, Digest(f"sha256:{'1' * 64}")) is proven
