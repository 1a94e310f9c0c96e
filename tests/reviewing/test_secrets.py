"""S8: 100,000 credentials that were planted in pull requests reach nothing that anybody reads."""

from __future__ import annotations

import base64
import random
import string
from collections.abc import Iterator

import orjson
import pytest

from reconciler.core.change_requests import CheckState
from reconciler.core.manifests import JsonObject
from reconciler.surfaces.metrics import Metrics
from tests.engine.world import config_map
from tests.reviewing.world import ReviewWorld

pytestmark = [pytest.mark.looptime, pytest.mark.slow]

MARK = "Zq7XkW9v"
"""In every one of them, so that one search finds whichever got through."""

FILES, IN_A_FILE, TAKEN = 20, 2_500, 40


def credentials(count: int, *, seed: int) -> Iterator[str]:
    """Of the formats that issuers give theirs."""
    draw = random.Random(seed)
    letters = string.ascii_letters + string.digits

    def some(length: int) -> str:
        return MARK + "".join(draw.choices(letters, k=length - len(MARK)))

    kinds = (
        lambda: f"ghp_{some(36)}",
        lambda: f"github_pat_{some(40)}",
        lambda: f"glpat-{some(20)}",
        lambda: f"hf_{some(34)}",
        lambda: f"sk-proj-{some(40)}",
        lambda: f"AIza{some(35)}",
        lambda: f"hvs.{some(24)}",
        lambda: f"eyJ{some(20)}.eyJ{some(30)}.{some(30)}",
        lambda: f"postgres://fraud:{some(12)}@db.example.com/fraud",
    )
    for number in range(count):
        yield kinds[number % len(kinds)]()


def settings_file(name: str, found: Iterator[str], count: int) -> bytes:
    lines = [f'  k{number}: "{next(found)}"\n' for number in range(count)]
    note = f'    note: "{next(found)}"\n'
    return (
        "apiVersion: v1\nkind: ConfigMap\n"
        f"metadata:\n  name: {name}\n  namespace: team-a\n  annotations:\n{note}"
        f"data:\n{''.join(lines)}"
    ).encode()


def workload(name: str, found: Iterator[str]) -> bytes:
    return f"""\
apiVersion: apps/v1
kind: Deployment
metadata: {{name: {name}, namespace: team-a}}
spec:
  selector: {{matchLabels: {{app: {name}}}}}
  template:
    metadata: {{labels: {{app: {name}}}}}
    spec:
      containers:
      - name: main
        image: registry.example.com/app@sha256:{"a" * 64}
        args: ["--key={next(found)}"]
        env: [{{name: A, value: "{next(found)}"}}]
""".encode()


def spellings() -> tuple[str, ...]:
    """The mark as it is, and in base64 at each of the three places where it may begin."""
    encoded = [base64.b64encode(b"x" * shift + MARK.encode()).decode() for shift in range(3)]
    return (MARK, *(text[4:10] for text in encoded))


def by_hand(name: str, credential: str) -> JsonObject:
    """An object that somebody made in the cluster, with a value that the repository sets too."""
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, "namespace": "team-a", "annotations": {"note": credential}},
        "data": {"value": credential, "other": credential},
    }


async def test_attack_18_a_hundred_thousand_planted_credentials_reach_no_sink(
    capsys: pytest.CaptureFixture[str],
) -> None:
    world, metrics = ReviewWorld(), Metrics()
    world.counted = metrics  # type: ignore[assignment]
    found = credentials(2 * FILES * (IN_A_FILE + 1) + 100, seed=8)
    names = [f"s{number}" for number in range(FILES)]
    world.start_repository({f"apps/{n}/old.yaml": config_map(f"{n}-old") for n in names})
    async with world.both() as (_, reviewer):
        files: dict[str, bytes | None] = {}
        for name in names:
            files[f"apps/{name}/old.yaml"] = settings_file(f"{name}-old", found, IN_A_FILE)
            files[f"apps/{name}/new.yaml"] = settings_file(f"{name}-new", found, IN_A_FILE)
            files[f"apps/{name}/work.yaml"] = workload(name, found)
        planned = world.open(files)
        wrong = f"kind: ConfigMap\nmetadata: {{name: [{next(found)}]}}\n{next(found)}: 1\n".encode()
        refused = world.open({"apps/a/wrong.yaml": wrong, next(found): b"x"})
        titled = world.open(title=next(found))
        taken = {f"apps/a/t{n}.yaml": config_map(f"t{n}") for n in range(TAKEN)}
        for number in range(TAKEN):
            world.cluster.apply_as("kubectl", by_hand(f"t{number}", next(found)))
        conflicting = world.open(taken)
        reviewer.hint()
        await world.until_state(planned, CheckState.FAILURE)
        await world.until_state(refused, CheckState.FAILURE)
        await world.until_state(titled, CheckState.SUCCESS)
        await world.until_state(conflicting, CheckState.FAILURE)
        facts = {pull.request.number: pull for pull in reviewer.pulls()}
    said = [c.body for n in facts for c in world.forge.ours(n)]
    marks = [
        "\n".join([c.title, c.summary, c.text, *(f"{a.title} {a.message}" for a in c.annotations)])
        for c in world.forge.checks
    ]
    kept = [orjson.dumps(record).decode() for record in (await world.store.reviews()).values()]
    leaves = [leaf.decode("utf-8", "replace") for leaf in await world.store.leaves(0, 10_000)]
    logged = capsys.readouterr()
    sinks = {
        "comments": said,
        "checks": marks,
        "plans and the page": [
            repr((f.plan, f.title, f.problems, f.trouble)) for f in facts.values()
        ],
        "records": kept,
        "audit log": leaves,
        "log": [logged.out, logged.err],
        "metrics": [metrics.exposition().decode()],
    }
    assert [where for where, texts in sinks.items() if not texts] == []
    assert [(where, seen) for where, texts in sinks.items() if (seen := leaks(texts))] == []


def leaks(texts: list[str]) -> list[str]:
    """The surroundings of the first few."""
    found = []
    for text in texts:
        for spelling in spellings():
            at = text.find(spelling)
            if at >= 0:
                found.append(text[max(0, at - 120) : at + 60])
    return found[:3]
