"""Clusters."""

from __future__ import annotations

from typing import Any

import pytest
from envoy.config.cluster.v3.cluster_pb2 import Cluster as ClusterMessage
from google.protobuf.json_format import ParseDict

from sidecar.config.clusters import compile_cluster
from sidecar.config.model import (
    Address,
    Balancing,
    Cluster,
    Discovery,
    Endpoint,
    LbPolicy,
    Limits,
    LocalityEndpoints,
    OriginalDst,
    OutlierDetection,
    TcpKeepalive,
)
from tests.unit.sidecar.config.build import HTTP_OPTIONS, Data, T, cluster_of, parts, problems

EDS = {"eds_config": {"ads": {}, "resource_api_version": "V3"}}


WRR = {
    "typed_extension_config": {
        "name": "w",
        "typed_config": {"@type": T + "envoy.extensions.load_balancing_policies.wrr_locality.v3.WrrLocality"},
    }
}


def changed(**cluster: Any) -> Cluster:
    given = parts()
    given.cluster.update(cluster)
    return cluster_of(given)


def dynamic(**cluster: Any) -> Cluster:
    return compile_cluster(ParseDict({"name": "a", **cluster}, ClusterMessage()))


def options(**fields: Any) -> Data:
    return {HTTP_OPTIONS: {"@type": T + HTTP_OPTIONS, **fields}}


HEALTH_CHECK = {
    "timeout": "1s",
    "interval": "1s",
    "unhealthy_threshold": 1,
    "healthy_threshold": 1,
    "tcp_health_check": {},
}


TLS = "envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext"


UNKNOWN = {"x": {"@type": T + "mesh.Unknown"}}


OTHER = "is not implemented, only"


def test_defaults_are_envoys() -> None:
    cluster = cluster_of(parts())
    assert cluster.assignment is not None
    assert cluster.assignment.localities == (LocalityEndpoints((Endpoint(Address("127.0.0.1", 9)),)),)
    assert cluster == Cluster("up", Discovery.STATIC, assignment=cluster.assignment, source=cluster.source)


@pytest.mark.parametrize(
    ("field", "given", "name", "expected"),
    [
        ("connect_timeout", "1s", "connect_timeout", 1.0),
        ("per_connection_buffer_limit_bytes", 5, "buffer_limit", 5),
        ("alt_stat_name", "s", "alt_stat_name", "s"),
        ("max_requests_per_connection", 5, "max_requests_per_connection", 5),
        ("preconnect_policy", {"per_upstream_preconnect_ratio": 1.5}, "preconnect_ratio", 1.5),
        ("upstream_connection_options", {"tcp_keepalive": {}}, "tcp_keepalive", TcpKeepalive()),
        (
            "upstream_connection_options",
            {"tcp_keepalive": {"keepalive_probes": 1, "keepalive_time": 2, "keepalive_interval": 3}},
            "tcp_keepalive",
            TcpKeepalive(1, 2, 3),
        ),
        ("common_lb_config", {"close_connections_on_host_set_change": True}, "close_on_change", True),
        ("close_connections_on_host_health_failure", True, "close_on_failure", True),
        ("common_lb_config", {"ignore_new_hosts_until_first_hc": True}, "wait_for_first_check", True),
        ("lb_policy", "RANDOM", "balancing", Balancing(LbPolicy.RANDOM)),
        ("common_lb_config", {"healthy_panic_threshold": {"value": 0}}, "balancing", Balancing(panic_threshold=0.0)),
        ("common_lb_config", {"locality_weighted_lb_config": {}}, "balancing", Balancing(locality_weighted=True)),
        ("metadata", {"filter_metadata": {"istio": {"a": 1}}}, "metadata", {"istio": {"a": 1}}),
        (
            "upstream_bind_config",
            {"source_address": {"address": "127.0.0.6", "port_value": 0}},
            "bind_address",
            "127.0.0.6",
        ),
    ],
)
def test_fields(field: str, given: Any, name: str, expected: Any) -> None:
    assert getattr(changed(**{field: given}), name) == expected


def test_eds() -> None:
    cluster = dynamic(type="EDS", eds_cluster_config=EDS)
    assert (cluster.discovery, cluster.eds_name, cluster.eds_timeout) == (Discovery.EDS, "a", 15.0)
    named = {"eds_config": {**EDS["eds_config"], "initial_fetch_timeout": "0s"}, "service_name": "s"}
    cluster = dynamic(type="EDS", eds_cluster_config=named)
    assert (cluster.eds_name, cluster.eds_timeout, cluster.assignment) == ("s", 0.0, None)


def test_original_destination() -> None:
    cluster = dynamic(type="ORIGINAL_DST", lb_policy="CLUSTER_PROVIDED")
    assert (cluster.discovery, cluster.balancing.policy) == (Discovery.ORIGINAL_DST, LbPolicy.CLUSTER_PROVIDED)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, OriginalDst()),
        ({"cleanup_interval": "9s"}, OriginalDst(cleanup_interval=9.0)),
        ({"original_dst_lb_config": {"use_http_header": True}}, OriginalDst(b"x-envoy-original-dst-host")),
        (
            {
                "original_dst_lb_config": {
                    "use_http_header": True,
                    "http_header_name": "X-To",
                    "upstream_port_override": 5,
                }
            },
            OriginalDst(b"x-to", 5),
        ),
    ],
)
def test_original_destinations(given: Data, expected: OriginalDst) -> None:
    assert dynamic(type="ORIGINAL_DST", lb_policy="CLUSTER_PROVIDED", **given).original == expected


def test_limits() -> None:
    cluster = changed(
        circuit_breakers={
            "thresholds": [
                {"max_connections": 1, "max_pending_requests": 2, "max_requests": 3, "max_retries": 4},
                {"max_connections": 9},
                {"priority": "HIGH", "retry_budget": {"min_retry_concurrency": 7}, "track_remaining": True},
            ],
            "per_host_thresholds": [{"max_connections": 5}, {"max_connections": 6}],
        }
    )
    assert cluster.limits == Limits(1, 2, 3, 4, max_connections_per_host=5)
    assert cluster.high_limits == Limits(budget_percent=20.0, budget_min=7, track_remaining=True)


def test_outlier_detection() -> None:
    assert changed(outlier_detection={}).outlier == OutlierDetection()
    assert changed(outlier_detection={"base_ejection_time": "400s"}).outlier == OutlierDetection(
        base_ejection_time=400.0, max_ejection_time=400.0
    )
    outlier = changed(
        outlier_detection={
            "consecutive_5xx": 1,
            "consecutive_gateway_failure": 2,
            "interval": "3s",
            "base_ejection_time": "4s",
            "max_ejection_time": "5s",
            "max_ejection_percent": 6,
            "enforcing_consecutive_5xx": 7,
            "enforcing_consecutive_gateway_failure": 8,
            "always_eject_one_host": True,
            "split_external_local_origin_errors": True,
            "consecutive_local_origin_failure": 9,
            "enforcing_consecutive_local_origin_failure": 10,
            "max_ejection_time_jitter": "11s",
            "enforcing_success_rate": 12,
            "success_rate_minimum_hosts": 13,
            "success_rate_request_volume": 14,
            "success_rate_stdev_factor": 15,
            "enforcing_local_origin_success_rate": 16,
            "failure_percentage_threshold": 17,
            "enforcing_failure_percentage": 18,
            "enforcing_failure_percentage_local_origin": 19,
            "failure_percentage_minimum_hosts": 20,
            "failure_percentage_request_volume": 21,
            "successful_active_health_check_uneject_host": False,
        }
    ).outlier
    assert outlier == OutlierDetection(
        1, 2, 3.0, 4.0, 5.0, 6, 7, 8, True, True, 9, 10, 11.0, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, False
    )


@pytest.mark.parametrize(
    ("cluster", "expected"),
    [
        ({"lb_policy": "LOAD_BALANCING_POLICY_CONFIG"}, "lb_policy: LOAD_BALANCING_POLICY_CONFIG is not implemented"),
        ({"health_checks": [HEALTH_CHECK, HEALTH_CHECK]}, "health_checks: a cluster has one health check at most"),
        ({"health_checks": [{**HEALTH_CHECK, "alt_port": 1}]}, "alt_port: is not implemented"),
        (
            {"preconnect_policy": {"predictive_preconnect_ratio": 2.0}},
            "predictive_preconnect_ratio: 2 is not implemented, only 1 is",
        ),
        (
            {"dns_failure_refresh_rate": {"base_interval": "2s", "max_interval": "1s"}},
            "max_interval: must not be less than base_interval",
        ),
        (
            {"cluster_type": {"name": "x"}},
            "typed_config: x without typed_config is not an implemented cluster type",
        ),
        ({"outlier_detection": {"monitors": [{"name": "x"}]}}, "monitors: is not implemented"),
        (
            {"typed_extension_protocol_options": UNKNOWN},
            f'typed_extension_protocol_options["x"]: mesh.Unknown {OTHER} envoy',
        ),
        ({"typed_extension_protocol_options": options(auto_config={})}, "auto_config: needs ALPN"),
        (
            {"transport_socket": {"name": "tls", "typed_config": {"@type": T + TLS}}},
            f"typed_config: {TLS} {OTHER} envoy",
        ),
        (
            {"circuit_breakers": {"per_host_thresholds": [{"max_requests": 1}]}},
            "max_requests: is not implemented",
        ),
        (
            {"load_balancing_policy": {"policies": [WRR]}},
            "typed_config: envoy.extensions.load_balancing_policies.wrr_locality.v3.WrrLocality is not implemented",
        ),
    ],
)
def test_refused(cluster: Data, expected: str) -> None:
    given = parts()
    given.cluster.update(cluster)
    if "cluster_type" in cluster:
        del given.cluster["type"]
    assert any(problem.startswith(expected) for problem in problems(given)), problems(given)
