"""Texts of documents that are right, to be made wrong in one place."""

from __future__ import annotations

from reconciler.core.documents import Document, ParsedFile, read_file
from reconciler.core.identifiers import DocumentPath
from reconciler.core.problems import Problem

DIGEST = f"sha256:{'ab' * 32}"
PATH = DocumentPath("models/fraud.yaml")

MODEL = f"""\
apiVersion: fairlead.dev/v1alpha1
kind: Model
metadata:
  name: fraud-detector
spec:
  owner: team-risk
  versions:
  - name: v3
    artifact: oci://registry.example.com/models/fraud@{DIGEST}
  serving:
    runtime: deployment
    container:
      image: registry.example.com/serve@{DIGEST}
      port: 8000
    replicas: 2
"""

CONFIG_MAP = """\
apiVersion: v1
kind: ConfigMap
metadata:
  name: settings
  namespace: team-risk
data:
  key: value
"""


def parse(text: str | bytes, *, path: str = PATH) -> ParsedFile:
    content = text.encode() if isinstance(text, str) else text
    return read_file(DocumentPath(path), content)


def only_document(text: str, *, path: str = PATH) -> Document:
    parsed = parse(text, path=path)
    assert parsed.problems == ()
    (document,) = parsed.documents
    return document


def only_problem(text: str | bytes, *, path: str = PATH) -> Problem:
    (problem,) = parse(text, path=path).problems
    return problem


def codes(text: str | bytes, *, path: str = PATH) -> list[str]:
    return [problem.code for problem in parse(text, path=path).problems]


def with_data(scalar: str) -> str:
    return CONFIG_MAP.replace("key: value", f"key: {scalar}")
