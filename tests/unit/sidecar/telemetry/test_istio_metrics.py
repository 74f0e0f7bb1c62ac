from __future__ import annotations

from typing import Any

import pytest

from sidecar.config.model import Address, Cluster, Direction, Discovery
from sidecar.http.exchange import Exchange
from sidecar.http.response_flags import Flag
from sidecar.telemetry import istio_metrics
from sidecar.telemetry.istio_metrics import REQUEST_LABELS, TCP_LABELS, IstioMetrics
from sidecar.telemetry.peer import Peer
from sidecar.telemetry.tcp_metrics import REPORT_INTERVAL
from tests.unit.sidecar.telemetry.exchanges import CLOCK_START, FakeCluster, FakeHost, exchange, node, route

RATINGS = Peer("ratings-v1", "default", "ratings", "version-1", "ratings", "v1", "server-cluster", "ratings-v1-1")


def recorded(direction: Direction, *exchanges: Exchange, proxy: Any = None) -> list[dict[str, str]]:
    metrics = IstioMetrics(proxy or node())
    record = metrics.requests(direction)
    for each in exchanges:
        record(each, CLOCK_START + 0.042)
    return [dict(zip(REQUEST_LABELS, labels, strict=True)) for labels in metrics.request_series]


def test_labels_of_a_client_in_istios_order() -> None:
    (labels,) = recorded(Direction.OUTBOUND, exchange(peer=RATINGS))
    assert list(labels.items()) == [
        ("reporter", "source"),
        ("source_workload", "productpage-v1"),
        ("source_canonical_service", "productpage"),
        ("source_canonical_revision", "v1"),
        ("source_workload_namespace", "default"),
        ("source_principal", "unknown"),
        ("source_app", "productpage"),
        ("source_version", "v1"),
        ("source_cluster", "Kubernetes"),
        ("destination_workload", "ratings-v1"),
        ("destination_workload_namespace", "default"),
        ("destination_principal", "unknown"),
        ("destination_app", "ratings"),
        ("destination_version", "v1"),
        ("destination_service", "reviews.default.svc.cluster.local"),
        ("destination_canonical_service", "ratings"),
        ("destination_canonical_revision", "version-1"),
        ("destination_service_name", "reviews"),
        ("destination_service_namespace", "default"),
        ("destination_cluster", "server-cluster"),
        ("request_protocol", "http"),
        ("response_code", "200"),
        ("grpc_response_status", ""),
        ("response_flags", "-"),
        ("connection_security_policy", "unknown"),
    ]


def test_labels_of_a_server_in_istios_order() -> None:
    client = Peer("productpage-v1", "other", "productpage", "", "productpage", "v1", "client-cluster")
    server = node(
        name="ratings-v1-1", workload="ratings-v1", service="ratings", labels={"app": "ratings", "version": "v1"}
    )
    cluster = FakeCluster(Cluster("inbound|9080||", Discovery.STATIC))
    made = exchange(peer=client, cluster=cluster, cluster_name=cluster.name)
    (labels,) = recorded(Direction.INBOUND, made, proxy=server)
    assert list(labels.items()) == [
        ("reporter", "destination"),
        ("source_workload", "productpage-v1"),
        ("source_canonical_service", "productpage"),
        ("source_canonical_revision", "latest"),
        ("source_workload_namespace", "other"),
        ("source_principal", "unknown"),
        ("source_app", "productpage"),
        ("source_version", "v1"),
        ("source_cluster", "client-cluster"),
        ("destination_workload", "ratings-v1"),
        ("destination_workload_namespace", "default"),
        ("destination_principal", "unknown"),
        ("destination_app", "ratings"),
        ("destination_version", "v1"),
        ("destination_service", "ratings"),
        ("destination_canonical_service", "ratings"),
        ("destination_canonical_revision", "v1"),
        ("destination_service_name", "ratings"),
        ("destination_service_namespace", "default"),
        ("destination_cluster", "Kubernetes"),
        ("request_protocol", "http"),
        ("response_code", "200"),
        ("grpc_response_status", ""),
        ("response_flags", "-"),
        ("connection_security_policy", "none"),
    ]


def test_a_client_without_sidecar_is_unknown() -> None:
    (labels,) = recorded(Direction.INBOUND, exchange(peer=None))
    source = {name: value for name, value in labels.items() if name.startswith("source_")}
    assert source.pop("source_canonical_revision") == "latest"
    assert set(source.values()) == {"unknown"}


def test_a_server_without_sidecar_is_named_by_its_endpoint() -> None:
    host = FakeHost(Address("10.0.0.7", 9080), Peer("reviews-v1", "shop", "reviews", "v1", cluster="c2"))
    (labels,) = recorded(Direction.OUTBOUND, exchange(endpoint=host))
    assert labels["destination_workload"] == "reviews-v1"
    assert labels["destination_service_namespace"] == "shop"
    assert labels["destination_app"] == "unknown"


def test_the_header_wins_over_the_endpoint() -> None:
    host = FakeHost(Address("10.0.0.7", 9080), Peer("reviews-v1"))
    (labels,) = recorded(Direction.OUTBOUND, exchange(endpoint=host, peer=RATINGS))
    assert labels["destination_workload"] == "ratings-v1"


def test_an_inbound_endpoint_is_not_the_source() -> None:
    host = FakeHost(Address("127.0.0.1", 9080), Peer("wrong"))
    (labels,) = recorded(Direction.INBOUND, exchange(endpoint=host))
    assert labels["source_workload"] == "unknown"


@pytest.mark.parametrize("name", ["PassthroughCluster", "BlackHoleCluster"])
def test_traffic_to_nowhere_known_is_named_after_where_it_goes(name: str) -> None:
    cluster = FakeCluster(Cluster(name, Discovery.ORIGINAL_DST))
    made = exchange(cluster=cluster, cluster_name=name, authority=b"example.com")
    (labels,) = recorded(Direction.OUTBOUND, made)
    assert labels["destination_service_name"] == name
    assert labels["destination_service"] == "example.com"


@pytest.mark.parametrize(("rule", "name"), [("block_all", "BlackHoleCluster"), ("allow_any", "PassthroughCluster")])
def test_istios_catch_all_routes_name_the_service(rule: str, name: str) -> None:
    made = exchange(cluster=None, cluster_name="", route=route(rule), status=502)
    (labels,) = recorded(Direction.OUTBOUND, made)
    assert labels["destination_service_name"] == name


def test_a_request_without_cluster_is_named_by_its_host() -> None:
    hosts = [
        exchange(cluster=None, cluster_name="", route=None, authority=name, status=404) for name in (b"a", b"b", b"a")
    ]
    found = recorded(Direction.OUTBOUND, *hosts)
    assert [labels["destination_service"] for labels in found] == ["a", "b"]


def test_gateways_and_servers_do_not_take_hosts_from_strangers() -> None:
    made = exchange(cluster=None, cluster_name="", route=None, authority=b"stranger", status=404)
    (labels,) = recorded(Direction.OUTBOUND, made, proxy=node(kind="router"))
    assert labels["destination_service"] == "unknown"
    (labels,) = recorded(Direction.INBOUND, made)
    assert labels["destination_service"] == "productpage"


def test_a_service_without_name_is_called_by_its_first_label() -> None:
    cluster = FakeCluster(Cluster("c", Discovery.EDS, metadata={"istio": {"services": [{"host": "a.b.c"}]}}))
    (labels,) = recorded(Direction.OUTBOUND, exchange(cluster=cluster, cluster_name="c"))
    assert (labels["destination_service"], labels["destination_service_name"]) == ("a.b.c", "a")


def test_flags_and_codes_make_series() -> None:
    found = recorded(
        Direction.OUTBOUND,
        exchange(status=503, flags=Flag.UF | Flag.URX),
        exchange(status=0, flags=Flag.DC),
        exchange(status=503, flags=Flag.UF | Flag.URX),
    )
    assert [(labels["response_code"], labels["response_flags"]) for labels in found] == [("503", "URX,UF"), ("0", "DC")]


def test_grpc_tells_its_status() -> None:
    headers = [(b"content-type", b"application/grpc+proto")]
    calls = [exchange(headers=headers, response_headers=[(b"grpc-status", status)]) for status in (b"0", b"14", b"0")]
    found = recorded(Direction.OUTBOUND, *calls, exchange(headers=headers, response_headers=[]))
    assert {labels["request_protocol"] for labels in found} == {"grpc"}
    assert [labels["grpc_response_status"] for labels in found] == ["0", "14", ""]


def test_histograms_count_milliseconds_and_body_bytes() -> None:
    metrics = IstioMetrics(node())
    record = metrics.requests(Direction.OUTBOUND)
    for _ in range(3):
        record(exchange(bytes_received=66, bytes_sent=5000), CLOCK_START + 0.042)
    (series,) = metrics.request_series.values()
    assert series.requests == 3
    assert series.duration.index(3) == istio_metrics.BUCKETS.index(50.0)
    assert series.duration_sum == pytest.approx(126)
    assert (series.received_sum, series.sent_sum) == (198, 15000)
    assert series.received.index(3) == istio_metrics.BUCKETS.index(100.0)


def test_strangers_cannot_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(istio_metrics, "MAX_SERIES", 5)
    monkeypatch.setattr(istio_metrics, "MAX_KEYS", 7)
    metrics = IstioMetrics(node())
    record = metrics.requests(Direction.INBOUND)
    for number in range(50):
        record(exchange(peer=Peer(f"stranger-{number}")), CLOCK_START + 1)
    assert len(metrics.request_series) == 6
    assert metrics.overflow.value > 0
    unknown = [series for labels, series in metrics.request_series.items() if labels[1] == "unknown"]
    assert [series.requests for series in unknown] == [45]


def test_equal_peers_share_their_series() -> None:
    metrics = IstioMetrics(node())
    record = metrics.requests(Direction.INBOUND)
    for _ in range(2):
        record(exchange(peer=Peer("same")), CLOCK_START + 1)
    assert [series.requests for series in metrics.request_series.values()] == [2]


# ── TCP ───────────────────────────────────────────────────────────────────────────────────────────────────────────────


def session(**fields: Any) -> Exchange:
    return exchange(b"", b"", [], status=0, response_headers=[], route=None, authority=b"", **fields)


def test_a_tcp_session_counts_at_both_ends() -> None:
    metrics = IstioMetrics(node())
    opened, closed = metrics.sessions(Direction.OUTBOUND)
    made = session(peer=None)
    opened(made)
    made.bytes_received, made.bytes_sent = 100, 2000
    closed(made, CLOCK_START + 5)
    (series,) = metrics.tcp.all_series()
    labels = series.labels
    found = dict(zip(TCP_LABELS, labels, strict=True))
    assert list(found) == list(TCP_LABELS)
    assert (found["request_protocol"], found["response_flags"]) == ("tcp", "-")
    assert found["destination_service"] == "reviews.default.svc.cluster.local"
    assert (series.opened, series.closed, series.received, series.sent) == (1, 1, 100, 2000)


def test_a_session_that_found_no_host_counts_as_opened_and_closed() -> None:
    metrics = IstioMetrics(node())
    _, closed = metrics.sessions(Direction.OUTBOUND)
    closed(session(endpoint=None, flags=Flag.UH), CLOCK_START + 5)
    (series,) = metrics.tcp.all_series()
    labels = series.labels
    assert dict(zip(TCP_LABELS, labels, strict=True))["response_flags"] == "UH"
    assert (series.opened, series.closed) == (1, 1)


def test_bytes_of_a_session_are_reported_while_it_lives_and_once() -> None:
    metrics = IstioMetrics(node())
    opened, closed = metrics.sessions(Direction.OUTBOUND)
    made = session(peer=None)
    opened(made)
    made.bytes_received, made.bytes_sent = 100, 2000
    metrics.tcp.report(REPORT_INTERVAL)
    metrics.tcp.report(REPORT_INTERVAL)
    (alive,) = metrics.tcp.all_series()
    assert (alive.opened, alive.closed, alive.received, alive.sent) == (1, 0, 100, 2000)
    made.bytes_received, made.flags = 150, Flag.UR
    closed(made, CLOCK_START + 5)
    metrics.tcp.report(REPORT_INTERVAL)
    assert (alive.closed, alive.received, alive.sent) == (0, 100, 2000)
    (ended,) = [series for series in metrics.tcp.all_series() if series is not alive]
    assert (ended.opened, ended.closed, ended.received, ended.sent) == (0, 1, 50, 0)
