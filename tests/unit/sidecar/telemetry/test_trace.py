from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.config.model import MILLION, Direction, Tracing
from sidecar.http.exchange import Exchange
from sidecar.http.headers import get
from sidecar.http.response_flags import Flag
from sidecar.telemetry.trace import RING_SIZE, Chance, Span, Spans, Tracer
from tests.unit.sidecar.telemetry.exchanges import CLOCK_START, clock, exchange, node, route

IDENTITY = b"11111111-2222-4333-8444-555555555555"
TRACE = b"4bf92f3577b34da6a3ce929d0e0e4736"
SPAN = b"00f067aa0ba902b7"
NEVER = Tracing(random_chance=0)


def tracer(
    config: Tracing | None = None, direction: Direction = Direction.OUTBOUND, spans: Spans | None = None
) -> Tracer:
    return Tracer(config or Tracing(), node(), direction, spans or Spans(), clock=clock(), rng=random.Random(1))


def begun(config: Tracing | None = None, direction: Direction = Direction.OUTBOUND, **headers: bytes) -> Exchange:
    """A request with `headers` (underscores for dashes) after `begin`."""
    pairs = [(name.replace("_", "-").encode(), value) for name, value in headers.items()]
    made = exchange(headers=[*pairs, (b"x-request-id", IDENTITY)], request_id=IDENTITY)
    tracer(config, direction).begin(made)
    return made


def digit(made: Exchange) -> bytes:
    assert get(made.headers, b"x-request-id") == made.request_id
    return made.request_id[14:15]


# ── the decision ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_sampled_request_says_so_in_its_id() -> None:
    made = begun()
    assert digit(made) == b"9"
    assert made.request_id == b"11111111-2222-9333-8444-555555555555"
    assert made.trace.sampled


def test_an_unsampled_request_keeps_its_id() -> None:
    made = begun(NEVER)
    assert made.request_id == IDENTITY
    assert not made.trace.sampled


def test_a_client_may_ask_for_a_trace() -> None:
    assert digit(begun(NEVER, x_client_trace_id=b"q")) == b"b"


def test_a_client_may_be_denied_a_trace() -> None:
    made = begun(Tracing(client_chance=0, random_chance=0), x_client_trace_id=b"q")
    assert digit(made) == b"4"


def test_a_service_may_force_a_trace() -> None:
    made = begun(NEVER, x_envoy_force_trace=b"1")
    assert digit(made) == b"a"
    assert made.trace.sampled


def test_nothing_is_traced_without_the_overall_chance() -> None:
    made = begun(Tracing(overall_chance=0), x_envoy_force_trace=b"1")
    assert digit(made) == b"4"
    assert not made.trace.sampled


@pytest.mark.parametrize("reason", [b"9", b"a", b"b"])
def test_an_earlier_hops_decision_stands(reason: bytes) -> None:
    identity = IDENTITY[:14] + reason + IDENTITY[15:]
    made = exchange(headers=[(b"x-request-id", identity)], request_id=identity)
    tracer(NEVER).begin(made)
    assert made.request_id == identity
    assert made.trace.sampled


def test_an_earlier_hops_decision_falls_to_the_overall_chance() -> None:
    identity = b"11111111-2222-9333-8444-555555555555"
    made = exchange(headers=[(b"x-request-id", identity)], request_id=identity)
    tracer(Tracing(overall_chance=0)).begin(made)
    assert digit(made) == b"4"


@pytest.mark.parametrize("identity", [b"", b"notauuid", b"zz111111-1111-4111-8111-111111111111"])
def test_an_id_that_is_no_uuid_decides_nothing(identity: bytes) -> None:
    made = exchange(headers=[(b"x-request-id", identity)], request_id=identity)
    tracer().begin(made)
    assert made.request_id == identity
    assert not made.trace.sampled
    assert get(made.headers, b"traceparent") is not None


@given(st.integers(0, MILLION))
def test_chances_are_what_they_say(chance: int) -> None:
    drawn = Chance(chance)
    hits = sum(drawn.drawn(number * 2_654_435_761 % 2**32) for number in range(10_000))  # well mixed
    assert hits == pytest.approx(chance / 100, abs=300)


@pytest.mark.parametrize(("chance", "number", "hit"), [
    (500_000, 49, True), (500_000, 50, False), (500_000, 149, True), (10_000, 100, True), (100, 1, False),
    (100, 10_000, True), (1, 1, False), (1, 1_000_000, True), (MILLION, 12345, True), (0, 0, False),
])  # fmt: skip
def test_chances_are_drawn_as_envoy_draws_them(chance: int, number: int, hit: bool) -> None:
    assert Chance(chance).drawn(number) is hit


# ── the context ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_trace_begins() -> None:
    made = begun()
    context = made.trace
    assert get(made.headers, b"traceparent") == b"00-%b-%b-01" % (context.trace_id, context.span_id)
    assert context.parent_id == b""


def test_a_trace_goes_on() -> None:
    made = begun(traceparent=b"00-%b-%b-01" % (TRACE, SPAN), tracestate=b"a=b")
    context = made.trace
    assert (context.trace_id, context.parent_id, context.sampled) == (TRACE, SPAN, True)
    assert context.span_id != SPAN
    assert get(made.headers, b"traceparent") == b"00-%b-%b-01" % (TRACE, context.span_id)
    assert get(made.headers, b"tracestate") == b"a=b"


def test_what_the_caller_decided_wins_over_our_chance() -> None:
    assert not begun(traceparent=b"00-%b-%b-00" % (TRACE, SPAN), x_envoy_force_trace=b"1").trace.sampled
    assert begun(NEVER, traceparent=b"00-%b-%b-01" % (TRACE, SPAN)).trace.sampled


def test_a_b3_caller_without_a_decision_leaves_it_to_us() -> None:
    assert begun(b3=b"%b-%b" % (TRACE, SPAN)).trace.sampled
    assert not begun(NEVER, b3=b"%b-%b" % (TRACE, SPAN)).trace.sampled


def test_b3_goes_on_beside_w3c() -> None:
    made = begun(b3=b"%b-%b-1" % (TRACE, SPAN))
    context = made.trace
    assert get(made.headers, b"b3") == b"-".join((TRACE, context.span_id, b"1", SPAN))
    assert get(made.headers, b"traceparent") == b"00-%b-%b-01" % (TRACE, context.span_id)


def test_a_caller_that_only_denies() -> None:
    made = begun(b3=b"0")
    assert not made.trace.sampled
    assert len(made.trace.trace_id) == 32


def test_the_callers_name_for_the_request_ends_here() -> None:
    name = {"x_envoy_decorator_operation": b"reviews:9080/*"}
    inbound = begun(direction=Direction.INBOUND, **name)
    assert inbound.trace.operation == "reviews:9080/*"
    assert get(inbound.headers, b"x-envoy-decorator-operation") is None
    outbound = begun(direction=Direction.OUTBOUND, **name)
    assert get(outbound.headers, b"x-envoy-decorator-operation") is not None


OPERATION = b"x-envoy-decorator-operation"


def decorated(direction: Direction, propagate: bool, headers: Any = (), answer: Any = ()) -> tuple[Exchange, Any, str]:
    """A request to a route called `ours`: the exchange, the response's headers, and what the span is called."""
    made = exchange(headers=[*headers, (b"x-request-id", IDENTITY)], request_id=IDENTITY)
    made.route = route(decorator="ours")
    made.route.config = replace(made.route.config, propagate_decorator=propagate)
    spans = Spans()
    tracing = tracer(direction=direction, spans=spans)
    tracing.begin(made)
    response = list(answer)
    tracing.answer(made, response)
    tracing.finish(made, CLOCK_START + 1)
    return made, response, spans.recent[0].name


@pytest.mark.parametrize(
    ("direction", "propagate", "theirs", "upstream", "client", "span"),
    [
        (Direction.OUTBOUND, True, None, b"ours", None, "ours"),
        (Direction.OUTBOUND, True, b"theirs", b"ours", None, "ours"),
        (Direction.OUTBOUND, False, None, None, None, "ours"),
        (Direction.INBOUND, True, None, None, b"ours", "ours"),
        (Direction.INBOUND, False, None, None, None, "ours"),
        (Direction.INBOUND, True, b"theirs", None, None, "theirs"),
        (Direction.INBOUND, True, b"", None, b"ours", "ours"),
    ],
)
def test_the_routes_name_goes_to_the_other_side(
    direction: Direction, propagate: bool, theirs: bytes | None, upstream: bytes | None, client: bytes | None, span: str
) -> None:
    sent = [] if theirs is None else [(OPERATION, theirs)]
    made, response, name = decorated(direction, propagate, sent)
    assert (get(made.headers, OPERATION), get(response, OPERATION), name) == (upstream, client, span)


def test_the_servers_name_in_the_answer_wins_and_ends_here() -> None:
    _, response, name = decorated(Direction.OUTBOUND, True, answer=[(OPERATION, b"theirs"), (b"a", b"b")])
    assert (response, name) == ([(b"a", b"b")], "theirs")


# ── the span ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def finished(made: Exchange, config: Tracing | None = None, direction: Direction = Direction.OUTBOUND) -> list[Span]:
    spans = Spans()
    made_by = tracer(config, direction, spans)
    made_by.begin(made)
    made_by.finish(made, CLOCK_START + 0.25)
    return list(spans.recent)


def test_a_span_tells_what_envoys_tells() -> None:
    (span,) = finished(exchange(attempts=3, bytes_received=66, original_path=b"/old"))
    assert (span.name, span.kind, span.error) == ("egress", "CLIENT", False)
    assert span.start == 1_700_000_000_000_000_000
    assert span.end - span.start == 250_000_000
    attributes = span.attributes
    assert attributes["component"] == "proxy"
    assert attributes["node_id"] == node().id
    assert attributes["http.url"] == "http://reviews:9080/old"
    assert attributes["http.method"] == "GET"
    assert attributes["http.status_code"] == 200
    assert attributes["guid:x-request-id"] == "11111111-2222-9333-8444-555555555555"
    assert attributes["downstream_cluster"] == "-"
    assert attributes["user_agent"] == "curl/8"
    assert (attributes["request_size"], attributes["response_size"]) == (66, 5)
    assert attributes["upstream_cluster.name"] == "outbound|9080||reviews.default.svc.cluster.local"
    assert attributes["upstream_address"] == "10.0.0.7:9080"
    assert attributes["peer.address"] == "127.0.0.1"
    assert attributes["retry.count"] == 2
    assert attributes["istio.canonical_service"] == "productpage"
    assert "error" not in attributes


def test_an_unsampled_request_leaves_nothing() -> None:
    assert finished(exchange(), NEVER) == []


def test_a_request_that_was_refused_before_it_began_leaves_nothing() -> None:
    spans = Spans()
    tracer(spans=spans).finish(exchange(), CLOCK_START)
    assert not spans.recent


@pytest.mark.parametrize(("status", "error"), [(200, False), (404, False), (500, True), (0, True)])
def test_errors(status: int, error: bool) -> None:
    (span,) = finished(exchange(status=status, flags=Flag.DC if not status else 0))
    assert span.error is error
    assert span.attributes.get("error", False) is error


def test_what_never_reached_a_cluster_has_no_upstream() -> None:
    (span,) = finished(exchange(cluster=None, endpoint=None, route=None, status=404))
    assert not [name for name in span.attributes if name.startswith("upstream")]


@pytest.mark.parametrize(
    ("direction", "headers", "decorator", "name"),
    [
        (Direction.OUTBOUND, [], "", "egress"),
        (
            Direction.OUTBOUND,
            [],
            "reviews.default.svc.cluster.local:9080/*",
            "reviews.default.svc.cluster.local:9080/*",
        ),
        (Direction.INBOUND, [], "", "ingress"),
        (Direction.INBOUND, [(b"x-envoy-decorator-operation", b"theirs")], "ours", "theirs"),
    ],
)
def test_names(direction: Direction, headers: Any, decorator: str, name: str) -> None:
    (span,) = finished(exchange(headers=headers, route=route(decorator=decorator)), direction=direction)
    assert span.name == name
    assert span.kind == ("SERVER" if direction is Direction.INBOUND else "CLIENT")


def test_custom_tags(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MESH_TEST_ZONE", "z1")
    tags = (
        ("a", "literal", "fixed", ""),
        ("b", "environment", "MESH_TEST_ZONE", "z0"),
        ("c", "environment", "MESH_TEST_NOT_SET", ""),
        ("d", "request_header", "End-User", "nobody"),
        ("e", "request_header", "x-nope", ""),
        ("f", "request_header", "x-nope", "nobody"),
        ("g", "environment", "MESH_TEST_NOT_SET", "none"),
    )
    (span,) = finished(exchange(headers=[(b"end-user", b"jason")]), Tracing(custom_tags=tags))
    assert {tag: span.attributes.get(tag) for tag in "abcdefg"} == {
        "a": "fixed",
        "b": "z1",
        "c": None,
        "d": "jason",
        "e": None,
        "f": "nobody",
        "g": "none",
    }


def test_the_ring_is_bounded_and_everything_is_forwarded() -> None:
    forwarded: list[Span] = []
    spans = Spans(forwarded.append)
    (span,) = finished(exchange())
    for _ in range(RING_SIZE + 10):
        spans.add(span)
    assert len(spans.recent) == RING_SIZE
    assert len(forwarded) == RING_SIZE + 10


@pytest.mark.fault(35)
@pytest.mark.parametrize(
    ("fields", "state"),
    [
        ({}, None),
        ({"b3": b"%b-%b-1" % (b"a" * 32, b"b" * 16)}, None),
        ({"traceparent": b"garbage"}, None),
        ({"traceparent": b"00-%b-%b-01" % (b"a" * 32, b"b" * 16)}, b"a=b"),
        ({"traceparent": b"cc-%b-%b-03-more" % (b"a" * 32, b"b" * 16)}, b"a=b"),
    ],
)
def test_a_tracestate_goes_on_with_its_traceparent_only(fields: dict[str, bytes], state: bytes | None) -> None:
    assert get(begun(tracestate=b"a=b", **fields).headers, b"tracestate") == state


@pytest.mark.fault(35)
def test_what_is_no_tracestate_ends_here() -> None:
    made = begun(traceparent=b"00-%b-%b-03" % (TRACE, SPAN), tracestate=b"A=1")
    assert get(made.headers, b"tracestate") is None
    assert (get(made.headers, b"traceparent") or b"").endswith(b"-03")


@pytest.mark.parametrize(("length", "shown"), [(None, 256), (5, 5), (0, 0)])
def test_a_span_tells_so_much_of_the_path(length: int | None, shown: int) -> None:
    config = Tracing() if length is None else Tracing(path_tag_length=length)
    (span,) = finished(exchange(path=b"/" + b"p" * 999), config)
    assert (
        str(span.attributes["http.url"]).endswith("/" + ("/" + "p" * 999)[:shown][0:shown].removeprefix("/"))
        or not shown
    )
    assert len(str(span.attributes["http.url"])) == len("http://") + len(exchange().authority) + shown


@pytest.mark.parametrize(("status", "error"), [(b"0", False), (b"5", False), (b"8", True), (b"14", True)])
def test_a_grpc_call_tells_its_status(status: bytes, error: bool) -> None:
    headers = [(b"content-type", b"application/grpc"), (b"grpc-timeout", b"1S"), (b"x-request-id", IDENTITY)]
    made = exchange(headers=headers, request_id=IDENTITY)
    made.path = b"/reviews"
    made.indexed_headers[b"content-type"] = b"application/grpc"
    made.response_trailers = [(b"grpc-status", status), (b"grpc-message", b"why")]
    (span,) = finished(made)
    told = {key: value for key, value in span.attributes.items() if key.startswith("grpc.")}
    assert told == {
        "grpc.path": "/reviews",
        "grpc.authority": "reviews:9080",
        "grpc.content_type": "application/grpc",
        "grpc.timeout": "1S",
        "grpc.status_code": status.decode(),
        "grpc.message": "why",
    }
    assert span.error is error


def test_a_request_id_that_decides_nothing() -> None:
    config = Tracing(random_chance=0, by_request_id=False)
    made = begun(config)
    assert made.trace is not None and made.trace.sampled
    assert made.request_id == IDENTITY
    came = begun(config, traceparent=b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00")
    assert came.trace is not None and not came.trace.sampled


def test_tags_by_a_format() -> None:
    tags = (("what", "value", "%PROTOCOL% %REQ(:METHOD)%", ""), ("none", "value", "%REQ(nosuch)%", ""))
    spans = Spans()
    config = Tracing(custom_tags=tags)
    traced = tracer(config, spans=spans)
    made = exchange(headers=[(b"x-request-id", IDENTITY)], request_id=IDENTITY)
    traced.begin(made)
    traced.finish(made, CLOCK_START)
    (span,) = spans.recent
    assert span.attributes["what"] == "HTTP/1.1 GET"
    assert "none" not in span.attributes
