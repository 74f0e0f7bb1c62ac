"""Between xDS messages and our words. Responses are assembled from bytes that were serialised once."""

from __future__ import annotations

import sys
from collections.abc import Collection
from dataclasses import replace
from typing import Any, Final

from control_plane.ads.admission import MAX_AGENT, MAX_ERROR, NodeError, check_metadata, check_names, check_node_size
from control_plane.ads.push import Push, Variant
from control_plane.ads.subscription import DeltaRequest, Request, SotwRequest
from mesh.node import Locality, Node
from mesh.protobuf import delimited
from mesh.version import AGENT_NAME
from mesh.xds import TAKES_VIRTUAL_HOSTS

SERVICE: Final = "envoy.service.discovery.v3.AggregatedDiscoveryService"
METHODS: Final = {Variant.SOTW: "StreamAggregatedResources", Variant.DELTA: "DeltaAggregatedResources"}

# The first version whose VHDS takes ADS for a source (https://github.com/envoyproxy/envoy/pull/42812).
ENVOY_WITH_VHDS: Final = (1, 38)

# Protobuf keys of DiscoveryResponse and DeltaDiscoveryResponse, which agree but for the last.
_VERSION: Final = b"\x0a"
_TYPE_URL: Final = b"\x22"
_NONCE: Final = b"\x2a"
_REMOVED: Final = b"\x32"


def encode(push: Push, variant: Variant) -> bytes:
    """The serialised response."""
    parts = [delimited(_VERSION, push.version.encode())]
    for resource in push.resources:
        parts += (resource.sotw_head if variant is Variant.SOTW else resource.delta_head, resource.packed)
    parts.append(delimited(_TYPE_URL, push.type_url.encode()))
    parts.append(delimited(_NONCE, push.nonce.encode()))
    if variant is Variant.DELTA:
        parts += (delimited(_REMOVED, name.encode()) for name in push.removed)
    return b"".join(parts)


def read_request(message: Any, variant: Variant) -> Request:
    """A DiscoveryRequest or DeltaDiscoveryRequest. Names are interned: a thousand proxies ask for the same ones. Raises
    RequestError."""
    error = message.error_detail.message[:MAX_ERROR] if message.HasField("error_detail") else None
    if variant is Variant.SOTW:
        return SotwRequest(
            message.type_url, _names(message.resource_names), message.version_info, message.response_nonce, error
        )
    return DeltaRequest(
        message.type_url,
        _names(message.resource_names_subscribe),
        _names(message.resource_names_unsubscribe),
        dict(message.initial_resource_versions),
        message.response_nonce,
        error,
    )


def _names(names: Collection[str]) -> tuple[str, ...]:
    check_names(names)
    return tuple(map(sys.intern, names))


def read_node(message: Any, variant: Variant) -> Node:
    """The proxy behind the first request of a stream. Raises NodeError."""
    from google.protobuf.json_format import MessageToDict

    if not message.HasField("node") or not message.node.id:
        raise NodeError("the first request on a stream must carry a node with an id")
    node = message.node
    check_node_size(node)
    locality = Locality(node.locality.region, node.locality.zone, node.locality.sub_zone)
    try:
        metadata = MessageToDict(node.metadata)
        check_metadata(node.id, metadata)
        found = Node.from_xds(node.id, metadata, locality)
        return replace(
            found,
            agent=_agent(node),
            has_stats=_has_stats(node),
            takes_virtual_hosts=variant is Variant.DELTA and _knows_vhds(node),
        )
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise NodeError(f"node {node.id!r}: its metadata cannot be read: {type(error).__name__}: {error}") from error


def _agent(node: Any) -> str:
    """`asyncmesh 0.1.0`, `envoy 1.40.0`; empty for one that does not say."""
    version = node.user_agent_version
    if node.HasField("user_agent_build_version"):
        number = node.user_agent_build_version.version
        version = f"{number.major_number}.{number.minor_number}.{number.patch}"
    return f"{node.user_agent_name} {version}".strip()[:MAX_AGENT]


def _has_stats(node: Any) -> bool:
    """Our sidecars have Istio's statistics filter built in; an Envoy lists what it was built with."""
    if node.user_agent_name == AGENT_NAME:
        return True
    return any(each.name == "istio.stats" and each.category == "envoy.filters.network" for each in node.extensions)


def _knows_vhds(node: Any) -> bool:
    """Whether a client takes virtual hosts over ADS: it says so, or is an Envoy that does."""
    version = node.user_agent_build_version.version
    envoy = node.user_agent_name == "envoy" and (version.major_number, version.minor_number) >= ENVOY_WITH_VHDS
    return envoy or TAKES_VIRTUAL_HOSTS in node.client_features


def request_reader(variant: Variant) -> Any:
    """The deserialiser of a method's requests."""
    from envoy.service.discovery.v3.discovery_pb2 import DeltaDiscoveryRequest, DiscoveryRequest

    return (DiscoveryRequest if variant is Variant.SOTW else DeltaDiscoveryRequest).FromString
