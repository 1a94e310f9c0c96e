"""The repository that is measured: N objects in units, of ConfigMaps of 1 kB and Deployments.

Commits are written straight into the bare repository, so that making one costs the measurement
nothing.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import pygit2

REPOSITORY = "bench"
NAMESPACES = ("bench-a", "bench-b", "bench-c", "bench-d")
DEPLOYMENT_EVERY = 10
"""Every tenth object is a Deployment (of no replicas, so that no pods are measured)."""

_POLICY = """\
apiVersion: fairlead.dev/v1alpha1
kind: Repository
metadata: {name: bench}
spec:
  clusters: {labels: {env: bench}}
  manifests:
  - path: units/*
  allow: {namespaces: [bench-*]}
"""

_CLUSTER = """\
apiVersion: fairlead.dev/v1alpha1
kind: Cluster
metadata: {name: NAME, labels: {env: bench}}
spec: {}
"""


class Estate:
    """A bare repository with `objects` objects, each in a file, spread over `units` units."""

    def __init__(
        self, directory: Path, *, objects: int, units: int, clusters: Sequence[str] = ("bench",)
    ) -> None:
        self.path = directory / "config.git"
        self.objects = objects
        self.clusters = tuple(clusters)
        self._units = units
        self._git = pygit2.init_repository(str(self.path), bare=True, initial_head="main")
        self._index = pygit2.Index()
        self._head: pygit2.Oid | None = None

    def commit_policy(self) -> str:
        """A repository that declares nothing yet."""
        declared = {
            f"clusters/{name}.yaml": _CLUSTER.replace("NAME", name) for name in self.clusters
        }
        return self._commit({"fairlead.yaml": _POLICY, **declared})

    def commit_everything(self) -> str:
        return self._commit({self.file_of(n): manifest(n, "first") for n in range(self.objects)})

    def commit_change(self, number: int, value: str) -> str:
        """Change one object."""
        return self._commit({self.file_of(number): manifest(number, value)})

    def propose(self, files: Mapping[str, str], *, ref: str) -> str:
        """A commit on top of the branch that only `ref` has."""
        assert self._head is not None, "there is something to change"
        index = pygit2.Index()
        index.read_tree(self._git[self._head].peel(pygit2.Tree))
        for path, text in files.items():
            blob = self._git.create_blob(text.encode())
            index.add(pygit2.IndexEntry(path, blob, pygit2.enums.FileMode.BLOB))
        tree = index.write_tree(self._git)
        who = pygit2.Signature("bench", "bench@example.com", int(time.time()), 0)
        made = self._git.create_commit(None, who, who, "change", tree, [self._head])
        self._git.references.create(ref, made, force=True)
        return str(made)

    def file_of(self, number: int) -> str:
        return f"units/unit-{number % self._units:04}/{name_of(number)}.yaml"

    def _commit(self, files: Mapping[str, str]) -> str:
        for path, text in files.items():
            blob = self._git.create_blob(text.encode())
            self._index.add(pygit2.IndexEntry(path, blob, pygit2.enums.FileMode.BLOB))
        tree = self._index.write_tree(self._git)
        who = pygit2.Signature("bench", "bench@example.com", int(time.time()), 0)
        parents = [self._head] if self._head else []
        self._head = self._git.create_commit("refs/heads/main", who, who, "change", tree, parents)
        return str(self._head)


def is_deployment(number: int) -> bool:
    return number % DEPLOYMENT_EVERY == DEPLOYMENT_EVERY - 1


def name_of(number: int) -> str:
    return f"object-{number:05}"


def namespace_of(number: int) -> str:
    return NAMESPACES[number % len(NAMESPACES)]


def manifest(number: int, value: str) -> str:
    """One object as a document; `value` is what a change changes."""
    name, namespace = name_of(number), namespace_of(number)
    if not is_deployment(number):
        return (
            "apiVersion: v1\nkind: ConfigMap\n"
            f"metadata: {{name: {name}, namespace: {namespace}}}\n"
            f"data:\n  value: {value}-{number}\n  padding: {'x' * 1000}\n"
        )
    return f"""\
apiVersion: apps/v1
kind: Deployment
metadata: {{name: {name}, namespace: {namespace}}}
spec:
  replicas: 0
  selector: {{matchLabels: {{app: {name}}}}}
  template:
    metadata: {{labels: {{app: {name}}}, annotations: {{value: {value}-{number}}}}}
    spec:
      containers:
      - name: main
        image: registry.example.com/app@sha256:{"a" * 64}
        resources: {{requests: {{cpu: 100m, memory: 64Mi}}, limits: {{memory: 64Mi}}}}
        ports: [{{containerPort: 8080}}]
"""
