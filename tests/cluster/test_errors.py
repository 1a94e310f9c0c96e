"""Answers of a real API server (1.36) become errors that say what and where, and no values."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.adapters.cluster_errors import error_of, safe_message
from reconciler.core.errors import (
    Cause,
    Conflict,
    Expired,
    FairleadError,
    Forbidden,
    Immutable,
    Invalid,
    Missing,
    Outdated,
    Refused,
    Throttled,
    Transient,
    Unavailable,
)


def answered(code: int, message: str = "", reason: str | None = None, **details: Any) -> bytes:
    body = {"kind": "Status", "code": code, "message": message, "details": details}
    return json.dumps(body | ({"reason": reason} if reason else {})).encode()


def error(code: int, *args: Any, **details: Any) -> Any:
    return error_of(code, answered(code, *args, **details), doing="apply X")


def cause(reason: str, message: str, field: str) -> dict[str, str]:
    return {"reason": reason, "message": message, "field": field}


def everything_said(error: FairleadError) -> str:
    return f"{error.message} {error.hint} {getattr(error, 'causes', '')}"


@pytest.mark.parametrize(
    ("code", "reason", "expected"),
    [
        (400, "BadRequest", Invalid),
        (401, "Unauthorized", Unavailable),
        (403, "Forbidden", Forbidden),
        (405, "MethodNotAllowed", Refused),
        (408, "Timeout", Unavailable),
        (409, "AlreadyExists", Outdated),
        (409, "Conflict", Outdated),
        (410, "Expired", Expired),
        (413, "RequestEntityTooLarge", Invalid),
        (422, "Invalid", Invalid),
        (429, "TooManyRequests", Throttled),
        (500, "InternalError", Unavailable),
        (502, None, Unavailable),
        (503, "ServiceUnavailable", Unavailable),
        (504, "Timeout", Unavailable),
    ],
)
def test_a_status_code_decides_what_can_be_done(
    code: int, reason: str | None, expected: type[FairleadError]
) -> None:
    assert type(error(code, "said", reason)) is expected


def test_a_conflict_carries_manager_and_field_of_each_cause() -> None:
    said = 'conflict with "kube-controller-manager" with subresource "scale" using apps/v1'
    conflict = error(
        409,
        f"Apply failed with 1 conflict: {said}: .spec.replicas",
        "Conflict",
        causes=[cause("FieldManagerConflict", said, ".spec.replicas")],
    )
    assert isinstance(conflict, Conflict)
    assert conflict.causes == (Cause(".spec.replicas", said, "kube-controller-manager"),)


def test_a_precondition_that_does_not_hold_is_refused() -> None:
    refusal = error(
        409,
        'Operation cannot be fulfilled on ConfigMap "a": the UID in the precondition (x) does not '
        "match the UID in record (y). The object might have been deleted and then recreated",
        "Conflict",
    )
    assert type(refusal) is Refused


def test_a_lost_race_may_be_repeated() -> None:
    lost = error(409, "the object has been modified; please apply your changes", "Conflict")
    assert isinstance(lost, Transient)


@pytest.mark.parametrize(
    ("field", "message"),
    [
        ("spec.selector", 'Invalid value: {"matchLabels":{"a":"c"}}: field is immutable'),
        ("data", "Forbidden: field is immutable when `immutable` is set"),
        ("roleRef", 'Invalid value: {"Kind":"Role","Name":"b"}: cannot change roleRef'),
        ("spec.clusterIPs[0]", 'Invalid value: ["10.0.0.77"]: may not change once set'),
        ("spec.n", "Invalid value: 2: Value is immutable"),
        (
            "spec",
            "Forbidden: updates to statefulset spec for fields other than 'replicas' are forbidden",
        ),
    ],
)
def test_fields_that_may_not_change_are_told_apart(field: str, message: str) -> None:
    refusal = error(422, f"X is invalid: {message}", "Invalid", causes=[cause("x", message, field)])
    assert isinstance(refusal, Immutable)
    assert refusal.causes[0].field == f".{field}"


def test_replacing_would_not_mend_what_is_also_wrong() -> None:
    refusal = error(
        422,
        "X is invalid",
        "Invalid",
        causes=[
            cause("FieldValueInvalid", "Invalid value: 1: field is immutable", "spec.a"),
            cause("FieldValueRequired", "Required value", "spec.b"),
        ],
    )
    assert type(refusal) is Invalid


def test_causes_that_are_said_twice_are_told_once() -> None:
    twice = [cause("FieldValueRequired", "Required value", "spec.b")] * 2
    assert len(error(422, "X is invalid", "Invalid", causes=twice).causes) == 1


@pytest.mark.parametrize(
    ("message", "field", "explanation"),
    [
        (
            "failed to create typed patch object (/a; /v1, Kind=ConfigMap): .data.a: expected "
            "string, got &value.valueUnstructured{Value:271828}",
            ".data.a",
            "expected string",
        ),
        (
            "failed to create typed patch object (/e; apps/v1, Kind=Deployment): .spec.replicsa: "
            "field not declared in schema",
            ".spec.replicsa",
            "field not declared in schema",
        ),
        (
            "failed to create typed patch object (/q; apps/v1, Kind=Deployment): "
            '.spec.template.spec.containers: duplicate entries for key [name="c"]',
            ".spec.template.spec.containers",
            'duplicate entries for key [name="c"]',
        ),
        (
            "failed to convert new object (/q; apps/v1, Kind=Deployment) to proper version: unable "
            'to convert: parsing time "271828" as "2006-01-02": cannot parse "271828" as "2006"',
            "",
            'unable to convert: parsing time "…" as "…": cannot parse "…" as "…"',
        ),
    ],
)
def test_input_that_does_not_fit_the_schema_is_invalid_though_the_code_says_500(
    message: str, field: str, explanation: str
) -> None:
    refusal = error(500, message)
    assert isinstance(refusal, Invalid)
    assert refusal.causes == (Cause(field, explanation),)
    assert "271828" not in everything_said(refusal)


def test_each_line_of_a_schema_error_is_a_cause() -> None:
    refusal = error(
        500,
        "failed to create typed patch object (/e; apps/v1, Kind=Deployment): errors:\n"
        '  .spec.template.spec.containers[name="c"].foo: field not declared in schema\n'
        "  .spec.replicsa: field not declared in schema",
    )
    assert [cause.field for cause in refusal.causes] == [
        '.spec.template.spec.containers[name="c"].foo',
        ".spec.replicsa",
    ]


def test_other_errors_without_a_reason_are_the_servers() -> None:
    assert isinstance(error(500, "etcdserver: leader changed"), Unavailable)


def test_an_absent_namespace_is_told_from_an_absent_object() -> None:
    namespace = error(404, 'namespaces "x" not found', "NotFound", kind="namespaces", name="x")
    thing = error(404, 'configmaps "x" not found', "NotFound", kind="configmaps", name="x")
    assert isinstance(namespace, Missing)
    assert "namespace x does not exist" in namespace.message
    assert "namespace" not in thing.message


def test_a_path_that_is_not_served_is_a_missing_kind() -> None:
    missing = error_of(404, b"404 page not found\n", doing="apply X")
    assert isinstance(missing, Missing)
    assert "does not serve this kind" in missing.message


@pytest.mark.parametrize(
    ("header", "details", "seconds"),
    [("7", {}, 7.0), (None, {"retryAfterSeconds": 3}, 3.0), (None, {}, 1.0), ("soon", {}, 1.0)],
)
def test_throttling_says_how_long(
    header: str | None, details: dict[str, Any], seconds: float
) -> None:
    throttled = error_of(
        429, answered(429, "slow down", **details), doing="apply X", retry_after=header
    )
    assert isinstance(throttled, Throttled)
    assert throttled.retry_after == seconds


def test_a_namespace_that_ends_says_what_to_do() -> None:
    refusal = error(
        403,
        "unable to create new content in namespace x because it is being terminated",
        "Forbidden",
        causes=[cause("NamespaceTerminating", "namespace x is being terminated", "")],
    )
    assert "wait" in refusal.hint


def test_an_admission_policy_is_quoted() -> None:
    said = "ValidatingAdmissionPolicy 'p' with binding 'p' denied request: deny is denied"
    refusal = error(
        422, f'configmaps "x" is forbidden: {said}', "Invalid", causes=[{"message": said}]
    )
    assert isinstance(refusal, Invalid)
    assert said in refusal.message


@pytest.mark.parametrize(
    "message",
    [
        'X is invalid: a: Invalid value: "hunter2": must be nice, b: Required value',
        'X is invalid: a: Invalid value: {"deep":["hunter2"]}: field is immutable',
        'X is invalid: a: Unsupported value: "say \\"hunter2\\"": supported values: "a", "b"',
        'X is invalid: a: Duplicate value: {"name":"hunter2"}',
        "X is invalid: a: Invalid value: core.Secret{Data: hunter2}: no",
        "X is invalid: a: Invalid value: hunter2: no",
        "X is invalid: a: Invalid value: 1hunter2: no",
    ],
)
def test_values_of_fields_are_never_said(message: str) -> None:
    said = safe_message(message)
    assert "hunter2" not in said
    assert said.startswith("X is invalid: a: ")


@given(value=st.text(min_size=8), rest=st.sampled_from(["must be nice", "too long: by far"]))
def test_no_string_value_gets_through(value: str, rest: str) -> None:
    quoted = json.dumps(value, ensure_ascii=False)
    assert safe_message(f"a: Invalid value: {quoted}: {rest}") == f"a: Invalid value: …: {rest}"


def test_an_error_cannot_command_a_terminal() -> None:
    said = everything_said(error(403, "\x1b[2Jgone \u202egnp", "Forbidden"))
    assert "\x1b" not in said
    assert "\u202e" not in said
