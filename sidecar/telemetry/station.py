"""The telemetry of a process, in one place: what the data plane is given, and what is read by the admin port."""

from __future__ import annotations

import asyncio
import logging
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple
from urllib.parse import urlsplit

from prometheus_client import CollectorRegistry
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from mesh.clock import Clock, SystemClock
from mesh.node import Node
from sidecar.config.model import Address, Direction, Hcm, Listener, TcpProxy, Tracing
from sidecar.http.exchange import Exchange
from sidecar.http.headers import Headers
from sidecar.telemetry import peer
from sidecar.telemetry.access_log import FLUSH_INTERVAL, Sinks, compile_access_log
from sidecar.telemetry.changed_metrics import changed_requests, changed_sessions
from sidecar.telemetry.expression import Occasion
from sidecar.telemetry.istio_metrics import IstioMetrics
from sidecar.telemetry.log_ring import LogLine
from sidecar.telemetry.on_complete import Observer, guarded
from sidecar.telemetry.otlp import Origin, OtlpExporter, Transport
from sidecar.telemetry.process_metrics import ProcessMetrics
from sidecar.telemetry.prometheus import CellMetric, IstioCollector, Points, StatsCollector
from sidecar.telemetry.registry import Stats, labels_text
from sidecar.telemetry.replies import LocalReply, Reason, Replies
from sidecar.telemetry.rotation import Rotation
from sidecar.telemetry.semantics import VARIABLE, Names
from sidecar.telemetry.tcp_metrics import REPORT_INTERVAL
from sidecar.telemetry.trace import Span, Spans, Tracer
from sidecar.telemetry.trace_gaps import TraceGaps
from sidecar.telemetry.uses import Uses

log = logging.getLogger(__name__)

# Seconds between two intervals of the histograms in /stats (Envoy's stats_flush_interval).
LATCH_INTERVAL = 5.0
# Changes of breaker states kept for the admin port.
BREAKER_EVENTS = 200
# OpenTelemetry's own variable: http/json where a collector takes no protobuf.
PROTOCOL = "OTEL_EXPORTER_OTLP_PROTOCOL"


class BreakerEvent(NamedTuple):
    """A host was ejected (`open`), let back in (`closed`) or is being tried; `at` is Unix time."""

    at: float
    cluster: str
    host: str
    state: str
    reason: str


class Telemetry:
    """Hands out what accounts requests and connections. `registry` is what Prometheus reads; `address_of` finds the first
    host of a cluster, for collectors that are named by one."""

    def __init__(
        self,
        stats: Stats,
        node: Node,
        loop: asyncio.AbstractEventLoop,
        *,
        address_of: Callable[[str], Address | None] = lambda cluster: None,
        log_flush: float = FLUSH_INTERVAL,
        log_rotation: Rotation | None = None,
        shares_logs: bool = False,
        explain: str = "",
        reason: Reason = lambda exchange, _manager: exchange.details,
        clock: Clock | None = None,
    ) -> None:
        self.stats = stats
        self.node = node
        self.peer_headers: Headers = peer.headers(node)
        self.istio = IstioMetrics(node)
        self.sinks = Sinks(loop, stats, log_flush, log_rotation, shared=shares_logs)
        self.spans = Spans()
        self.breaker_events: deque[BreakerEvent] = deque(maxlen=BREAKER_EVENTS)
        self.registry = CollectorRegistry()
        self._process = ProcessMetrics()
        for collector in (IstioCollector(self.istio), BreakerCollector(self), self._process, StatsCollector(stats)):
            self.registry.register(collector)
        self.breaker_changes: dict[tuple[str, str], int] = {}
        self._address_of = address_of
        self._clock = clock or SystemClock()
        self.local_replies = Replies(node, explain, reason, self._clock.wall)
        self.trace_gaps = TraceGaps(stats, node, self._clock.monotonic)
        self._loop = loop
        self._latch = loop.call_later(LATCH_INTERVAL, self._end_interval)
        self._uses = Uses(self.istio.forget)
        self._reports: dict[float, asyncio.TimerHandle] = {}
        self._tracers: dict[tuple[Tracing, Direction], Tracer] = {}
        self._exporters: dict[tuple[str, str], OtlpExporter] = {}

    # ── for connection managers and TCP proxies ───────────────────────────────────────────────────────────────────────

    def on_complete(self, config: Hcm, direction: Direction) -> Observer:
        """What a connection manager tells of each finished exchange; never raises. Raises ConfigError itself, for an
        access log."""
        observers = self._logs(config, "DownstreamEnd")
        if direction is not Direction.UNSPECIFIED:
            changes = config.metrics
            observers.append(
                changed_requests(self.istio, direction, changes) if changes else self.istio.requests(direction)
            )
        if (tracer := self.tracer(config, direction)) is not None:
            observers.append(tracer.finish)
        return self._guarded(observers)

    def tcp_accounting(self, config: TcpProxy, direction: Direction) -> tuple[Callable[[Exchange], None], Observer]:
        """What a TCP proxy tells of a session that found its host, and of one that ended."""
        observers = self._logs(config, "TcpConnectionEnd")
        opened: Callable[[Exchange], None] = _nothing
        if direction is not Direction.UNSPECIFIED:
            every = config.report_interval or REPORT_INTERVAL
            changes = config.metrics
            opened, closed = (
                changed_sessions(self.istio, direction, changes, every)
                if changes
                else self.istio.sessions(direction, every)
            )
            self._report_every(every)
            observers.append(closed)
        return opened, self._guarded(observers)

    def listening(self, name: str, listener: Listener | None) -> None:
        """A listener is there from now on, or is gone: what only its requests and sessions were counted as is forgotten."""
        self._uses.set(name, listener)

    def _report_every(self, seconds: float) -> None:
        """What TCP sessions have moved is counted so often from now on."""
        if seconds not in self._reports:
            self._reports[seconds] = self._loop.call_later(seconds, self._report_sessions, seconds)

    def _report_sessions(self, every: float) -> None:
        self.istio.tcp.report(every)
        self._reports[every] = self._loop.call_later(every, self._report_sessions, every)

    def interim(self, config: Hcm | TcpProxy, log_type: str) -> Observer:
        """What writes of exchanges in progress to the access logs; never raises."""
        return self._guarded(self._logs(config, log_type))

    def _guarded(self, observers: Sequence[Observer]) -> Observer:
        return guarded(observers, self.stats.counter("telemetry.account_errors"))

    def tracer(self, config: Hcm, direction: Direction) -> Tracer | None:
        """The tracer of a connection manager, None when it does not trace."""
        tracing = config.tracing
        if tracing is None:
            return None
        if direction is Direction.INBOUND:
            self.trace_gaps.inbound(config.stat_prefix)
        tracer = self._tracers.get((tracing, direction))
        if tracer is None:
            spans = Spans(self._exporter(tracing), self.spans.recent)
            exemplify = None if direction is Direction.UNSPECIFIED else self.istio.exemplify
            on_gap = self.trace_gaps.begins if direction is Direction.OUTBOUND else None
            tracer = self._tracers[tracing, direction] = Tracer(
                tracing, self.node, direction, spans, exemplify=exemplify, on_gap=on_gap, clock=self._clock
            )
        return tracer

    def _logs(self, config: Hcm | TcpProxy, log_type: str) -> list[Observer]:
        occasion = Occasion(log_type, config.filter_chain)
        return [compile_access_log(log, self.sinks, self._clock, occasion=occasion).log for log in config.access_logs]

    def _exporter(self, tracing: Tracing) -> Callable[[Span], None] | None:
        url, cluster = tracing.otlp_url, tracing.otlp_cluster
        if not url and not cluster:
            return None
        key = url or cluster, tracing.service_name
        if key not in self._exporters:
            sent, dropped = (self.stats.counter(f"tracing.opentelemetry.spans_{what}") for what in ("sent", "dropped"))
            names = Names(os.environ.get(VARIABLE) or Names.OPENTELEMETRY)
            origin = Origin(_resource(self.node, tracing.service_name), names)
            self._exporters[key] = OtlpExporter(lambda: self._transport(tracing), origin, sent, dropped)
        return self._exporters[key].export

    def _transport(self, tracing: Tracing) -> Transport:
        """Over gRPC to a cluster; over HTTP to a URL, whose host is a name for the Host header: the cluster says where that
        is, if it knows."""
        from sidecar.telemetry.otlp_transport import GrpcTransport, HttpTransport

        cluster, url = tracing.otlp_cluster, tracing.otlp_url

        def address() -> str:
            return str(self._address_of(cluster) or "") if cluster else ""

        if not url:
            return GrpcTransport(address)
        parts = urlsplit(url)

        def target() -> str:
            known = address() if parts.scheme == "http" else ""  # TLS has to see the name
            return parts._replace(netloc=known).geturl() if known else url

        return HttpTransport(target, parts.netloc, json_body=os.environ.get(PROTOCOL) == "http/json")

    def _end_interval(self) -> None:
        self.stats.latch()
        self._latch = self._loop.call_later(LATCH_INTERVAL, self._end_interval)

    # ── for clusters ──────────────────────────────────────────────────────────────────────────────────────────────────

    def on_breaker(self, cluster: str, host: str, state: str, reason: str) -> None:
        """A breaker changed its state (an upstream.breaker.StateListener)."""
        self.breaker_events.append(BreakerEvent(self._clock.wall(), cluster, host, state, reason))
        self.breaker_changes[cluster, state] = self.breaker_changes.get((cluster, state), 0) + 1

    # ── for whoever reads ─────────────────────────────────────────────────────────────────────────────────────────────

    @property
    def replies(self) -> deque[LocalReply]:
        """The last replies of the proxy's own, with their reasons."""
        return self.local_replies.recent

    def exposition(self, *, used_only: bool, matches: Callable[[str], object] | None) -> Collector:
        """The metrics, or some of them: `matches` decides by Envoy's name of a statistic, or by the
        name of the Prometheus metric."""
        if not used_only and matches is None:
            return self.registry
        return _Selection(self, used_only, matches)

    def recent_logs(self, after: float) -> list[LogLine]:
        """The access logs' lines since `after` (Unix seconds), oldest first."""
        self.sinks.flush()
        return self.sinks.recent.after(after)

    def own_metrics(self) -> Iterator[CellMetric]:
        """The metrics that are not Envoy's statistics."""
        yield from IstioCollector(self.istio).collect()
        yield from BreakerCollector(self).collect()
        yield from self._process.collect()

    # ── the end ───────────────────────────────────────────────────────────────────────────────────────────────────────

    async def close(self) -> None:
        """Writes and sends what is buffered."""
        for timer in (self._latch, *self._reports.values()):
            timer.cancel()
        self.sinks.close()
        await asyncio.gather(*(asyncio.to_thread(exporter.close) for exporter in self._exporters.values()))
        self._exporters.clear()


class BreakerCollector(Collector):
    """`mesh_breaker_transitions_total`: how often hosts of a cluster went to a state."""

    def __init__(self, telemetry: Telemetry) -> None:
        self._telemetry = telemetry

    def collect(self) -> Iterator[CellMetric]:
        points = [_transitions(cluster, state, n) for (cluster, state), n in self._telemetry.breaker_changes.items()]
        if points:
            documentation = "Changes of host circuit breakers to a state."
            yield CellMetric("mesh_breaker_transitions_total", "counter", points, documentation)


def _transitions(cluster: str, state: str, count: int) -> Points:
    labels = (("cluster", cluster), ("state", state))
    return Points(lambda: labels, labels_text(labels), count)


def selected_metrics(metrics: Iterable[CellMetric], matches: Callable[[str], object] | None) -> Iterator[Metric]:
    """Those whose names people see and filter by."""
    return (metric for metric in metrics if matches is None or matches(metric.sample_name))


class _Selection(Collector):
    """Part of the registry."""

    def __init__(self, telemetry: Telemetry, used_only: bool, matches: Callable[[str], object] | None) -> None:
        self._telemetry = telemetry
        self._stats = StatsCollector(telemetry.stats, used_only=used_only, matches=matches)
        self._matches = matches

    def collect(self) -> Iterator[Metric]:
        yield from selected_metrics(self._telemetry.own_metrics(), self._matches)
        yield from self._stats.collect()


def _resource(node: Node, service_name: str) -> dict[str, str]:
    return {
        "service.name": service_name or f"{node.service or node.canonical_service or node.name}.{node.namespace}",
        "service.namespace": node.namespace,
        "service.version": node.version,
        "service.instance.id": node.id,
        "telemetry.sdk.name": "asyncmesh",
        "telemetry.sdk.language": "python",
    }


def _nothing(exchange: Exchange) -> None:
    """Listeners without a direction have no part in Istio's metrics."""
