"""Requests as plain data → protobuf, and responses back; the method of each protocol."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from google.protobuf.json_format import ParseDict

from mesh.version import AGENT_NAME, VERSION
from mesh.xds import HEALTH, TAKES_VIRTUAL_HOSTS
from sidecar.xds.resources import Raw
from sidecar.xds.subscriptions import DeltaRequest, Request

_SERVICE: Final = "/envoy.service.discovery.v3.AggregatedDiscoveryService/"
DELTA_METHOD: Final = _SERVICE + "DeltaAggregatedResources"
SOTW_METHOD: Final = _SERVICE + "StreamAggregatedResources"
INVALID_ARGUMENT: Final = 3
UNAVAILABLE: Final = 14

# What the control plane is told that we are and can, as Envoy tells it.
AGENT: Final = {
    "user_agent_name": AGENT_NAME,
    "user_agent_version": VERSION,
    "client_features": [TAKES_VIRTUAL_HOSTS],
}


@dataclass(frozen=True, slots=True)
class Incoming:
    """A response before anybody looked into its resources. `size` is of the message, in bytes."""

    type_url: str
    nonce: str
    version: str
    resources: tuple[Raw, ...]
    removed: tuple[str, ...]
    size: int


def request_message(request: Request, node: Mapping[str, Any] | None) -> Any:
    """A DeltaDiscoveryRequest or DiscoveryRequest; `node` for the first one of a stream."""
    from envoy.service.discovery.v3 import discovery_pb2

    if isinstance(request, DeltaRequest):
        message = discovery_pb2.DeltaDiscoveryRequest(
            type_url=request.type_url,
            resource_names_subscribe=request.subscribe,
            resource_names_unsubscribe=request.unsubscribe,
            initial_resource_versions=dict(request.versions),
            response_nonce=request.nonce,
        )
    else:
        message = discovery_pb2.DiscoveryRequest(
            type_url=request.type_url,
            resource_names=request.names,
            version_info=request.version,
            response_nonce=request.nonce,
        )
    if request.error:
        message.error_detail.code = INVALID_ARGUMENT
        message.error_detail.message = request.error
    if node is not None:
        ParseDict({**node, **AGENT}, message.node)
    return message


def health_message(problem: str, node: Mapping[str, Any] | None, *, delta: bool) -> Any:
    """How the app is, in Istio's words: an error says what is wrong, "" that all is well."""
    from envoy.service.discovery.v3 import discovery_pb2

    message = (discovery_pb2.DeltaDiscoveryRequest if delta else discovery_pb2.DiscoveryRequest)(type_url=HEALTH)
    if problem:
        message.error_detail.code = UNAVAILABLE
        message.error_detail.message = problem
    if node is not None:
        ParseDict({**node, **AGENT}, message.node)
    return message


def read_response(message: Any, *, delta: bool) -> Incoming:
    if not delta:
        raws = tuple(Raw("", message.version_info, each.type_url, each.value) for each in message.resources)
        return Incoming(message.type_url, message.nonce, message.version_info, raws, (), message.ByteSize())
    raws = tuple(
        Raw(each.name, each.version, each.resource.type_url, each.resource.value)
        for each in message.resources
        if each.HasField("resource")  # one without is a sign of life for a resource that expires: none does here
    )
    removed = tuple(message.removed_resources)
    return Incoming(message.type_url, message.nonce, message.system_version_info, raws, removed, message.ByteSize())
