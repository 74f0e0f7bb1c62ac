"""Spans to a collector over OTLP (https://opentelemetry.io/docs/specs/otlp/), by OpenTelemetry's own SDK.

Its BatchSpanProcessor queues (bounded) and sends from a thread of its own: a collector that is slow, away or refuses costs
spans, which are counted, and never a request. What it sends by is `otlp_transport`. A batch that could not be delivered is
tried again a few times, with back-off, as the specification asks. The SDK is imported when an exporter is made: a proxy that
only keeps its ring does without its 10 MiB.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Protocol

from mesh.backoff import Backoff
from mesh.version import VERSION
from sidecar.telemetry.cells import Counter
from sidecar.telemetry.semantics import Names, attributes
from sidecar.telemetry.trace import CLIENT, Span

log = logging.getLogger(__name__)

QUEUE: Final = 2048  # spans that wait, OpenTelemetry's default
BATCH: Final = 512
INTERVAL: Final = 1.0
TRIES: Final = 5
BACKOFF_BASE, BACKOFF_MAX = 0.5, 10.0
# How long the end of the process waits for a collector that does not answer.
GRACE = 2.0

# One of the SDK's `opentelemetry.sdk.trace.ReadableSpan`.
ReadableSpan = Any


class NotDeliveredError(Exception):
    """Nobody took a batch. `again` says whether the same batch may be taken later."""

    def __init__(self, reason: str, *, again: bool) -> None:
        super().__init__(reason)
        self.again = again


class Transport(Protocol):
    """How spans get to a collector. Blocks: it is called in the SDK's thread."""

    def send(self, spans: Sequence[ReadableSpan]) -> None:
        """Raises NotDeliveredError."""
        ...

    def close(self) -> None: ...


class Origin:
    """Whose spans they are: the resource's attributes, to which OTEL_RESOURCE_ATTRIBUTES adds, and by which names they
    tell."""

    def __init__(self, resource: Mapping[str, str], names: Names = Names.OPENTELEMETRY) -> None:
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.util.instrumentation import InstrumentationScope

        self._resource = Resource.create(resource)
        self._scope = InstrumentationScope("mesh-sidecar", VERSION)
        self._names = names

    def readable(self, span: Span) -> ReadableSpan:
        """The span as the SDK has them."""
        from opentelemetry.sdk.trace import ReadableSpan
        from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags

        def context(span_id: str, *, is_remote: bool) -> SpanContext:
            flags = TraceFlags(TraceFlags.SAMPLED)
            return SpanContext(int(span.trace_id, 16), int(span_id, 16), is_remote=is_remote, trace_flags=flags)

        return ReadableSpan(
            name=span.name,
            context=context(span.span_id, is_remote=False),
            parent=context(span.parent_id, is_remote=True) if span.parent_id else None,
            resource=self._resource,
            attributes=attributes(span, self._names),
            kind=SpanKind.CLIENT if span.kind == CLIENT else SpanKind.SERVER,
            status=Status(StatusCode.ERROR if span.error else StatusCode.UNSET),
            start_time=span.start,
            end_time=span.end,
            instrumentation_scope=self._scope,
        )


class OtlpExporter:
    """`sent` and `dropped` are counted; `make` is called in the SDK's thread, which begins with the first span."""

    def __init__(self, make: Callable[[], Transport], origin: Origin, sent: Counter, dropped: Counter) -> None:
        from opentelemetry.sdk.trace.export import BatchSpanProcessor

        self._begin = BatchSpanProcessor
        self._origin = origin
        self._dropped = dropped
        self._delivery = _Delivery(make, sent, dropped)
        self._processor: Any = None
        self._queued = 0

    @property
    def waiting(self) -> int:
        """Spans that are neither sent nor given up."""
        return self._queued - self._delivery.done

    def export(self, span: Span) -> None:
        """Queues a span; never waits."""
        if self.waiting >= QUEUE:  # the processor would drop it, too, and not say how many
            self._dropped.value += 1
            return
        if self._processor is None:
            self._processor = self._begin(
                self._delivery,
                max_queue_size=QUEUE,
                schedule_delay_millis=INTERVAL * 1000,
                max_export_batch_size=BATCH,
            )
        self._queued += 1
        self._processor.on_end(self._origin.readable(span))

    def close(self) -> None:
        """Sends what is queued; blocks for GRACE at most. (The SDK's shutdown waits for as long as its exporter takes.)"""
        self._delivery.closing.set()
        if self._processor is not None:
            last = threading.Thread(target=self._processor.shutdown, name="otlp-shutdown", daemon=True)
            last.start()
            last.join(GRACE)


class _Delivery:
    """The SDK's `SpanExporter`; its processor is the only one that calls it."""

    def __init__(self, make: Callable[[], Transport], sent: Counter, dropped: Counter) -> None:
        self._make = make
        self._sent = sent
        self._dropped = dropped
        self._transport: Transport | None = None
        self._failing = False
        self.closing = threading.Event()
        self.done = 0  # spans that are no longer waited for

    def export(self, spans: Sequence[ReadableSpan]) -> Any:
        from opentelemetry.sdk.trace.export import SpanExportResult

        if self._transport is None:
            self._transport = self._make()
        delivered = self._deliver(self._transport, spans)
        (self._sent if delivered else self._dropped).value += len(spans)
        self.done += len(spans)
        return SpanExportResult.SUCCESS if delivered else SpanExportResult.FAILURE

    def shutdown(self) -> None:
        if self._transport is not None:
            self._transport.close()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Nothing waits here."""
        return True

    def _deliver(self, transport: Transport, batch: Sequence[ReadableSpan]) -> bool:
        backoff = Backoff(BACKOFF_BASE, BACKOFF_MAX)
        for left in reversed(range(TRIES)):
            try:
                transport.send(batch)
            except NotDeliveredError as error:
                self._tell(error)
                if not (error.again and left) or self.closing.wait(backoff.next()):
                    return False
            else:
                if self._failing:
                    log.info("OTLP: the collector takes spans again")
                self._failing = False
                return True
        return False

    def _tell(self, error: NotDeliveredError) -> None:
        """Once, until it works again: a collector that is away would fill the log."""
        log.log(logging.DEBUG if self._failing else logging.WARNING, "OTLP: spans are not delivered: %s", error)
        self._failing = True
