"""What must be so before a LoRA adapter can be rolled out onto the server of another Rollout.

Separate from rendering, which is handed what fits, and from the kinds, since all of this is between
documents. The invariant: an adapter that compiles has a server with a route in every cluster, a
strategy that waits until it is loaded, and a name that none of its versions shares.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from reconciler.core.declarations import Declarations, declared_as
from reconciler.core.documents import Document
from reconciler.core.identifiers import ClusterName
from reconciler.core.kinds import Model, Rollout
from reconciler.core.problems import Problem
from reconciler.core.rendering.lora import adapter_name
from reconciler.core.rollouts.placing import gradual


@dataclass(frozen=True, slots=True)
class Server:
    """The documents of the Rollout whose replicas load an adapter, and of its Model."""

    rollout: Document
    model: Document


def server_of(model: Model, declarations: Declarations) -> Server | None:
    """None for runtimes without one, and where a document is missing, which is told elsewhere."""
    lora = model.spec.serving.lora
    rollout = declarations.of(Rollout).get(lora.server) if lora else None
    if rollout is None:
        return None
    served = declarations.of(Model).get(declared_as(Rollout, rollout).spec.model)
    return Server(rollout, served) if served is not None else None


def adapter_problems(
    document: Document, model_document: Document, server: Server, *, missing: Iterable[ClusterName]
) -> Iterator[Problem]:
    """What is wrong with a Rollout of runtime lora. Its server is in no cluster of `missing`."""
    where = model_document.span_at(("spec", "serving", "lora", "server"))
    for reason, hint in _misfits(document, server, missing):
        yield Problem(model_document.path, where, "adapter-server", reason, hint)
    yield from _strategy_problems(document)
    yield from _name_problems(model_document)


def _misfits(
    document: Document, server: Server, missing: Iterable[ClusterName]
) -> Iterator[tuple[str, str]]:
    ours = declared_as(Rollout, document)
    theirs = declared_as(Rollout, server.rollout)
    runtime = declared_as(Model, server.model).spec.serving.runtime
    if runtime != "deployment":
        yield (
            f"Rollout {theirs.name} is of runtime {runtime}, and loads no adapters",
            "name a Rollout of runtime deployment",
        )
    if theirs.spec.namespace != ours.spec.namespace:
        yield (
            f"Rollout {theirs.name} is in namespace {theirs.spec.namespace}, and Rollout "
            f"{ours.name} in {ours.spec.namespace}",
            "put both into one namespace",
        )
    for cluster in missing:
        yield (
            f"Rollout {theirs.name} is not in cluster {cluster}, and Rollout {ours.name} is",
            "let the waves of the adapter select clusters of its server alone",
        )


def _strategy_problems(document: Document) -> Iterator[Problem]:
    strategy = declared_as(Rollout, document).spec.strategy
    steps = strategy.canary.steps if strategy is not None and strategy.canary is not None else ()
    if gradual(strategy) is None:
        yield Problem(
            document.path,
            document.span_at(("spec",)),
            "adapter-strategy",
            f"Rollout {document.name} has no strategy that waits until its adapter is loaded",
            "give it strategy.canary or strategy.blueGreen",
        )
    for index, step in enumerate(steps):
        if step.mirror is not None:
            yield Problem(
                document.path,
                document.span_at(("spec", "strategy", "canary", "steps", index, "mirror")),
                "adapter-strategy",
                "a copy of a request goes to the same server and cannot be marked for another "
                "adapter",
                "remove the step, or make it a cohort",
            )


def _name_problems(model_document: Document) -> Iterator[Problem]:
    model = declared_as(Model, model_document)
    lora = model.spec.serving.lora
    assert lora is not None, "the caller has looked"
    names: dict[str, str] = {}
    for index, version in enumerate(model.spec.versions):
        name = adapter_name(lora.alias, version.artifact.digest)
        first = names.setdefault(name, version.name)
        if first != version.name:
            yield Problem(
                model_document.path,
                model_document.span_at(("spec", "versions", index, "artifact")),
                "adapter-name",
                f"versions {first} and {version.name} would both be loaded as {name}",
                "keep one of the two: a server must never know two adapters by one name",
            )
