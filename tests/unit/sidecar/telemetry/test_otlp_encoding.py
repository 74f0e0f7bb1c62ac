"""Spans as bytes, read by OTLP's own messages."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span as Message

from sidecar.telemetry.otlp_encoding import SpanEncoder, export_request, resource, scope
from sidecar.telemetry.semantics import Names, attributes
from sidecar.telemetry.trace import Span

_TEXT = st.text(st.characters(exclude_categories=["Cs"]))
_VALUES = _TEXT | st.booleans() | st.integers(-(2**63), 2**63 - 1)
_IDS = st.binary(min_size=8, max_size=8).map(bytes.hex)
_TIMES = st.integers(0, 2**64 - 1)
SPANS = st.builds(
    Span,
    name=_TEXT,
    kind=st.sampled_from(["CLIENT", "SERVER"]),
    trace_id=st.binary(min_size=16, max_size=16).map(bytes.hex),
    span_id=_IDS,
    parent_id=_IDS | st.just(""),
    start=_TIMES,
    end=_TIMES,
    attributes=st.dictionaries(_TEXT, _VALUES, max_size=30),
    error=st.booleans(),
)


def value(message: Any) -> str | int | bool:
    return getattr(message, message.WhichOneof("value"))  # type: ignore[no-any-return]


@given(SPANS)
def test_a_span_is_what_its_message_reads(span: Span) -> None:
    assert_read(span, SpanEncoder(Names.ENVOY))


@given(st.lists(SPANS.map(lambda span: span._replace(attributes={"a": 1, "b": "x", **span.attributes})), max_size=4))
def test_an_attribute_that_is_what_it_was(spans: list[Span]) -> None:
    encoder = SpanEncoder(Names.ENVOY)
    for span in spans:
        assert_read(span, encoder)
        assert_read(span._replace(attributes={**span.attributes, "a": True}), encoder)


def assert_read(span: Span, encoder: SpanEncoder) -> None:
    read = Message.FromString(encoder.encode(span))
    assert (read.trace_id.hex(), read.span_id.hex(), read.parent_span_id.hex()) == (
        span.trace_id,
        span.span_id,
        span.parent_id,
    )
    assert (read.name, read.SpanKind.Name(read.kind)) == (span.name, f"SPAN_KIND_{span.kind}")
    assert (read.start_time_unix_nano, read.end_time_unix_nano) == (span.start, span.end)
    assert {each.key: value(each.value) for each in read.attributes} == span.attributes
    assert [type(value(each.value)) for each in read.attributes] == [type(each) for each in span.attributes.values()]
    assert read.status.code == (read.status.STATUS_CODE_ERROR if span.error else 0)


@given(st.lists(SPANS, max_size=3))
def test_a_request_has_all_of_them(spans: list[Span]) -> None:
    encoder = SpanEncoder(Names.ENVOY)
    whose = resource({"service.name": "shop", "process.pid": 1})
    request = export_request(whose, scope("sidecar", "1"), [encoder.encode(span) for span in spans])
    (group,) = ExportTraceServiceRequest.FromString(request).resource_spans
    assert {each.key: value(each.value) for each in group.resource.attributes} == {
        "service.name": "shop",
        "process.pid": 1,
    }
    (sent,) = group.instrumentation_library_spans
    assert sent.instrumentation_library.name == "sidecar"
    assert [each.span_id.hex() for each in sent.spans] == [span.span_id for span in spans]


def test_a_collector_gets_opentelemetrys_names() -> None:
    tags: dict[str, Any] = {"http.method": "GET", "http.status_code": 200, "http.url": "http://a/b", "request_size": 1}
    span = Span("a", "CLIENT", "0" * 32, "0" * 16, "", 0, 1, {**tags, "response_size": 2}, False)
    for names in Names:
        read = Message.FromString(SpanEncoder(names).encode(span))
        assert {each.key: value(each.value) for each in read.attributes} == attributes(span, names)


def test_more_keys_than_are_remembered() -> None:
    encoder = SpanEncoder(Names.ENVOY)
    for number in range(3):
        tags = {f"key {number} {n}": n for n in range(999)}
        read = Message.FromString(encoder.encode(Span("a", "CLIENT", "0" * 32, "0" * 16, "", 0, 1, tags, False)))
        assert {each.key: value(each.value) for each in read.attributes} == tags
