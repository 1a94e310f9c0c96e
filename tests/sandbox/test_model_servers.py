"""What a replica answers, without the rest of the sandbox: the fleet serves on loopback here."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import replace
from hashlib import sha256
from typing import Any

import aiohttp
import pytest

from reconciler.core.exposition import read_signals
from reconciler.sandbox.errors import SandboxError
from reconciler.sandbox.model_servers.adapters import completion
from reconciler.sandbox.model_servers.faults import Faults
from reconciler.sandbox.model_servers.fleet import Fleet, ServedPod
from reconciler.sandbox.model_servers.replica import ReplicaIdentity
from reconciler.sandbox.model_servers.scoring import ScoringModel
from reconciler.sandbox.traffic import Cohort, Traffic
from tests.ports import free_port

MODEL = ScoringModel.named("fraud")
ROW = [0.4, -1.2, 0.3, 2.0]


def served_pod(**changes: Any) -> ServedPod:
    port = free_port()
    identity = ReplicaIdentity("fraud-v1-abc", "fraud", "v1")
    pod = ServedPod("uid-1", identity, "127.0.0.1", (port,), fault="", drain_seconds=0)
    return replace(pod, **changes)


class Client:
    """Talks to one served pod."""

    def __init__(self, fleet: Fleet, pod: ServedPod, session: aiohttp.ClientSession) -> None:
        self.fleet = fleet
        self.pod = pod
        self.address = f"http://{pod.address}:{pod.ports[0]}"
        self.session = session

    async def get(self, path: str) -> tuple[int, Any]:
        async with self.session.get(self.address + path) as response:
            return response.status, await response.json(content_type=None)

    async def text(self, path: str) -> bytes:
        async with self.session.get(self.address + path) as response:
            return await response.read()

    async def post(self, path: str, body: Any) -> tuple[int, Any]:
        async with self.session.post(self.address + path, json=body) as response:
            assert response.headers["x-model-version"] == self.pod.identity.version
            is_json = response.content_type == "application/json"
            return response.status, await (response.json() if is_json else response.text())

    async def infer(self, *rows: list[float]) -> tuple[int, Any]:
        tensor = {"name": "x", "shape": [len(rows), 4], "datatype": "FP32", "data": [*rows]}
        return await self.post("/v2/models/fraud/infer", {"inputs": [tensor]})

    async def fail_with(self, fault: str) -> None:
        await self.fleet.serve(replace(self.pod, fault=fault))

    async def signals(self, only: tuple[str, str] | None = None) -> Any:
        return read_signals(
            await self.text("/metrics"),
            only=only,
            succeeded="model_infer_request_success_total",
            failed="model_infer_request_failure_total",
            latency="model_infer_request_duration_seconds",
            outputs="model_output",
        )


@pytest.fixture
async def replica() -> AsyncIterator[Client]:
    fleet, pod = Fleet(), served_pod()
    assert await fleet.serve(pod)
    async with aiohttp.ClientSession() as session:
        yield Client(fleet, pod, session)
    fleet.retire(pod.uid)


@pytest.mark.parametrize(
    "path",
    ["/v2", "/v2/health/live", "/v2/health/ready", "/v2/models/fraud", "/v2/models/fraud/ready"],
)
async def test_the_open_inference_protocol_is_served(replica: Client, path: str) -> None:
    assert (await replica.get(path))[0] == 200


async def test_the_model_answers_as_whoever_knows_it_expects(replica: Client) -> None:
    status, answer = await replica.infer(ROW, [0.0, 0.0, 0.0, 0.0])
    labels, scores = answer["outputs"]
    assert (status, answer["model_version"]) == (200, "v1")
    assert labels["data"] == [MODEL.label(ROW), MODEL.label([0.0] * 4)]
    assert scores["data"][0] == pytest.approx(MODEL.score(ROW))


async def test_flat_data_is_the_same_as_nested(replica: Client) -> None:
    tensor = {"name": "x", "shape": [1, 4], "datatype": "FP32", "data": ROW}
    _, flat = await replica.post("/v2/models/fraud/infer", {"inputs": [tensor], "id": "7"})
    assert flat.pop("id") == "7"
    assert flat == (await replica.infer(ROW))[1]


@pytest.mark.parametrize(
    "body",
    [
        [],
        {},
        {"inputs": [{"shape": [1, 4], "data": [1, 2, 3]}]},
        {"inputs": [{"shape": [2, 4], "data": [1, 2, 3, 4]}]},
        {"inputs": [{"shape": [1, 4], "data": [1, 2, 3, "x"]}]},
        {"inputs": [{"shape": [1, 4], "data": [[[1]], 2, 3, 4]}]},
    ],
)
async def test_a_body_that_cannot_be_read_is_refused_and_not_counted(
    replica: Client, body: Any
) -> None:
    status, answer = await replica.post("/v2/models/fraud/infer", body)
    assert (status, bool(answer["error"])) == (400, True)
    assert (await replica.signals()).requests == 0


async def test_another_model_is_not_found(replica: Client) -> None:
    assert (await replica.get("/v2/models/other"))[0] == 404


async def test_metrics_are_what_fairlead_reads(replica: Client) -> None:
    for _ in range(3):
        await replica.infer(ROW)
    await replica.fail_with("errors=1")
    await replica.infer(ROW)
    signals = await replica.signals()
    assert (signals.trouble, signals.requests, signals.errors) == ("", 4, 1)
    assert signals.latency is not None
    assert list(signals.outputs) == ["score"]


async def test_a_share_of_requests_fails(replica: Client) -> None:
    await replica.fail_with("errors=0.2")
    statuses = Counter([(await replica.infer(ROW))[0] for _ in range(500)])
    assert statuses[500] == pytest.approx(100, abs=45)
    assert statuses[200] + statuses[500] == 500


async def test_the_same_replica_fails_at_the_same_requests(replica: Client) -> None:
    again = Client(Fleet(), served_pod(), replica.session)
    for client in (replica, again):
        await client.fail_with("errors=0.5")
    one, other = [[(await c.infer(ROW))[0] for _ in range(40)] for c in (replica, again)]
    assert one == other
    again.fleet.retire(again.pod.uid)


async def test_wrong_flips_labels_and_drift_shifts_scores(replica: Client) -> None:
    await replica.fail_with("wrong=1,drift=0.5")
    _, answer = await replica.infer(ROW)
    labels, scores = answer["outputs"]
    assert scores["data"][0] == pytest.approx(MODEL.score(ROW, shift=0.5))
    assert labels["data"][0] == 1 - int(scores["data"][0] >= 0.5)


async def test_delay_makes_an_answer_late(replica: Client) -> None:
    await replica.fail_with("delay=0.1")
    loop = asyncio.get_running_loop()
    began = loop.time()
    await replica.infer(ROW)
    assert loop.time() - began >= 0.1


async def test_a_fault_that_cannot_be_read_fails_every_request_and_says_so(
    replica: Client,
) -> None:
    await replica.fail_with("error=1")
    status, answer = await replica.infer(ROW)
    assert (status, "names a fault 'error'" in answer["error"]) == (500, True)


@pytest.mark.parametrize("text", ["errors=2", "errors=x", "delay=-1", "speed=1", "wrong=nan"])
def test_faults_are_read_strictly(text: str) -> None:
    with pytest.raises(SandboxError):
        Faults.parse(text)


async def test_adapters_come_and_go_as_with_vllm(replica: Client) -> None:
    async def complete(model: str) -> tuple[int, Any]:
        return await replica.post("/v1/completions", {"model": model, "prompt": "hello"})

    adapter = {"lora_name": "support@1", "lora_path": "/adapters/1"}
    assert (await complete("support@1"))[0] == 404
    assert (await replica.post("/v1/load_lora_adapter", adapter))[0] == 200
    assert (await replica.post("/v1/load_lora_adapter", adapter))[0] == 400
    _, listing = await replica.get("/v1/models")
    assert [(one["id"], one["parent"]) for one in listing["data"]] == [
        ("fraud", None),
        ("support@1", "fraud"),
    ]
    _, answer = await complete("support@1")
    assert answer["choices"][0]["text"] == completion("/adapters/1", "hello")
    assert (await replica.post("/v1/unload_lora_adapter", adapter))[0] == 200
    assert (await replica.post("/v1/unload_lora_adapter", adapter))[0] == 404
    assert (await complete("support@1"))[0] == 404
    assert (await complete("fraud"))[0] == 200


async def test_the_header_names_the_adapter_and_the_metrics_tell_it_apart(replica: Client) -> None:
    for name in ("support@1", "support@2"):
        adapter = {"lora_name": name, "lora_path": f"/adapters/{name}"}
        assert (await replica.post("/v1/load_lora_adapter", adapter))[0] == 200
    request = {"model": "support@1", "prompt": "hello"}
    async with replica.session.post(
        f"{replica.address}/v1/completions", json=request, headers={"x-model-adapter": "support@2"}
    ) as answer:
        assert answer.headers["x-model-adapter"] == "support@2"
    assert (await replica.signals(only=("model", "support@1"))).requests == 0
    assert (await replica.signals(only=("model", "support@2"))).requests == 1


async def test_prompts_come_and_go_and_are_told_with_their_digest(replica: Client) -> None:
    one = {"prompt_name": "answers@1", "text": "Be brief."}
    assert await replica.post("/v1/load_prompt", one) == (200, {})
    assert (await replica.post("/v1/load_prompt", one))[0] == 400
    assert (await replica.post("/v1/load_prompt", {"prompt_name": "answers@2"}))[0] == 400
    listed = {"id": "answers@1", "sha256": sha256(b"Be brief.").hexdigest()}
    assert await replica.get("/v1/prompts") == (200, {"data": [listed]})
    assert (await replica.post("/v1/unload_prompt", one))[0] == 200
    assert (await replica.post("/v1/unload_prompt", one))[0] == 404
    assert await replica.get("/v1/prompts") == (200, {"data": []})


async def test_a_request_is_answered_after_the_prompt_that_marks_it(replica: Client) -> None:
    one = {"prompt_name": "answers@1", "text": "Be brief."}
    await replica.post("/v1/load_prompt", one)
    question = {"model": "fraud", "prompt": "hello"}
    _, plain = await replica.post("/v1/completions", question)
    _, by_body = await replica.post("/v1/completions", {**question, "prompt_version": "answers@1"})
    url, marked = f"{replica.address}/v1/completions", {"x-prompt-version": "answers@1"}
    async with replica.session.post(url, json=question, headers=marked) as response:
        assert await response.json() == by_body
        assert response.headers["x-prompt-version"] == "answers@1"
        assert response.headers["x-prompt-sha256"] == sha256(b"Be brief.").hexdigest()
    assert plain["choices"][0]["text"] == completion("fraud", "hello")
    assert by_body["choices"][0]["text"] == completion("fraud", "Be brief.\nhello")
    unknown = {**question, "prompt_version": "answers@2"}
    assert (await replica.post("/v1/completions", unknown))[0] == 404
    metrics = (await replica.text("/metrics")).decode()
    counter = 'model_infer_request_success_total{model="fraud",prompt="%s",version="v1"} %d.0'
    assert counter % ("", 1) in metrics
    assert counter % ("answers@1", 2) in metrics


async def test_a_request_that_was_begun_is_answered_when_the_pod_goes() -> None:
    sent = asyncio.Event()
    tracing = aiohttp.TraceConfig()

    async def headers_sent(*_: object) -> None:
        sent.set()

    tracing.on_request_headers_sent.append(headers_sent)
    fleet, pod = Fleet(), served_pod(fault="delay=0.3", drain_seconds=0.1)
    await fleet.serve(pod)
    async with aiohttp.ClientSession(trace_configs=[tracing]) as session:
        client = Client(fleet, pod, session)
        begun = asyncio.create_task(client.infer(ROW))
        await sent.wait()
        fleet.retire(pod.uid)
        await refused(client)
        assert not begun.done()
        assert (await begun)[0] == 200


async def test_an_address_that_is_given_to_another_pod_answers_for_it(replica: Client) -> None:
    other = replace(replica.pod, uid="uid-2", identity=ReplicaIdentity("b", "fraud", "v2"))
    assert await replica.fleet.serve(other)
    replica.fleet.retire(replica.pod.uid)
    _, answer = await Client(replica.fleet, other, replica.session).infer(ROW)
    assert answer["model_version"] == "v2"
    replica.fleet.retire(other.uid)


async def test_a_pod_that_got_another_address_answers_there_alone(replica: Client) -> None:
    moved = replace(replica.pod, ports=served_pod().ports)
    assert await replica.fleet.serve(moved)
    assert (await Client(replica.fleet, moved, replica.session).infer(ROW))[0] == 200
    with pytest.raises(aiohttp.ClientConnectionError):
        await replica.infer(ROW)


async def test_traffic_counts_what_was_answered(replica: Client) -> None:
    await replica.fail_with("errors=0.3,wrong=0.5")
    cohorts = (Cohort("many", 3), Cohort("few", 1))
    async with Traffic(replica.address, "fraud", cohorts=cohorts, seed=1) as traffic:
        await traffic.answered(400)
    counts, signals = traffic.record.counts(), await replica.signals()
    assert (counts.requests, counts.by_status[500]) == (signals.requests, signals.errors)
    assert counts.wrong_by_version["v1"] == pytest.approx(counts.by_status[200] / 2, rel=0.3)
    few = traffic.record.counts(cohort="few").requests
    assert few / counts.requests == pytest.approx(0.25, abs=0.1)


async def test_traffic_keeps_to_its_rate_when_answers_are_slow(replica: Client) -> None:
    await replica.fail_with("delay=0.3")
    loop = asyncio.get_running_loop()
    began = loop.time()
    async with Traffic(replica.address, "fraud", rate=200) as traffic:
        await traffic.answered(100)
        seconds = loop.time() - began
    assert seconds < 2  # one after the other, it would take 30


async def test_counts_can_be_asked_for_a_time(replica: Client) -> None:
    async with Traffic(replica.address, "fraud") as traffic:
        await traffic.answered(100)
    middle = traffic.record.between()[50].at
    halves = (traffic.record.counts(end=middle), traffic.record.counts(start=middle))
    assert sum(half.requests for half in halves) == len(traffic.record)
    assert halves[1].requests <= len(traffic.record) - 50 + 1


async def test_connections_that_fail_are_counted(replica: Client) -> None:
    replica.fleet.retire(replica.pod.uid)
    await refused(replica)
    async with Traffic(replica.address, "fraud") as traffic:
        await traffic.answered(10)
    counts = traffic.record.counts()
    assert counts.connection_errors == counts.dropped == counts.requests


async def refused(client: Client) -> None:
    """Returns when nobody listens any more."""
    async with asyncio.timeout(10):
        while True:
            try:
                _, writer = await asyncio.open_connection(client.pod.address, client.pod.ports[0])
            except ConnectionRefusedError:
                return
            writer.close()
            await asyncio.sleep(0.005)
