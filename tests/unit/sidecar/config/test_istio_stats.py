from __future__ import annotations

from typing import Any

import pytest
from envoy.config.listener.v3.listener_pb2 import Listener as ListenerMessage
from google.protobuf.json_format import ParseDict

from mesh.errors import ConfigError
from sidecar.config.listeners import compile_listener
from sidecar.config.model import Listener, MetricChange, TcpProxy
from tests.unit.sidecar.config.test_hcm import changed

STATS = "xds.type.v3.TypedStruct"
ROUTER = {
    "name": "router",
    "typed_config": {"@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"},
}
TCP = {
    "name": "tcp",
    "typed_config": {
        "@type": "type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy",
        "stat_prefix": "t",
        "cluster": "c",
    },
}
WHERE = {"socket_address": {"address": "127.0.0.1", "port_value": 1}}


def stats(**config: Any) -> tuple[MetricChange, ...]:
    typed = {"@type": f"type.googleapis.com/{STATS}", "type_url": "x/stats.PluginConfig", "value": config}
    return changed(http_filters=[{"name": "istio.stats", "typed_config": typed, "is_optional": True}, ROUTER]).metrics


def test_metrics_that_are_other_than_usual() -> None:
    rows = [
        {
            "name": "requests_total",
            "dimensions": {"b": "request.host", "a": "'1'"},
            "tags_to_remove": ["response_flags"],
        },
        {"name": "request_bytes", "drop": True},
    ]
    assert stats(metrics=rows) == (
        MetricChange("requests_total", False, (("a", "'1'"), ("b", "request.host")), frozenset(("response_flags",))),
        MetricChange("request_bytes", True),
    )
    assert stats() == ()


@pytest.mark.parametrize(
    ("config", "problem"),
    [
        ({"metrics": [{"name": "requests"}]}, "typed_config.metrics[0].name: 'requests' is none of requests_total"),
        ({"metrics": [{"name": "requests_total", "match": "x"}]}, "metrics[0].match: is not implemented"),
        (
            {"metrics": [{"name": "requests_total", "dimensions": {"a": "nosuch"}}]},
            "dimensions.a: nosuch is no attribute",
        ),
        ({"metrics": [{"name": "requests_total", "dimensions": ["a"]}]}, "dimensions must be a mapping"),
        ({"metrics": "x"}, "typed_config.metrics: must be a list of metrics"),
        ({"definitions": []}, "typed_config.definitions: is not implemented"),
    ],
)
def test_what_is_wrong_is_told(config: dict[str, Any], problem: str) -> None:
    with pytest.raises(ConfigError) as caught:
        stats(**config)
    assert problem in str(caught.value)


def sessions(last: dict[str, Any], **config: Any) -> Listener:
    typed = {"@type": f"type.googleapis.com/{STATS}", "type_url": "x/stats.PluginConfig", "value": config}
    chain = {"filters": [{"name": "istio.stats", "typed_config": typed}, last]}
    message = ParseDict({"name": "l", "address": WHERE, "filter_chains": [chain]}, ListenerMessage())
    return compile_listener(message)


def test_metrics_of_tcp_that_are_other_than_usual() -> None:
    rows = [
        {"name": "tcp_sent_bytes_total", "drop": True},
        {"name": "requests_total", "drop": True},  # Istio says the same to both filters
    ]
    assert stats(metrics=rows) == (MetricChange("requests_total", True),)
    network = sessions(TCP, metrics=rows, tcp_reporting_duration="1.5s").chains[0].network
    assert isinstance(network, TcpProxy)
    assert (network.metrics, network.report_interval) == ((MetricChange("tcp_sent_bytes_total", True),), 1.5)
    assert sessions(TCP).chains[0].network == TcpProxy("t", network.clusters)


def test_what_is_wrong_with_those_of_tcp() -> None:
    with pytest.raises(ConfigError, match="'soon' is no duration such as 5s"):
        sessions(TCP, tcp_reporting_duration="soon")
    typed = {
        "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
    }
    typed |= {"stat_prefix": "x", "route_config": {}, "http_filters": [ROUTER]}
    with pytest.raises(ConfigError, match="belongs before a TCP proxy"):
        sessions({"name": "hcm", "typed_config": typed})
