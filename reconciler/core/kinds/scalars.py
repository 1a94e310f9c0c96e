"""The scalars that documents are made of: names, digests, references and amounts.

Separate so that the check, the JSON Schema and the advice for one form of text stand side by
side. The invariant: what the pattern in the schema accepts is what the parser accepts.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Annotated, TypeAlias, TypeVar

from annotated_types import Ge, Le, MinLen
from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler, StringConstraints
from pydantic.json_schema import JsonSchemaValue
from pydantic.types import Strict
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from reconciler.core.identifiers import Digest
from reconciler.core.kinds.references import OciArtifact
from reconciler.core.quantities import (
    DURATION_PATTERN,
    PERCENT_PATTERN,
    QUANTITY_PATTERN,
    Percent,
    Quantity,
    duration_text,
    parse_duration,
)

_LABEL = r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?"
_SUBDOMAIN = r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?(\.[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?)*"
_HEX = r"sha256:[0-9a-f]{64}"
_REGISTRY = r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?(:[0-9]{1,5})?"
_REPOSITORY = r"(/[a-z0-9]+([._-]+[a-z0-9]+)*)+"
_LABEL_NAME = r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?"


@dataclass(frozen=True, slots=True)
class TextForm:
    """Text of one form, as pydantic metadata: how to read it, show it and advise about it."""

    what: str
    pattern: str
    hint: str
    examples: tuple[str, ...]
    read: Callable[[str], object] = str
    write: Callable[[object], str] = str
    longest: int = 1024
    code: str = "field-value"
    numbers: bool = False
    """Whether a plain number is read as the text it was written with."""

    def __get_pydantic_core_schema__(
        self, source: object, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        expression = re.compile(self.pattern.removesuffix("$") + r"\Z", re.ASCII)

        def check(value: object) -> object:
            if self.numbers and type(value) in (int, float):
                value = str(value)
            if not isinstance(value, str):
                raise self._refusal(f"is {_kind_of(value)}, not {self.what}")
            if len(value) > self.longest or not expression.match(value):
                raise self._refusal(f"is not {self.what}")
            try:
                return self.read(value)
            except ValueError:
                raise self._refusal(f"is not {self.what}") from None

        return core_schema.no_info_plain_validator_function(
            check,
            serialization=core_schema.plain_serializer_function_ser_schema(self.write),
        )

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        form: JsonSchemaValue = {
            "type": "string",
            "pattern": self.pattern,
            "maxLength": self.longest,
            "examples": list(self.examples),
        }
        return {"anyOf": [form, {"type": "number", "minimum": 0}]} if self.numbers else form

    def _refusal(self, reason: str) -> PydanticCustomError:
        return PydanticCustomError(self.code, "{reason}", {"reason": reason, "hint": self.hint})


def _kind_of(value: object) -> str:
    names: Mapping[type, str] = {
        bool: "true or false",
        int: "a number",
        float: "a number",
        list: "a list",
        dict: "a mapping",
    }
    return names.get(type(value), "empty")


class Present:
    """Metadata of an optional field: it may be left out, but not be given as null.

    `field:` with nothing behind it is a slip more often than a decision.
    """

    def __get_pydantic_core_schema__(
        self, source: object, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        schema = handler(source)
        assert schema["type"] == "nullable"
        inner: CoreSchema = schema["schema"]
        return inner


_Value = TypeVar("_Value")
Maybe: TypeAlias = Annotated[_Value | None, Present()]


def _duration(value: object) -> str:
    assert isinstance(value, timedelta)
    return duration_text(value)


DnsLabel: TypeAlias = Annotated[
    str,
    TextForm(
        what="a name of lower-case letters, digits and '-'",
        pattern=f"^{_LABEL}$",
        hint="use at most 63 lower-case letters, digits and '-', with a letter or digit at both "
        "ends",
        examples=("fraud-detector",),
        longest=63,
    ),
]
Hostname: TypeAlias = Annotated[
    str,
    TextForm(
        what="a host name",
        pattern=rf"^(\*\.)?{_SUBDOMAIN}$",
        hint="use a DNS name such as fraud.example.com; only its first label may be '*'",
        examples=("fraud.example.com", "*.models.example.com"),
        longest=253,
    ),
]
NamePattern: TypeAlias = Annotated[
    str,
    TextForm(
        what="a name or a pattern with '*'",
        pattern=r"^[a-z0-9*]([-a-z0-9.*]*[a-z0-9*])?$",
        hint="use a name, or a pattern such as team-*",
        examples=("team-*", "monitoring"),
        longest=253,
    ),
]
PathPattern: TypeAlias = Annotated[
    str,
    TextForm(
        what="a path relative to the root of the repository",
        pattern=r"^(?!\.{1,2}(/|$))[A-Za-z0-9._*-]+(/(?!\.{1,2}(/|$))[A-Za-z0-9._*-]+)*$",
        hint="start at the root of the repository without a '/', use no '..'; '*' stands for "
        "part of one name",
        examples=("platform/*", "teams/risk/manifests"),
    ),
]
Principal: TypeAlias = Annotated[
    str,
    TextForm(
        what="a role, or an agent written agent/NAME",
        pattern=f"^(agent/)?{_LABEL}$",
        hint="name a Role document, or an AgentScope document as agent/NAME",
        examples=("ml-researcher", "agent/eval-bot"),
    ),
]
GroupName: TypeAlias = Annotated[
    str,
    TextForm(
        what="a group of an identity provider",
        pattern=r"^[^\x00-\x20\x7f,]([^\x00-\x1f\x7f,]*[^\x00-\x20\x7f,])?$",
        hint="write the group as its claim has it, in one line and without ','",
        examples=("ml-researchers",),
        longest=253,
    ),
]
ForgeLogin: TypeAlias = Annotated[
    str,
    TextForm(
        what="the login of a person on the forge, or an e-mail address",
        pattern=r"^[A-Za-z0-9]([A-Za-z0-9._+@-]*[A-Za-z0-9])?$",
        hint="write what the forge shows after an @, or a name of the allowed signers",
        examples=("grace-hopper", "grace@example.com"),
        longest=100,
    ),
]
ModelVersionName: TypeAlias = Annotated[
    str,
    TextForm(
        what="a model version written MODEL@VERSION",
        pattern=f"^{_LABEL}@{_LABEL}$",
        hint="write model and version such as fraud-detector@v3",
        examples=("fraud-detector@v3",),
        longest=127,
    ),
]
KindName: TypeAlias = Annotated[
    str,
    TextForm(
        what="a kind of Kubernetes object",
        pattern=r"^[A-Z][A-Za-z0-9]*(\.[a-z0-9]([-a-z0-9.]*[a-z0-9])?)?$",
        hint="write the kind, with its group when it has one: ConfigMap, ClusterRole."
        "rbac.authorization.k8s.io",
        examples=("ClusterRole.rbac.authorization.k8s.io",),
    ),
]
ResourceName: TypeAlias = Annotated[
    str,
    TextForm(
        what="a Kubernetes resource in the plural",
        pattern=r"^[a-z][a-z0-9]*(\.[a-z0-9]([-a-z0-9.]*[a-z0-9])?)?(/[a-z]+)?$",
        hint="write the plural, with group or subresource when needed: deployments, pods/log, "
        "httproutes.gateway.networking.k8s.io",
        examples=("deployments", "pods/log"),
    ),
]
Sha256: TypeAlias = Annotated[
    Digest,
    TextForm(
        what="a digest",
        pattern=f"^{_HEX}$",
        hint="write sha256: and 64 hexadecimal digits",
        examples=(f"sha256:{'0' * 64}",),
        read=Digest,
    ),
]
ContainerImage: TypeAlias = Annotated[
    str,
    TextForm(
        what="a container image pinned by digest",
        code="not-pinned",
        pattern=f"^{_REGISTRY}{_REPOSITORY}(:[A-Za-z0-9_][A-Za-z0-9_.-]{{0,127}})?@{_HEX}$",
        hint="write registry, repository and digest: registry.example.com/serve@sha256:…; a tag "
        "alone can be moved to another image",
        examples=(f"registry.example.com/serve@sha256:{'0' * 64}",),
    ),
]
Artifact: TypeAlias = Annotated[
    OciArtifact,
    TextForm(
        what="an OCI artifact pinned by digest",
        code="not-pinned",
        pattern=f"^oci://{_REGISTRY}{_REPOSITORY}@{_HEX}$",
        hint="write oci://registry.example.com/models/NAME@sha256:…; tags are refused because "
        "they can be moved",
        examples=(f"oci://registry.example.com/models/fraud@sha256:{'0' * 64}",),
        read=OciArtifact.parse,
    ),
]
SecretPattern: TypeAlias = Annotated[
    str,
    TextForm(
        what="a path of secrets",
        pattern=r"^(vault:[A-Za-z0-9_.:-]+(/[A-Za-z0-9_.:-]+)+|aws:[A-Za-z0-9_./:-]+)(/\*)?$",
        hint="write store and path such as vault:kv/risk/eval/*",
        examples=("vault:kv/risk/eval/*",),
    ),
]
PercentText: TypeAlias = Annotated[
    Percent,
    TextForm(
        what="a percentage",
        pattern=PERCENT_PATTERN,
        hint="write a number from 0 to 100 with the sign: 5%",
        examples=("5%", "99.9%"),
        read=Percent.parse,
    ),
]
Duration: TypeAlias = Annotated[
    timedelta,
    TextForm(
        what="a duration",
        pattern=f"^(?!$){DURATION_PATTERN.removeprefix('^')}",
        hint="write whole numbers with units, largest first: 1h30m, 45s, 250ms",
        examples=("10m", "1h30m"),
        read=parse_duration,
        write=_duration,
        longest=32,
    ),
]
QuantityText: TypeAlias = Annotated[
    Quantity,
    TextForm(
        what="a quantity",
        pattern=QUANTITY_PATTERN,
        hint="write a number, with a unit if need be: 500m, 2, 4Gi",
        examples=("500m", "4Gi"),
        read=Quantity.parse,
        longest=32,
        numbers=True,
    ),
]
AbsolutePath: TypeAlias = Annotated[
    str,
    TextForm(
        what="an absolute path",
        pattern=r"^/[A-Za-z0-9._~/%+-]*$",
        hint="start with '/'",
        examples=("/metrics",),
    ),
]
JsonPointer: TypeAlias = Annotated[
    str,
    TextForm(
        what="a JSON pointer",
        pattern=r"^(/([^~/]|~[01])+)+$",
        hint="write the path to the field such as /spec/replicas; '/' in a name is ~1",
        examples=("/spec/replicas",),
    ),
]
EnvironmentName: TypeAlias = Annotated[
    str,
    TextForm(
        what="the name of an environment variable",
        pattern=r"^[A-Za-z_][A-Za-z0-9_]*$",
        hint="use letters, digits and '_', with no digit at the start",
        examples=("LOG_LEVEL",),
    ),
]
HeaderName: TypeAlias = Annotated[
    str,
    TextForm(
        what="the name of a header",
        pattern=r"^[A-Za-z0-9!#$%&'*+.^_`|~-]+$",
        hint="use letters, digits and '-'",
        examples=("x-cohort",),
        longest=256,
    ),
]
MetricName: TypeAlias = Annotated[
    str,
    TextForm(
        what="the name of a metric",
        pattern=r"^[a-zA-Z_:][a-zA-Z0-9_:]*$",
        hint="use letters, digits, '_' and ':'",
        examples=("model_infer_request_success_total", "vllm:request_success_total"),
        longest=256,
    ),
]
LabelKey: TypeAlias = Annotated[
    str,
    TextForm(
        what="the key of a label",
        pattern=rf"^({_SUBDOMAIN}/)?{_LABEL_NAME}$",
        hint="use at most 63 letters, digits, '-', '_' and '.', after an optional DNS prefix "
        "and '/'",
        examples=("team", "example.com/team"),
        longest=317,
    ),
]
LabelValue: TypeAlias = Annotated[
    str,
    TextForm(
        what="the value of a label",
        pattern=rf"^({_LABEL_NAME})?$",
        hint="use at most 63 letters, digits, '-', '_' and '.'; quote numbers and true or false",
        examples=("risk",),
        longest=63,
    ),
]
CalendarDate: TypeAlias = Annotated[
    date,
    TextForm(
        what="a date",
        pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$",
        hint="write year, month and day: 2027-06-30",
        examples=("2027-06-30",),
        read=date.fromisoformat,
    ),
]

LabelMap: TypeAlias = Mapping[LabelKey, LabelValue]
Selector: TypeAlias = Annotated[Mapping[LabelKey, LabelValue], MinLen(1)]
Text: TypeAlias = Annotated[str, StringConstraints(min_length=1)]
Flag: TypeAlias = Annotated[bool, Strict()]
Count: TypeAlias = Annotated[int, Strict(), Ge(0)]
PositiveCount: TypeAlias = Annotated[int, Strict(), Ge(1)]
Port: TypeAlias = Annotated[int, Strict(), Ge(1), Le(65535)]
Number: TypeAlias = Annotated[float, Strict(), Ge(0)]
