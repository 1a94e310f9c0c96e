"""Logs and traces: how they leave the process.

Separate because the engine only says what happened. The invariant: nothing that looks like a
credential leaves in a log line, whoever put it there.
"""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import MutableMapping, Sequence
from typing import Any, TextIO

import structlog
from opentelemetry import trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from structlog.typing import EventDict, Processor, WrappedLogger

from reconciler import __version__
from reconciler.core.fields import ABSENT, FieldChange
from reconciler.core.problems import printable
from reconciler.core.redaction import redacted
from reconciler.settings import LogSettings, TelemetrySettings

EXPORT_SECONDS = 5.0
LONGEST_VALUE = 16_000
_WORDS = re.compile(r"(\s+)")


def set_up_logging(settings: LogSettings, *, stream: TextIO = sys.stderr) -> None:
    """Send what structlog and the standard library log to `stream`, one line an event."""
    console = settings.format == "console" or (settings.format == "auto" and stream.isatty())
    level = logging.getLevelNamesMapping()[settings.level.upper()]
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _with_trace,
        structlog.processors.format_exc_info,
        scrubbed,
    ]
    renderer: Processor = (
        structlog.dev.ConsoleRenderer(colors=stream.isatty())
        if console
        else structlog.processors.JSONRenderer(default=str)
    )
    structlog.configure(
        processors=[*shared, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(stream),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(processor=renderer, foreign_pre_chain=shared)
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    # Libraries are told about in our own words; what remains are their warnings.
    root.setLevel(max(level, logging.WARNING))


def scrubbed(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Write digests instead of what looks like a credential, and no control characters."""
    return {name: _scrubbed(name, value) for name, value in event.items()}


def _scrubbed(name: str, value: Any) -> Any:
    if isinstance(value, str):
        return _shown(name, value)
    if isinstance(value, MutableMapping):
        return {str(inner): _scrubbed(str(inner), part) for inner, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [_scrubbed(name, item) for item in value]
    if value is None or isinstance(value, (bool, int, float)):
        return value
    return _shown(name, str(value))


def _shown(name: str, value: str) -> str:
    safe = _redacted(name, value)
    if safe != value:
        # Only the words that matter, if what is left is harmless: people must read the rest.
        words = "".join(_redacted("text", word) for word in _WORDS.split(value))
        safe = words if _redacted(name, words) == words else safe
    if name == "exception":
        return "\n".join(printable(line) for line in safe.splitlines())
    return printable(safe, limit=LONGEST_VALUE)


def _redacted(name: str, value: str) -> str:
    safe = redacted(FieldChange(f".{name}", ABSENT, value)).after
    assert isinstance(safe, str), "a text is shown as a text"
    return safe


def _with_trace(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    span = trace.get_current_span().get_span_context()
    if span.is_valid:
        event["trace"] = f"{span.trace_id:032x}"
    return event


def set_up_tracing(
    settings: TelemetrySettings, *, repository: str, processors: Sequence[SpanProcessor] = ()
) -> TracerProvider:
    """Make the spans of this process real: `processors` see them, and the collector, if any.

    The caller shuts the provider down.
    """
    resource = Resource.create(
        {
            "service.name": "fairlead",
            "service.version": __version__,
            "fairlead.repository": repository,
        }
    )
    provider = TracerProvider(resource=resource)
    for processor in processors:
        provider.add_span_processor(processor)
    if settings.otlp_endpoint:
        # 6 MiB with its HTTP client and its format, which most daemons send nothing in.
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415

        endpoint = f"{settings.otlp_endpoint.rstrip('/')}/v1/traces"
        exporter = OTLPSpanExporter(endpoint=endpoint, timeout=EXPORT_SECONDS)
        provider.add_span_processor(BatchSpanProcessor(exporter))
    trace.set_tracer_provider(provider)
    return provider
