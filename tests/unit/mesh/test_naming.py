from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.naming import ClusterName, inbound_cluster, inbound_port, outbound_cluster, service_host


def test_cluster_names_are_istios() -> None:
    assert outbound_cluster("reviews.default.svc.cluster.local", 9080, "v1") == (
        "outbound|9080|v1|reviews.default.svc.cluster.local"
    )
    assert outbound_cluster("a.b", 80) == "outbound|80||a.b"
    assert inbound_cluster(9080) == "inbound|9080||"


@given(st.sampled_from(["inbound", "outbound"]), st.integers(0, 65535), st.from_regex("[a-z0-9-]*", fullmatch=True))
def test_cluster_names_parse_back(direction: str, port: int, subset: str) -> None:
    name = ClusterName(direction, port, subset, "a.b")
    assert ClusterName.parse(str(name)) == name


@pytest.mark.parametrize("name", ["", "PassthroughCluster", "outbound|x||a.b", "outbound|80|a.b", "a|1|b|c|d"])
def test_other_names_are_no_cluster_names(name: str) -> None:
    assert ClusterName.parse(name) is None


def test_hosts_are_completed_in_their_namespace() -> None:
    assert service_host("reviews", "prod") == "reviews.prod.svc.cluster.local"
    assert service_host("api.example.com", "prod") == "api.example.com"


def test_inbound_ports() -> None:
    assert [inbound_port(index) for index in range(3)] == [15006, 15106, 15206]
