"""Files to documents: several in one, limits, encodings, JSON, identity."""

from __future__ import annotations

import pytest

from reconciler.core.documents import MAX_DOCUMENTS_PER_FILE, MAX_FILE_BYTES
from reconciler.core.identifiers import GroupVersionKind
from reconciler.core.kinds import Model
from reconciler.core.problems import Span

from .builders import CONFIG_MAP, MODEL, codes, only_document, only_problem, parse


def test_a_document_of_our_kinds_carries_its_declaration() -> None:
    declaration = only_document(MODEL).declaration
    assert isinstance(declaration, Model)
    assert declaration.spec.versions[0].name == "v3"


def test_a_plain_manifest_has_identity_and_body_but_no_declaration() -> None:
    document = only_document(CONFIG_MAP)
    assert document.declaration is None
    assert document.type == GroupVersionKind("", "v1", "ConfigMap")
    assert (document.namespace, document.name) == ("team-risk", "settings")
    assert document.body["data"] == {"key": "value"}


def test_a_changed_body_leaves_the_document_as_it_is() -> None:
    document = only_document(CONFIG_MAP)
    document.body["data"] = None
    assert document.body["data"] == {"key": "value"}


def test_fields_keep_the_order_in_which_they_were_written() -> None:
    assert list(only_document(CONFIG_MAP).body) == ["apiVersion", "kind", "metadata", "data"]


def test_documents_of_one_file_are_told_apart_by_place() -> None:
    parsed = parse(f"# a comment\n---\n{CONFIG_MAP}---\n{MODEL}...\n{CONFIG_MAP}")
    assert parsed.problems == ()
    starts = [(document.type.kind, document.span.line) for document in parsed.documents]
    assert starts == [("ConfigMap", 3), ("Model", 11), ("ConfigMap", 27)]


def test_a_broken_document_hides_nothing_in_the_others() -> None:
    parsed = parse(f"a: [b\n---\n{CONFIG_MAP}---\nkind: {{\n---\n{MODEL.replace('v3', 'V3')}")
    assert [document.type.kind for document in parsed.documents] == ["ConfigMap"]
    found = [problem.code for problem in parsed.problems]
    assert found == ["yaml-syntax", "yaml-syntax", "field-value"]


@pytest.mark.parametrize("text", ["", "\n\n", "# nothing\n", "---\n", "---\n---\n...\n", "\ufeff"])
def test_a_file_without_documents_has_no_problems(text: str) -> None:
    parsed = parse(text)
    assert (parsed.documents, parsed.problems) == ((), ())


def test_a_byte_order_mark_at_the_start_is_skipped() -> None:
    assert only_document("\ufeff" + CONFIG_MAP).span == Span(1, 1, 1, 1)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32", "latin-1"])
def test_another_encoding_than_utf_8_is_refused(encoding: str) -> None:
    assert codes(CONFIG_MAP.replace("value", "grün").encode(encoding)) == ["not-utf-8"]


def test_a_byte_that_is_not_utf_8_is_pointed_at() -> None:
    problem = only_problem("# ünter\n# grün ".encode() + b"\xff\n")
    assert problem.span == Span(2, 8)


def test_a_file_beyond_the_size_limit_is_not_read() -> None:
    assert codes(b"#" * (MAX_FILE_BYTES + 1)) == ["file-too-large"]


def test_documents_beyond_the_limit_of_a_file_are_not_read() -> None:
    assert codes("---\n" * (MAX_DOCUMENTS_PER_FILE + 5)) == ["too-many-documents"]


@pytest.mark.parametrize("text", ["text", "- a\n", "5", "true", "[]"])
def test_a_document_that_is_no_mapping_is_refused(text: str) -> None:
    assert codes(text) == ["not-an-object"]


def test_a_secret_is_refused_and_not_kept() -> None:
    parsed = parse(CONFIG_MAP.replace("ConfigMap", "Secret"))
    assert [problem.code for problem in parsed.problems] == ["secret-in-git"]
    assert parsed.documents == ()


def test_a_problem_never_repeats_the_value_of_a_secret() -> None:
    text = CONFIG_MAP.replace("ConfigMap", "Secret").replace("value", "hunter2")
    assert "hunter2" not in repr(parse(text))


def test_a_list_of_objects_is_refused() -> None:
    assert codes("apiVersion: v1\nkind: List\nitems: []\n") == ["list-kind"]


def test_everything_that_identifies_an_object_is_asked_for_at_once() -> None:
    messages = [problem.message for problem in parse("data: {}\n").problems]
    assert messages == ["apiVersion is missing", "kind is missing", "metadata.name is missing"]


@pytest.mark.parametrize("name", ["a/b", "..", "a b", '"a\\nb"', '"a\\e[31m"', "-a", "a%2fb", "5"])
def test_a_name_that_could_not_stand_in_a_path_is_refused(name: str) -> None:
    (code,) = codes(CONFIG_MAP.replace("name: settings", f"name: {name}"))
    assert code in {"field-value", "field-type"}


def test_what_a_refused_document_would_have_declared_is_known() -> None:
    parsed = parse(MODEL.replace("replicas: 2", "replicas: 0"))
    assert parsed.refused == {("Model", "fraud-detector")}


JSON_MAP = '{"apiVersion":"v1","kind":"ConfigMap",\n\t"metadata":{"name":"a"},"data":{"n":1e3}}'


def test_a_json_file_is_read_as_json() -> None:
    assert only_document(JSON_MAP, path="a.json").body["data"] == {"n": 1000.0}


def test_a_json_file_is_not_read_as_yaml() -> None:
    problem = only_problem(JSON_MAP.replace('"v1"', "v1"), path="a.json")
    assert (problem.code, problem.span) == ("invalid-json", Span(1, 15))


def test_a_duplicate_key_is_refused_in_json_too() -> None:
    assert codes(JSON_MAP.replace('"n":1e3', '"n":1,"n":2'), path="a.json") == ["duplicate-key"]


@pytest.mark.parametrize("number", ["18446744073709551615", "1" * 40, "-1e400"])
def test_a_number_that_cannot_be_kept_exactly_is_refused_in_json(number: str) -> None:
    (code,) = codes(JSON_MAP.replace("1e3", number), path="a.json")
    assert code in {"ambiguous-scalar", "invalid-json"}


def test_the_text_of_a_problem_can_be_printed_whatever_the_file_is_called() -> None:
    problem = only_problem("5", path="a\x1b[31m\n.yaml")
    assert problem.location == "a\\x1b[31m\\n.yaml:1:1"
