"""The queue in front of a collector: what it costs, what it loses, how it ends."""

from __future__ import annotations

import logging
import threading
import time
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from sidecar.telemetry import otlp
from sidecar.telemetry.cells import Counter
from sidecar.telemetry.otlp import NotDeliveredError, Origin, OtlpExporter
from sidecar.telemetry.trace import Span
from tests.harness.process import wait_until

ORIGIN = Origin({"service.name": "shop.default"})


def span(**changes: Any) -> Span:
    fields: dict[str, Any] = {
        "name": "reviews:9080/*",
        "kind": "SERVER",
        "trace_id": "4bf92f3577b34da6a3ce929d0e0e4736",
        "span_id": "00f067aa0ba902b7",
        "parent_id": "1111111111111111",
        "start": 1_000,
        "end": 2_000,
        "attributes": {"http.status_code": 200},
        "error": False,
    }
    return Span(**{**fields, **changes})


def request(*spans: Span) -> bytes:
    return ORIGIN.request([ORIGIN.queued(each) for each in spans])


def read(request: bytes) -> Any:
    """The spans, and whose they are, as OTLP's own messages."""
    (group,) = ExportTraceServiceRequest.FromString(request).resource_spans
    (found,) = group.instrumentation_library_spans
    return found


class Collector:
    """A transport that keeps what it gets, fails as often as it is told, and waits while it is held."""

    def __init__(self, *failures: NotDeliveredError) -> None:
        self.batches: list[Any] = []
        self.free = threading.Event()
        self.free.set()
        self.asked = threading.Event()
        self.closed = False
        self._failures = list(failures)

    def send(self, request: bytes) -> None:
        self.asked.set()
        self.free.wait(30)
        if self._failures:
            raise self._failures.pop(0)
        self.batches.append(read(request).spans)

    def close(self) -> None:
        self.closed = True


class Made:
    def __init__(self, collector: Collector) -> None:
        self.sent, self.dropped = Counter(), Counter()
        self.exporter = OtlpExporter(lambda: collector, ORIGIN, self.sent, self.dropped)


def test_everything_is_sent_at_the_end() -> None:
    collector = Collector()
    made = Made(collector)
    for number in range(1000):
        made.exporter.export(span(start=number))
    made.exporter.close()
    assert [each.start_time_unix_nano for batch in collector.batches for each in batch] == list(range(1000))
    assert (made.sent.value, made.dropped.value, collector.closed) == (1000, 0, True)


def test_a_collector_that_is_stuck_costs_spans_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(otlp, "GRACE", 0.05)
    collector = Collector()
    collector.free.clear()
    made = Made(collector)
    for _ in range(otlp.BATCH):
        made.exporter.export(span())
    assert collector.asked.wait(10)
    for _ in range(otlp.QUEUE + 100):
        made.exporter.export(span())
    assert made.dropped.value >= 100
    assert made.exporter.waiting <= otlp.QUEUE
    began = time.monotonic()
    made.exporter.close()
    assert time.monotonic() - began < 5
    collector.free.set()


def test_what_may_be_taken_later_is_tried_again(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(otlp, "BACKOFF_BASE", 0.001)
    caplog.set_level(logging.INFO)
    collector = Collector(NotDeliveredError("refused", again=True), NotDeliveredError("refused", again=True))
    made = Made(collector)
    made.exporter.export(span())
    wait_until(lambda: made.sent.value == 1, 20, "the span is sent")
    made.exporter.close()
    assert caplog.messages == ["OTLP: spans are not delivered: refused", "OTLP: the collector takes spans again"]


def test_what_is_refused_for_good_is_dropped() -> None:
    collector = Collector(NotDeliveredError("status 400", again=False))
    made = Made(collector)
    made.exporter.export(span())
    wait_until(lambda: made.dropped.value == 1, 20, "the span is dropped")
    made.exporter.close()
    assert collector.batches == [] and made.sent.value == 0


def test_without_a_span_there_is_no_thread() -> None:
    made = Made(Collector())
    before = threading.active_count()
    made.exporter.close()
    assert threading.active_count() == before
