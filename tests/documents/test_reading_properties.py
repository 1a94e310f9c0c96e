"""What holds for every text: reading never raises, loses nothing, and places everything."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from reconciler.core.documents import ParsedFile
from reconciler.core.manifests import JsonValue

from .builders import CONFIG_MAP, MODEL, only_document, parse

# Characters that may stand in a file as they are.
SHOWN = st.text(st.characters(exclude_categories=["Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"]))
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.integers(-(10**6), 10**6).map(lambda thousandths: thousandths / 1000),
    SHOWN,
)
# Escaped, none is longer than the 1,000 bytes that a key of a JSON file may have.
KEYS = st.text(
    st.characters(exclude_categories=["Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"]),
    min_size=1,
    max_size=80,
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(KEYS, inner, max_size=4)),
    max_leaves=12,
)
YAML_PIECES = st.lists(
    st.sampled_from(
        [
            *("---\n", "...\n", "- ", "? ", ": ", "{", "}", "[", "]", ", ", "\n", "  ", "\t", "#"),
            *("&a ", "*a", "!!x ", "|\n", ">-\n", "'", '"', "\\", "%YAML", "<<: ", "a: ", "no"),
            *("0777", "kind: Model\n", "apiVersion: v1\n", "metadata: ", "\ufeff", "\u202e", "\0"),
        ]
    ),
    max_size=30,
).map("".join)


def document_of(data: JsonValue) -> dict[str, JsonValue]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": data}


def is_sound(parsed: ParsedFile) -> bool:
    """Whether every document can be used, and every problem be shown."""
    for document in parsed.documents:
        assert document.body["kind"] == document.type.kind
    for problem in parsed.problems:
        assert problem.message
        assert problem.location.isprintable()
        assert problem.span is None or problem.span.line >= 1
    return True


@settings(max_examples=500, deadline=None)
@given(st.binary(max_size=400), st.sampled_from(["a.yaml", "a.json"]))
def test_no_bytes_make_reading_raise(content: bytes, path: str) -> None:
    assert is_sound(parse(content, path=path))


@settings(max_examples=500, deadline=None)
@given(YAML_PIECES)
@example("kind: *a")
@example("? [")
def test_no_pieces_of_yaml_make_reading_raise(text: str) -> None:
    assert is_sound(parse(text))


def mutations(count: int) -> Iterator[bytes]:
    """Right documents with a few bytes changed, removed or repeated; the same in every run."""
    chosen = random.Random(20260630)
    originals = (MODEL.encode(), CONFIG_MAP.encode())
    for _ in range(count):
        content = bytearray(chosen.choice(originals))
        for _ in range(chosen.randint(1, 4)):
            at, length = chosen.randrange(len(content)), chosen.randint(0, 6)
            content[at : at + length] = chosen.choice(
                [b"", content[at : at + 12], b"\n", b"&a ", b"*a", b": ", chosen.randbytes(2)]
            )
        yield bytes(content)


def test_ten_thousand_damaged_documents_are_read_without_raising() -> None:
    assert all(is_sound(parse(content)) for content in mutations(10_000))


class _Quoting(yaml.SafeDumper):
    """Quotes all text, as people must where it could be read as something else."""


_Quoting.add_representer(
    str, lambda dumper, text: dumper.represent_scalar("tag:yaml.org,2002:str", text, style='"')
)


@settings(max_examples=300, deadline=None)
@given(VALUES, st.booleans(), st.sampled_from([20, 80, 10_000]))
def test_what_yaml_writes_is_read_back(data: JsonValue, flow: bool, width: int) -> None:
    text = yaml.dump(
        document_of(data),
        Dumper=_Quoting,
        default_flow_style=flow,
        width=width,
        allow_unicode=True,
        sort_keys=False,
    )
    assert only_document(text).body["data"] == data


@settings(max_examples=300, deadline=None)
@given(VALUES, st.sampled_from([None, 2, "\t"]), st.booleans())
@example("\\\U0001f600\U0001f600 \\ud83d", None, True)
def test_what_json_writes_is_read_back(
    data: JsonValue, indent: int | str | None, escaped: bool
) -> None:
    text = json.dumps(document_of(data), ensure_ascii=escaped, indent=indent)
    assert only_document(text, path="a.json").body["data"] == data


@pytest.mark.parametrize("escaped", [True, False])
@pytest.mark.parametrize("length", [1, 160, 990, 1100, 5000])
def test_a_key_of_a_json_file_is_read_or_named_as_too_long(length: int, escaped: bool) -> None:
    for letter in "k\u1e70":
        text = json.dumps(document_of({letter * length: None}), ensure_ascii=escaped)
        parsed = parse(text, path="a.json")
        assert is_sound(parsed)
        if parsed.problems:
            assert [problem.code for problem in parsed.problems] == ["yaml-syntax"]
            assert len(json.dumps(letter * length, ensure_ascii=escaped).encode()) > 1000
        else:
            assert parsed.documents[0].body["data"] == {letter * length: None}


def leaves(value: JsonValue, pointer: str) -> Iterator[tuple[str, JsonValue]]:
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from leaves(inner, f"{pointer}/{key.replace('~', '~0').replace('/', '~1')}")
    elif isinstance(value, list) and value:
        for index, inner in enumerate(value):
            yield from leaves(inner, f"{pointer}/{index}")
    else:
        yield pointer, value


@settings(max_examples=300, deadline=None)
@given(st.dictionaries(SHOWN.filter(bool), VALUES, max_size=4))
def test_the_place_of_every_value_holds_exactly_its_text(data: dict[str, JsonValue]) -> None:
    text = json.dumps(document_of(data), ensure_ascii=False)
    document = only_document(text, path="a.json")
    for pointer, value in leaves(data, "/data"):
        span = document.span_at(pointer)
        assert text[span.column - 1 : span.end_column - 1] == json.dumps(value, ensure_ascii=False)
