"""Envoy's own rules, taken from the messages."""

from __future__ import annotations

from typing import Any

import pytest
from envoy.config.bootstrap.v3.bootstrap_pb2 import Bootstrap
from envoy.config.cluster.v3.cluster_pb2 import Cluster
from envoy.config.cluster.v3.outlier_detection_pb2 import OutlierDetection
from envoy.config.core.v3.address_pb2 import SocketAddress
from envoy.config.endpoint.v3.endpoint_components_pb2 import LbEndpoint
from envoy.config.listener.v3.listener_components_pb2 import FilterChainMatch
from envoy.config.route.v3.route_components_pb2 import (
    HeaderMatcher,
    RetryPolicy,
    Route,
    RouteAction,
    RouteMatch,
    VirtualHost,
    WeightedCluster,
)
from envoy.extensions.filters.http.router.v3.router_pb2 import Router
from envoy.extensions.filters.network.tcp_proxy.v3.tcp_proxy_pb2 import TcpProxy
from google.protobuf.json_format import ParseDict

from mesh.errors import ConfigError
from sidecar.config.reader import Reader
from sidecar.config.rules import rules_of, seconds_of


def broken(message: Any, data: dict[str, Any]) -> list[str]:
    reader = Reader(ParseDict(data, message()))
    reader.skip()
    try:
        reader.finish()
    except ConfigError as error:
        return [str(problem) for problem in error.problems]
    return []


GOOD_ACTION = {"cluster": "a"}


@pytest.mark.parametrize(
    ("message", "data", "expected"),
    [
        (Cluster, {}, ["name: is required"]),
        (Cluster, {"name": "a"}, []),
        (Cluster, {"name": "a", "connect_timeout": "0s"}, ["connect_timeout: is 0s, must be more than 0s"]),
        (
            Bootstrap,
            {"stats_flush_interval": "400s"},
            ["stats_flush_interval: is 400s, must be at least 0.001s and less than 300s"],
        ),
        (Bootstrap, {"stats_flush_on_admin": False}, ["stats_flush_on_admin: must be true"]),
        (VirtualHost, {"name": "a"}, ["domains: needs 1 or more"]),
        (VirtualHost, {"name": "a", "domains": ["a\r"]}, ["domains: [0] 'a\\r' has a line end or NUL"]),
        (Route, {"route": GOOD_ACTION}, ["match: is required"]),
        (
            Route,
            {"match": {"prefix": "/"}},
            ["action: needs one of direct_response, filter_action, non_forwarding_action, redirect, route"],
        ),
        (RouteMatch, {"prefix": ""}, []),
        (RouteMatch, {"path_separated_prefix": "/a/"}, ["path_separated_prefix: '/a/' does not match ^[^?#]+[^?#/]$"]),
        (RouteAction, {"cluster": ""}, ["cluster: must not be empty"]),
        (WeightedCluster, {}, ["clusters: needs 1 or more"]),
        (TcpProxy.WeightedCluster.ClusterWeight, {"name": "a"}, ["weight: is 0, must be at least 1"]),
        (LbEndpoint, {"endpoint": {}, "load_balancing_weight": 0}, ["load_balancing_weight: is 0, must be at least 1"]),
        (FilterChainMatch, {"source_ports": [0]}, ["source_ports: [0] is 0, must be at least 1 and at most 65535"]),
        (SocketAddress, {"address": "a", "port_value": 70000}, ["port_value: is 70000, must be at most 65535"]),
        (OutlierDetection, {"max_ejection_percent": 101}, ["max_ejection_percent: is 101, must be at most 100"]),
        (RetryPolicy.RetryBackOff, {}, ["base_interval: is required"]),
        (HeaderMatcher, {"name": "a" * 10, "prefix_match": ""}, ["prefix_match: must not be empty"]),
        (Router, {"strict_check_headers": ["x"]}, None),
    ],
)  # fmt: skip
def test_rules(message: Any, data: dict[str, Any], expected: list[str] | None) -> None:
    found = broken(message, data)
    if expected is None:
        assert len(found) == 1
    else:
        assert found == expected


def test_an_enum_value_that_there_is_not() -> None:
    message = Cluster(name="a")
    message.MergeFromString(b"\x30\x63")  # lb_policy: 99
    reader = Reader(message)
    reader.skip()
    with pytest.raises(ConfigError, match="lb_policy: 99 is not a value of LbPolicy"):
        reader.finish()


def test_rules_are_made_once_a_type() -> None:
    assert rules_of(Cluster.DESCRIPTOR) is rules_of(Cluster.DESCRIPTOR)


def test_seconds() -> None:
    message = Cluster()
    message.connect_timeout.FromMilliseconds(1250)
    assert seconds_of(message.connect_timeout) == 1.25
