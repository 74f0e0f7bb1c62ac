"""Spans to a collector, over OTLP (JSON over HTTP), by OpenTelemetry's own SDK.

Its BatchSpanProcessor queues (bounded: a collector that is away costs spans, never requests) and sends from a thread of its
own. The SDK is imported when an exporter is made: a proxy that only keeps its ring does without its 10 MiB.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping
from typing import Any

from mesh.node import Node
from sidecar.telemetry.trace import CLIENT, Span

# How long the end of the process waits for a collector that does not answer.
GRACE = 2.0
# What a log line may hold of a collector's answer, which the SDK logs whole.
_LONGEST_MESSAGE = 500


class _Shorten(logging.Filter):
    """Cuts messages that somebody else has a say in."""

    def filter(self, record: logging.LogRecord) -> bool:
        message = record.getMessage()
        if len(message) > _LONGEST_MESSAGE:
            record.msg, record.args = message[:_LONGEST_MESSAGE] + " …", ()
        return True


_shorten = _Shorten()


class OtlpExporter:
    """Sends spans to `url` (`http://collector:4318/v1/traces`)."""

    def __init__(self, url: str, node: Node, service_name: str = "", span_exporter: Any = None) -> None:
        from opentelemetry.exporter.otlp.json.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace.export import BatchSpanProcessor

        logging.getLogger(OTLPSpanExporter.__module__).addFilter(_shorten)
        resource: Mapping[str, str] = {
            "service.name": service_name or f"{node.service or node.canonical_service or node.name}.{node.namespace}",
            "service.namespace": node.namespace,
            "service.instance.id": node.id,
        }
        self._resource = Resource.create(resource)
        self._processor: Any = BatchSpanProcessor(span_exporter or OTLPSpanExporter(endpoint=url))

    def export(self, span: Span) -> None:
        """Queues a span; never waits."""
        self._processor.on_end(_sdk_span(span, self._resource))

    def close(self) -> None:
        """Sends what is queued; blocks for GRACE at most. (The SDK's shutdown waits for its retries, 10 s and more.)"""
        last = threading.Thread(target=self._processor.shutdown, name="otlp-shutdown", daemon=True)
        last.start()
        last.join(GRACE)


def _sdk_span(span: Span, resource: Any) -> Any:
    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.sdk.util.instrumentation import InstrumentationScope
    from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags

    def context(span_id: str, *, is_remote: bool) -> SpanContext:
        return SpanContext(
            int(span.trace_id, 16), int(span_id, 16), is_remote=is_remote, trace_flags=TraceFlags(TraceFlags.SAMPLED)
        )

    return ReadableSpan(
        name=span.name,
        context=context(span.span_id, is_remote=False),
        parent=context(span.parent_id, is_remote=True) if span.parent_id else None,
        resource=resource,
        attributes=span.attributes,
        kind=SpanKind.CLIENT if span.kind == CLIENT else SpanKind.SERVER,
        status=Status(StatusCode.ERROR if span.error else StatusCode.UNSET),
        start_time=span.start,
        end_time=span.end,
        instrumentation_scope=InstrumentationScope("sidecar"),
    )
