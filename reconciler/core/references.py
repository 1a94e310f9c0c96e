"""Do the documents that others name exist?

Separate from the kinds, which are checked one by one. The invariant: after this every name in a
document leads to a document, a misspelt one never silently to nothing.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TypeAlias

from reconciler.core.admission.findings import Pointer
from reconciler.core.declarations import Declarations, declared_as
from reconciler.core.documents import Document
from reconciler.core.kinds import (
    AgentScope,
    BreakGlass,
    Declaration,
    Evaluation,
    Gate,
    Model,
    Prompt,
    Repository,
    Role,
    Rollout,
)
from reconciler.core.kinds.access_rules import AccessTest
from reconciler.core.problems import Problem
from reconciler.core.secrecy import suspect


@dataclass(frozen=True, slots=True)
class Reference:
    """A name in a document that must lead to another one."""

    pointer: Pointer
    kind: type[Declaration]
    name: str


_References: TypeAlias = Callable[[Document], Iterator[Reference]]


def reference_problems(declarations: Declarations) -> Iterator[Problem]:
    """Every reference that leads nowhere, and every Model with a secret value in it."""
    for kind, references_of in _REFERENCES.items():
        for document in declarations.of(kind).values():
            for reference in references_of(document):
                if not declarations.knows(reference.kind, reference.name):
                    yield _dangling(document, reference, declarations)
    for document, rollout in declarations.all(Rollout):
        spec = rollout.spec
        subject = declarations.get(Model, spec.model) or declarations.get(Prompt, spec.prompt)
        at_version: Mapping[Pointer, str] = {("spec", "version"): spec.version}
        yield from _version_problems(document, subject, at_version)
        yield from _approval_problems(document, rollout, declarations)
    for document, scope in declarations.all(AgentScope):
        for index, entry in enumerate(scope.spec.models):
            at: Pointer = ("spec", "models", index, "versions")
            versions = {(*at, place): name for place, name in enumerate(entry.versions)}
            model = declarations.get(Model, entry.model)
            yield from _version_problems(document, model, versions)
    for document, model in declarations.all(Model):
        yield from _secret_problems(document, model)


def _version_problems(
    document: Document, subject: Model | Prompt | None, versions: Mapping[Pointer, str]
) -> Iterator[Problem]:
    if subject is None:
        return
    known = [version.name for version in subject.spec.versions]
    for pointer, version in versions.items():
        if version not in known:
            yield Problem(
                document.path,
                document.span_at(pointer),
                "unknown-version",
                f"{subject.kind} {subject.name} has no version {version}",
                _nearest(version, known, otherwise=f"use one of {', '.join(known)}"),
            )


def _approval_problems(
    document: Document, rollout: Rollout, declarations: Declarations
) -> Iterator[Problem]:
    """Approvals of gates by people whom the gate does not ask."""
    for index, given in enumerate(rollout.spec.approved):
        gate = declarations.get(Gate, given.gate) if given.gate else None
        if gate is None:
            continue
        asked = gate.spec.approval.by if gate.spec.approval else ()
        if given.by not in asked:
            yield Problem(
                document.path,
                document.span_at(("spec", "approved", index, "gate")),
                "approval-not-asked",
                f"Gate {gate.name} does not ask {given.by} for approval",
                f"name one of {', '.join(asked)}" if asked else "approve a gate of kind approval",
            )


def _secret_problems(document: Document, model: Model) -> Iterator[Problem]:
    container = model.spec.serving.container
    for name, value in container.env.items() if container else ():
        if found := suspect(name, value):
            yield Problem(
                document.path,
                document.span_at(("spec", "serving", "container", "env", name)),
                "secret-value",
                f"the value of {name} looks like {found.description}",
                "name it under serving.secrets with where it lies in a secret store, and replace "
                "the value that was committed",
            )


def _rollout(document: Document) -> Iterator[Reference]:
    spec = declared_as(Rollout, document).spec
    if spec.prompt:
        yield Reference(("spec", "prompt"), Prompt, spec.prompt)
    else:
        yield Reference(("spec", "model"), Model, spec.model)
    for index, gate in enumerate(spec.gates):
        yield Reference(("spec", "gates", index), Gate, gate)
    strategy = spec.strategy
    if strategy is not None and strategy.canary is not None:
        for index, step in enumerate(strategy.canary.steps):
            if step.approval is not None:
                at: Pointer = ("spec", "strategy", "canary", "steps", index, "approval", "by")
                yield from _principals(at, step.approval.by)
    if strategy is not None and strategy.blue_green is not None and strategy.blue_green.approval:
        at = ("spec", "strategy", "blueGreen", "approval", "by")
        yield from _principals(at, strategy.blue_green.approval.by)


def _model(document: Document) -> Iterator[Reference]:
    spec = declared_as(Model, document).spec
    if spec.serving.lora is not None:
        yield Reference(("spec", "serving", "lora", "server"), Rollout, spec.serving.lora.server)
    for index, version in enumerate(spec.versions):
        at: Pointer = ("spec", "versions", index, "access")
        yield from _principals((*at, "inference"), version.access.inference)
        yield from _principals((*at, "retraining"), version.access.retraining)


def _gate(document: Document) -> Iterator[Reference]:
    evaluation = declared_as(Gate, document).spec.evaluation
    if evaluation is not None:
        yield Reference(("spec", "evaluation", "name"), Evaluation, evaluation.name)


def _prompt(document: Document) -> Iterator[Reference]:
    spec = declared_as(Prompt, document).spec
    yield Reference(("spec", "model"), Model, spec.model)
    if spec.serving is not None:
        yield Reference(("spec", "serving", "server"), Rollout, spec.serving.server)


def _agent_scope(document: Document) -> Iterator[Reference]:
    spec = declared_as(AgentScope, document).spec
    for index, entry in enumerate(spec.models):
        yield Reference(("spec", "models", index, "model"), Model, entry.model)
    for index, name in enumerate(spec.token.by):
        yield Reference(("spec", "token", "by", index), Role, name)
    yield from _tested_models(spec.tests)


def _role(document: Document) -> Iterator[Reference]:
    yield from _tested_models(declared_as(Role, document).spec.tests)


def _break_glass(document: Document) -> Iterator[Reference]:
    yield Reference(("spec", "role"), Role, declared_as(BreakGlass, document).spec.role)


def _repository(document: Document) -> Iterator[Reference]:
    spec = declared_as(Repository, document).spec
    rules = {"widerAccess": spec.approvals.wider_access, "breakGlass": spec.approvals.break_glass}
    for name, rule in rules.items():
        if rule is not None:
            yield from _principals(("spec", "approvals", name, "by"), rule.by)
    for index, ownership in enumerate(spec.owners):
        yield from _principals(("spec", "owners", index, "owners"), ownership.owners)


def _tested_models(tests: Iterable[AccessTest]) -> Iterator[Reference]:
    """The model must exist; the version need not, since a test may deny one that is to come."""
    for index, test in enumerate(tests):
        yield Reference(("spec", "tests", index, "model"), Model, test.model.partition("@")[0])


def _principals(at: Pointer, names: Iterable[str]) -> Iterator[Reference]:
    for index, name in enumerate(names):
        scope = name.removeprefix("agent/")
        yield Reference((*at, index), Role if scope == name else AgentScope, scope)


_REFERENCES: Mapping[type[Declaration], _References] = MappingProxyType(
    {
        AgentScope: _agent_scope,
        BreakGlass: _break_glass,
        Gate: _gate,
        Model: _model,
        Prompt: _prompt,
        Repository: _repository,
        Role: _role,
        Rollout: _rollout,
    }
)


def _dangling(document: Document, reference: Reference, declarations: Declarations) -> Problem:
    kind = reference.kind.__name__
    return Problem(
        document.path,
        document.span_at(reference.pointer),
        f"unknown-{_dashed(kind)}",
        f"{document.type.kind} {document.name} names {kind} {reference.name}, which no file "
        "declares",
        _nearest(
            reference.name,
            declarations.of(reference.kind),
            otherwise=f"add a {kind} document with that name, or remove the reference",
        ),
    )


def _nearest(name: str, known: Iterable[str], *, otherwise: str) -> str:
    near = difflib.get_close_matches(name, known, n=1)
    return f"did you mean {near[0]}?" if near else otherwise


def _dashed(kind: str) -> str:
    return "".join(f"-{c.lower()}" if c.isupper() else c for c in kind).lstrip("-")
