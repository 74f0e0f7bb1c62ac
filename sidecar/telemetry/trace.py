"""Tracing: who is sampled, the context that goes on with a request, and the span that is left of it.

`Tracer.begin` runs once a request and writes headers; only a sampled request leaves a `Span`, made when it is over and
handed to `Spans`: a bounded ring that the admin port shows and, where one is configured, an OTLP exporter.
"""

from __future__ import annotations

import os
import random
from collections import deque
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final, NamedTuple

from mesh.clock import Clock, SystemClock
from mesh.node import Node
from sidecar.config.model import MILLION, Direction, Tracing
from sidecar.http.headers import Headers, drop, get, put
from sidecar.http.local_reply import is_grpc
from sidecar.http.response_flags import flags_text
from sidecar.telemetry.formatter import compile_format
from sidecar.telemetry.propagation import (
    Inherited,
    RandomIds,
    TraceContext,
    extract,
    go_on,
    inject,
    is_tracestate,
    replace,
)

if TYPE_CHECKING:
    from sidecar.http.exchange import Exchange

CLIENT: Final = "CLIENT"
SERVER: Final = "SERVER"

# Finished spans kept for GET /traces.
RING_SIZE: Final = 1000

# Unknown, deadline exceeded, resource exhausted, unimplemented, internal, unavailable, data loss.
_SERVERS_FAULT: Final = frozenset((b"2", b"4", b"8", b"12", b"13", b"14", b"15"))

_OPERATION: Final = b"x-envoy-decorator-operation"
_B3: Final = frozenset((b"b3", b"x-b3-traceid", b"x-b3-sampled"))

# The digit of an x-request-id that tells, hop after hop, whether and why a request is traced.
_UNDECIDED, _SAMPLED, _FORCED, _CLIENT_FORCED = b"4", b"9", b"a", b"b"
_DIGIT: Final = 14
_REASONS: Final = (_SAMPLED, _FORCED, _CLIENT_FORCED)


Attribute = str | int | bool


class Span(NamedTuple):
    """One finished hop. Times are Unix nanoseconds, ids lower-case hex; `parent_id` is empty for a root."""

    name: str
    kind: str
    trace_id: str
    span_id: str
    parent_id: str
    start: int
    end: int
    attributes: Mapping[str, Attribute]
    error: bool


class Spans:
    """Where finished spans go: the last ones stay in `recent`, all go to `forward` when there is one."""

    def __init__(self, forward: Callable[[Span], None] | None = None, recent: deque[Span] | None = None) -> None:
        self.recent: deque[Span] = deque(maxlen=RING_SIZE) if recent is None else recent
        self.forward = forward

    def add(self, span: Span) -> None:
        self.recent.append(span)
        if self.forward is not None:
            self.forward(span)


class Chance:
    """A chance in parts per million, drawn from a request id's first 32 bits as Envoy draws it, so that every proxy that
    sees the id comes to the same decision."""

    __slots__ = ("_limit", "_modulus")

    def __init__(self, chance: int) -> None:
        self._modulus = next(m for m in (100, 10_000, MILLION) if m == MILLION or chance % (MILLION // m) == 0)
        self._limit = chance * self._modulus // MILLION

    def drawn(self, number: int) -> bool:
        return number % self._modulus < self._limit


class Tracer:
    """Tracing of one connection manager. `on_gap` is told of requests that no trace came with; `exemplify` the trace,
    milliseconds and Unix time of sampled requests that the metrics have just counted."""

    def __init__(
        self,
        config: Tracing,
        node: Node,
        direction: Direction,
        spans: Spans,
        *,
        exemplify: Callable[[str, float, float], None] | None = None,
        on_gap: Callable[[Exchange], None] | None = None,
        clock: Clock | None = None,
        rng: random.Random | None = None,
    ) -> None:
        self._node = node
        self._inbound = direction is not Direction.OUTBOUND  # a listener without a direction is one for ingress
        self._kind = SERVER if self._inbound else CLIENT
        self._operation = "ingress" if self._inbound else "egress"
        self._spans = spans
        self._exemplify = exemplify
        self._on_gap = on_gap
        self._clock = clock or SystemClock()
        self._rng = rng or random.Random()
        self._ids = RandomIds()
        self._random = Chance(config.random_chance)
        self._overall = Chance(config.overall_chance)
        self._client_chance = config.client_chance
        self._path_tag_length = config.path_tag_length
        self._constant = _node_attributes(node)
        self._operations: dict[str, bytes] = {}  # encoded once
        self._header_tags: list[tuple[str, bytes, str]] = []
        self._formatted_tags: list[tuple[str, Callable[[Exchange], bytes]]] = []
        self._by_request_id = config.by_request_id
        self._custom_tags(config)

    # ── the request's head ────────────────────────────────────────────────────────────────────────────────────────────

    def begin(self, exchange: Exchange) -> None:
        """Decides, and writes the context that goes on. `exchange.request_id` and its header are there already."""
        indexed, headers = exchange.indexed_headers, exchange.headers
        traced = self._decide(exchange) if self._by_request_id else True
        span_id = self._ids.digits(16)
        before = indexed.get(b"traceparent")
        context = go_on(before, span_id) if before is not None and _B3.isdisjoint(indexed) else None
        if context is None:
            inherited = extract(indexed, headers)
            if self._on_gap is not None and (inherited is None or not inherited.trace_id):
                self._on_gap(exchange)
            context = self._context(inherited, span_id, traced)
        if b"tracestate" in indexed and (before is None or not is_tracestate(indexed[b"tracestate"])):
            drop(headers, b"tracestate")
        exchange.trace = context
        self._decorate(exchange, context)
        inject(context, headers, before)

    def _decorate(self, exchange: Exchange, context: TraceContext) -> None:
        """Tells the next hop what our route calls the request, or hears what the one before us called it."""
        own = self._decorator(exchange)
        theirs = exchange.indexed_headers.get(_OPERATION)
        if not self._inbound:
            if own:
                replace(exchange.headers, _OPERATION, theirs, own)
        elif theirs is not None:
            context.operation = _text(theirs)
            drop(exchange.headers, _OPERATION)
            if not theirs:
                context.answer = own
        else:
            context.answer = own

    def _decorator(self, exchange: Exchange) -> bytes:
        """The route's name for the request, if others are to know."""
        route = exchange.route
        if route is None or not route.config.decorator or not route.config.propagate_decorator:
            return b""
        operation = self._operations.get(route.config.decorator)
        if operation is None:
            operation = self._operations[route.config.decorator] = route.config.decorator.encode()
        return operation

    def answer(self, exchange: Exchange, headers: Headers) -> None:
        """The response's head: the names go the other way where the request's had none."""
        context = exchange.trace
        if context is None:
            return
        if self._inbound:
            if context.answer:
                put(headers, _OPERATION, context.answer)
        elif (theirs := get(headers, _OPERATION)) is not None:
            context.operation = _text(theirs) or context.operation
            drop(headers, _OPERATION)

    def _context(self, inherited: Inherited | None, span_id: bytes, traced: bool) -> TraceContext:
        """What came with the request wins over our own decision, as in Envoy."""
        if inherited is None:
            return TraceContext(self._ids.digits(32), span_id, b"", traced)
        sampled = traced if inherited.sampled is None else inherited.sampled
        trace_id = inherited.trace_id or self._ids.digits(32)
        context = TraceContext(trace_id, span_id, inherited.span_id, sampled, inherited.random)
        context.b3 = inherited.b3
        context.debug = inherited.debug
        return context

    def _decide(self, exchange: Exchange) -> bool:
        """The decision that the request id carries, or ours, which is then written there. An id that is no UUID carries
        none: the request is not traced on our account."""
        identity = exchange.request_id
        if len(identity) != 36:
            return False
        try:
            number = int(identity[:8], 16)
        except ValueError:
            return False
        reason = before = identity[_DIGIT : _DIGIT + 1]
        if reason not in _REASONS:
            reason = self._reason(exchange, number)
        if reason is not _UNDECIDED and not self._overall.drawn(number):
            reason = _UNDECIDED
        if reason != before and (reason is not _UNDECIDED or before in _REASONS):
            decided = exchange.request_id = identity[:_DIGIT] + reason + identity[_DIGIT + 1 :]
            replace(exchange.headers, b"x-request-id", identity, decided)
        return reason is not _UNDECIDED

    def _reason(self, exchange: Exchange, number: int) -> bytes:
        indexed = exchange.indexed_headers
        if b"x-client-trace-id" in indexed and self._rng.random() * MILLION < self._client_chance:
            return _CLIENT_FORCED
        if b"x-envoy-force-trace" in indexed:
            return _FORCED
        return _SAMPLED if self._random.drawn(number) else _UNDECIDED

    # ── the finished request ──────────────────────────────────────────────────────────────────────────────────────────

    def finish(self, exchange: Exchange, now: float) -> None:
        """Leaves a span of a sampled request."""
        context = exchange.trace
        if context is None or not context.sampled:
            return
        offset = self._clock.wall() - self._clock.monotonic()
        status, attributes = exchange.status, self._attributes(exchange)
        self._spans.add(
            Span(
                name=self._name(exchange, context),
                kind=self._kind,
                trace_id=context.trace_id.decode(),
                span_id=context.span_id.decode(),
                parent_id=context.parent_id.decode(),
                start=round((exchange.started + offset) * 1e6) * 1000,
                end=round((now + offset) * 1e6) * 1000,
                attributes=attributes,
                error=status == 0 or status >= 500 or "error" in attributes,
            )
        )
        if self._exemplify is not None:
            self._exemplify(context.trace_id.decode(), (now - exchange.started) * 1000, now + offset)

    def _name(self, exchange: Exchange, context: TraceContext) -> str:
        """The peer's name for it, else the route's, else the direction."""
        if context.operation:
            return context.operation
        route = exchange.route
        decorator: str = route.config.decorator if route is not None else ""
        return decorator or self._operation

    def _attributes(self, exchange: Exchange) -> dict[str, str | int | bool]:
        """Envoy's and Istio's tags."""
        headers = exchange.headers
        path = exchange.original_path or exchange.path
        attributes: dict[str, str | int | bool] = {
            **self._constant,
            "guid:x-request-id": _text(exchange.request_id),
            "http.url": _text(b"%b://%b%b" % (exchange.scheme, exchange.authority, path[: self._path_tag_length])),
            "http.method": _text(exchange.method),
            "http.protocol": exchange.protocol,
            "http.status_code": exchange.status,
            "downstream_cluster": _text(get(headers, b"x-envoy-downstream-service-cluster") or b"-"),
            "user_agent": _text(get(headers, b"user-agent") or b"-"),
            "request_size": exchange.bytes_received,
            "response_size": exchange.bytes_sent,
            "response_flags": flags_text(exchange.flags),
            "peer.address": exchange.downstream.remote.host,
        }
        if exchange.cluster is not None:
            attributes["upstream_cluster"] = exchange.cluster.name
            attributes["upstream_cluster.name"] = exchange.cluster.config.alt_stat_name or exchange.cluster.name
        if exchange.endpoint is not None:
            attributes["upstream_address"] = exchange.endpoint.name
        if exchange.attempts > 1:
            attributes["retry.count"] = exchange.attempts - 1
        if exchange.status == 0 or exchange.status >= 500:
            attributes["error"] = True
        if exchange.grpc is not None or is_grpc(exchange.indexed_headers.get(b"content-type")):
            _add_grpc(exchange, attributes)
        if (client_id := exchange.indexed_headers.get(b"x-client-trace-id")) is not None:
            attributes["guid:x-client-trace-id"] = _text(client_id)
        for tag, name, default in self._header_tags:
            if (value := get(headers, name)) is not None:
                attributes[tag] = _text(value)
            elif default:
                attributes[tag] = default
        for tag, made in self._formatted_tags:
            if text := made(exchange):
                attributes[tag] = _text(text)
        return attributes

    def _custom_tags(self, config: Tracing) -> None:
        for tag, kind, argument, default in config.custom_tags:
            if kind == "request_header":
                self._header_tags.append((tag, argument.lower().encode(), default))
            elif kind == "value":
                self._formatted_tags.append((tag, compile_format(argument, self._clock)))
            else:
                value = os.environ.get(argument, default) if kind == "environment" else argument
                if value:
                    self._constant[tag] = value


def _node_attributes(node: Node) -> dict[str, str | int | bool]:
    return {
        "component": "proxy",
        "node_id": node.id,
        "zone": node.locality.zone,
        "istio.canonical_service": node.canonical_service,
        "istio.canonical_revision": node.canonical_revision,
        "istio.mesh_id": node.mesh_id,
        "istio.namespace": node.namespace,
        "istio.cluster_id": node.cluster_id,
    }


def _add_grpc(exchange: Exchange, attributes: dict[str, str | int | bool]) -> None:
    """Envoy's tags of a gRPC call, and whether its status is the server's fault."""
    headers, ends = exchange.headers, exchange.response_trailers
    if get(ends, b"grpc-status") is None:
        ends = exchange.response_headers
    attributes["grpc.path"] = _text(exchange.path)
    attributes["grpc.authority"] = _text(exchange.authority)
    status = get(ends, b"grpc-status")
    for tag, value in (
        ("grpc.content_type", get(headers, b"content-type")),
        ("grpc.timeout", get(headers, b"grpc-timeout")),
        ("grpc.status_code", status),
        ("grpc.message", get(ends, b"grpc-message") if status is not None else None),
    ):
        if value is not None:
            attributes[tag] = _text(value)
    if status in _SERVERS_FAULT:
        attributes["error"] = True


def _text(value: bytes) -> str:
    return value.decode("utf-8", "replace")
