"""The example repository is whole: what it names exists, and what it asks for fits."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TypeVar

from reconciler.core.documents import Document, read_file
from reconciler.core.identifiers import DocumentPath
from reconciler.core.kinds import (
    AgentScope,
    Cluster,
    Declaration,
    Gate,
    Model,
    Prompt,
    Repository,
    Role,
    Rollout,
)
from reconciler.core.quantities import Quantity

EXAMPLE = Path(__file__).parents[2] / "example-repo"
_Kind = TypeVar("_Kind", bound=Declaration)

GPU = "nvidia.com/gpu"
GPUS_OF_A_SANDBOX = 3 * 8


def documents() -> list[Document]:
    found = []
    for file in sorted(EXAMPLE.rglob("*.yaml")):
        path = DocumentPath(str(file.relative_to(EXAMPLE)))
        parsed = read_file(path, file.read_bytes())
        assert parsed.problems == ()
        found.extend(parsed.documents)
    return found


def of_kind(kind: type[_Kind]) -> dict[str, _Kind]:
    declarations = [document.declaration for document in documents()]
    return {d.name: d for d in declarations if isinstance(d, kind)}


def gpus(rollout: Rollout) -> int:
    """What the replicas of one version need."""
    serving = of_kind(Model)[rollout.spec.model].spec.serving
    assert serving.container is not None
    resources = serving.container.resources
    limit = resources.limits.get(GPU) if resources else None
    replicas = serving.replicas or of_kind(Repository)["ml-platform"].spec.defaults.replicas
    return replicas * int(limit.amount) if limit else 0


def test_the_policy_is_at_the_root() -> None:
    (policy,) = [d for d in documents() if isinstance(d.declaration, Repository)]
    assert policy.path == "fairlead.yaml"


def test_the_first_line_of_every_declaration_names_its_schema() -> None:
    for document in documents():
        if document.declaration is not None:
            file = EXAMPLE / document.path
            first = file.read_text().splitlines()[0]
            schema = first.removeprefix("# yaml-language-server: $schema=")
            assert (file.parent / schema).resolve() == (
                EXAMPLE.parent / "schemas" / f"{document.type.kind}.json"
            )


def test_no_name_is_declared_twice() -> None:
    keys = Counter((d.type.kind, d.namespace, d.name) for d in documents())
    assert max(keys.values()) == 1


def test_every_rollout_names_a_subject_a_version_and_gates_that_exist() -> None:
    subjects, gates = {**of_kind(Prompt), **of_kind(Model)}, of_kind(Gate)
    for rollout in of_kind(Rollout).values():
        assert subjects[rollout.spec.subject].spec.version(rollout.spec.version)
        assert set(rollout.spec.gates) <= set(gates)


def test_every_wave_selects_a_cluster() -> None:
    clusters = of_kind(Cluster).values()
    for rollout in of_kind(Rollout).values():
        for wave in rollout.spec.waves:
            selector = wave.clusters.items()
            assert any(selector <= cluster.metadata.labels.items() for cluster in clusters)


def test_every_principal_is_a_role_or_an_agent() -> None:
    known = {*of_kind(Role), *(f"agent/{name}" for name in of_kind(AgentScope))}
    for model in of_kind(Model).values():
        for version in model.spec.versions:
            assert {*version.access.inference, *version.access.retraining} <= known
    for owned in of_kind(Repository)["ml-platform"].spec.owners:
        assert set(owned.owners) <= known


def test_every_access_test_is_about_a_version_that_exists() -> None:
    models = of_kind(Model)
    for policy in (*of_kind(Role).values(), *of_kind(AgentScope).values()):
        assert policy.spec.tests
        for claim in policy.spec.tests:
            model, _, version = claim.model.partition("@")
            assert models[model].spec.version(version)


def test_every_prompt_is_for_a_model_that_exists() -> None:
    for prompt in of_kind(Prompt).values():
        assert prompt.spec.model in of_kind(Model)


def test_everything_lies_in_an_allowed_namespace() -> None:
    allow = of_kind(Repository)["ml-platform"].spec.allow
    for document in documents():
        namespace = document.name if document.type.kind == "Namespace" else document.namespace
        if document.declaration is None:
            assert allow.permits_namespace(namespace)
            assert allow.permits_kind(document.type)
    for rollout in of_kind(Rollout).values():
        assert allow.permits_namespace(rollout.spec.namespace)


def test_every_namespace_has_the_restricted_level_and_denies_traffic_by_default() -> None:
    bodies = [document for document in documents() if document.declaration is None]
    denying = {d.namespace for d in bodies if d.name == "default-deny"}
    for namespace in (d for d in bodies if d.type.kind == "Namespace"):
        labels = namespace.body["metadata"]["labels"]
        assert labels["pod-security.kubernetes.io/enforce"] == "restricted"
        assert namespace.name in denying


def test_two_versions_of_every_model_fit_the_quotas_and_the_sandbox() -> None:
    quotas = {
        d.namespace: Quantity.parse(d.body["spec"]["hard"][f"requests.{GPU}"]).amount
        for d in documents()
        if d.type.kind == "ResourceQuota"
    }
    for env in ("staging", "production"):
        needed: Counter[str] = Counter()
        for rollout in of_kind(Rollout).values():
            model = of_kind(Model).get(rollout.spec.model)
            runs_servers = model is not None and model.spec.serving.runtime != "lora"
            if runs_servers and {"env": env} in [dict(w.clusters) for w in rollout.spec.waves]:
                needed[rollout.spec.namespace] += 2 * gpus(rollout)
        assert all(count <= quotas[namespace] for namespace, count in needed.items())
        assert needed.total() <= GPUS_OF_A_SANDBOX
