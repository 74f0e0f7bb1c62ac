"""Requests and responses on the wire."""

from __future__ import annotations

from envoy.service.discovery.v3.discovery_pb2 import (
    DeltaDiscoveryRequest,
    DeltaDiscoveryResponse,
    DiscoveryRequest,
    DiscoveryResponse,
)

from mesh.xds import CLUSTER
from sidecar.xds.resources import Raw
from sidecar.xds.subscriptions import DeltaRequest, SotwRequest
from sidecar.xds.wire import read_response, request_message


def test_a_delta_request() -> None:
    request = DeltaRequest(CLUSTER, ("a",), ("b",), {"c": "1"}, "n", "bad")
    message = request_message(request, {"id": "me", "metadata": {"N": 1}})
    assert isinstance(message, DeltaDiscoveryRequest)
    assert list(message.resource_names_subscribe) == ["a"]
    assert list(message.resource_names_unsubscribe) == ["b"]
    assert dict(message.initial_resource_versions) == {"c": "1"}
    assert (message.type_url, message.response_nonce, message.node.id) == (CLUSTER, "n", "me")
    assert (message.error_detail.code, message.error_detail.message) == (3, "bad")


def test_a_request_in_state_of_the_world() -> None:
    message = request_message(SotwRequest(CLUSTER, ("a",), "v", "n"), None)
    assert isinstance(message, DiscoveryRequest)
    assert (list(message.resource_names), message.version_info, message.response_nonce) == (["a"], "v", "n")
    assert not message.HasField("error_detail")
    assert not message.HasField("node")


def test_a_delta_response() -> None:
    message = DeltaDiscoveryResponse(type_url=CLUSTER, nonce="n", system_version_info="s", removed_resources=["x"])
    each = message.resources.add(name="a", version="1")
    each.resource.type_url, each.resource.value = CLUSTER, b"v"
    message.resources.add(name="alive", version="1")
    incoming = read_response(message, delta=True)
    assert incoming.resources == (Raw("a", "1", CLUSTER, b"v"),)
    assert (incoming.type_url, incoming.nonce, incoming.version, incoming.removed) == (CLUSTER, "n", "s", ("x",))
    assert incoming.size == message.ByteSize()


def test_a_response_in_state_of_the_world() -> None:
    message = DiscoveryResponse(type_url=CLUSTER, nonce="n", version_info="v")
    message.resources.add(type_url=CLUSTER, value=b"v")
    incoming = read_response(message, delta=False)
    assert incoming.resources == (Raw("", "v", CLUSTER, b"v"),)
    assert (incoming.version, incoming.removed) == ("v", ())
