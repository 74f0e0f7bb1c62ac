from __future__ import annotations

import pytest

from sidecar.telemetry.registry import Stats, describe
from sidecar.telemetry.stats import ClusterStats, Counter, Histogram, HttpStats

REVIEWS = "outbound|9080||reviews.default.svc.cluster.local"


@pytest.mark.parametrize(
    ("name", "family", "labels"),
    [
        ("cluster.up.upstream_rq_total", "cluster_upstream_rq_total", (("envoy_cluster_name", "up"),)),
        (f"cluster.{REVIEWS}.upstream_cx_active", "cluster_upstream_cx_active", (("envoy_cluster_name", REVIEWS),)),
        (
            f"cluster.{REVIEWS}.upstream_rq_503",
            "cluster_upstream_rq",
            (("envoy_response_code", "503"), ("envoy_cluster_name", REVIEWS)),
        ),
        (
            "cluster.up.retry.upstream_rq_5xx",
            "cluster_retry_upstream_rq_xx",
            (("envoy_response_code_class", "5"), ("envoy_cluster_name", "up")),
        ),
        (
            "http.outbound_0.0.0.0_80.downstream_rq_2xx",
            "http_downstream_rq_xx",
            (("envoy_response_code_class", "2"), ("envoy_http_conn_manager_prefix", "outbound_0.0.0.0_80")),
        ),
        (
            "http.a.fault.aborts_injected",
            "http_fault_aborts_injected",
            (("envoy_http_conn_manager_prefix", "a"),),
        ),
        (
            "listener.127.0.0.1_39902.downstream_cx_total",
            "listener_downstream_cx_total",
            (("envoy_listener_address", "127.0.0.1_39902"),),
        ),
        ("tcp.p.downstream_cx_total", "tcp_downstream_cx_total", (("envoy_tcp_prefix", "p"),)),
        ("cluster_manager.cds.version", "cluster_manager_cds_version", ()),
        ("cluster.x.ejections_consecutive_5xx", "cluster_ejections_consecutive_5xx", (("envoy_cluster_name", "x"),)),
    ],
)
def test_names_are_taken_apart_as_envoy_does(name: str, family: str, labels: tuple[tuple[str, str], ...]) -> None:
    assert describe(name) == (family, labels)


def test_one_name_is_one_cell() -> None:
    stats = Stats()
    assert stats.counter("a.b") is stats.counter("a.b")
    assert stats.gauge("a.c") is stats.gauge("a.c")
    assert stats.histogram("a.d") is stats.histogram("a.d")


def test_a_name_keeps_its_kind() -> None:
    stats = Stats()
    stats.counter("a.b")
    with pytest.raises(TypeError, match=r"a\.b is a Counter"):
        stats.gauge("a.b")


def names(stats: Stats) -> set[str]:
    return {stat.name for part in stats.parts() for stat in part}


def test_groups_of_one_name_share_their_cells_until_the_last_one_closes() -> None:
    stats = Stats()
    first, second = ClusterStats(stats, "up"), ClusterStats(stats, "up")
    first.upstream_rq_total.value += 1
    first.complete(200, 1.0)
    assert second.upstream_rq_total.value == 1
    assert second.upstream_rq_completed.value == 1
    assert len([name for name in names(stats) if name == "cluster.up.upstream_rq_total"]) == 1
    first.close()
    second.complete(200, 1.0)
    assert "cluster.up.upstream_rq_200" in names(stats)
    second.close()
    assert names(stats) == set()


def test_a_group_that_comes_back_starts_from_zero() -> None:
    stats = Stats()
    first = ClusterStats(stats, "up")
    first.upstream_rq_total.value = 5
    first.close()
    assert ClusterStats(stats, "up").upstream_rq_total.value == 0


def test_groups_of_different_kinds_may_have_one_name() -> None:
    stats = Stats()
    ClusterStats(stats, "x")
    HttpStats(stats, "x")
    assert {"cluster.x.upstream_rq_total", "http.x.no_route"} <= names(stats)


def test_colons_in_names_become_underscores() -> None:
    stats = Stats()
    HttpStats(stats, "127.0.0.1:80")
    assert "http.127.0.0.1_80.no_route" in names(stats)


def test_computed_gauges_are_worked_out_when_read() -> None:
    stats, value = Stats(), [1.0]
    stats.computed("server.uptime", lambda: value[0])
    value[0] = 7.0
    found = [stat.cell for part in stats.parts() for stat in part]
    assert [cell.value for cell in found if not isinstance(cell, Histogram)] == [7.0]


def test_reset_leaves_gauges_alone() -> None:
    stats = Stats()
    group = ClusterStats(stats, "up")
    group.upstream_cx_active.value = 3
    group.complete(200, 4.0)
    stats.counter("a").value = 2
    stats.reset_counters()
    assert group.upstream_cx_active.value == 3
    assert group.upstream_rq_completed.value == 0
    assert group.upstream_rq_time.count == 0
    assert stats.counter("a").value == 0


def test_latch_reaches_groups_and_single_histograms() -> None:
    stats = Stats()
    group, single = ClusterStats(stats, "up"), stats.histogram("server.initialization_time_ms")
    group.upstream_rq_time.record(1)
    single.record(1)
    stats.latch()
    assert group.upstream_rq_time.interval()
    assert single.interval()


def test_cells_start_at_zero() -> None:
    assert Counter().value == 0
