"""Resources as they come."""

from __future__ import annotations

from typing import Any

import pytest
from envoy.config.cluster.v3.cluster_pb2 import Cluster as ClusterMessage
from envoy.config.endpoint.v3.endpoint_pb2 import ClusterLoadAssignment

from mesh.xds import CLUSTER, ENDPOINT
from sidecar.config.model import Assignment, Cluster, Discovery
from sidecar.xds.resources import Raw, name_of, read


def raw(message: Any, name: str = "", type_url: str = CLUSTER) -> Raw:
    return Raw(name, "1", type_url, message.SerializeToString())


def test_compiles_each() -> None:
    found = read(CLUSTER, (raw(ClusterMessage(name="a"), "a"), raw(ClusterMessage(name="b"))), {})
    assert [(each.name, each.error) for each in found] == [("a", ""), ("b", "")]
    assert isinstance(found[0].compiled, Cluster)


def test_the_same_bytes_are_not_compiled_again() -> None:
    message = ClusterMessage(name="a")
    known = Cluster("a", Discovery.STATIC)
    (found,) = read(CLUSTER, (raw(message),), {message.SerializeToString(): known})
    assert found.compiled is known
    assert found.name == "a"


@pytest.mark.parametrize(
    ("given", "error"),
    [
        (Raw("a", "1", CLUSTER, b"\xff"), "cannot be decoded"),
        (raw(ClusterMessage(name="b"), "a"), "is called 'b' in the message"),
        (raw(ClusterLoadAssignment(cluster_name="a"), "a", ENDPOINT), f"is a {ENDPOINT}, not a {CLUSTER}"),
        (raw(ClusterMessage(name="a", lb_policy=7), "a"), "lb_policy: LOAD_BALANCING_POLICY_CONFIG is not implemented"),
        (Raw("a", "1", CLUSTER, b"\x0a\x01a\xfa\x3f\x01a"), "field number 1023 is unknown"),
    ],
)
def test_what_is_wrong(given: Raw, error: str) -> None:
    (found,) = read(CLUSTER, (given,), {})
    assert found.name == "a"
    assert found.compiled is None
    assert error in found.error


def test_all_problems_of_a_resource_in_one_line() -> None:
    message = ClusterMessage(name="a", lb_policy=7)
    message.connect_timeout.FromSeconds(0)
    (found,) = read(CLUSTER, (raw(message),), {})
    assert found.error == (
        "connect_timeout: is 0s, must be more than 0s; lb_policy: LOAD_BALANCING_POLICY_CONFIG is not implemented"
    )


def test_one_name_twice() -> None:
    found = read(CLUSTER, (raw(ClusterMessage(name="a")), raw(ClusterMessage(name="a", alt_stat_name="b"))), {})
    assert [(each.name, each.error) for each in found] == [("a", "is in the response twice")]


def test_names() -> None:
    assert name_of(Cluster("a", Discovery.STATIC)) == "a"
    assert name_of(Assignment("b")) == "b"
