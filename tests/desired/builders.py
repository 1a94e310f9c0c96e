"""Trees of a config repository in memory, for tests."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from reconciler.core.commits import TreeDifference, TreeEntry
from reconciler.core.compiling import Compilation, blobs_to_read, compile_commit
from reconciler.core.identifiers import BlobId, CommitSha, DocumentPath
from reconciler.core.kinds.repository import RepositorySpec
from reconciler.core.problems import Problem
from reconciler.core.secret_versions import NO_BOOK, PinBook

FILE = 0o100644
LINK = 0o120000
SUBMODULE = 0o160000
DIGEST = "sha256:" + "ab" * 32

Tree = Mapping[str, str | bytes]

POLICY = """\
apiVersion: fairlead.dev/v1alpha1
kind: Repository
metadata: {name: acme}
spec:
  clusters: {labels: {fleet: acme}}
  allow: {namespaces: [team-*, agent-*, monitoring]}
  manifests:
  - path: platform/*
"""

CLUSTERS = """\
apiVersion: fairlead.dev/v1alpha1
kind: Cluster
metadata: {name: staging-1, labels: {fleet: acme, env: staging}}
---
apiVersion: fairlead.dev/v1alpha1
kind: Cluster
metadata: {name: production-1, labels: {fleet: acme, env: production}}
spec: {gateway: {name: public, namespace: gateways}}
"""

MODEL = f"""\
apiVersion: fairlead.dev/v1alpha1
kind: Model
metadata: {{name: fraud-detector, labels: {{team: risk, tier: restricted}}}}
spec:
  owner: team-risk
  versions:
  - name: v3
    artifact: oci://registry.example.com/models/fraud@{DIGEST}
  - name: v4
    artifact: oci://registry.example.com/models/fraud@{DIGEST.replace("ab", "cd")}
  serving:
    runtime: deployment
    container:
      image: registry.example.com/serve@{DIGEST}
      port: 8000
    route: {{hostnames: [fraud.example.com]}}
"""

ROLLOUT = """\
apiVersion: fairlead.dev/v1alpha1
kind: Rollout
metadata: {name: fraud-detector}
spec:
  model: fraud-detector
  version: v3
  namespace: team-risk
  waves:
  - clusters: {env: staging}
  - clusters: {env: production}
"""

ADAPTER = f"""\
apiVersion: fairlead.dev/v1alpha1
kind: Model
metadata: {{name: support}}
spec:
  owner: team-risk
  versions:
  - name: v1
    artifact: oci://registry.example.com/adapters/support@{DIGEST}
  - name: v2
    artifact: oci://registry.example.com/adapters/support@{DIGEST.replace("ab", "ef")}
  serving:
    runtime: lora
    lora: {{server: fraud-detector, alias: support, path: "/adapters/{{digest}}"}}
    signals: {{label: model_name}}
"""
ADAPTER_ROLLOUT = """\
apiVersion: fairlead.dev/v1alpha1
kind: Rollout
metadata: {name: support}
spec:
  model: support
  version: v1
  namespace: team-risk
  waves: [{clusters: {env: production}}]
  strategy: {canary: {steps: [{weight: 5%}, {weight: 100%}]}}
"""
PROMPT = """\
apiVersion: fairlead.dev/v1alpha1
kind: Prompt
metadata: {name: answers}
spec:
  owner: team-risk
  model: fraud-detector
  versions:
  - {name: v1, text: Be brief.}
  - {name: v2, text: Be brief and friendly.}
  serving: {server: fraud-detector, alias: answers}
"""
PROMPT_ROLLOUT = ADAPTER_ROLLOUT.replace("model: support", "prompt: answers").replace(
    "name: support", "name: answers"
)


def config_map(name: str, *, namespace: str = "team-risk", value: str = "1") -> str:
    return (
        "apiVersion: v1\nkind: ConfigMap\n"
        f"metadata:\n  name: {name}\n  namespace: {namespace}\ndata:\n  value: '{value}'\n"
    )


def repository(**files: str | bytes) -> dict[str, str | bytes]:
    """A valid repository with a policy and two clusters. Keys use `__` for `/`, no suffix."""
    return {
        "fairlead.yaml": POLICY,
        "clusters.yaml": CLUSTERS,
        **{f"{name.replace('__', '/')}.yaml": content for name, content in files.items()},
    }


def blob(content: str | bytes) -> BlobId:
    data = content.encode() if isinstance(content, str) else content
    return BlobId(hashlib.sha1(data).hexdigest())


def commit_of(tree: Tree) -> CommitSha:
    text = "".join(f"{path}{blob(content)}" for path, content in sorted(tree.items()))
    return CommitSha(hashlib.sha1(text.encode("utf-8", "surrogatepass")).hexdigest())


def entry(path: str, content: str | bytes, mode: int = FILE) -> TreeEntry:
    data = content.encode() if isinstance(content, str) else content
    return TreeEntry(DocumentPath(path), blob(content), mode, len(data))


def difference(before: Tree, after: Tree, modes: Mapping[str, int] = {}) -> TreeDifference:
    return TreeDifference(
        changed=tuple(
            entry(path, content, modes.get(path, FILE))
            for path, content in sorted(after.items())
            if before.get(path) != content
        ),
        gone=tuple(DocumentPath(path) for path in sorted(before.keys() - after.keys())),
    )


def compile_tree(
    tree: Tree,
    *,
    before: Tree | None = None,
    previous: Compilation | None = None,
    rules: RepositorySpec | None = None,
    modes: Mapping[str, int] | None = None,
    pins: PinBook = NO_BOOK,
) -> tuple[Compilation | None, tuple[Problem, ...]]:
    """Compile as the daemon does: only the blobs that are asked for can be read."""
    change = difference(before or {}, tree, modes or {})
    stored = {blob(content): content for content in tree.values()}
    contents: dict[BlobId, bytes] = {}
    while wanted := blobs_to_read(change, contents, previous=previous):
        for identifier in wanted:
            content = stored[identifier]
            contents[identifier] = content.encode() if isinstance(content, str) else content
    return compile_commit(
        commit_of(tree), change, contents, previous=previous, rules=rules, pins=pins
    )


def compiled(
    tree: Tree, **options: Compilation | Tree | RepositorySpec | PinBook | None
) -> Compilation:
    """The compilation of a tree that must be valid."""
    compilation, problems = compile_tree(tree, **options)  # type: ignore[arg-type]
    assert compilation is not None, problems
    return compilation


def codes(tree: Tree, **options: object) -> list[str]:
    """Codes of the problems of a tree."""
    _, problems = compile_tree(tree, **options)  # type: ignore[arg-type]
    return [problem.code for problem in problems]
