"""What must be so before an adapter or a prompt can be rolled out onto another Rollout's server.

Separate from rendering, which is handed what fits, and from the kinds, since all of this is between
documents. The invariant: what compiles has a server with a route in every cluster, a strategy that
waits until it is loaded, and a name that none of its versions shares.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from reconciler.core.admission.findings import Pointer
from reconciler.core.declarations import Declarations, declared_as
from reconciler.core.documents import Document
from reconciler.core.identifiers import ClusterName
from reconciler.core.kinds import Model, Prompt, Rollout
from reconciler.core.problems import Problem
from reconciler.core.rollouts.loadables import Loadable, Sort
from reconciler.core.rollouts.placing import gradual


@dataclass(frozen=True, slots=True)
class Server:
    """The documents of the Rollout whose replicas load something, and of its Model."""

    rollout: Document
    model: Document


@dataclass(frozen=True, slots=True)
class _Codes:
    """Of the problems of one sort: with its server, with its strategy, and with its names."""

    server: str
    strategy: str
    name: str


_CODES: Mapping[Sort, _Codes] = MappingProxyType(
    {
        Sort.ADAPTER: _Codes("adapter-server", "adapter-strategy", "adapter-name"),
        Sort.PROMPT: _Codes("prompt-server", "prompt-strategy", "prompt-name"),
    }
)


def loadable_of(subject: Document) -> Loadable | None:
    """What servers of others load of a Model or a Prompt; None when that is nothing."""
    if isinstance(subject.declaration, Prompt):
        prompt = subject.declaration
        return Loadable.of_prompt(prompt) if prompt.spec.serving is not None else None
    spec = declared_as(Model, subject).spec
    if spec.serving.lora is None:
        return None
    digests = {version.name: version.artifact.digest for version in spec.versions}
    return Loadable.of_adapter(spec.serving.lora, digests)


def server_of(subject: Document, declarations: Declarations) -> Server | None:
    """None for runtimes without one, and where a document is missing, which is told elsewhere."""
    loadable = loadable_of(subject)
    rollout = declarations.of(Rollout).get(loadable.server) if loadable else None
    if rollout is None:
        return None
    served = declarations.of(Model).get(declared_as(Rollout, rollout).spec.model)
    return Server(rollout, served) if served is not None else None


def unserved_problems(document: Document, subject: Document) -> Iterator[Problem]:
    """A Rollout of a prompt that nobody is given."""
    if isinstance(subject.declaration, Prompt) and loadable_of(subject) is None:
        yield Problem(
            document.path,
            document.span_at(("spec", "prompt")),
            "prompt-server",
            f"Prompt {subject.name} does not say which server is given its text",
            "give the prompt serving with server and alias",
        )


def server_problems(
    document: Document, subject: Document, server: Server, *, missing: Iterable[ClusterName]
) -> Iterator[Problem]:
    """What is wrong with a Rollout of `subject`. Its server is in no cluster of `missing`."""
    loadable = loadable_of(subject)
    assert loadable is not None, "it has a server"
    at: Pointer = ("spec", "serving", "lora", "server")
    if loadable.sort is Sort.PROMPT:
        at = ("spec", "serving", "server")
    for reason, hint in _misfits(document, subject, server, loadable.sort, missing):
        code = _CODES[loadable.sort].server
        yield Problem(subject.path, subject.span_at(at), code, reason, hint)
    yield from _strategy_problems(document, loadable.sort)
    yield from _name_problems(subject, loadable)


def _misfits(
    document: Document,
    subject: Document,
    server: Server,
    sort: Sort,
    missing: Iterable[ClusterName],
) -> Iterator[tuple[str, str]]:
    ours = declared_as(Rollout, document)
    theirs = declared_as(Rollout, server.rollout)
    runtime = declared_as(Model, server.model).spec.serving.runtime
    if runtime != "deployment":
        yield (
            f"Rollout {theirs.name} is of runtime {runtime}, and loads no {sort}s",
            "name a Rollout of runtime deployment",
        )
    prompt = subject.declaration
    if isinstance(prompt, Prompt) and prompt.spec.model != server.model.name:
        yield (
            f"Rollout {theirs.name} runs Model {server.model.name}, and Prompt {prompt.name} is "
            f"written for Model {prompt.spec.model}",
            "name a Rollout of the model that the prompt is written for",
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
            f"let the waves of the {sort} select clusters of its server alone",
        )


def _strategy_problems(document: Document, sort: Sort) -> Iterator[Problem]:
    strategy = declared_as(Rollout, document).spec.strategy
    steps = strategy.canary.steps if strategy is not None and strategy.canary is not None else ()
    code = _CODES[sort].strategy
    if gradual(strategy) is None:
        yield Problem(
            document.path,
            document.span_at(("spec",)),
            code,
            f"Rollout {document.name} has no strategy that waits until its {sort} is loaded",
            "give it strategy.canary or strategy.blueGreen",
        )
    for index, step in enumerate(steps):
        if step.mirror is not None:
            yield Problem(
                document.path,
                document.span_at(("spec", "strategy", "canary", "steps", index, "mirror")),
                code,
                "a copy of a request goes to the same server and cannot be marked for another "
                f"{sort}",
                "remove the step, or make it a cohort",
            )


def _name_problems(subject: Document, loadable: Loadable) -> Iterator[Problem]:
    field = "text" if loadable.sort is Sort.PROMPT else "artifact"
    names: dict[str, str] = {}
    for index, (version, digest) in enumerate(loadable.digests.items()):
        name = loadable.name(digest)
        first = names.setdefault(name, version)
        if first != version:
            yield Problem(
                subject.path,
                subject.span_at(("spec", "versions", index, field)),
                _CODES[loadable.sort].name,
                f"versions {first} and {version} would both be loaded as {name}",
                f"keep one of the two: a server must never know two {loadable.sort}s by one name",
            )
