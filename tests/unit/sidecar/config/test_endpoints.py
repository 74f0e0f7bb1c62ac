"""Assignments."""

from __future__ import annotations

from typing import Any

import pytest
from envoy.config.endpoint.v3.endpoint_pb2 import ClusterLoadAssignment
from google.protobuf.json_format import ParseDict

from mesh.errors import ConfigError
from sidecar.config.endpoints import compile_assignment
from sidecar.config.model import (
    Address,
    Assignment,
    Endpoint,
    Health,
    LocalityEndpoints,
)
from tests.unit.sidecar.config.build import Data, address


def assignment(*endpoints: Data, **fields: Any) -> Assignment:
    data = {"cluster_name": "a", "endpoints": list(endpoints), **fields}
    return compile_assignment(ParseDict(data, ClusterLoadAssignment()))


def test_everything_of_an_assignment() -> None:
    compiled = assignment(
        {
            "locality": {"region": "r", "zone": "z", "sub_zone": "s"},
            "priority": 2,
            "load_balancing_weight": 5,
            "lb_endpoints": [
                {
                    "endpoint": {"address": address(1), "hostname": "h"},
                    "load_balancing_weight": 3,
                    "health_status": "DRAINING",
                    "metadata": {"filter_metadata": {"istio": {"workload": "w"}}},
                }
            ],
        },
        policy={"overprovisioning_factor": 100},
    )
    endpoint = Endpoint(Address("127.0.0.1", 1), "h", 3, Health.DRAINING, {"istio": {"workload": "w"}})
    assert compiled.localities == (LocalityEndpoints((endpoint,), "r", "z", "s", 5, 2),)
    assert (compiled.cluster, compiled.overprovisioning) == ("a", 100)


@pytest.mark.parametrize(
    ("status", "health"),
    [
        ("UNKNOWN", Health.HEALTHY),
        ("HEALTHY", Health.HEALTHY),
        ("UNHEALTHY", Health.UNHEALTHY),
        ("TIMEOUT", Health.UNHEALTHY),
        ("DRAINING", Health.DRAINING),
        ("DEGRADED", Health.DEGRADED),
    ],
)
def test_health(status: str, health: Health) -> None:
    compiled = assignment({"lb_endpoints": [{"endpoint": {"address": address(1)}, "health_status": status}]})
    assert compiled.localities[0].endpoints[0].health is health


@pytest.mark.parametrize("path", ["/run/app.sock", "@app"])
def test_a_unix_domain_socket(path: str) -> None:
    compiled = assignment({"lb_endpoints": [{"endpoint": {"address": {"pipe": {"path": path}}}}]})
    where = compiled.localities[0].endpoints[0].address
    assert (where, str(where), where.is_pipe) == (Address(path, 0), path, True)


def test_an_empty_assignment() -> None:
    assert assignment().localities == ()


@pytest.mark.parametrize(
    ("endpoint", "field"),
    [
        ({"endpoint_name": "x"}, "endpoints[0].lb_endpoints[0].endpoint_name"),
        (
            {"endpoint": {"address": address(1, "name")}},
            "endpoints[0].lb_endpoints[0].endpoint.address.socket_address.address",
        ),
        (
            {"endpoint": {"address": {"pipe": {"path": "app.sock"}}}},
            "endpoints[0].lb_endpoints[0].endpoint.address.pipe.path",
        ),
        ({"endpoint": {}}, "endpoints[0].lb_endpoints[0].endpoint.address"),
        ({}, "endpoints[0].lb_endpoints[0].endpoint"),
    ],
)
def test_bad_endpoints(endpoint: Data, field: str) -> None:
    with pytest.raises(ConfigError) as caught:
        assignment({"lb_endpoints": [endpoint]})
    assert [problem.field for problem in caught.value.problems] == [field]
