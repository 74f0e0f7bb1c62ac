"""Istio's standard metrics: `istio_requests_total`, its three histograms, and the TCP counters.

One `IstioMetrics` a process holds the series; `requests(direction)` and `sessions(direction)` give what records. A
request's labels are put together when its combination of peer, cluster, status and flags is first seen; after that a
request costs one look-up of that key and the additions. The cells are read by `prometheus.IstioCollector`.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

from mesh.naming import BLACKHOLE_CLUSTER, INBOUND_PASSTHROUGH_CLUSTER, PASSTHROUGH_CLUSTER
from mesh.node import SIDECAR, Node
from sidecar.config.model import Direction
from sidecar.http.headers import get
from sidecar.http.response_flags import flags_text
from sidecar.telemetry.cells import BUCKETS, Counter
from sidecar.telemetry.peer import Peer, from_node
from sidecar.telemetry.registry import Labels, labels_text
from sidecar.telemetry.tcp_metrics import REPORT_INTERVAL, TcpMetrics, TcpSeries
from sidecar.telemetry.uses import Use

if TYPE_CHECKING:
    from sidecar.http.exchange import Exchange

UNKNOWN: Final = "unknown"

# In the order of Istio's own expectations.
PEER_LABELS: Final = (
    "reporter",
    "source_workload",
    "source_canonical_service",
    "source_canonical_revision",
    "source_workload_namespace",
    "source_principal",
    "source_app",
    "source_version",
    "source_cluster",
    "destination_workload",
    "destination_workload_namespace",
    "destination_principal",
    "destination_app",
    "destination_version",
    "destination_service",
    "destination_canonical_service",
    "destination_canonical_revision",
    "destination_service_name",
    "destination_service_namespace",
    "destination_cluster",
)
REQUEST_LABELS: Final = (
    *PEER_LABELS,
    "request_protocol",
    "response_code",
    "grpc_response_status",
    "response_flags",
    "connection_security_policy",
)
TCP_LABELS: Final = (*PEER_LABELS, "request_protocol", "response_flags", "connection_security_policy")

# The metrics of requests, without the `istio_` in front: what each has in `RequestSeries`.
REQUEST_METRICS: Final = (
    "requests_total",
    "request_duration_milliseconds",
    "request_bytes",
    "response_bytes",
    "request_messages_total",
    "response_messages_total",
)
EVERY_METRIC: Final = frozenset(REQUEST_METRICS)

# Clients choose host names and, without mTLS, who they say they are: past this many series the rest counts as unknown.
MAX_SERIES: Final = 10_000
# Keys remembered for the quick way to a series; they are forgotten together when there are more.
MAX_KEYS: Final = 20_000

Key = tuple[Any, ...]

_NAMED_AFTER_CLUSTER: Final = frozenset((BLACKHOLE_CLUSTER, PASSTHROUGH_CLUSTER, INBOUND_PASSTHROUGH_CLUSTER))
_NAMED_AFTER_ROUTE: Final = {"block_all": BLACKHOLE_CLUSTER, "allow_any": PASSTHROUGH_CLUSTER}


class RequestSeries:
    """The cells of one set of request labels: a count, and buckets (the last is +Inf) and sums of three histograms.
    `exemplars` has the last sampled request of each bucket of the duration; None while there is none. `metrics` are those
    that have these labels: all, unless some are other than usual."""

    __slots__ = (
        "duration",
        "duration_sum",
        "exemplars",
        "labels",
        "metrics",
        "names",
        "received",
        "received_sum",
        "request_messages",
        "requests",
        "response_messages",
        "sent",
        "sent_sum",
        "text",
    )

    def __init__(
        self,
        labels: tuple[str, ...],
        names: tuple[str, ...] = REQUEST_LABELS,
        metrics: frozenset[str] = EVERY_METRIC,
    ) -> None:
        self.labels = labels
        self.names = names
        self.metrics = metrics
        self.text = labels_text(zip(names, labels, strict=True))
        self.requests = 0
        self.duration = [0] * (len(BUCKETS) + 1)
        self.duration_sum = 0.0
        self.exemplars: dict[int, Exemplar] | None = None
        self.received = [0] * (len(BUCKETS) + 1)
        self.received_sum = 0
        self.sent = [0] * (len(BUCKETS) + 1)
        self.sent_sum = 0
        self.request_messages = 0  # of gRPC
        self.response_messages = 0

    def pairs(self) -> Labels:
        return tuple(zip(self.names, self.labels, strict=True))


class Exemplar:
    """A request that stands for others, by its trace: `value` in milliseconds, `at` in Unix seconds."""

    __slots__ = ("at", "trace_id", "value")

    def __init__(self, trace_id: str, value: float, at: float) -> None:
        self.trace_id = trace_id
        self.value = value
        self.at = at


class IstioMetrics:
    """All series of a process."""

    def __init__(self, node: Node) -> None:
        self.request_series: dict[tuple[str, ...], RequestSeries] = {}
        self.tcp = TcpMetrics(TCP_LABELS, self._within_bounds)
        self.recent: RequestSeries | None = None  # that the last request was counted in
        self.overflow = Counter()  # what was counted as unknown for want of room
        self.own = from_node(node)
        self._usual: set[bool] = set()  # the sides, outbound or not, whose requests are counted as usual
        self._changed: dict[Use, dict[tuple[Any, ...], RequestSeries]] = {}  # of metrics that are other than usual
        self._sidecar = node.kind == SIDECAR

    def requests(self, direction: Direction) -> Callable[[Exchange, float], None]:
        """Records a finished request of a listener of `direction`, at a moment of the exchange's clock."""
        known: dict[Key, RequestSeries] = {}
        outbound = direction is not Direction.INBOUND
        self._usual.add(outbound)

        def record(exchange: Exchange, now: float) -> None:
            peer = exchange.peer
            if peer is None and outbound and exchange.endpoint is not None:
                peer = exchange.endpoint.peer
            content = exchange.indexed_headers.get(b"content-type")
            grpc = content is not None and content.startswith(b"application/grpc")
            key: Key = (peer, exchange.cluster_name, exchange.status, exchange.flags)
            if grpc or _service(exchange) is None:
                key = (*key, *_request_says(exchange, grpc))
            series = known.get(key)
            if series is None:
                series = known[key] = self._find(known, exchange, outbound, grpc)
            self.recent = series
            series.requests += 1
            milliseconds = (now - exchange.started) * 1000
            series.duration[bisect_left(BUCKETS, milliseconds)] += 1
            series.duration_sum += milliseconds
            # Most requests have no body; and floats are compared with an int at three times the cost.
            size = exchange.bytes_received
            series.received[bisect_left(BUCKETS, float(size)) if size else 0] += 1
            series.received_sum += size
            size = exchange.bytes_sent
            series.sent[bisect_left(BUCKETS, float(size)) if size else 0] += 1
            series.sent_sum += size
            if exchange.grpc is not None:
                series.request_messages += exchange.grpc.requests.count
                series.response_messages += exchange.grpc.responses.count

        return record

    def sessions(
        self, direction: Direction, every: float = REPORT_INTERVAL
    ) -> tuple[Callable[[Exchange], None], Callable[[Exchange, float], None]]:
        """What records a TCP session that found its host, and one that ended (one without a host was never opened)."""
        outbound = direction is not Direction.INBOUND
        use = Use(True, outbound)
        self.tcp.begin(use)

        def series_of(exchange: Exchange, _now: float) -> tuple[TcpSeries, ...]:
            return (self.tcp.usual(use, self.session_labels(exchange, outbound)),)

        return self.tcp.recorders(series_of, every)

    def session_labels(self, exchange: Exchange, outbound: bool) -> tuple[str, ...]:
        """TCP_LABELS' values."""
        return (
            *self._labels(exchange, peer_of(exchange, outbound), outbound),
            "tcp",
            flags_text(exchange.flags),
            UNKNOWN if outbound else "none",
        )

    def exemplify(self, trace_id: str, milliseconds: float, at: float) -> None:
        """The request that was just counted was sampled."""
        series = self.recent
        if series is None:
            return
        if series.exemplars is None:
            series.exemplars = {}
        series.exemplars[bisect_left(BUCKETS, milliseconds)] = Exemplar(trace_id, milliseconds, at)

    def forget(self, use: Use) -> None:
        """Nobody counts in this way any more: its series are no longer told of, and requests that are left count for
        nobody. They would stand beside those that are counted now, often under the very same labels."""
        if use.tcp:
            self.tcp.forget(use)
        elif use.changes:
            self._changed.pop(use, None)
        else:
            self._usual.discard(use.outbound)
            for labels in [labels for labels in self.request_series if labels[0] == use.reporter]:
                del self.request_series[labels]

    # ── labels ────────────────────────────────────────────────────────────────────────────────────────────────────────

    def _find(self, known: dict[Key, RequestSeries], exchange: Exchange, outbound: bool, grpc: bool) -> RequestSeries:
        """The series of a request whose key is new; makes room for the key."""
        labels = self._request_labels(exchange, outbound, grpc)
        if labels not in self.request_series:
            labels = self._within_bounds(labels)
        series = self.request_series.get(labels)
        if series is None:
            series = RequestSeries(labels)
            if outbound in self._usual:
                self.request_series[labels] = series
        if len(known) >= MAX_KEYS:
            known.clear()
        return series

    def _request_labels(self, exchange: Exchange, outbound: bool, grpc: bool) -> tuple[str, ...]:
        return (
            *self._labels(exchange, peer_of(exchange, outbound), outbound),
            "grpc" if grpc else "http",
            str(exchange.status),
            _grpc_status(exchange).decode("ascii", "replace") if grpc else "",
            flags_text(exchange.flags),
            UNKNOWN if outbound else "none",
        )

    def request_labels(self, exchange: Exchange, outbound: bool) -> tuple[str, ...]:
        """REQUEST_LABELS' values."""
        content = exchange.indexed_headers.get(b"content-type")
        return self._request_labels(exchange, outbound, content is not None and content.startswith(b"application/grpc"))

    def begin_changed(self, use: Use) -> None:
        """Requests are counted in this way from now on."""
        self._changed.setdefault(use, {})

    def changed_series(
        self, use: Use, names: tuple[str, ...], labels: tuple[str, ...], metrics: frozenset[str]
    ) -> RequestSeries:
        """The series of some metrics whose labels are other than usual."""
        known = self._changed.get(use)
        if known is None:
            return RequestSeries(labels, names, metrics)
        key = (metrics, names, labels)
        series = known.get(key)
        if series is None:
            if not self.has_room():
                labels = (UNKNOWN,) * len(labels)
                key = (metrics, names, labels)
            series = known.setdefault(key, RequestSeries(labels, names, metrics))
        return series

    def has_room(self) -> bool:
        """Whether there may be another series whose labels others have a say in; where not, that is counted."""
        if sum(map(len, self._changed.values())) + self.tcp.count() < MAX_SERIES:
            return True
        self.overflow.value += 1
        return False

    def all_requests(self) -> list[RequestSeries]:
        return [*self.request_series.values(), *[each for known in self._changed.values() for each in known.values()]]

    def _within_bounds(self, labels: tuple[str, ...]) -> tuple[str, ...]:
        """Labels for a new series: with all that the other side has a say in unknown, once there are too many."""
        if len(self.request_series) + self.tcp.count() < MAX_SERIES:
            return labels
        self.overflow.value += 1
        theirs = slice(1, 9) if labels[0] == "destination" else slice(9, 20)
        mine = list(labels)
        mine[theirs] = [UNKNOWN] * (theirs.stop - theirs.start)
        return tuple(mine)

    def _labels(self, exchange: Exchange, peer: Peer | None, outbound: bool) -> tuple[str, ...]:
        """PEER_LABELS' values."""
        own, other = self.own, peer or Peer()
        host, name = self._destination(exchange, outbound)
        if outbound:
            fallback, namespace = UNKNOWN, other.namespace
        else:
            fallback, namespace = own.canonical_service, own.namespace
        source, destination = (own, other) if outbound else (other, own)
        return (
            "source" if outbound else "destination",
            source.workload or UNKNOWN,
            source.canonical_service or UNKNOWN,
            source.canonical_revision or "latest",
            source.namespace or UNKNOWN,
            source.principal or UNKNOWN,
            source.app or UNKNOWN,
            source.version or UNKNOWN,
            source.cluster or UNKNOWN,
            destination.workload or UNKNOWN,
            destination.namespace or UNKNOWN,
            destination.principal or UNKNOWN,
            destination.app or UNKNOWN,
            destination.version or UNKNOWN,
            host or fallback or UNKNOWN,
            destination.canonical_service or UNKNOWN,
            destination.canonical_revision or "latest",
            name or fallback or UNKNOWN,
            namespace or UNKNOWN,
            destination.cluster or UNKNOWN,
        )

    def _destination(self, exchange: Exchange, outbound: bool) -> tuple[str, str]:
        """destination_service and its name: the cluster's service; failing that, of a sidecar's outbound request (others
        hear hosts from strangers) the Host header, with the name Istio has for where such traffic goes."""
        service = _service(exchange)
        if service is not None:
            return service
        host = exchange.authority.decode("utf-8", "replace") if outbound and self._sidecar else ""
        route = exchange.route.name if exchange.route is not None else ""
        name = _NAMED_AFTER_ROUTE.get(route)
        if name is None and exchange.cluster_name in _NAMED_AFTER_CLUSTER:
            name = exchange.cluster_name
        return host, name or host


def peer_of(exchange: Exchange, outbound: bool) -> Peer | None:
    peer: Peer | None = exchange.peer
    if peer is None and outbound and exchange.endpoint is not None:
        peer = exchange.endpoint.peer
    return peer


def _service(exchange: Exchange) -> tuple[str, str] | None:
    """Host and name of the service that the cluster is of; None where the request itself has to tell."""
    cluster = exchange.cluster
    return None if cluster is None else cluster.service


def service_of(cluster: str, metadata: Mapping[str, Any]) -> tuple[str, str] | None:
    """The same of a cluster, by its metadata; worked out once, when it is configured."""
    if cluster in _NAMED_AFTER_CLUSTER:
        return None
    istio = metadata.get("istio")
    services = istio.get("services") if isinstance(istio, Mapping) else None
    if not isinstance(services, (list, tuple)) or not services:
        return None
    host = str(services[0].get("host", ""))
    return host, str(services[0].get("name", "")) or host.partition(".")[0]


def is_external(cluster: str, metadata: Mapping[str, Any]) -> bool:
    """Whether a cluster is of a service outside of the mesh, or of none."""
    istio = metadata.get("istio")
    return cluster in _NAMED_AFTER_CLUSTER or (isinstance(istio, Mapping) and istio.get("external") is True)


def _request_says(exchange: Exchange, grpc: bool) -> Key:
    """What labels depend on beyond the usual key: of gRPC, and where no service is known."""
    route = exchange.route.name if exchange.route is not None else ""
    return grpc, exchange.authority, route, _grpc_status(exchange) if grpc else b""


def _grpc_status(exchange: Exchange) -> bytes:
    told = get(exchange.response_trailers, b"grpc-status")
    return told or get(exchange.response_headers, b"grpc-status") or b""
