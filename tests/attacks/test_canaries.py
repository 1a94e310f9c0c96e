"""Attack 18: values that look like credentials are planted in a repository, and looked for in every
place where people or other systems read what the daemon says."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from itertools import count

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from reconciler.core.audit.records import Verb
from reconciler.core.standing import status_json
from reconciler.engine import drafting, following, reconciling
from reconciler.engine.driving import Engine
from reconciler.surfaces.audit_reports import record_text, records_table
from reconciler.surfaces.engine_status import EngineStatus
from tests.engine.world import REPOSITORY
from tests.hostile.estate import captured_log
from tests.page.page_world import PATHS, PageWorld
from tests.reviewing.test_secrets import credentials, leaks

pytestmark = pytest.mark.looptime

PLANTED = 10_000
FILES = 6
A_FILE = 250


def data(found: Iterator[str]) -> str:
    lines = "".join(f'  k{n}: "{next(found)}"\n' for n in range(A_FILE - 1))
    note = f'annotations: {{note: "{next(found)}"}}'
    return f"apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: x, {note}}}\ndata:\n{lines}"


def environment(found: Iterator[str]) -> str:
    body = {
        "containers": [{"env": [{"name": f"V{n}", "value": next(found)} for n in range(A_FILE)]}]
    }
    spec = {"template": {"spec": body}}
    metadata = {"name": "x", "namespace": "team-a"}
    return json.dumps(
        {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": spec}
    )


def secrets(found: Iterator[str]) -> str:
    lines = "".join(f'  k{n}: "{next(found)}"\n' for n in range(A_FILE))
    return f"apiVersion: v1\nkind: Secret\nmetadata: {{name: x}}\nstringData:\n{lines}"


def wrong_fields(found: Iterator[str]) -> str:
    """Where a message would quote what it does not know."""
    fields = "".join(f'  "{next(found)}": "{next(found)}"\n' for _ in range(A_FILE // 2))
    return f"apiVersion: fairlead.dev/v1alpha1\nkind: Role\nmetadata: {{name: x}}\nspec:\n{fields}"


def wrong_values(found: Iterator[str]) -> str:
    groups = ", ".join(f'"{next(found)}"' for _ in range(A_FILE))
    return (
        "apiVersion: fairlead.dev/v1alpha1\nkind: Role\nmetadata: {name: x}\n"
        f"spec: {{groups: [{groups}], allow: []}}\n"
    )


def broken(found: Iterator[str]) -> str:
    """No YAML from some line on: a parser's message shows what it met."""
    return "".join(f"{next(found)}: [\n" for _ in range(A_FILE))


def names(found: Iterator[str]) -> str:
    return "\n---\n".join(
        f'apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: "{next(found)}"}}'
        for _ in range(A_FILE)
    )


FORMS: tuple[Callable[[Iterator[str]], str], ...] = (
    data,
    environment,
    secrets,
    wrong_fields,
    wrong_values,
    broken,
    names,
)


async def test_attack_18_ten_thousand_planted_values_reach_no_sink(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    exported, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exported))
    for module in (drafting, following, reconciling):
        monkeypatch.setattr(module, "tracer", provider.get_tracer("test"))
    counted = count()
    found = (value for value in credentials(2 * PLANTED, seed=18) if next(counted) >= 0)
    world = PageWorld()
    sinks: dict[str, list[str]] = {}
    with captured_log() as log:
        async with world.settled() as engine:
            # Each form alone: of many problems only the first are told.
            for form in FORMS:
                commit = world.push(
                    {
                        "apps/planted/all.yaml": "\n---\n".join(
                            form(found) for _ in range(FILES)
                        ).encode(),
                        f"apps/planted/{next(found)}.yaml": form(found).encode(),
                    },
                    message=f"use {next(found)}",
                )
                await world.until_refused(engine, commit)
                for where, texts in (await everything(world, engine)).items():
                    sinks.setdefault(where, []).extend(texts)
    assert next(counted) > PLANTED
    refusals = [r for r in await world.records() if r.verb is Verb.REFUSE]
    assert len(refusals) == len(FORMS)
    sinks["log"] = [log.getvalue()]
    sinks["spans"] = [span.to_json() for span in exported.get_finished_spans()]
    assert [where for where, texts in sinks.items() if not any(texts)] == []
    assert [(where, seen) for where, texts in sinks.items() if (seen := leaks(texts))] == []


async def everything(world: PageWorld, engine: Engine) -> dict[str, list[str]]:
    """What can be read of a world now."""
    logged = await world.store.records(limit=100_000)
    status = EngineStatus(engine, repository=REPOSITORY, clock=world.clock).status()
    position = engine.books.position
    plan = engine.reconciler.plan
    refused = (f"/commits/{position.refused}", "/search?q=planted")
    pages = [(await world.get(path)).body.decode() for path in (*PATHS, *refused)]
    return {
        "pages": pages,
        "status": [json.dumps(status_json(status))],
        "state": [repr(position), *(repr(engine.books.ledger(name)) for name in world.clusters)],
        "plan": [plan.canonical.decode()] if plan else [],
        "audit log": [
            leaf.decode("utf-8", "replace") for leaf in await world.store.leaves(0, 100_000)
        ],
        "audit commands": [
            *records_table(logged),
            *(line for item in logged for line in record_text(item)),
        ],
    }
