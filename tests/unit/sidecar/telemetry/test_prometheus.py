from __future__ import annotations

import pytest
from prometheus_client import CollectorRegistry, Gauge, generate_latest
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from sidecar.config.model import Direction
from sidecar.telemetry import prometheus
from sidecar.telemetry.istio_metrics import IstioMetrics
from sidecar.telemetry.prometheus import IstioCollector, StatsCollector, pieces
from sidecar.telemetry.stats import ClusterStats, HttpStats, Stats
from tests.unit.sidecar.telemetry.exchanges import CLOCK_START, exchange, node

REVIEWS = "outbound|9080||reviews.default.svc.cluster.local"


@pytest.fixture
def registry() -> CollectorRegistry:
    stats, metrics = Stats(), IstioMetrics(node())
    cluster = ClusterStats(stats, REVIEWS)
    cluster.upstream_rq_total.value = 2
    cluster.upstream_cx_active.value = 1
    cluster.complete(200, 3.0)
    cluster.complete(503, 700.0)
    HttpStats(stats, "inbound_0.0.0.0_80").complete(404)
    stats.counter("cluster_manager.cluster_added").value = 4
    record = metrics.requests(Direction.OUTBOUND)
    record(exchange(), CLOCK_START + 0.003)
    record(exchange(), CLOCK_START + 4_000)
    opened, closed = metrics.sessions(Direction.OUTBOUND)
    opened(exchange())
    closed(exchange(), CLOCK_START)
    made = CollectorRegistry()
    made.register(IstioCollector(metrics))
    made.register(StatsCollector(stats))
    return made


def text(registry: CollectorRegistry, accept: str = "") -> str:
    return b"".join(pieces(registry, accept)[1]).decode()


def test_envoys_statistics_have_envoys_names(registry: CollectorRegistry) -> None:
    lines = text(registry).splitlines()
    assert f'envoy_cluster_upstream_rq{{envoy_response_code="200",envoy_cluster_name="{REVIEWS}"}} 1' in lines
    assert f'envoy_cluster_upstream_rq_xx{{envoy_response_code_class="5",envoy_cluster_name="{REVIEWS}"}} 1' in lines
    assert f'envoy_cluster_upstream_rq_total{{envoy_cluster_name="{REVIEWS}"}} 2' in lines
    assert f'envoy_cluster_upstream_cx_active{{envoy_cluster_name="{REVIEWS}"}} 1' in lines
    assert "# TYPE envoy_cluster_upstream_cx_active gauge" in lines
    assert "# TYPE envoy_cluster_upstream_cx_total counter" in lines
    assert "# TYPE envoy_cluster_upstream_rq_total untyped" in lines  # there is an upstream_rq as well
    assert (
        'envoy_http_downstream_rq_xx{envoy_response_code_class="4",envoy_http_conn_manager_prefix="inbound_0.0.0.0_80"} 1'
        in lines
    )
    assert "envoy_cluster_manager_cluster_added 4" in lines


def test_histograms_have_envoys_buckets(registry: CollectorRegistry) -> None:
    lines = text(registry).splitlines()
    start = f'envoy_cluster_upstream_rq_time_bucket{{envoy_cluster_name="{REVIEWS}",le='
    buckets = [line.removeprefix(start) for line in lines if line.startswith(start)]
    assert buckets[:4] == ['"0.5"} 0', '"1"} 0', '"5"} 1', '"10"} 1']
    assert buckets[-3:] == ['"1800000"} 2', '"3600000"} 2', '"+Inf"} 2']
    assert f'envoy_cluster_upstream_rq_time_sum{{envoy_cluster_name="{REVIEWS}"}} 703.0' in lines
    assert f'envoy_cluster_upstream_rq_time_count{{envoy_cluster_name="{REVIEWS}"}} 2' in lines


def test_istios_metrics(registry: CollectorRegistry) -> None:
    families = {family.name: family for family in parse_text(text(registry))}
    assert {name: family.type for name, family in families.items() if name.startswith("istio")} == {
        "istio_requests": "counter",
        "istio_request_duration_milliseconds": "histogram",
        "istio_request_bytes": "histogram",
        "istio_response_bytes": "histogram",
        "istio_tcp_connections_opened": "counter",
        "istio_tcp_connections_closed": "counter",
        "istio_tcp_sent_bytes": "counter",
        "istio_tcp_received_bytes": "counter",
    }
    (total,) = families["istio_requests"].samples
    assert (total.name, total.value) == ("istio_requests_total", 2)
    assert total.labels["destination_service"] == "reviews.default.svc.cluster.local"
    duration = {
        sample.labels["le"]: sample.value
        for sample in families["istio_request_duration_milliseconds"].samples
        if sample.name.endswith("_bucket")
    }
    assert len(duration) == 20
    assert (duration["1"], duration["5"], duration["3600000"], duration["+Inf"]) == (0, 1, 1, 2)


@pytest.mark.parametrize("piece", [1, 3, 500])
def test_pieces_make_what_prometheus_client_makes_at_once(
    registry: CollectorRegistry, piece: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prometheus, "PIECE", piece)
    at_once = [
        each for each in parse_text(generate_latest(registry).decode()) if each.samples
    ]  # ours leave out the rest
    assert list(parse_text(text(registry))) == at_once
    openmetrics = "application/openmetrics-text; version=1.0.0"
    at_once = [each for each in parse_openmetrics(generate_openmetrics(registry).decode()) if each.samples]
    assert list(parse_openmetrics(text(registry, openmetrics))) == at_once


def test_openmetrics_is_valid_and_ends_once(registry: CollectorRegistry) -> None:
    found = text(registry, "application/openmetrics-text; version=1.0.0")
    assert found.count("# EOF") == 1
    assert found.endswith("# EOF\n")
    families = {family.name: family for family in parse_openmetrics(found)}
    assert families["istio_requests"].type == "counter"
    assert families["envoy_cluster_upstream_rq"].type == "unknown"


def test_only_what_was_used_and_only_what_matches() -> None:
    stats = Stats()
    ClusterStats(stats, "up").upstream_rq_total.value = 1
    used = [family.name for family in StatsCollector(stats, used_only=True).collect()]
    assert used == ["envoy_cluster_upstream_rq_total"]
    matching = [family.name for family in StatsCollector(stats, matches=lambda name: "lb_healthy" in name).collect()]
    assert matching == ["envoy_cluster_lb_healthy_panic"]


def test_labels_are_escaped() -> None:
    metrics = IstioMetrics(node(workload='a"b\\c\nd'))
    metrics.requests(Direction.INBOUND)(exchange(), CLOCK_START)
    registry = CollectorRegistry()
    registry.register(IstioCollector(metrics))
    (total,) = next(iter(parse_text(text(registry)))).samples
    assert total.labels["destination_workload"] == 'a"b\\c\nd'


def test_somebody_elses_collector_is_shown_too(registry: CollectorRegistry) -> None:
    Gauge("other", "Not ours.", registry=registry).set(3)
    assert "other 3.0\n" in text(registry)
    assert text(registry, "application/openmetrics-text; version=1.0.0").count("# EOF") == 1


def test_a_bucket_shows_the_trace_of_its_last_sampled_request_to_who_asks_for_openmetrics(
    registry: CollectorRegistry,
) -> None:
    metrics = IstioMetrics(node())
    registry = CollectorRegistry()
    registry.register(IstioCollector(metrics))
    record = metrics.requests(Direction.OUTBOUND)
    for trace_id, seconds in (("a" * 32, 0.003), ("b" * 32, 0.004), ("c" * 32, 4_000)):
        record(exchange(), CLOCK_START + seconds)
        metrics.exemplify(trace_id, seconds * 1000, 1_700_000_000.5)
    record(exchange(), CLOCK_START + 0.06)  # not sampled
    families = parse_openmetrics(text(registry, "application/openmetrics-text; version=1.0.0"))
    samples = [sample for family in families for sample in family.samples if sample.exemplar is not None]
    assert {sample.name for sample in samples} == {"istio_request_duration_milliseconds_bucket"}
    found = {
        each.labels["le"]: (each.exemplar.labels["trace_id"], each.exemplar.value, float(each.exemplar.timestamp))
        for each in samples
        if each.exemplar is not None
    }
    assert found == {"5": ("b" * 32, 4.0, 1_700_000_000.5), "+Inf": ("c" * 32, 4_000_000.0, 1_700_000_000.5)}
    assert " # {" not in text(registry)


def test_no_piece_of_a_large_scrape_is_long_in_the_making() -> None:
    """What 200 services make is given in pieces of one size, whatever the families are like."""
    stats, metrics = Stats(), IstioMetrics(node())
    for number in range(200):
        ClusterStats(stats, f"outbound|9080||service-{number}.default.svc.cluster.local").complete(200, 3.0)
    metrics.requests(Direction.OUTBOUND)(exchange(), CLOCK_START)
    registry = CollectorRegistry()
    registry.register(IstioCollector(metrics))
    registry.register(StatsCollector(stats))
    sizes = [len(piece) for piece in pieces(registry, "")[1]]
    assert len(sizes) > 50
    assert max(sizes) < 2 * prometheus.PIECE
