"""Every problem and every field has its exact place."""

from __future__ import annotations

import pytest

from reconciler.core.problems import Span

from .builders import CONFIG_MAP, MODEL, only_document, only_problem, parse


@pytest.mark.parametrize(
    ("pointer", "span"),
    [
        ("/spec/owner", Span(6, 10, 6, 19)),
        ("/spec/versions/0/name", Span(8, 11, 8, 13)),
        ("/spec/serving/container/port", Span(14, 13, 14, 17)),
        ("/spec/serving/container", Span(13, 7, 14, 17)),
        ("", Span(1, 1, 15, 16)),
    ],
)
def test_a_pointer_finds_its_value(pointer: str, span: Span) -> None:
    assert only_document(MODEL).span_at(pointer) == span


def test_steps_find_the_same_value_as_the_pointer() -> None:
    document = only_document(MODEL)
    assert document.span_at(("spec", "versions", 0)) == document.span_at("/spec/versions/0")


def test_a_key_has_a_place_of_its_own() -> None:
    assert only_document(MODEL).key_span_at("/spec/owner") == Span(6, 3, 6, 8)


@pytest.mark.parametrize("pointer", ["/spec/serving/route/hostnames/0", "/spec/serving/zzz"])
def test_what_is_not_there_is_placed_at_the_nearest_key_that_is(pointer: str) -> None:
    assert only_document(MODEL).span_at(pointer) == Span(10, 3, 10, 10)


def test_a_pointer_with_escapes_and_numbers_as_keys_is_followed() -> None:
    document = only_document(CONFIG_MAP + '  "a/b~c": 1\n  "7": x\n')
    assert document.span_at("/data/a~1b~0c") == Span(8, 12, 8, 13)
    assert document.span_at("/data/7") == Span(9, 8, 9, 9)


def test_places_are_those_of_the_file_and_not_of_the_document() -> None:
    text = f"{CONFIG_MAP}---\n# more\n{CONFIG_MAP}"
    assert parse(text).documents[1].span_at("/data/key") == Span(16, 8, 16, 13)


def test_columns_count_characters_and_not_bytes() -> None:
    document = only_document(CONFIG_MAP + "  x: {ü: ä, 日本: z}\n")
    assert document.span_at("/data/x/日本") == Span(8, 17, 8, 18)


@pytest.mark.parametrize(
    ("old", "new", "code", "line", "column"),
    [
        ("name: v3", "nmae: v3", "field-unknown", 8, 5),
        ("port: 8000", "port: '8000'", "field-type", 14, 13),
        ("replicas: 2", "replicas: 0", "field-value", 15, 15),
        ("replicas: 2", "replicas:", "field-empty", 15, 14),
        ("runtime: deployment", "runtime: deploiment", "field-value", 11, 14),
        ("oci://registry", "https://registry", "not-pinned", 9, 15),
    ],
)
def test_a_problem_points_at_the_field_to_mend(
    old: str, new: str, code: str, line: int, column: int
) -> None:
    problems = parse(MODEL.replace(old, new)).problems
    places = [(p.code, p.span.line, p.span.column) for p in problems if p.span]
    assert (code, line, column) in places


def test_a_syntax_error_is_placed_in_its_own_document() -> None:
    problem = only_problem(f"{CONFIG_MAP}---\na: 'b\n")
    assert problem.span is not None
    assert problem.span.line >= 9
