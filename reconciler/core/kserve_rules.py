"""What must be so before KServe can roll out a version.

Separate from rendering, which is handed what fits, and from the kinds, since all of this is between
documents. The invariant: a rollout that compiles asks nothing of KServe but what `spec.canary` can
say: names that it takes, versions that differ, and weights in whole percents.

https://github.com/kserve/kserve/blob/master/pkg/apis/serving/v1beta1/inference_service_validation.go
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from reconciler.core.admission.findings import Pointer
from reconciler.core.declarations import declared_as
from reconciler.core.documents import Document
from reconciler.core.kinds import Model, Rollout
from reconciler.core.kinds.rollout import Step
from reconciler.core.problems import Problem
from reconciler.core.rendering.kserve import predictor_service

_NAME = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?")
_LONGEST = 63
"""Characters of a Service's name."""


def kserve_problems(document: Document, model_document: Document) -> Iterator[Problem]:
    """What is wrong with a Rollout of a Model of runtime kserve."""
    yield from _strategy_problems(document)
    yield from _name_problems(document)
    yield from _version_problems(model_document)


def _strategy_problems(document: Document) -> Iterator[Problem]:
    strategy = declared_as(Rollout, document).spec.strategy
    canary = strategy.canary if strategy is not None else None
    if canary is None:
        at: Pointer = ("spec", "strategy") if strategy is not None else ("spec",)
        yield Problem(
            document.path,
            document.span_at(at),
            "kserve-strategy",
            f"KServe divides requests by weight, and Rollout {document.name} has no canary",
            "give it strategy.canary with steps of weight; the last, weight 100%, may be the only "
            "one",
        )
        return
    for index, step in enumerate(canary.steps):
        if objection := _objection(step):
            field, reason, hint = objection
            at = ("spec", "strategy", "canary", "steps", index, field)
            yield Problem(document.path, document.span_at(at), "kserve-strategy", reason, hint)


def _objection(step: Step) -> tuple[str, str, str] | None:
    """Field, reason and hint, for what KServe cannot do."""
    instead = "make it a small weight, or use runtime deployment"
    if step.cohort is not None:
        return "cohort", "KServe cannot tell requests apart by a header", instead
    if step.mirror is not None:
        return "mirror", "KServe cannot copy requests", instead
    if step.weight is not None and step.weight.percent % 1:
        words = f"KServe divides requests in whole percents, and not by {step.weight}"
        return "weight", words, f"write {int(step.weight.percent) + 1}%, or use runtime deployment"
    return None


def _name_problems(document: Document) -> Iterator[Problem]:
    spec = declared_as(Rollout, document).spec
    service = predictor_service(document.name, spec.version)
    fields: tuple[tuple[Pointer, str], ...] = (
        (("metadata", "name"), document.name),
        (("spec", "version"), spec.version),
    )
    for at, name in fields:
        if not _NAME.fullmatch(name):
            yield Problem(
                document.path,
                document.span_at(at),
                "kserve-name",
                f"KServe takes no name such as {name}, which begins with a digit",
                "begin it with a letter",
            )
    if len(service) > _LONGEST:
        yield Problem(
            document.path,
            document.span_at(("metadata", "name")),
            "kserve-name",
            f"KServe would name a Service {service}, which has more than {_LONGEST} characters",
            "shorten the name of the Rollout or of the version",
        )


def _version_problems(model_document: Document) -> Iterator[Problem]:
    model = declared_as(Model, model_document)
    artifacts: dict[str, str] = {}
    for index, version in enumerate(model.spec.versions):
        first = artifacts.setdefault(str(version.artifact), version.name)
        if first != version.name:
            yield Problem(
                model_document.path,
                model_document.span_at(("spec", "versions", index, "artifact")),
                "kserve-version",
                f"versions {first} and {version.name} have one artifact, and KServe changes no "
                "version without changing the artifact",
                "keep one of the two",
            )
