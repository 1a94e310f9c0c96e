"""What a replica says of itself, in Prometheus' text format under MLServer's names.

Separate from answering requests, so that what is counted can be read in one place. Invariant:
every answer to an inference request is counted once, as a success or as a failure.
"""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest

LATENCY_EDGES = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
SCORE_EDGES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)


class Signals:
    """Counters of one replica, from 0 when it begins. `model` may be an adapter of it, and `prompt`
    is the name of a prompt, or empty."""

    def __init__(self, model: str, version: str) -> None:
        self._registry = CollectorRegistry()
        self._version = version
        labels = ("model", "version", "prompt")
        self._succeeded = Counter(
            "model_infer_request_success",
            "Requests that were answered.",
            labels,
            registry=self._registry,
        )
        self._failed = Counter(
            "model_infer_request_failure", "Requests that failed.", labels, registry=self._registry
        )
        self._seconds = Histogram(
            "model_infer_request_duration_seconds",
            "Time from request to answer.",
            labels,
            buckets=LATENCY_EDGES,
            registry=self._registry,
        )
        self._scores = Histogram(
            "model_output",
            "What the model put out.",
            (*labels, "signal"),
            buckets=SCORE_EDGES,
            registry=self._registry,
        )
        self._model = model
        self._scores.labels(model, version, "", "score")
        for metric in (self._succeeded, self._failed, self._seconds):
            metric.labels(model, version, "")

    def succeeded(self, model: str, prompt: str, seconds: float) -> None:
        self._succeeded.labels(model, self._version, prompt).inc()
        self._seconds.labels(model, self._version, prompt).observe(seconds)

    def failed(self, model: str, prompt: str, seconds: float) -> None:
        self._failed.labels(model, self._version, prompt).inc()
        self._seconds.labels(model, self._version, prompt).observe(seconds)

    def scored(self, score: float, prompt: str) -> None:
        self._scores.labels(self._model, self._version, prompt, "score").observe(score)

    def text(self) -> bytes:
        return generate_latest(self._registry)
