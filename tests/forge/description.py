"""GitHub's published description of its API: what a request and an answer must look like.

Separate from the stand-in, which keeps state, so that the two cannot agree on a mistake. The
invariant: what the description does not have is a complaint, unknown fields and queries included.
"""

from __future__ import annotations

import copy
import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, TypeAlias
from urllib.parse import unquote

from openapi_schema_validator import OAS30Validator, oas30_format_checker
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT4

from tests.npm_packages import OPENAPI, made_of

Json: TypeAlias = Any

_REPO = "/repos/{owner}/{repo}"
USED = {
    "/app": ("get",),
    "/app/installations/{installation_id}/access_tokens": ("post",),
    "/user": ("get",),
    f"{_REPO}/pulls": ("get", "post"),
    f"{_REPO}/pulls/{{pull_number}}": ("get",),
    f"{_REPO}/pulls/{{pull_number}}/reviews": ("get",),
    f"{_REPO}/git/ref/{{ref}}": ("get",),
    f"{_REPO}/issues/{{issue_number}}/comments": ("get", "post"),
    f"{_REPO}/issues/comments/{{comment_id}}": ("get", "patch"),
    f"{_REPO}/collaborators/{{username}}/permission": ("get",),
    f"{_REPO}/check-runs": ("post",),
    f"{_REPO}/check-runs/{{check_run_id}}": ("patch",),
    f"{_REPO}/commits/{{ref}}/check-runs": ("get",),
    f"{_REPO}/statuses/{{sha}}": ("post",),
    f"{_REPO}/commits/{{ref}}/statuses": ("get",),
    f"{_REPO}/deployments": ("get", "post"),
    f"{_REPO}/deployments/{{deployment_id}}/statuses": ("get", "post"),
}
"""What the adapter may ask: everything else is a complaint."""

_BASE = "urn:github"
_ERRORS = (401, 403, 404, 422, 429, 500, 502, 503)
"""Any operation may end in these, which the description does not say for each."""


@dataclass(frozen=True, slots=True)
class Operation:
    template: str
    method: str
    parameters: Mapping[str, str]

    @property
    def name(self) -> str:
        return f"{self.method.upper()} {self.template}"


class Description:
    """The part of the description that is used."""

    def __init__(self, document: Json) -> None:
        self._document = document
        self._validators: dict[int, OAS30Validator] = {}
        resource: Resource[Json] = Resource(contents=_rebased(document), specification=DRAFT4)
        self._registry: Registry[Json] = Registry().with_resource(_BASE, resource)
        self._patterns = [(template, self._pattern(template)) for template in document["paths"]]

    def operation(self, method: str, path: str) -> Operation | None:
        for template, pattern in self._patterns:
            found = pattern.fullmatch(path)
            if found and method.lower() in self._document["paths"][template]:
                values = {name: unquote(value) for name, value in found.groupdict().items()}
                return Operation(template, method.lower(), values)
        return None

    def wrong_in_request(
        self, operation: Operation, query: Mapping[str, str], body: bytes
    ) -> Iterator[str]:
        given = {"path": operation.parameters, "query": query}
        declared = list(self._parameters(operation))
        for name in set(query) - {p["name"] for p in declared if p["in"] == "query"}:
            yield f"{operation.name} has no query {name}"
        for parameter in declared:
            value = given.get(parameter["in"], {}).get(parameter["name"])
            if value is None:
                continue
            kind = parameter["schema"].get("type")
            sent: Json = int(value) if kind == "integer" and value.isdecimal() else value
            for problem in self._problems(parameter["schema"], sent):
                yield f"{operation.name}: {parameter['name']} {problem}"
        yield from self._wrong_in_body(operation, body)

    def wrong_in_answer(self, operation: Operation, status: int, body: bytes) -> Iterator[str]:
        answers = self._operation(operation)["responses"]
        answer = self._resolved(answers.get(str(status), {}))
        content = answer.get("content", {}).get("application/json")
        if content is None:
            if status not in (304, *_ERRORS):
                yield f"{operation.name} never answers {status}"
            elif status in _ERRORS and "message" not in json.loads(body):
                yield f"{operation.name}: an error without a message"
            return
        for problem in self._problems(content["schema"], json.loads(body)):
            yield f"{operation.name} {status}: {problem}"

    def example(self, method: str, template: str, status: int) -> Json:
        """One published example of an answer, to be changed at will."""
        content = self._document["paths"][template][method]["responses"][str(status)]["content"]
        (example, *_) = content["application/json"]["examples"].values()
        return copy.deepcopy(self._resolved(example)["value"])

    def _wrong_in_body(self, operation: Operation, body: bytes) -> Iterator[str]:
        declared = self._operation(operation).get("requestBody")
        if declared is None:
            if body:
                yield f"{operation.name} takes no body"
            return
        if not body and not declared.get("required", False):
            return
        schema = declared["content"]["application/json"]["schema"]
        sent = json.loads(body or b"null")
        for problem in self._problems(schema, sent):
            yield f"{operation.name}: {problem}"
        known = schema.get("properties", {})
        for name in set(sent if isinstance(sent, dict) else ()) - set(known):
            yield f"{operation.name} has no field {name}"

    def _problems(self, schema: Json, value: Json) -> Iterator[str]:
        validator = self._validators.get(id(schema))
        if validator is None:
            validator = OAS30Validator(
                _rebased(schema), registry=self._registry, format_checker=oas30_format_checker
            )
            self._validators[id(schema)] = validator
        for error in validator.iter_errors(value):
            yield f"{error.json_path}: {error.message[:300]}"

    def _operation(self, operation: Operation) -> Json:
        return self._document["paths"][operation.template][operation.method]

    def _parameters(self, operation: Operation) -> Iterator[Json]:
        for parameter in self._operation(operation).get("parameters", ()):
            yield self._resolved(parameter)

    def _pattern(self, template: str) -> re.Pattern[str]:
        several = {
            parameter["name"]
            for method in USED[template]
            for parameter in self._parameters(Operation(template, method, {}))
            if parameter.get("x-multi-segment")
        }
        pieces = re.split(r"\{(\w+)\}", template)
        pattern = "".join(
            f"(?P<{piece}>{'.+' if piece in several else '[^/]+'})" if index % 2 else piece
            for index, piece in enumerate(pieces)
        )
        return re.compile(pattern)

    def _resolved(self, node: Json) -> Json:
        while "$ref" in node:
            node = _at(self._document, node["$ref"])
        return node


@cache
def github_description() -> Description:
    """Raises NoPackage where npm cannot get it."""
    recipe = f"{hashlib.sha256(repr(USED).encode()).hexdigest()[:12]}.json"
    file = made_of(OPENAPI, "generated/api.github.com.json", recipe, _cut)
    return Description(json.loads(file.read_bytes()))


def _cut(whole: bytes) -> bytes:
    """Only the paths that are used, and what they refer to: the whole has 13 MB."""
    document = json.loads(whole)
    paths = {
        template: {method: document["paths"][template][method] for method in methods}
        for template, methods in USED.items()
    }
    kept: Json = {"paths": paths, "components": {}}
    waiting, seen = [paths], set()
    while waiting:
        for reference in set(_references(waiting.pop())) - seen:
            seen.add(reference)
            part = _at(document, reference)
            _, group, name = reference.removeprefix("#/").split("/")
            kept["components"].setdefault(group, {})[name] = part
            waiting.append(part)
    return json.dumps(kept).encode()


def _references(node: Json) -> Iterator[str]:
    if isinstance(node, dict):
        if isinstance(node.get("$ref"), str):
            yield node["$ref"]
        node = list(node.values())
    if isinstance(node, list):
        for item in node:
            yield from _references(item)


def _rebased(node: Json) -> Json:
    """A schema that can be read apart from the document that it refers to."""
    if isinstance(node, list):
        return [_rebased(item) for item in node]
    if not isinstance(node, dict):
        return node
    # It only says faster which of several schemas holds.
    schema = {key: _rebased(value) for key, value in node.items() if key != "discriminator"}
    if isinstance(schema.get("$ref"), str):
        schema["$ref"] = f"{_BASE}{schema['$ref']}"
    if schema.get("nullable") is True and isinstance(schema.get("enum"), list):
        # GitHub means that it may be null: a run that goes on has no conclusion.
        schema["enum"] = [*schema["enum"], None]
    return schema


def _at(document: Json, reference: str) -> Json:
    node = document
    for key in reference.removeprefix("#/").split("/"):
        node = node[key.replace("~1", "/").replace("~0", "~")]
    return node
