"""The groups of Envoy statistics that the data plane holds: one `ClusterStats` a cluster, one `HttpStats` a connection
manager, one `ListenerStats` a listener, one `TcpStats` a TCP proxy.

A group is named once, when configuration arrives; after that each attribute is a cell, called like the last part of
Envoy's name: `stats.upstream_rq_total.value += 1`. Two groups of one kind and name share their cells, as Envoy's do: a
changed cluster goes on counting where its predecessor stopped, and a draining one still lowers its gauges. `close()`
gives a group up.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from sidecar.telemetry.cells import BUCKETS, Counter, Gauge, Histogram
from sidecar.telemetry.http2_stats import ClusterHttp2Stats, Http2Stats
from sidecar.telemetry.registry import Group, Stat, Stats

__all__ = [
    "BUCKETS",
    "CircuitStats",
    "ClusterStats",
    "Counter",
    "Gauge",
    "Group",
    "HealthCheckStats",
    "Histogram",
    "Http2Stats",
    "HttpStats",
    "ListenerStats",
    "PoolStats",
    "RemainingStats",
    "Stat",
    "Stats",
    "TcpStats",
]


@dataclass(slots=True, init=False, eq=False)
class ClusterStats(Group):
    """`cluster.<name>.`: what happens between this proxy and the hosts of a cluster."""

    prefix = "cluster"
    tag = "envoy_cluster_name"

    upstream_cx_total: Counter
    upstream_cx_active: Gauge
    upstream_cx_http1_total: Counter
    upstream_cx_http2_total: Counter
    upstream_cx_connect_fail: Counter
    upstream_cx_connect_attempts_exceeded: Counter
    upstream_cx_connect_timeout: Counter
    upstream_cx_idle_timeout: Counter
    upstream_cx_max_requests: Counter
    upstream_cx_max_duration_reached: Counter
    upstream_cx_none_healthy: Counter
    upstream_cx_overflow: Counter
    upstream_cx_protocol_error: Counter
    upstream_cx_destroy: Counter
    upstream_cx_destroy_local: Counter
    upstream_cx_destroy_remote: Counter
    upstream_cx_destroy_with_active_rq: Counter
    upstream_cx_destroy_local_with_active_rq: Counter
    upstream_cx_destroy_remote_with_active_rq: Counter
    upstream_cx_rx_bytes_total: Counter
    upstream_cx_tx_bytes_total: Counter
    upstream_cx_connect_ms: Histogram
    upstream_cx_length_ms: Histogram
    upstream_rq_total: Counter
    upstream_rq_active: Gauge
    upstream_rq_completed: Counter
    upstream_rq_time: Histogram
    upstream_rq_pending_total: Counter
    upstream_rq_pending_active: Gauge
    upstream_rq_pending_overflow: Counter
    upstream_rq_pending_failure_eject: Counter
    upstream_rq_active_overflow: Counter
    upstream_rq_cancelled: Counter
    upstream_rq_timeout: Counter
    upstream_rq_per_try_timeout: Counter
    upstream_rq_per_try_idle_timeout: Counter
    upstream_rq_retry: Counter
    upstream_rq_retry_success: Counter
    upstream_rq_retry_overflow: Counter
    upstream_rq_retry_limit_exceeded: Counter
    upstream_rq_retry_backoff_exponential: Counter
    upstream_rq_retry_backoff_ratelimited: Counter
    upstream_rq_max_duration_reached: Counter
    retry_or_shadow_abandoned: Counter
    upstream_internal_redirect_succeeded_total: Counter
    upstream_internal_redirect_failed_total: Counter
    upstream_flow_control_paused_reading_total: Counter
    upstream_flow_control_resumed_reading_total: Counter
    upstream_flow_control_backed_up_total: Counter
    upstream_flow_control_drained_total: Counter
    membership_change: Counter
    membership_total: Gauge
    membership_healthy: Gauge
    membership_degraded: Gauge
    membership_excluded: Gauge
    bind_errors: Counter
    original_dst_host_invalid: Counter
    lb_healthy_panic: Counter
    lb_subsets_active: Gauge
    lb_subsets_created: Counter
    lb_subsets_removed: Counter
    lb_subsets_selected: Counter
    lb_subsets_fallback: Counter
    lb_subsets_fallback_panic: Counter
    lb_subsets_single_host_per_subset_duplicate: Gauge
    lb_zone_cluster_too_small: Counter
    lb_zone_no_capacity_left: Counter
    lb_zone_routing_all_directly: Counter
    lb_zone_routing_sampled: Counter
    lb_zone_routing_cross_zone: Counter
    lb_local_cluster_not_ok: Counter
    lb_recalculate_zone_structures: Counter
    update_attempt: Counter
    update_success: Counter
    update_failure: Counter
    update_empty: Counter
    update_no_rebuild: Counter
    cx_open: Gauge
    rq_open: Gauge
    rq_pending_open: Gauge
    rq_retry_open: Gauge
    high_cx_open: Gauge
    high_rq_open: Gauge
    high_rq_pending_open: Gauge
    high_rq_retry_open: Gauge
    ejections_active: Gauge
    ejections_total: Counter
    ejections_overflow: Counter
    ejections_enforced_total: Counter
    ejections_consecutive_5xx: Counter
    ejections_enforced_consecutive_5xx: Counter
    ejections_detected_consecutive_5xx: Counter
    ejections_enforced_consecutive_gateway_failure: Counter
    ejections_detected_consecutive_gateway_failure: Counter
    ejections_enforced_consecutive_local_origin_failure: Counter
    ejections_detected_consecutive_local_origin_failure: Counter
    ejections_success_rate: Counter
    ejections_enforced_success_rate: Counter
    ejections_detected_success_rate: Counter
    ejections_enforced_local_origin_success_rate: Counter
    ejections_detected_local_origin_success_rate: Counter
    ejections_enforced_failure_percentage: Counter
    ejections_detected_failure_percentage: Counter
    ejections_enforced_local_origin_failure_percentage: Counter
    ejections_detected_local_origin_failure_percentage: Counter
    _codes: dict[str, Counter]  # path → counter: a status is counted from its first appearance on
    _answers: dict[int, tuple[Counter, Counter]]  # status → (its own counter, that of its class)
    _retries: dict[int, tuple[Counter, Counter]]
    _readings: list[Callable[[], None]]  # of all groups of this name
    _reading: Callable[[], None] | None
    _http2: ClusterHttp2Stats | None
    _closed: bool

    @classmethod
    def path(cls, attribute: str) -> str:
        if attribute.startswith("ejections_"):
            return f"outlier_detection.{attribute}"
        if attribute.startswith("high_"):
            return f"circuit_breakers.high.{attribute.removeprefix('high_')}"
        if attribute.endswith("_open"):
            return f"circuit_breakers.default.{attribute}"
        return attribute

    def before_reading(self, reading: Callable[[], None]) -> None:
        """Has `reading` called whenever somebody is about to read, until `close`: it writes the gauges that nobody keeps."""
        self._reading = reading
        self._readings.append(reading)

    def settle(self) -> None:
        for reading in self._readings:
            reading()

    def close(self) -> None:
        if self._reading is not None:
            self._readings.remove(self._reading)
            self._reading = None
        if self._http2 is not None:
            self._http2.close()
        self._closed = True
        Group.close(self)  # a slotted dataclass is another class than the one that super() was compiled for

    def http2(self) -> ClusterHttp2Stats:
        """Those of the codec, for a connection that is HTTP/2; of a cluster that is gone nobody is shown them."""
        if self._http2 is None:
            self._http2 = ClusterHttp2Stats(Stats() if self._closed else self._registry, self.name)
        return self._http2

    def complete(self, status: int, ms: float) -> None:
        """The request is answered for good: by the upstream, `ms` after it was sent there, or for it (0)."""
        own, by_class = self._answers.get(status) or self._bind(self._answers, "upstream_rq_", status)
        own.value += 1
        by_class.value += 1
        self.upstream_rq_completed.value += 1
        if ms:
            self.upstream_rq_time.record(ms)

    def retried(self, status: int) -> None:
        """An answer with `status` was thrown away, and the request sent again."""
        own, by_class = self._retries.get(status) or self._bind(self._retries, "retry.upstream_rq_", status)
        own.value += 1
        by_class.value += 1
        self._code("retry.upstream_rq_completed").value += 1

    def _bind(self, known: dict[int, tuple[Counter, Counter]], path: str, status: int) -> tuple[Counter, Counter]:
        if status < 600:
            cells = self._code(f"{path}{status}"), self._code(f"{path}{status // 100}xx")
        else:
            cells = self._code(f"{path}unknown"), Counter()
        known[status] = cells
        return cells

    def _code(self, path: str) -> Counter:
        return self._codes.setdefault(path, Counter())

    def share(self, first: Group | None) -> None:
        other = first if isinstance(first, ClusterStats) else None
        self._codes = other._codes if other else {}
        self._answers = other._answers if other else {}
        self._retries = other._retries if other else {}
        self._readings = other._readings if other else []
        self._reading = None
        self._http2 = None
        self._closed = False

    def extra(self) -> Iterable[tuple[str, Counter]]:
        return self._codes.items()


@dataclass(slots=True, init=False, eq=False)
class CircuitStats(Group):
    """`cluster.<name>.mesh_circuit_breaker.`: of clusters with a three-state breaker. `state` is 0 closed, 1 half-open,
    2 open; the others count changes to a state, and attempts that were refused."""

    prefix = "cluster"
    tag = "envoy_cluster_name"
    below = "mesh_circuit_breaker."

    state: Gauge
    opened: Counter
    half_opened: Counter
    closed: Counter
    rejected: Counter


@dataclass(slots=True, init=False, eq=False)
class RemainingStats(Group):
    """`cluster.<name>.circuit_breakers.`: what is left of the limits of clusters that track it."""

    prefix = "cluster"
    tag = "envoy_cluster_name"

    default_remaining_cx: Gauge
    default_remaining_pending: Gauge
    default_remaining_rq: Gauge
    default_remaining_retries: Gauge
    high_remaining_cx: Gauge
    high_remaining_pending: Gauge
    high_remaining_rq: Gauge
    high_remaining_retries: Gauge

    @classmethod
    def path(cls, attribute: str) -> str:
        priority, _, rest = attribute.partition("_")
        return f"circuit_breakers.{priority}.{rest}"


@dataclass(slots=True, init=False, eq=False)
class PoolStats(Group):
    """`cluster.<name>.mesh_connection_pool.`: of clusters that send requests again which met a closed connection."""

    prefix = "cluster"
    tag = "envoy_cluster_name"
    below = "mesh_connection_pool."

    resent: Counter


@dataclass(slots=True, init=False, eq=False)
class HealthCheckStats(Group):
    """`cluster.<name>.health_check.`: of clusters whose hosts are checked."""

    prefix = "cluster"
    tag = "envoy_cluster_name"
    below = "health_check."

    attempt: Counter
    success: Counter
    failure: Counter
    passive_failure: Counter
    network_failure: Counter
    verify_cluster: Counter
    degraded: Gauge
    healthy: Gauge


@dataclass(slots=True, init=False, eq=False)
class HttpStats(Group):
    """`http.<stat_prefix>.`: what clients of a connection manager do and get."""

    prefix = "http"
    tag = "envoy_http_conn_manager_prefix"

    downstream_cx_total: Counter
    downstream_cx_active: Gauge
    downstream_cx_http1_total: Counter
    downstream_cx_http1_active: Gauge
    downstream_cx_http2_total: Counter
    downstream_cx_http2_active: Gauge
    downstream_cx_upgrades_total: Counter
    downstream_cx_upgrades_active: Gauge
    downstream_cx_destroy: Counter
    downstream_cx_destroy_local: Counter
    downstream_cx_destroy_remote: Counter
    downstream_cx_destroy_active_rq: Counter
    downstream_cx_destroy_remote_active_rq: Counter
    downstream_cx_protocol_error: Counter
    downstream_cx_idle_timeout: Counter
    downstream_cx_max_duration_reached: Counter
    downstream_cx_max_requests_reached: Counter
    downstream_cx_drain_close: Counter
    downstream_cx_overload_disable_keepalive: Counter
    downstream_cx_delayed_close_timeout: Counter
    downstream_cx_rx_bytes_total: Counter
    downstream_cx_tx_bytes_total: Counter
    downstream_cx_length_ms: Histogram
    downstream_flow_control_paused_reading_total: Counter
    downstream_flow_control_resumed_reading_total: Counter
    downstream_rq_total: Counter
    downstream_rq_active: Gauge
    downstream_rq_http1_total: Counter
    downstream_rq_http2_total: Counter
    downstream_rq_completed: Counter
    downstream_rq_1xx: Counter
    downstream_rq_2xx: Counter
    downstream_rq_3xx: Counter
    downstream_rq_4xx: Counter
    downstream_rq_5xx: Counter
    downstream_rq_time: Histogram
    downstream_rq_rx_reset: Counter
    downstream_rq_tx_reset: Counter
    downstream_rq_non_relative_path: Counter
    downstream_rq_failed_path_normalization: Counter
    downstream_rq_redirected_with_normalized_path: Counter
    downstream_rq_too_large: Counter
    downstream_rq_timeout: Counter
    downstream_rq_idle_timeout: Counter
    downstream_rq_max_duration_reached: Counter
    downstream_rq_header_timeout: Counter
    downstream_rq_overload_close: Counter
    downstream_rq_ws_on_non_ws_route: Counter
    downstream_rq_response_before_rq_complete: Counter
    no_route: Counter
    no_cluster: Counter
    rq_total: Counter
    rq_direct_response: Counter
    passthrough_internal_redirect_bad_location: Counter
    passthrough_internal_redirect_no_route: Counter
    passthrough_internal_redirect_predicate: Counter
    passthrough_internal_redirect_too_many_redirects: Counter
    passthrough_internal_redirect_unsafe_scheme: Counter
    aborts_injected: Counter
    delays_injected: Counter
    response_rl_injected: Counter
    faults_overflow: Counter
    active_faults: Gauge
    cors_origin_valid: Counter
    cors_origin_invalid: Counter
    _classes: tuple[Counter, ...]  # by status // 100

    @classmethod
    def path(cls, attribute: str) -> str:
        if attribute.endswith("_injected") or "faults" in attribute:
            return f"fault.{attribute}"
        if attribute.startswith("cors_"):
            return f"cors.{attribute.removeprefix('cors_')}"
        return attribute

    def begin(self, protocol: str) -> None:
        """Counts a request."""
        self.downstream_rq_total.value += 1
        if protocol == "HTTP/2":
            self.downstream_rq_http2_total.value += 1
        else:
            self.downstream_rq_http1_total.value += 1
        self.downstream_rq_active.value += 1

    def complete(self, status: int) -> None:
        """A response was sent to the end."""
        self.downstream_rq_completed.value += 1
        self._classes[status // 100].value += 1

    def share(self, first: Group | None) -> None:
        nowhere = Counter()  # where an answer of no class, such as the 0 of none at all, is counted
        self._classes = (
            nowhere,
            self.downstream_rq_1xx,
            self.downstream_rq_2xx,
            self.downstream_rq_3xx,
            self.downstream_rq_4xx,
            self.downstream_rq_5xx,
            *[nowhere] * 4,
        )


@dataclass(slots=True, init=False, eq=False)
class ListenerStats(Group):
    """`listener.<address>.`: connections, whatever is spoken on them."""

    prefix = "listener"
    tag = "envoy_listener_address"

    downstream_cx_total: Counter
    downstream_cx_active: Gauge
    downstream_cx_destroy: Counter
    downstream_pre_cx_active: Gauge
    downstream_pre_cx_timeout: Counter
    downstream_cx_overload_reject: Counter
    downstream_global_cx_overflow: Counter
    downstream_listener_filter_remote_close: Counter
    no_filter_chain_match: Counter
    downstream_cx_length_ms: Histogram

    def opened(self) -> None:
        """A filter chain took a connection."""
        self.downstream_cx_total.value += 1
        self.downstream_cx_active.value += 1

    def closed(self, seconds: float) -> None:
        """The connection ended after so long."""
        self.downstream_cx_active.value -= 1
        self.downstream_cx_destroy.value += 1
        self.downstream_cx_length_ms.record(seconds * 1000)


@dataclass(slots=True, init=False, eq=False)
class TcpStats(Group):
    """`tcp.<stat_prefix>.`: a TCP proxy."""

    prefix = "tcp"
    tag = "envoy_tcp_prefix"

    downstream_cx_total: Counter
    downstream_cx_no_route: Counter
    downstream_cx_rx_bytes_total: Counter
    downstream_cx_tx_bytes_total: Counter
    downstream_flow_control_paused_reading_total: Counter
    downstream_flow_control_resumed_reading_total: Counter
    idle_timeout: Counter
    max_downstream_connection_duration: Counter
