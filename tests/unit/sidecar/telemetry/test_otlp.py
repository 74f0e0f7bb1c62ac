from __future__ import annotations

import logging
import threading
import time
from collections.abc import Sequence
from typing import Any

import pytest
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.trace import SpanKind, StatusCode

from sidecar.telemetry import otlp
from sidecar.telemetry.otlp import OtlpExporter
from sidecar.telemetry.trace import Span
from tests.unit.sidecar.telemetry.exchanges import node


class Collected(SpanExporter):
    def __init__(self) -> None:
        self.spans: list[Any] = []

    def export(self, spans: Sequence[Any]) -> SpanExportResult:
        self.spans += spans
        return SpanExportResult.SUCCESS


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


def exported(*spans: Span) -> list[Any]:
    collected = Collected()
    exporter = OtlpExporter("http://127.0.0.1:1/v1/traces", node(), span_exporter=collected)
    for each in spans:
        exporter.export(each)
    exporter.close()
    return collected.spans


def test_a_span_becomes_one_of_the_sdk() -> None:
    (found,) = exported(span())
    assert found.name == "reviews:9080/*"
    assert found.context.trace_id == 0x4BF92F3577B34DA6A3CE929D0E0E4736
    assert found.context.span_id == 0x00F067AA0BA902B7
    assert found.parent.span_id == 0x1111111111111111
    assert found.kind is SpanKind.SERVER
    assert found.status.status_code is StatusCode.UNSET
    assert (found.start_time, found.end_time) == (1_000, 2_000)
    assert dict(found.attributes) == {"http.status_code": 200}
    assert found.resource.attributes["service.name"] == "productpage.default"
    assert found.resource.attributes["service.instance.id"] == node().id


def test_roots_clients_and_errors() -> None:
    (found,) = exported(span(parent_id="", kind="CLIENT", error=True))
    assert found.parent is None
    assert found.kind is SpanKind.CLIENT
    assert found.status.status_code is StatusCode.ERROR


def test_a_collector_that_does_not_answer_does_not_hold_up_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(otlp, "GRACE", 0.05)
    release = threading.Event()

    class Stuck(Collected):
        def export(self, spans: Sequence[Any]) -> SpanExportResult:
            release.wait(30)
            return super().export(spans)

    exporter = OtlpExporter("http://127.0.0.1:1/v1/traces", node(), span_exporter=Stuck())
    exporter.export(span())
    started = time.monotonic()
    exporter.close()
    assert time.monotonic() - started < 5
    release.set()


def test_a_collectors_long_answer_is_cut(caplog: pytest.LogCaptureFixture) -> None:
    OtlpExporter("http://127.0.0.1:1/v1/traces", node(), span_exporter=Collected()).close()
    log = logging.getLogger("opentelemetry.exporter.otlp.json.http.trace_exporter")
    log.error("failed: %s", "x" * 5000)
    log.error("failed: %s", "short")
    assert [len(message) < 510 for message in caplog.messages] == [True, True]
    assert caplog.messages[1] == "failed: short"
