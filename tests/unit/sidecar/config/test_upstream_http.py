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
            common_http_protocol_options={"idle_timeout": "0s", "max_requests_per_connection": 3},
        )
    )
    assert (cluster.idle_timeout, cluster.max_requests_per_connection, cluster.enable_trailers) == (0.0, 3, True)


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
