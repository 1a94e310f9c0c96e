"""What is known of a plain manifest without asking a cluster."""

from __future__ import annotations

import pytest

from tests.desired.builders import DIGEST, compile_tree, config_map, repository

IMAGE = f"registry.example.com/app@{DIGEST}"


def found(manifest: str) -> list[tuple[str, str]]:
    """Code and place of each problem of one manifest."""
    _, problems = compile_tree(repository(platform__x__m=manifest))
    return [(p.code, f"{p.span.line}:{p.span.column}" if p.span else "") for p in problems]


def deployment(container: str, volumes: str = "[]") -> str:
    return (
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web, namespace: team-risk}\n"
        "spec:\n  template:\n    spec:\n"
        f"      containers:\n      - {container}\n      volumes: {volumes}\n"
    )


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("  uid: abc", "server-field"),
        ("  resourceVersion: '12'", "server-field"),
        ("  managedFields: []", "server-field"),
        ("  creationTimestamp: null", "server-field"),
        ("  generateName: x-", "generate-name"),
        ("  labels: {'fairlead.dev/unit': mine}", "reserved-label"),
        ("  annotations: {'x.fairlead.dev/y': mine}", "reserved-label"),
        ("  labels: {a b: c}", "label"),
        ("  labels: {a: 'b c'}", "label"),
        ("  labels: {a: 1}", "label"),
        ("  labels: [a]", "label"),
    ],
)
def test_metadata_that_cannot_be_declared_is_refused(line: str, code: str) -> None:
    manifest = config_map("a").replace("metadata:\n", f"metadata:\n{line}\n")
    assert [name for name, _ in found(manifest)] == [code]


def test_options_that_people_may_set_are_not_reserved() -> None:
    line = "  annotations: {'fairlead.dev/on-immutable': replace}\n"
    assert found(config_map("a").replace("metadata:\n", f"metadata:\n{line}")) == []


def test_pods_cannot_pass_for_those_of_a_model() -> None:
    labels = "    metadata: {labels: {fairlead.dev/rollout: fraud-detector}}\n"
    manifest = deployment(f"{{name: c, image: '{IMAGE}'}}")
    manifest = manifest.replace("  template:\n", f"  template:\n{labels}")
    assert [code for code, _ in found(manifest)] == ["reserved-label"]


def test_status_is_refused_at_its_place() -> None:
    assert found(config_map("a") + "status: {}\n") == [("server-field", "8:9")]


def test_a_namespaced_kind_names_its_namespace() -> None:
    manifest = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n"
    assert [code for code, _ in found(manifest)] == ["namespace-missing"]


def test_a_kind_of_the_whole_cluster_has_no_namespace() -> None:
    manifest = "apiVersion: v1\nkind: Namespace\nmetadata: {name: team-a, namespace: team-a}\n"
    assert [code for code, _ in found(manifest)] == ["namespace-unexpected"]


@pytest.mark.parametrize("kind", ["v1/List", "v1/ConfigMapList"])
def test_lists_of_objects_are_refused(kind: str) -> None:
    version, _, name = kind.partition("/")
    manifest = f"apiVersion: {version}\nkind: {name}\nmetadata: {{name: a}}\nitems: []\n"
    assert [code for code, _ in found(manifest)] == ["list-kind"]


@pytest.mark.parametrize(
    "image", ["nginx", "nginx:1.27", "nginx:latest", "registry.example.com/a@sha256:abc"]
)
def test_an_image_that_can_move_is_refused(image: str) -> None:
    assert found(deployment(f"{{name: c, image: '{image}'}}")) == [("image-tag", "8:26")]


def test_an_image_pinned_by_digest_is_accepted() -> None:
    volumes = f"[{{name: m, image: {{reference: '{IMAGE}'}}}}]"
    assert found(deployment(f"{{name: c, image: '{IMAGE}'}}", volumes)) == []


def test_the_image_of_a_volume_must_be_pinned_too() -> None:
    volumes = "[{name: m, image: {reference: 'model:v1'}}]"
    codes = [code for code, _ in found(deployment(f"{{name: c, image: '{IMAGE}'}}", volumes))]
    assert codes == ["image-tag"]


@pytest.mark.parametrize("kind", ["Job", "CronJob", "Pod"])
def test_images_are_found_in_every_kind_of_workload(kind: str) -> None:
    pod = "{containers: [{name: c, image: nginx}]}"
    spec = {
        "Pod": pod,
        "Job": f"{{template: {{spec: {pod}}}}}",
        "CronJob": f"{{jobTemplate: {{spec: {{template: {{spec: {pod}}}}}}}}}",
    }[kind]
    version = "v1" if kind == "Pod" else "batch/v1"
    manifest = (
        f"apiVersion: {version}\nkind: {kind}\nmetadata: {{name: a, namespace: team-risk}}\n"
        f"spec: {spec}\n"
    )
    assert [code for code, _ in found(manifest)] == ["image-tag"]


@pytest.mark.parametrize("amount", ["4GB", "-", "1 Gi", "true", "lots"])
def test_an_amount_that_is_no_quantity_is_refused(amount: str) -> None:
    container = f"{{name: c, image: '{IMAGE}', resources: {{limits: {{memory: {amount}}}}}}}"
    assert [code for code, _ in found(deployment(container))] == ["quantity"]


@pytest.mark.parametrize("amount", ["1", "0.5", "'500m'", "4Gi", "'1e3'", "'+2'"])
def test_every_way_to_write_a_quantity_is_accepted(amount: str) -> None:
    container = f"{{name: c, image: '{IMAGE}', resources: {{requests: {{cpu: {amount}}}}}}}"
    assert found(deployment(container)) == []


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("AWS", "AKIAIOSFODNN7EXAMPLE"),
        ("GH", "ghp_" + "a1B2" * 9),
        ("KEY", "-----BEGIN RSA PRIVATE KEY-----"),
        ("URL", "postgres://app:s3cr3t@db/app"),
        ("DB_PASSWORD", "hunter2"),
        ("API_TOKEN", "q7Zp1LxV9sKd3TfWm2Rb8YcNh5Jg"),
    ],
)
def test_a_secret_in_the_environment_is_refused_and_not_repeated(name: str, value: str) -> None:
    container = f"{{name: c, image: '{IMAGE}', env: [{{name: {name}, value: '{value}'}}]}}"
    _, problems = compile_tree(repository(platform__x__m=deployment(container)))
    assert [p.code for p in problems] == ["secret-value"]
    assert all(value not in p.message + p.hint for p in problems)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("MAX_TOKENS", "4096"),
        ("TOKENIZERS_PARALLELISM", "false"),
        ("DB_PASSWORD", "$(FROM_SECRET)"),
        ("DB_PASSWORD_FILE", "/run/secrets/db"),
        ("SECRET_NAME", "the-name-of-a-secret-object"),
        ("DSN", "postgres://db.example.com:5432/app"),
        ("TASK", "task-abcdefghijklmnopqrstuvwxyz"),
    ],
)
def test_an_ordinary_value_is_accepted(name: str, value: str) -> None:
    container = f"{{name: c, image: '{IMAGE}', env: [{{name: {name}, value: '{value}'}}]}}"
    assert found(deployment(container)) == []


def test_a_secret_anywhere_else_is_found_too() -> None:
    manifest = config_map("a").replace(
        "metadata:\n", "metadata:\n  annotations: {note: 'AKIAIOSFODNN7EXAMPLE'}\n"
    )
    assert found(manifest) == [("secret-value", "4:23")]


def test_a_secret_in_a_config_map_is_found_by_its_key() -> None:
    manifest = config_map("a").replace("  value: '1'", "  db.password: hunter2")
    assert found(manifest) == [("secret-value", "7:16")]
