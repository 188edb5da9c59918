"""Traces of requests, if ``OTEL_EXPORTER_OTLP_ENDPOINT`` names a collector; otherwise nothing is imported.

One span per request, made by the access control after the answer: the path, the status, the list and how it
was answered, the scoring and the versions of its models. It contains nothing that a client sent except a W3C
``traceparent`` and the request's id. Spans are sent in batches by a thread; an unavailable collector loses
spans, never answers. The SDK itself reads the other standard variables (``OTEL_SERVICE_NAME``,
``OTEL_TRACES_SAMPLER`` and ``OTEL_TRACES_SAMPLER_ARG``, ``OTEL_EXPORTER_OTLP_HEADERS``, ...).
"""

import logging
import os
import time
from collections.abc import Mapping
from typing import Any

from serving.scoring.snapshot import Snapshot

log = logging.getLogger("recompra.serving")
SWITCHES = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
MISSING = (
    "a collector is named in the environment, but not installed is %s: no traces (install `recompra[otel]`)"
)
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")


class Traces:
    """Makes spans and sends them."""

    def __init__(self) -> None:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        named = {} if "OTEL_SERVICE_NAME" in os.environ else {"service.name": "recompra"}
        self._provider = TracerProvider(resource=Resource.create(named))
        self._provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        self._tracer = self._provider.get_tracer("recompra")
        self._propagator = TraceContextTextMapPropagator()

    @classmethod
    def asked_for(cls) -> "Traces | None":
        """Return the tracer if the environment names a collector, else None."""
        if not any(os.environ.get(name) for name in SWITCHES):
            return None
        try:
            return cls()
        except ImportError as error:
            log.error(MISSING, error.name)
            return None

    def record(
        self, scope: Mapping[str, Any], status: int, *, seconds: float, path: str, **attributes: Any
    ) -> None:
        """Make the span of a request that took ``seconds`` and ends now; ``path`` is ours, or other."""
        from opentelemetry.trace import SpanKind, Status, StatusCode

        method = scope["method"] if scope["method"] in METHODS else "_OTHER"
        end = time.time_ns()
        span = self._tracer.start_span(
            f"{method} {path}",
            self._parent(scope["headers"]),
            SpanKind.SERVER,
            attributes={
                "http.request.method": method,
                "http.route": path,
                "http.response.status_code": status,
                **attributes,
            },
            start_time=end - int(seconds * 1e9),
        )
        if status >= 500:
            span.set_status(Status(StatusCode.ERROR))
        span.end(end)

    def _parent(self, headers: list[tuple[bytes, bytes]]) -> Any:
        carrier = {
            name.decode(): value.decode("latin-1")
            for name, value in headers
            if name in (b"traceparent", b"tracestate")
        }
        return self._propagator.extract(carrier) if carrier else None

    def flush(self) -> None:
        """Send pending spans; the SDK does so by itself when the process ends."""
        self._provider.force_flush()


def answered(answer: Mapping[str, Any] | None, snapshot: Snapshot | None) -> dict[str, Any]:
    """Return the attributes of a span: of the answer, and of the scoring in service."""
    fields = answer or {}
    attributes: dict[str, Any] = {
        f"recompra.{name}": fields[name] for name in ("list", "answered_from") if name in fields
    }
    if snapshot is not None:
        attributes["recompra.scoring"] = snapshot.stamp
        attributes.update({f"recompra.model.{name}": version for name, version in snapshot.models.items()})
    return attributes
