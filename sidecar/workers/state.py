"""What a worker tells of itself when it is asked: plain values, as far as the admin port shows them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any

from sidecar.config import model
from sidecar.process.hostinfo import memory
from sidecar.telemetry.log_ring import LogLine
from sidecar.telemetry.prometheus import CellMetric
from sidecar.telemetry.registry import Labels, Stat
from sidecar.telemetry.replies import LocalReply
from sidecar.telemetry.station import BreakerEvent
from sidecar.telemetry.trace import Span

if TYPE_CHECKING:
    from sidecar.admin.views import BreakerView, ClusterView, HostView, OutlierView
    from sidecar.runtime import Runtime


@dataclass(frozen=True, slots=True)
class Breaker:
    state: str
    reason: str
    counts: tuple[int, int, int] | None = None
    opens_at: str = ""

    @classmethod
    def of(cls, breaker: BreakerView | None) -> Breaker | None:
        if breaker is None:
            return None
        return cls(breaker.state, breaker.reason, breaker.counts, breaker.opens_at)


@dataclass(frozen=True, slots=True)
class Averages:
    average: float
    threshold: float


@dataclass(frozen=True, slots=True)
class Outlier:
    rates: Averages
    local_rates: Averages

    @classmethod
    def of(cls, outlier: OutlierView | None) -> Outlier | None:
        if outlier is None:
            return None
        return cls(*(Averages(rates.average, rates.threshold) for rates in (outlier.rates, outlier.local_rates)))


@dataclass(slots=True)
class HostState:
    """The fields of an `admin.views.HostView`."""

    address: model.Address
    name: str
    endpoint: model.Endpoint
    locality: model.LocalityEndpoints
    active: int
    connections: int
    ejected: bool
    breaker: Breaker | None
    cx_total: int
    cx_connect_fail: int
    rq_total: int
    rq_success: int
    rq_error: int
    rq_timeout: int
    success_rate: float
    local_success_rate: float
    failed_active_hc: bool
    active_hc_timeout: bool
    degraded_active_hc: bool
    pending_active_hc: bool
    excluded_by_hc: bool
    pending_removal: bool

    @classmethod
    def of(cls, host: HostView) -> HostState:
        values = {each.name: getattr(host, each.name) for each in fields(cls) if each.name != "breaker"}
        return cls(**values, breaker=Breaker.of(host.breaker))


@dataclass(slots=True)
class ClusterState:
    """The fields of an `admin.views.ClusterView` but for its configuration, which the supervisor knows."""

    name: str
    hosts: list[HostState]
    outlier: Outlier | None
    circuit: Breaker | None

    @classmethod
    def of(cls, cluster: ClusterView) -> ClusterState:
        hosts = [HostState.of(host) for host in cluster.hosts]
        return cls(cluster.name, hosts, Outlier.of(cluster.outlier), Breaker.of(cluster.circuit))


@dataclass(slots=True)
class Series:
    """A series of a metric that is not one of Envoy's statistics. `exemplars` are those of some of its buckets, by number:
    trace id, value, Unix seconds."""

    labels: Labels
    text: str
    value: Any  # a number, or (cumulative buckets, sum)
    exemplars: dict[int, tuple[str, float, float]] = field(default_factory=dict)


@dataclass(slots=True)
class MetricState:
    name: str
    kind: str
    documentation: str
    series: list[Series]


@dataclass(slots=True)
class WorkerState:
    """The parts that were asked for; the others are empty."""

    clusters: list[ClusterState] = field(default_factory=list)
    stats: list[Stat] = field(default_factory=list)
    metrics: list[MetricState] = field(default_factory=list)
    spans: list[Span] = field(default_factory=list)
    breaker_events: list[BreakerEvent] = field(default_factory=list)
    memory: dict[str, str] = field(default_factory=dict)
    logs: list[LogLine] = field(default_factory=list)
    replies: list[LocalReply] = field(default_factory=list)


def take(runtime: Runtime, parts: Iterable[str]) -> WorkerState:
    """The named parts of a runtime's state."""
    telemetry, state = runtime.telemetry, WorkerState()
    for part in parts:
        if part == "clusters":
            state.clusters = [ClusterState.of(cluster) for cluster in runtime.clusters.values()]
        elif part == "stats":
            state.stats = [stat for group in runtime.stats.parts() for stat in group]
        elif part == "metrics":
            state.metrics = [_metric(metric) for metric in telemetry.own_metrics()]
        elif part == "spans":
            state.spans = list(telemetry.spans.recent)
        elif part == "breaker_events":
            state.breaker_events = list(telemetry.breaker_events)
        elif part == "memory":
            state.memory = memory()
        elif part == "logs":
            state.logs = telemetry.recent_logs(0.0)
        elif part == "replies":
            state.replies = list(telemetry.replies)
    return state


def _metric(metric: CellMetric) -> MetricState:
    series = [
        Series(
            tuple(points.labels()),
            points.text,
            points.value,
            {at: (each.trace_id, each.value, each.at) for at, each in (points.exemplars or {}).items()},
        )
        for points in metric.points
    ]
    return MetricState(metric.sample_name, metric.type, metric.documentation, series)
