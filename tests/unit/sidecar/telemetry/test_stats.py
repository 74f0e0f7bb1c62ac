from __future__ import annotations

import pytest

from sidecar.telemetry.stats import ClusterStats, HttpStats, ListenerStats, Stats, TcpStats

# Names that a real Envoy 1.40 has, one of each place.
ENVOY_NAMES = {
    "cluster.up.circuit_breakers.default.cx_open",
    "cluster.up.circuit_breakers.default.rq_retry_open",
    "cluster.up.circuit_breakers.high.rq_pending_open",
    "cluster.up.lb_healthy_panic",
    "cluster.up.membership_healthy",
    "cluster.up.outlier_detection.ejections_active",
    "cluster.up.outlier_detection.ejections_enforced_consecutive_5xx",
    "cluster.up.retry_or_shadow_abandoned",
    "cluster.up.upstream_cx_connect_ms",
    "cluster.up.upstream_cx_destroy_remote_with_active_rq",
    "cluster.up.upstream_rq_retry_backoff_exponential",
    "cluster.up.upstream_rq_time",
    "http.in.downstream_cx_destroy_remote_active_rq",
    "http.in.downstream_cx_protocol_error",
    "http.in.downstream_rq_5xx",
    "http.in.fault.delays_injected",
    "http.in.no_cluster",
    "http.in.rq_total",
    "listener.0.0.0.0_15006.no_filter_chain_match",
    "tcp.p.downstream_cx_rx_bytes_total",
}


def values(stats: Stats) -> dict[str, float]:
    return {stat.name: stat.cell.value for part in stats.parts() for stat in part if not hasattr(stat.cell, "record")}


def test_names_are_envoys() -> None:
    stats = Stats()
    ClusterStats(stats, "up")
    HttpStats(stats, "in")
    ListenerStats(stats, "0.0.0.0_15006")
    TcpStats(stats, "p")
    names = {stat.name for part in stats.parts() for stat in part}
    assert names >= ENVOY_NAMES


def test_a_cluster_counts_answers_by_code_and_class() -> None:
    stats = Stats()
    cluster = ClusterStats(stats, "up")
    for status in (200, 200, 204, 503):
        cluster.complete(status, 2.5)
    found = values(stats)
    assert found["cluster.up.upstream_rq_200"] == 2
    assert found["cluster.up.upstream_rq_204"] == 1
    assert found["cluster.up.upstream_rq_2xx"] == 3
    assert found["cluster.up.upstream_rq_5xx"] == 1
    assert found["cluster.up.upstream_rq_completed"] == 4
    assert cluster.upstream_rq_time.count == 4
    assert "cluster.up.upstream_rq_4xx" not in found


def test_a_cluster_counts_answers_that_were_retried() -> None:
    stats = Stats()
    cluster = ClusterStats(stats, "up")
    cluster.retried(503)
    cluster.retried(502)
    found = values(stats)
    assert found["cluster.up.retry.upstream_rq_503"] == 1
    assert found["cluster.up.retry.upstream_rq_5xx"] == 2
    assert found["cluster.up.retry.upstream_rq_completed"] == 2
    assert cluster.upstream_rq_completed.value == 0


@pytest.mark.parametrize(
    ("status", "attribute"), [(101, "1xx"), (200, "2xx"), (301, "3xx"), (404, "4xx"), (599, "5xx")]
)
def test_a_connection_manager_counts_by_class(status: int, attribute: str) -> None:
    http = HttpStats(Stats(), "in")
    http.complete(status)
    assert getattr(http, f"downstream_rq_{attribute}").value == 1
    assert http.downstream_rq_completed.value == 1


@pytest.mark.parametrize("status", [0, 600, 999])
def test_statuses_of_no_class_are_only_completed(status: int) -> None:
    http = HttpStats(Stats(), "in")
    http.complete(status)
    assert http.downstream_rq_completed.value == 1
    assert sum(getattr(http, f"downstream_rq_{n}xx").value for n in range(1, 6)) == 0
