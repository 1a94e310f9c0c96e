"""What a shown change keeps to itself."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.core.diffing import ABSENT, Absent, FieldChange, redacted
from reconciler.core.manifests import JsonValue, canonical_json
from reconciler.core.redaction import SHOWN_LENGTH

MODEL = ".spec.template.spec.containers[name=model]"


def shown(path: str, value: JsonValue) -> JsonValue:
    result = redacted(FieldChange(path, ABSENT, value)).after
    assert not isinstance(result, Absent)
    return result


def hidden(text: str) -> str:
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()[:8]}…"


@pytest.mark.parametrize(
    "path",
    [
        f"{MODEL}.env[name=LOG_LEVEL].value",
        f'{MODEL}.env[name="a b]"].value',
        '.metadata.annotations["prometheus.io/scrape"]',
        '.spec.template.metadata.annotations["a"]',
        ".binaryData.weights",
        f"{MODEL}.livenessProbe.httpGet.httpHeaders[0].value",
    ],
)
def test_values_where_people_put_secrets_are_digests(path: str) -> None:
    assert shown(path, "info") == hidden("info")


OWN = '.spec.template.metadata.annotations["fairlead.dev/secrets"]'


@pytest.mark.parametrize(
    "versions", ["hf-token@7", "hf-token@7 key@3f2504e0-4f89-11d3-9a0c-0305e82c3301"]
)
def test_versions_of_secrets_are_shown(versions: str) -> None:
    assert shown(OWN, versions) == versions


@pytest.mark.parametrize("text", ["hunter2", "a@hunter2", "a@7 hunter2", "A@7", "a@7\nhunter2"])
def test_nothing_else_is_shown_where_versions_stand(text: str) -> None:
    assert shown(OWN, text) == hidden(text)


def test_arguments_are_one_digest() -> None:
    value: JsonValue = ["serve", "--key=abc"]
    expected = hashlib.sha256(canonical_json(value)).hexdigest()[:8]
    assert shown(f"{MODEL}.args", value) == f"sha256:{expected}…"


def test_values_inside_an_object_shown_whole_are_digests_too() -> None:
    spec: JsonValue = {"image": "a:1", "env": [{"name": "A", "value": "b"}], "args": ["x"]}
    result = shown(".spec.predictor.podSpec", spec)
    assert isinstance(result, dict)
    assert result["image"] == "a:1"
    assert result["env"] == [{"name": "A", "value": hidden("b")}]
    assert str(result["args"]).startswith("sha256:")


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (f"{MODEL}.image", f"registry.example.com/serve@sha256:{'1a' * 32}"),
        (f"{MODEL}.env[name=HF_TOKEN].valueFrom.secretKeyRef.name", "hf-token"),
        (f"{MODEL}.env[name=HF_TOKEN].valueFrom.secretKeyRef.key", "token"),
        (".spec.template.spec.volumes[name=tls].secret.secretName", "serving-cert"),
        (".spec.template.spec.automountServiceAccountToken", False),
        (".spec.replicas", 3),
        ('.data["tokenizer.json"]', "byte-pair"),
        (".data.maxTokens", "4096"),
        ('.data["logging.level"]', "info"),
        (".data.command", "serve"),
        (".data.config", "max_tokens: 1024000\nbatch: 8\nmodel: /models/fraud\n"),
        (".metadata.labels.team", "risk"),
    ],
)
def test_ordinary_values_are_shown(path: str, value: JsonValue) -> None:
    assert shown(path, value) == value


@pytest.mark.parametrize(
    "value",
    [
        "-----BEGIN RSA PRIVATE KEY-----\nabc",
        "ghp_" + "aB3" * 12,
        "hf_" + "aB3" * 12,
        "postgres://fraud:hunter22@db.example.com/fraud",
        "level: info\npassword: correct-horse\n",
        "curl -H 'Authorization: Bearer abcdef0123456789'",
        "Q7vT2mZxK9bLw4RfYp8NcHs6JdGa3EuB",
    ],
)
def test_configuration_that_looks_like_a_credential_is_a_digest(value: str) -> None:
    assert shown('.data["settings.txt"]', value) == hidden(value)


@pytest.mark.parametrize(
    "name", ["password", "apiKey", '["db.password"]', "HF_TOKEN", "clientSecret"]
)
def test_configuration_named_as_a_credential_is_a_digest(name: str) -> None:
    path = f".data{name}" if name.startswith("[") else f".data.{name}"
    assert shown(path, "tulip") == hidden("tulip")


def test_a_very_long_value_is_a_digest() -> None:
    text = "a b " * SHOWN_LENGTH
    assert shown(".data.prompt", text) == hidden(text)


def test_absence_stays_visible() -> None:
    change = redacted(FieldChange(f"{MODEL}.env[name=A].value", "x", ABSENT))
    assert (change.before, change.after) == (hidden("x"), ABSENT)


@given(st.text(min_size=9), st.text(min_size=9))
def test_two_hidden_values_stay_two(one: str, two: str) -> None:
    change = redacted(FieldChange(f"{MODEL}.env[name=A].value", one, two))
    assert (change.before == change.after) == (one == two)
    assert one not in str(change.before)
