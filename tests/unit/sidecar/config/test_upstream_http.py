"""How a cluster speaks HTTP."""

from __future__ import annotations

from typing import Any

import pytest
from envoy.config.cluster.v3.cluster_pb2 import Cluster as ClusterMessage
from google.protobuf.json_format import ParseDict

from mesh.errors import ConfigError
from sidecar.config.clusters import compile_cluster
from sidecar.config.model import (
    Cluster,
)
from tests.unit.sidecar.config.build import HTTP_OPTIONS, Data, T, cluster_of, parts

COMMON = {
    "idle_timeout": "0s",
    "max_requests_per_connection": 3,
    "max_connection_duration": "7s",
    "max_headers_count": 5,
    "max_response_headers_kb": 2,
}


def changed(**cluster: Any) -> Cluster:
    given = parts()
    given.cluster.update(cluster)
    return cluster_of(given)


def options(**fields: Any) -> Data:
    return {HTTP_OPTIONS: {"@type": T + HTTP_OPTIONS, **fields}}


def test_http_options() -> None:
    cluster = changed(
        typed_extension_protocol_options=options(
            explicit_http_config={"http_protocol_options": {"enable_trailers": True}},
            common_http_protocol_options=COMMON,
        )
    )
    assert (cluster.idle_timeout, cluster.max_requests_per_connection, cluster.enable_trailers) == (0.0, 3, True)
    assert (cluster.max_connection_duration, cluster.max_response_headers, cluster.max_response_head) == (7.0, 5, 2048)


def test_old_options_count_unless_there_are_new_ones() -> None:
    old = {"common_http_protocol_options": COMMON, "http_protocol_options": {"enable_trailers": True}}
    cluster = changed(**old)
    assert (cluster.max_requests_per_connection, cluster.enable_trailers) == (3, True)
    new = options(explicit_http_config={"http_protocol_options": {}})
    cluster = changed(**old, typed_extension_protocol_options=new)
    assert (cluster.max_requests_per_connection, cluster.enable_trailers) == (0, False)


def test_http2_is_for_the_control_plane_only() -> None:
    message = ParseDict(
        {
            "name": "a",
            "type": "STATIC",
            "typed_extension_protocol_options": options(
                explicit_http_config={
                    "http2_protocol_options": {"connection_keepalive": {"interval": "10s", "timeout": "5s"}}
                }
            ),
        },
        ClusterMessage(),
    )
    cluster = compile_cluster(message, http2=True)
    assert (cluster.http2, cluster.ping_interval, cluster.ping_timeout) == (True, 10.0, 5.0)
    with pytest.raises(ConfigError, match="HTTP/2 to an upstream is not implemented"):
        compile_cluster(message)
