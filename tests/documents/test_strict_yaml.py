"""What YAML allows and we refuse, because parsers or readers would disagree about it."""

from __future__ import annotations

import pytest

from reconciler.core.problems import Span
from reconciler.core.yaml_reading import MAX_DEPTH, MAX_FINDINGS

from .builders import CONFIG_MAP, codes, only_document, only_problem, parse, with_data


@pytest.mark.parametrize(
    "scalar",
    [
        *("yes", "No", "ON", "off", "y", "N"),
        *("0777", "-012", "0o17", "0x1F", "0b11", "00", "08", "01.5"),
        *("1_000", "1_0.5", "1:30", "12:30:45", "1e3", "12E5", "1.5e+3", ".5e1"),
        *(".inf", "-.INF", ".nan", "=", "2026-01-01T10:00:00Z", "2026-1-1 10:00:00"),
        *("9223372036854775808", "-9223372036854775809", "9" * 5000),
    ],
)
def test_a_scalar_that_parsers_read_differently_is_refused(scalar: str) -> None:
    assert codes(with_data(scalar)) == ["ambiguous-scalar"]


@pytest.mark.parametrize("scalar", ["yes", "0777", "1:30", "1e3", ".nan", "1_000"])
def test_the_same_scalar_in_quotes_is_text(scalar: str) -> None:
    assert only_document(with_data(f'"{scalar}"')).body["data"] == {"key": scalar}


@pytest.mark.parametrize(
    ("scalar", "value"),
    [
        ("true", True),
        ("False", False),
        ("null", None),
        ("~", None),
        ("", None),
        ("0", 0),
        ("-12", -12),
        ("+5", 5),
        ("9223372036854775807", 2**63 - 1),
        ("1.5", 1.5),
        ("-.5", -0.5),
        ("10.", 10.0),
        ("2027-06-30", "2027-06-30"),
        ("1.2.3", "1.2.3"),
        ("10%", "10%"),
        ("1h30m", "1h30m"),
        ("0755x", "0755x"),
        ("none", "none"),
    ],
)
def test_a_scalar_that_all_parsers_agree_on_has_that_value(scalar: str, value: object) -> None:
    read = only_document(with_data(scalar)).body["data"]
    assert read == {"key": value}
    assert type(read["key"]) is type(value)


def test_a_duplicate_key_is_refused_where_it_stands() -> None:
    problem = only_problem(CONFIG_MAP + "  key: other\n")
    assert (problem.code, problem.span) == ("duplicate-key", Span(8, 3, 8, 6))


@pytest.mark.parametrize("key", ["on", "8080", "~", "1.5", "true"])
def test_a_key_that_is_not_surely_text_is_refused(key: str) -> None:
    (code,) = codes(CONFIG_MAP + f"  {key}: x\n")
    assert code in {"ambiguous-scalar", "key-not-text"}


@pytest.mark.parametrize("key", ["? [a, b]\n  ", "? {a: b}\n  "])
def test_a_list_or_mapping_as_key_is_refused(key: str) -> None:
    assert codes(CONFIG_MAP + f"  {key}: x\n") == ["key-not-text"]


def test_a_merge_key_is_refused() -> None:
    text = CONFIG_MAP + "base: &base {a: b}\nother: {<<: *base}\n"
    assert codes(text) == ["yaml-merge"]


@pytest.mark.parametrize(
    "tag", ["!!python/object/apply:os.system [x]", "!!str 5", "!mine x", "! x"]
)
def test_every_tag_is_refused(tag: str) -> None:
    assert codes(with_data(tag)) == ["yaml-tag"]


def test_an_alias_is_read_as_what_it_names() -> None:
    text = CONFIG_MAP + "a: &x {b: [1]}\nc: *x\n"
    assert only_document(text).body["c"] == {"b": [1]}


def test_aliases_that_explode_are_refused() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12)]
    assert codes(CONFIG_MAP + "\n".join(lines)) == ["yaml-alias"]


def test_aliases_to_one_long_text_are_refused() -> None:
    text = CONFIG_MAP + f"a: &a {'x' * 500_000}\nb: [{', '.join(['*a'] * 100)}]\n"
    assert codes(text) == ["yaml-alias"]


@pytest.mark.parametrize("text", ["a: &a [*a]\n", "a: *missing\n"])
def test_an_alias_to_itself_or_to_nothing_is_refused(text: str) -> None:
    assert codes(CONFIG_MAP + text) == ["yaml-alias"]


def test_nesting_beyond_the_limit_is_refused() -> None:
    assert codes(with_data("[" * MAX_DEPTH + "]" * MAX_DEPTH)) == ["too-deep"]


@pytest.mark.parametrize("opening", ["[", "{a: ", "- "])
def test_a_file_of_nothing_but_openings_is_refused(opening: str) -> None:
    found = codes(opening * 200_000)
    assert found in (["too-deep"], ["yaml-syntax"])


@pytest.mark.parametrize("directive", ["%YAML 1.1", "%TAG !e! tag:example.com,2026:"])
def test_a_directive_is_refused(directive: str) -> None:
    assert "yaml-directive" in codes(f"# first\n{directive}\n---\n{CONFIG_MAP}")


@pytest.mark.parametrize(
    "character", ["\u202e", "\u2066", "\x1b", "\x00", "\u2028", "\x85", "\ufeff", "\r", "\x7f"]
)
def test_a_character_that_hides_or_reorders_text_is_refused(character: str) -> None:
    problem = only_problem(CONFIG_MAP.replace("value", f"val{character}ue"))
    assert (problem.code, problem.span) == ("forbidden-character", Span(7, 11, 7, 12))


@pytest.mark.parametrize("escape", ["\\u202e", "\\e", "\\u200b"])
def test_a_key_with_such_a_character_is_refused_even_as_an_escape(escape: str) -> None:
    assert codes(CONFIG_MAP + f'  "a{escape}b": x\n') == ["forbidden-character"]


def test_such_a_character_may_be_an_escape_in_a_value() -> None:
    assert only_document(with_data('"\\u202e"')).body["data"] == {"key": "\u202e"}


def test_windows_line_ends_are_read() -> None:
    assert parse(CONFIG_MAP.replace("\n", "\r\n")).problems == ()


def test_findings_of_one_document_are_limited() -> None:
    assert len(codes(with_data(f"[{', '.join(['no'] * 5000)}]"))) == MAX_FINDINGS + 1
