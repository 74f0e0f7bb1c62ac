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
from typing import Any, Final, NamedTuple, Protocol

from mesh.backoff import Backoff
from mesh.version import VERSION
from sidecar.telemetry.cells import Counter
from sidecar.telemetry.otlp_encoding import SpanEncoder, export_request, resource, scope
from sidecar.telemetry.semantics import Names
from sidecar.telemetry.trace import Attribute, Span

log = logging.getLogger(__name__)

QUEUE: Final = 2048  # spans that wait, OpenTelemetry's default
BATCH: Final = 512
INTERVAL: Final = 1.0
TRIES: Final = 5
BACKOFF_BASE, BACKOFF_MAX = 0.5, 10.0
# How long the end of the process waits for a collector that does not answer.
GRACE = 2.0


class NotDeliveredError(Exception):
    """Nobody took a batch. `again` says whether the same batch may be taken later."""

    def __init__(self, reason: str, *, again: bool) -> None:
        super().__init__(reason)
        self.again = again


class Transport(Protocol):
    """How spans get to a collector. Blocks: it is called in the SDK's thread."""

    def send(self, request: bytes) -> None:
        """An ExportTraceServiceRequest. Raises NotDeliveredError."""
        ...

    def close(self) -> None: ...


class Queued(NamedTuple):
    """A span as the SDK's processor takes one: it looks at the context, to see whether the span is sampled."""

    context: Any
    span: Span


class Origin:
    """Whose spans they are: the resource's attributes, to which OTEL_RESOURCE_ATTRIBUTES adds, and by which names they
    tell."""

    def __init__(self, origin: Mapping[str, str], names: Names = Names.OPENTELEMETRY) -> None:
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.trace import SpanContext, TraceFlags

        self._encoder = SpanEncoder(names)
        attributes = Resource.create(origin).attributes
        self._resource = resource({key: _simple(value) for key, value in attributes.items()})
        self._scope = scope("mesh-sidecar", VERSION)
        self._sampled = SpanContext(1, 1, is_remote=False, trace_flags=TraceFlags(TraceFlags.SAMPLED))

    def queued(self, span: Span) -> Queued:
        """The span on its way through the SDK."""
        return Queued(self._sampled, span)

    def request(self, spans: Sequence[Queued]) -> bytes:
        """An ExportTraceServiceRequest."""
        return export_request(self._resource, self._scope, [self._encoder.encode(each.span) for each in spans])


def _simple(value: Any) -> Attribute:
    return value if isinstance(value, str | int) else str(value)


class OtlpExporter:
    """`sent` and `dropped` are counted; `make` is called in the SDK's thread, which begins with the first span."""

    def __init__(self, make: Callable[[], Transport], origin: Origin, sent: Counter, dropped: Counter) -> None:
        from opentelemetry.sdk.trace.export import BatchSpanProcessor

        self._begin = BatchSpanProcessor
        self._origin = origin
        self._dropped = dropped
        self._delivery = _Delivery(make, origin, sent, dropped)
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
        self._processor.on_end(self._origin.queued(span))

    def close(self) -> None:
        """Sends what is queued; blocks for GRACE at most. (The SDK's shutdown waits for as long as its exporter takes.)"""
        self._delivery.closing.set()
        if self._processor is not None:
            last = threading.Thread(target=self._processor.shutdown, name="otlp-shutdown", daemon=True)
            last.start()
            last.join(GRACE)


class _Delivery:
    """The SDK's `SpanExporter`; its processor is the only one that calls it."""

    def __init__(self, make: Callable[[], Transport], origin: Origin, sent: Counter, dropped: Counter) -> None:
        self._make = make
        self._origin = origin
        self._sent = sent
        self._dropped = dropped
        self._transport: Transport | None = None
        self._failing = False
        self.closing = threading.Event()
        self.done = 0  # spans that are no longer waited for

    def export(self, spans: Sequence[Queued]) -> Any:
        from opentelemetry.sdk.trace.export import SpanExportResult

        if self._transport is None:
            self._transport = self._make()
        delivered = self._deliver(self._transport, self._origin.request(spans))
        (self._sent if delivered else self._dropped).value += len(spans)
        self.done += len(spans)
        return SpanExportResult.SUCCESS if delivered else SpanExportResult.FAILURE

    def shutdown(self) -> None:
        if self._transport is not None:
            self._transport.close()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Nothing waits here."""
        return True

    def _deliver(self, transport: Transport, request: bytes) -> bool:
        backoff = Backoff(BACKOFF_BASE, BACKOFF_MAX)
        for left in reversed(range(TRIES)):
            try:
                transport.send(request)
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
