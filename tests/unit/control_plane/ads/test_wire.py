from __future__ import annotations

from typing import Any

import pytest
from envoy.config.cluster.v3.cluster_pb2 import Cluster
from envoy.service.discovery.v3.discovery_pb2 import (
    DeltaDiscoveryRequest,
    DeltaDiscoveryResponse,
    DiscoveryRequest,
    DiscoveryResponse,
)
from google.protobuf.json_format import ParseDict
from hypothesis import given
from hypothesis import strategies as st

from control_plane.ads.admission import NodeError
from control_plane.ads.push import Push, Variant
from control_plane.ads.subscription import DeltaRequest, SotwRequest
from control_plane.ads.wire import encode, read_node, read_request
from control_plane.resource import versioned
from mesh.node import INTERCEPT_REDIRECT, Locality, Node, ServicePort
from mesh.xds import CLUSTER, any_of
from sidecar.xds.wire import AGENT

clusters = st.dictionaries(st.text(max_size=200), st.text(max_size=300), max_size=4).map(
    lambda stats: [Cluster(name=name, alt_stat_name=stat) for name, stat in stats.items()]
)


@given(clusters, st.lists(st.text(max_size=20), max_size=3), st.text(max_size=10))
def test_responses_are_those_that_protobuf_would_write(messages: list[Any], removed: list[str], nonce: str) -> None:
    resources = tuple(versioned(CLUSTER, message.name, message) for message in messages)
    push = Push(CLUSTER, nonce, "v1", resources, tuple(removed))

    sotw = DiscoveryResponse(version_info="v1", type_url=CLUSTER, nonce=nonce, resources=map(any_of, messages))
    assert DiscoveryResponse.FromString(encode(push, Variant.SOTW)) == sotw

    delta = DeltaDiscoveryResponse(system_version_info="v1", type_url=CLUSTER, nonce=nonce, removed_resources=removed)
    for resource, message in zip(resources, messages, strict=True):
        delta.resources.add(name=resource.name, version=resource.version, resource=any_of(message))
    assert DeltaDiscoveryResponse.FromString(encode(push, Variant.DELTA)) == delta


def test_requests_are_read() -> None:
    sotw = DiscoveryRequest(type_url=CLUSTER, resource_names=["a"], version_info="v1", response_nonce="n1")
    assert read_request(sotw, Variant.SOTW) == SotwRequest(CLUSTER, ("a",), "v1", "n1")
    delta = DeltaDiscoveryRequest(
        type_url=CLUSTER,
        resource_names_subscribe=["a"],
        resource_names_unsubscribe=["b"],
        initial_resource_versions={"c": "1"},
        response_nonce="n1",
    )
    assert read_request(delta, Variant.DELTA) == DeltaRequest(CLUSTER, ("a",), ("b",), {"c": "1"}, "n1")


@pytest.mark.parametrize(
    ("kind", "variant"), [(DiscoveryRequest, Variant.SOTW), (DeltaDiscoveryRequest, Variant.DELTA)]
)
def test_an_error_is_one_even_without_a_message(kind: Any, variant: Variant) -> None:
    assert read_request(kind(), variant).error is None
    assert read_request(kind(error_detail={"code": 3}), variant).error == ""
    assert read_request(kind(error_detail={"message": "no"}), variant).error == "no"


def test_the_node_of_our_bootstraps_is_read_back() -> None:
    node = Node(
        "sidecar",
        "127.0.1.3",
        "reviews-1",
        "shop",
        service="reviews",
        labels={"app": "reviews", "version": "v1"},
        ports=(ServicePort(9080, "http", "HTTP", 9081),),
        workload="reviews-v1",
        locality=Locality("eu", "a"),
        interception=INTERCEPT_REDIRECT,
    )
    request = DiscoveryRequest(node=node.to_xds())
    assert read_node(request, Variant.DELTA) == node


@pytest.mark.parametrize(
    "request_",
    [
        DiscoveryRequest(),
        DiscoveryRequest(node={"id": "a", "metadata": {"SERVICE_PORTS": 17}}),
        DiscoveryRequest(node={"cluster": "x"}),
        DiscoveryRequest(node={"id": "a", "metadata": {"SERVICE_PORTS": [{"number": "many"}]}}),
        DiscoveryRequest(node={"id": "a", "metadata": {"SERVICE_PORTS": [{}]}}),
        DiscoveryRequest(node={"id": "a", "metadata": {"LABELS": ["no", "labels"]}}),
    ],
)
def test_a_node_that_cannot_be_read_is_refused(request_: Any) -> None:
    with pytest.raises(NodeError):
        read_node(request_, Variant.DELTA)


def test_who_takes_virtual_hosts() -> None:
    def takes(variant: Variant = Variant.DELTA, **said: Any) -> bool:
        request = DiscoveryRequest()
        ParseDict({"node": {"id": "sidecar~10.0.0.1~a.b~b.svc.cluster.local", **said}}, request)
        return read_node(request, variant).takes_virtual_hosts

    def envoy(minor: int) -> dict[str, Any]:
        version = {"version": {"major_number": 1, "minor_number": minor}}
        return {"user_agent_name": "envoy", "user_agent_build_version": version}

    assert takes(**envoy(38))
    assert not takes(**envoy(37))
    assert not takes(Variant.SOTW, **envoy(40))
    assert takes(**AGENT)
    assert not takes(Variant.SOTW, **AGENT)
    assert not takes(user_agent_name="envoy")
    assert not takes()


@pytest.mark.parametrize(
    ("said", "agent"),
    [
        ({"user_agent_name": "asyncmesh", "user_agent_version": "0.1.0"}, "asyncmesh 0.1.0"),
        (
            {
                "user_agent_name": "envoy",
                "user_agent_build_version": {"version": {"major_number": 1, "minor_number": 40, "patch": 2}},
            },
            "envoy 1.40.2",
        ),
        ({"user_agent_name": "x" * 1000}, "x" * 100),
        ({}, ""),
    ],
)
def test_what_a_proxy_says_that_it_is(said: dict[str, Any], agent: str) -> None:
    request = DiscoveryRequest()
    ParseDict({"node": {"id": "sidecar~10.0.0.1~a.b~b.svc.cluster.local", **said}}, request)
    assert read_node(request, Variant.DELTA).agent == agent
