"""The Evaluator port: golden sets, plug-ins (evaluating_plugins.py), and services over HTTP.

Separate from the gates, which judge the results. The invariants: an evaluation ends in time and
never raises; what goes wrong in it is its trouble, which holds a gate and promotes nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Annotated

import aiohttp
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from reconciler.adapters.cluster_connection import read_up_to
from reconciler.adapters.evaluating_plugins import report_of
from reconciler.core.errors import FairleadError, Refused
from reconciler.core.golden import is_answer
from reconciler.core.kinds import Evaluation
from reconciler.core.kinds.evaluation import GoldenItem, GoldenSet, HttpEvaluation
from reconciler.core.samples import EvaluationResult, ItemResult
from reconciler.ports import Ask, Comparison

CONCURRENCY = 8
"""Items of a golden set that are asked at once."""

LARGEST_REPORT = 4 * 2**20


class _Item(BaseModel):
    """One item as a service or a plug-in reports it."""

    model_config = ConfigDict(extra="ignore", strict=True)

    item: Annotated[str, Field(min_length=1, max_length=200)]
    stable: bool
    candidate: bool


class _Report(BaseModel):
    model_config = ConfigDict(extra="ignore")

    items: Annotated[list[_Item], Field(min_length=1, max_length=100_000)]


_ITEMS = TypeAdapter(list[_Item])


class Evaluators:
    """Evaluates by whatever the document names."""

    async def evaluate(self, evaluation: Evaluation, versions: Comparison) -> EvaluationResult:
        spec, name = evaluation.spec, evaluation.name
        try:
            if spec.golden is not None:
                return EvaluationResult(await _golden(spec.golden, versions))
            if spec.plugin is not None:
                report = await report_of(spec.plugin.entry_point, versions)
                return EvaluationResult(_results(_ITEMS.validate_python(report)))
            assert spec.http is not None, "an evaluation has one of three forms"
            return EvaluationResult(await _service(spec.http, versions))
        except FairleadError as error:
            return EvaluationResult(trouble=f"evaluation {name}: {error.message}")
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"]))
            return EvaluationResult(
                trouble=f"evaluation {name} reports what is no result: {where}: {first['msg']}"
            )
        except TimeoutError:
            return EvaluationResult(trouble=f"evaluation {name} did not end in time")
        except (aiohttp.ClientError, OSError) as error:
            return EvaluationResult(trouble=f"evaluation {name}: {type(error).__name__}")


async def _golden(golden: GoldenSet, versions: Comparison) -> tuple[ItemResult, ...]:
    slots = asyncio.Semaphore(CONCURRENCY)

    async def right(ask: Ask, item: GoldenItem) -> bool:
        async with slots:
            try:
                return is_answer(await ask(item.request), item.answer)
            except Refused:
                # It was asked and had no answer, which is not the right one.
                return False

    async def answers(ask: Ask) -> list[bool]:
        asked = [asyncio.ensure_future(right(ask, item)) for item in golden.items]
        try:
            return await asyncio.gather(*asked)
        finally:
            for task in asked:
                task.cancel()

    stable, candidate = await answers(versions.ask_stable), await answers(versions.ask_candidate)
    return tuple(
        ItemResult(item.name, stable=one, candidate=other)
        for item, one, other in zip(golden.items, stable, candidate, strict=True)
    )


async def _service(service: HttpEvaluation, versions: Comparison) -> tuple[ItemResult, ...]:
    asked = {
        "rollout": versions.rollout,
        "model": versions.model,
        "namespace": versions.namespace,
        "stable": versions.stable,
        "candidate": versions.candidate,
    }
    timeout = aiohttp.ClientTimeout(total=service.timeout.total_seconds())
    async with (
        aiohttp.ClientSession(trust_env=False, timeout=timeout) as session,
        session.post(service.url, json=asked, allow_redirects=False) as answer,
    ):
        if answer.status != 200:
            raise FairleadError(f"the service answers {answer.status}")
        body = await read_up_to(LARGEST_REPORT, answer, doing="read the report")
    return _results(_Report.model_validate_json(body).items)


def _results(items: Iterable[_Item]) -> tuple[ItemResult, ...]:
    return tuple(ItemResult(i.item, stable=i.stable, candidate=i.candidate) for i in items)
