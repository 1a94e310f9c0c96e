"""A request that two readers could understand in two ways is refused."""

from __future__ import annotations

import contextlib
import json
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.core.authorizing.bodies import run_metadata
from reconciler.core.authorizing.refusals import Denied
from reconciler.core.authorizing.requests import ModelCall, ToolCall, call_of, request_of

JSON = ("Content-Type", "application/json")


def asked(path: str, body: object, *headers: tuple[str, str], method: str = "POST"):
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return call_of(request_of(method, "h", path, (JSON, *headers), content))


def code_of(path: str, body: object, *headers: tuple[str, str], method: str = "POST") -> str:
    with pytest.raises(Denied) as refused:
        asked(path, body, *headers, method=method)
    return refused.value.denial.code


@pytest.mark.parametrize(
    ("path", "body", "call"),
    [
        ("/v2/models/m/infer", {}, ModelCall("infer", "m")),
        ("/v2/models/m/versions/v3/infer", {}, ModelCall("infer", "m", "v3")),
        ("/v2/models/m/infer", {"model_version": "v3"}, ModelCall("infer", "m", "v3")),
        ("/v2/models/m/retrain", {}, ModelCall("retrain", "m")),
        ("/v1/fine_tuning/jobs", {"model": "m"}, ModelCall("retrain", "m")),
        ("/v1/chat/completions", {"model": "m"}, ModelCall("infer", "m", None, None)),
        ("/mcp/s", {"jsonrpc": "2.0", "method": "tools/list"}, ToolCall("s")),
    ],
)
def test_each_form_of_a_call_is_understood(path: str, body: object, call: object) -> None:
    assert asked(path, body) == call


def test_a_bound_of_tokens_counts_the_request_and_every_answer() -> None:
    body = {"model": "m", "max_tokens": 100, "n": 3}
    call = asked("/v1/completions", body)
    assert isinstance(call, ModelCall)
    assert call.tokens == len(json.dumps(body)) + 300


@pytest.mark.parametrize(
    ("path", "body", "answers"),
    [
        ("/v1/responses", {"input": "write a book"}, None),
        ("/v1/completions", {"prompt": "a", "input": "x"}, None),
        ("/v1/embeddings", {"input": "a"}, 0),
        ("/v1/completions", {"prompt": ["a", "b"], "max_tokens": 10, "n": 3}, 60),
        ("/v2/models/m/generate", {"max_tokens": 1, "parameters": {"max_new_tokens": 9}}, 9),
        ("/v2/models/m/generate", {"max_tokens": 2, "parameters": {"n": 5}}, 10),
    ],
)
def test_what_an_answer_may_use_is_bounded_wherever_it_is_said_or_not_at_all(
    path: str, body: dict[str, object], answers: int | None
) -> None:
    body = body if path.startswith("/v2") else {"model": "m", **body}
    call = asked(path, body)
    assert isinstance(call, ModelCall)
    assert call.tokens == (None if answers is None else len(json.dumps(body)) + answers)


@pytest.mark.parametrize(
    ("path", "body", "code"),
    [
        ("/v2/models/m/infer?x=1", {}, "path-odd"),
        ("/v2/models/./m/infer", {}, "path-odd"),
        ("/v2/models/m/infer/", {}, "path-odd"),
        ("/v2/models/m/unload", {}, "path-unknown"),
        ("/v1/load_lora_adapter", {}, "path-unknown"),
        ("/v2/models/m/infer", {"model_name": "n"}, "model-mismatch"),
        ("/v2/models/m/versions/v3/infer", {"model_version": "v4"}, "model-mismatch"),
        ("/v2/models/m/infer", {"MODEL_NAME": "n"}, "key-odd-case"),
        ("/v2/models/m/infer", {"model_verſion": "v4"}, "key-odd-case"),
        ("/v1/completions", {"model": "m", "max_tokens": 1, "MAX_TOKENS": 9}, "key-odd-case"),
        (
            "/v2/models/m/generate",
            {"max_tokens": 1, "parameters": {"Max_New_Tokens": 9}},
            "key-odd-case",
        ),
        ("/mcp/s", {"jsonrpc": "2.0", "method": "ping", "Method": "tools/call"}, "key-odd-case"),
        (
            "/mcp/s",
            {
                "jsonrpc": "2.0",
                "method": "tools/call",
                "params": {"name": "query", "Name": "delete_all"},
            },
            "key-odd-case",
        ),
        ("/v1/completions", {"model": "M"}, "model-name"),
        ("/v1/completions", {"model": ""}, "model-name"),
        ("/v1/completions", {"model": "m\u0430"}, "model-name"),
        ("/v1/completions", {"model": ["m"]}, "model-name"),
        ("/v1/completions", {"model": "m@0123456789ab"}, "model-name"),
        ("/v1/completions", {"model": "m", "model_name": "n"}, "model-ambiguous"),
        ("/v1/completions", {"model": "m", "max_tokens": -5}, "token-bound"),
        ("/v1/completions", {"model": "m", "max_tokens": True}, "token-bound"),
        ("/v1/completions", [], "body-not-object"),
        ("/v1/completions", b'{"model": "a", "model": "m"}', "key-repeated"),
        ("/v1/completions", b'{"a": {"b": 1, "b": 2}, "model": "m"}', "key-repeated"),
        ("/v1/completions", b'\xff\xfe{"model": "m"}', "body-not-json"),
        ("/v1/completions", b"[" * 200_000, "body-too-deep"),
        ("/v1/completions", b'{"x": "' + b"x" * 2**21 + b'"}', "body-too-large"),
        ("/mcp/s", {"jsonrpc": "2.0", "method": "resources/read"}, "tool-method"),
        ("/mcp/s", [{"jsonrpc": "2.0", "method": "tools/call"}], "body-not-object"),
        (
            "/mcp/s",
            {"jsonrpc": "2.0", "method": "tools/call", "params": {"name": "qu\u200bery"}},
            "tool-name",
        ),
    ],
)
def test_what_is_not_exactly_a_known_call_is_refused(path: str, body: object, code: str) -> None:
    assert code_of(path, body) == code


def test_a_header_that_names_another_model_is_refused() -> None:
    body = {"model": "m"}
    assert code_of("/v1/completions", body, ("X-Model", "n")) == "model-mismatch"
    assert code_of("/v1/completions", body, ("x-model-adapter", "m@1")) == "gateway-header"
    twice = (("x-model", "m"), ("X-Model", "m"))
    assert code_of("/v1/completions", body, *twice) == "header-repeated"
    assert code_of("/v1/completions", body, method="GET") == "method-unknown"


@given(st.text(min_size=1, max_size=40))
def test_a_name_comes_through_as_it_is_or_not_at_all(name: str) -> None:
    plain = set(string.ascii_lowercase + string.digits + "-")
    try:
        call = asked("/v1/completions", {"model": name})
    except Denied:
        return
    assert isinstance(call, ModelCall)
    assert call.model == name
    assert set(name) <= plain


@given(st.binary(max_size=200))
def test_no_body_makes_the_parser_fail_otherwise(body: bytes) -> None:
    with contextlib.suppress(Denied):
        asked("/v1/completions", body)


def test_what_an_agent_says_of_its_run_is_flat_and_short() -> None:
    assert run_metadata('{"run": "7"}') == {"run": "7"}
    for header in ('{"a": {}}', "x" * 1025, "no json"):
        with pytest.raises(Denied):
            run_metadata(header)
