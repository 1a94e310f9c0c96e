"""Records as bytes."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audit.builders import decision, intent, outcome
from reconciler.core.audit.canonical import canonical, parsed
from reconciler.core.audit.encoding import MAX_LEAF, TRUNCATED, decode, encode
from reconciler.core.audit.records import AuditRecord, Phase, Reason, Verb
from reconciler.core.identifiers import ClusterName, CommitSha, Digest, ObjectKey, UnitName

names = st.text("abcdefghijklmnopqrstuvwxyz0123456789-.:", min_size=1, max_size=40)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
safe_integers = st.integers(-(2**53) + 1, 2**53 - 1)
scalars = (
    st.none()
    | st.booleans()
    | safe_integers
    | texts
    | st.floats(allow_nan=False, allow_infinity=False)
)
json_values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)
keys = st.builds(ObjectKey, st.sampled_from(["", "apps"]), st.just("Pod"), names, names)
records = st.builds(
    AuditRecord,
    time=st.datetimes(timezones=st.just(UTC), min_value=datetime(1900, 1, 1)),
    repository=texts,
    commit=st.sampled_from([CommitSha("a" * 40), CommitSha("b" * 64)]),
    actor=texts,
    verb=st.sampled_from(Verb),
    phase=st.sampled_from(Phase),
    reason=st.sampled_from(Reason),
    cluster=st.none() | texts.map(ClusterName),
    unit=st.none() | texts.map(UnitName),
    object=st.none()
    | st.builds(ObjectKey, st.sampled_from(["", "apps"]), st.just("Pod"), names, names),
    before=st.none() | texts.map(Digest),
    after=st.none() | texts.map(Digest),
    plan=st.none() | texts.map(Digest),
    result=texts,
    intent=st.none() | st.integers(0, 2**40),
    trace=texts,
    detail=st.dictionaries(texts, json_values, max_size=2),
)


@settings(max_examples=60)
@given(records)
def test_a_record_comes_back_as_it_was(record: AuditRecord) -> None:
    assert decode(encode(record)) == record


@settings(max_examples=60)
@given(records)
def test_a_decoded_leaf_encodes_to_the_same_bytes(record: AuditRecord) -> None:
    leaf = encode(record)
    assert encode(decode(leaf)) == leaf


def test_a_leaf_is_readable_json_with_sorted_names() -> None:
    assert encode(outcome(7)).decode() == (
        '{"actor":"ada@example.com","after":"sha256:' + "1" * 64 + '","cluster":"edge-1",'
        '"commit":"' + "c" * 40 + '","intent":7,"object":"Deployment.apps/team-risk/fraud",'
        '"phase":"outcome","reason":"commit","repository":"models","result":"ok",'
        '"time":"2027-01-31T12:00:00.000000Z","unit":"rollout/fraud","v":1,"verb":"apply"}'
    )


def test_times_are_written_in_utc() -> None:
    elsewhere = timezone(timedelta(hours=2))
    record = decision(time=datetime(2027, 1, 31, 14, tzinfo=elsewhere))
    assert encode(record) == encode(decision())


def test_a_time_without_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="zone"):
        encode(decision(time=datetime(2027, 1, 31)))


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_numbers_that_json_cannot_say_are_refused(number: float) -> None:
    with pytest.raises(ValueError, match="no JSON form"):
        encode(decision(detail={"p": number}))


def test_large_integers_are_written_as_text() -> None:
    assert decode(encode(decision(detail={"n": 2**53 + 1}))).detail == {"n": str(2**53 + 1)}


def test_lone_surrogates_are_replaced() -> None:
    record = decision(actor="eve\ud800", detail={"\udfff": ["\ud800"]})
    assert decode(encode(record)).actor == "eve\N{REPLACEMENT CHARACTER}"


def test_the_largest_record_that_fits_is_kept_whole() -> None:
    room = MAX_LEAF - len(encode(decision(detail={"log": "x"}))) + 1
    record = decision(detail={"log": "x" * room})
    assert len(encode(record)) == MAX_LEAF
    assert decode(encode(record)) == record


@pytest.mark.parametrize(
    "changes",
    [
        {"detail": {"log": "x" * MAX_LEAF}},
        {"detail": {"problems": ["a problem"] * 100_000}},
        {"detail": {f"key-{n}": {f"key-{m}": "v" * 90 for m in range(50)} for n in range(50)}},
        {"detail": {"k" * 100_000: 1}},
        {"detail": {"deep": {str(n): [[["\x1b" * 500] * 5] * 5] * 5 for n in range(30)}}},
        {"actor": "\x1b" * 100_000, "repository": "\x1b" * 100_000, "result": "é" * 100_000},
    ],
)
def test_a_record_that_is_too_large_is_shortened_and_says_so(changes: dict[str, object]) -> None:
    leaf = encode(intent(**changes))
    assert len(leaf) <= MAX_LEAF
    shortened = decode(leaf)
    mark = shortened.detail[TRUNCATED]
    assert isinstance(mark, dict)
    assert isinstance(mark["bytes"], int)
    assert mark["bytes"] > MAX_LEAF
    assert (shortened.commit, shortened.object) == (intent().commit, intent().object)


@pytest.mark.parametrize(
    "leaf",
    [
        b"",
        b"not json",
        b"[]",
        b"{}",
        b'{"v":2}',
        b'{"v":1}',
        encode(decision()).replace(b'"actor":"ada@example.com"', b'"actor":7'),
        encode(decision()).replace(b'"v":1', b'"v":1,"x":1'),
        encode(decision()).replace(b"accept-commit", b"do-something"),
        encode(outcome(7)).replace(b'"intent":7', b'"intent":true'),
        encode(outcome(7)).replace(b"Deployment.apps/team-risk/fraud", b"nonsense"),
        encode(decision()).replace(b"2027", b"20xx"),
    ],
)
def test_what_is_no_record_is_refused(leaf: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        decode(leaf)


# Examples of RFC 8785: sections 3.2.2, 3.2.3 and appendix B.


def test_the_sample_of_rfc_8785_is_canonical() -> None:
    sample = {
        "numbers": [333333333.33333329, 1e30, 4.50, 2e-3, 0.000000000000000000000000001],
        "string": "\u20ac$\u000f\u000aA'\u0042\u0022\u005c\\\"/",
        "literals": [None, True, False],
    }
    assert canonical(sample).decode() == (
        '{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],'
        '"string":"€$\\u000f\\nA\'B\\"\\\\\\\\\\"/"}'
    )


def test_names_sort_by_utf_16_code_units() -> None:
    keys = ["\u20ac", "\r", "\ufb33", "1", "\U0001f600", "\u0080", "\u00f6"]
    found = json.loads(canonical(dict.fromkeys(keys, 0)), object_pairs_hook=list)
    assert [key for key, _ in found] == [
        "\r",
        "1",
        "\u0080",
        "\u00f6",
        "\u20ac",
        "\U0001f600",
        "\ufb33",
    ]


@pytest.mark.parametrize(
    ("number", "written"),
    [
        (0.0, "0"),
        (-0.0, "0"),
        (5e-324, "5e-324"),
        (-5e-324, "-5e-324"),
        (1.7976931348623157e308, "1.7976931348623157e+308"),
        (9007199254740992.0, "9007199254740992"),
        (295147905179352830000.0, "295147905179352830000"),
        (9.999999999999997e22, "9.999999999999997e+22"),
        (1e23, "1e+23"),
        (1.0000000000000001e23, "1.0000000000000001e+23"),
        (999999999999999700000.0, "999999999999999700000"),
        (1e21, "1e+21"),
        (9.999999999999997e-7, "9.999999999999997e-7"),
        (0.000001, "0.000001"),
        (333333333.3333332, "333333333.3333332"),
        (-0.0000033333333333333333, "-0.0000033333333333333333"),
        (1424953923781206.2, "1424953923781206.2"),
        (1.0, "1"),
        (-12.5, "-12.5"),
    ],
)
def test_numbers_are_written_as_ecmascript_does(number: float, written: str) -> None:
    assert canonical(number).decode() == written


@given(json_values)
def test_canonical_json_has_one_form_and_keeps_the_value(value: object) -> None:
    content = canonical(value)  # type: ignore[arg-type]
    assert parsed(content) == value
    assert canonical(parsed(content)) == content
