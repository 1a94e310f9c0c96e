"""How a version of a model is served: container, resources, secrets, route.

Separate because Model, Repository and Cluster share these parts. The invariant: nothing here can
hold a secret value or an image that could change under its name.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from pydantic import Field, field_validator, model_validator

from reconciler.core.kinds.common import Part, refusal, unique
from reconciler.core.kinds.lora import LabelName, Lora
from reconciler.core.kinds.scalars import (
    AbsolutePath,
    ContainerImage,
    DnsLabel,
    EnvironmentName,
    Hostname,
    LabelKey,
    Maybe,
    MetricName,
    Port,
    PositiveCount,
    QuantityText,
    Text,
)
from reconciler.core.kinds.secret_delivery import SecretSource

DEFAULT_MODEL_MOUNT = "/models"


class GatewayReference(Part):
    """A Gateway of the Gateway API."""

    name: DnsLabel
    """Name of the Gateway."""
    namespace: DnsLabel
    """Namespace of the Gateway."""
    listener: Maybe[DnsLabel] = None
    """Name of the one listener at which models are reached; all of them when left out."""


class Resources(Part):
    """Compute resources, as Kubernetes has them."""

    requests: Mapping[LabelKey, QuantityText] = Field(default_factory=dict)
    """What the scheduler reserves."""
    limits: Mapping[LabelKey, QuantityText] = Field(default_factory=dict)
    """What the container may use at most; a request left out equals its limit."""

    @model_validator(mode="after")
    def _refuse_requests_above_limits(self) -> Resources:
        for name, request in self.requests.items():
            limit = self.limits.get(name)
            if limit is not None and limit < request:
                raise refusal(
                    f"requests {request} of {name}, above its limit {limit}",
                    hint="raise the limit or lower the request",
                )
        return self


class Probes(Part):
    """Paths at which the container answers 200 when it is well.

    The defaults are those of the Open Inference Protocol (V2).
    """

    readiness: AbsolutePath = "/v2/health/ready"
    """Asked before a replica gets traffic."""
    liveness: AbsolutePath = "/v2/health/live"
    """Asked to find out whether a replica must be restarted."""


class Container(Part):
    """The container that serves the model."""

    image: ContainerImage
    """Image of the model server, pinned by digest."""
    port: Port
    """Port on which it serves HTTP."""
    command: tuple[Text, ...] = ()
    """Entry point, instead of the image's own."""
    args: tuple[str, ...] = ()
    """Arguments of the entry point."""
    env: Mapping[EnvironmentName, str] = Field(default_factory=dict)
    """Environment variables with plain values; for secret ones see `secrets`."""
    resources: Maybe[Resources] = None
    """Compute resources; those of the repository's defaults when left out."""
    probes: Probes = Field(default_factory=Probes)
    """Where the container says how it is."""


class Secret(Part):
    """A secret that the container needs, by reference."""

    name: DnsLabel
    """Name under which the container finds it: `hf-token` is the variable `HF_TOKEN` where it comes
    as a value, and `HF_TOKEN_FILE` where it comes as a file, with the file's path."""
    source: SecretSource = Field(alias="from")
    """Where it lies: store, path and key, and the version where it is to be that one."""

    @property
    def variable(self) -> str:
        """The environment variable that has the value, where it comes as one."""
        name = self.name.replace("-", "_").upper()
        return f"_{name}" if name[0].isdigit() else name

    @property
    def file_variable(self) -> str:
        """The environment variable that has the path, where it comes as a file."""
        return f"{self.variable}_FILE"


class Signals(Part):
    """Where each replica reports requests, errors and output statistics.

    The defaults are the names that MLServer gives to the counters of the Open Inference Protocol.
    """

    path: AbsolutePath = "/metrics"
    """Path of the metrics, in the text format of Prometheus."""
    port: Maybe[Port] = None
    """Port of the metrics; the one that serves requests when left out."""
    succeeded: MetricName = "model_infer_request_success_total"
    """Counter of requests that were answered."""
    failed: MetricName = "model_infer_request_failure_total"
    """Counter of requests that failed."""
    latency: MetricName = "model_infer_request_duration_seconds"
    """Histogram of the seconds that a request took."""
    outputs: MetricName = "model_output"
    """Histogram of what was put out, with the label `signal`: gates on drift name its values."""
    label: Maybe[LabelName] = None
    """Label whose value names the adapter; needed by runtime lora, whose adapters share a replica,
    and used by no other."""


class Route(Part):
    """How requests reach the model through the gateway."""

    hostnames: tuple[Hostname, ...] = ()
    """Host names of the requests; any when left out."""
    path_prefix: AbsolutePath = "/"
    """Prefix of the paths of the requests."""


Runtime = Literal["deployment", "kserve", "lora", "chart"]


class Serving(Part):
    """How a version of the model runs."""

    runtime: Runtime
    """What runs it: a Deployment, KServe, a LoRA adapter on a shared server, or a Helm chart."""
    container: Maybe[Container] = None
    """The container that serves the model; needed by runtimes deployment and kserve."""
    lora: Maybe[Lora] = None
    """The server that loads the adapter; needed by runtime lora, and used by no other."""
    replicas: Maybe[PositiveCount] = None
    """Number of replicas; that of the repository's defaults when left out."""
    secrets: tuple[Secret, ...] = ()
    """Secrets that the container needs, by reference."""
    inference_path: Maybe[AbsolutePath] = None
    """Path that takes requests, asked by evaluations; when left out, that of the Open Inference
    Protocol for the model's name, or `/v1/completions` of runtime lora."""
    signals: Signals = Field(default_factory=Signals)
    """Where each replica reports how it does."""
    route: Route | None = None
    """How requests reach the model through the gateway; only from inside when left out. Runtime
    kserve uses none: KServe makes its own route."""
    model_mount: AbsolutePath = DEFAULT_MODEL_MOUNT
    """Directory of the container at which the version's artifact is mounted, read-only.

    The artifact is an image volume, pulled by digest by the node. Runtime kserve uses none: KServe
    puts the artifact at /mnt/models.
    """

    @field_validator("secrets")
    @classmethod
    def _refuse_repeated_secrets(cls, secrets: tuple[Secret, ...]) -> tuple[Secret, ...]:
        return unique(secrets, name=lambda secret: secret.name)

    @model_validator(mode="after")
    def _keep_variables_apart(self) -> Serving:
        env = self.container.env if self.container is not None else {}
        for secret in self.secrets:
            if taken := {secret.variable, secret.file_variable} & env.keys():
                raise refusal(
                    f"has {min(taken)} in container.env, which is secret {secret.name}'s",
                    hint="rename the secret, or remove the variable",
                )
        return self

    @model_validator(mode="after")
    def _require_what_the_runtime_needs(self) -> Serving:
        if self.runtime in ("deployment", "kserve") and self.container is None:
            hint = f"runtime {self.runtime} needs container with image"
            raise refusal("has no container", hint=hint)
        if self.runtime == "kserve" and {"route", "model_mount"} & self.model_fields_set:
            raise refusal(
                "has route or modelMount, which KServe decides",
                hint="remove them: KServe makes its own route, and mounts at /mnt/models",
            )
        is_lora = self.runtime == "lora"
        if is_lora and self.lora is None:
            raise refusal("has no lora", hint="runtime lora needs lora with server, alias and path")
        if is_lora and self.signals.label is None:
            raise refusal(
                "has no signals.label",
                hint="name the label of the counters whose value is the adapter's name",
            )
        if not is_lora and (self.lora is not None or self.signals.label is not None):
            raise refusal(
                "has lora or signals.label, which only runtime lora uses",
                hint="remove them, or write runtime: lora",
            )
        if is_lora and (self.container or self.route or self.replicas or self.secrets):
            raise refusal(
                "has container, route, replicas or secrets, which are those of its server",
                hint="remove them: runtime lora takes all of them from the Rollout lora.server",
            )
        return self
