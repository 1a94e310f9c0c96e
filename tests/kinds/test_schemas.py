"""The JSON Schemas say what the models check."""

from __future__ import annotations

from pathlib import Path

import jsonschema
import orjson
import pytest
import yaml
from click.testing import CliRunner

from reconciler.core.documents import Document, read_file
from reconciler.core.identifiers import DocumentPath
from reconciler.core.kinds import KINDS
from reconciler.core.kinds.schemas import ALL, schema_files, schema_of
from reconciler.surfaces.schema_files import schemas_command

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "example-repo"


def declared() -> list[Document]:
    files = sorted(EXAMPLE.rglob("*.yaml"))
    parsed = [read_file(DocumentPath(str(file)), file.read_bytes()) for file in files]
    return [document for file in parsed for document in file.documents if document.declaration]


def test_the_files_in_the_repository_are_the_generated_ones() -> None:
    written = {file.name: file.read_bytes() for file in (ROOT / "schemas").iterdir()}
    assert written == dict(schema_files()), (
        "run: python -m reconciler.surfaces.schema_files schemas"
    )


def test_the_command_writes_them(tmp_path: Path) -> None:
    result = CliRunner().invoke(schemas_command, [str(tmp_path / "new")])
    assert result.exit_code == 0
    assert {file.name for file in (tmp_path / "new").iterdir()} == set(schema_files())


@pytest.mark.parametrize("name", [name for name in schema_files() if name != ALL])
def test_a_schema_is_a_schema(name: str) -> None:
    jsonschema.Draft202012Validator.check_schema(orjson.loads(schema_files()[name]))


def test_every_example_fits_its_schema() -> None:
    validators = {
        name: jsonschema.Draft202012Validator(schema_of(kind)) for name, kind in KINDS.items()
    }
    documents = declared()
    # A repository has a BreakGlass while something is on fire.
    assert {document.type.kind for document in documents} == KINDS.keys() - {"BreakGlass"}
    for document in documents:
        validators[document.type.kind].validate(document.body)


def test_defaults_in_a_schema_are_written_as_in_a_document() -> None:
    properties = schema_of(KINDS["Repository"])["$defs"]["DeletionBudget"]["properties"]
    assert properties["percent"]["default"] == "10%"
    assert (
        schema_of(KINDS["Rollout"])["$defs"]["Strategy"]["properties"]["keepWarm"]["default"]
        == "1h"
    )


BROKEN = [
    ("Rollout", "spec.version", "V 3"),
    ("Rollout", "spec.waves", []),
    ("Rollout", "spec.onFailure", "shrug"),
    ("Rollout", "spec.strategy", {"recreate": {}, "blueGreen": {}}),
    ("Rollout", "spec.strategy", None),
    ("Rollout", "spec.strateggy", {}),
    ("Model", "spec.versions", [{"name": "v1", "artifact": "oci://example.com/a:latest"}]),
    ("Model", "spec.serving.replicas", 0),
    ("Model", "spec.serving.replicas", "2"),
    ("Model", "spec.serving.container.port", 70_000),
    ("Model", "spec.serving.container.image", "example.com/serve:1"),
    ("Model", "metadata.labels", {"not a label!": "x"}),
    ("Model", "metadata.labels", {"team": "not a value!"}),
    ("Cluster", "metadata.name", "-staging"),
    ("Repository", "spec.deletionBudget.percent", "110%"),
    ("Repository", "spec.deletionBudget.percent", 10),
    ("Repository", "spec.manifests", [{"path": "../elsewhere"}]),
    ("Repository", "spec.defaults.healthTimeout", "10 minutes"),
    ("AgentScope", "spec.expires", "soon"),
    ("Gate", "spec.errorRate", {}),
]


@pytest.mark.parametrize(("kind", "field", "value"), BROKEN)
def test_model_and_schema_refuse_the_same(kind: str, field: str, value: object) -> None:
    body = next(d.body for d in declared() if d.type.kind == kind)
    target = body
    *parents, last = field.split(".")
    for parent in parents:
        target = target.setdefault(parent, {})
    target[last] = value
    assert not jsonschema.Draft202012Validator(schema_of(KINDS[kind])).is_valid(body)
    text = yaml.safe_dump(body)
    assert read_file(DocumentPath("a.yaml"), text.encode()).problems
