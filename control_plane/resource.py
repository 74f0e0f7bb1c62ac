"""A resource as it is sent: named, versioned by the hash of its content, its bytes framed for both xDS variants."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from google.protobuf import descriptor_pool
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.message_factory import GetMessageClass

from mesh.protobuf import delimited, varint
from mesh.xds import CLUSTER, ENDPOINT, LISTENER, ROUTE, VIRTUAL_HOST, version_of

# What a client asks for by name once it has a resource of the other type.
ASKED: Final = {CLUSTER: ENDPOINT, LISTENER: ROUTE}

# Protobuf keys (field number << 3 | 2) of the length-delimited fields written here.
_ANY_TYPE_URL: Final = b"\x0a"
_ANY_VALUE: Final = b"\x12"
_RESOURCES: Final = b"\x12"  # of DiscoveryResponse and of DeltaDiscoveryResponse
_RESOURCE_VERSION: Final = b"\x0a"
_RESOURCE_NAME: Final = b"\x1a"
_RESOURCE_BODY: Final = b"\x12"

_NOTHING: Final[frozenset[str]] = frozenset()  # of which Python makes another each time


@dataclass(frozen=True, slots=True, weakref_slot=True, eq=False)
class Versioned:
    """`packed` is a serialised google.protobuf.Any; the two heads are what goes in front of it in a response of either
    variant, so that a response is assembled by joining. `asks` are the names of the resources that a client asks for
    once it has this one (a cluster's endpoints, a listener's routes), `binds` what no two may have: a listener's
    addresses, a virtual host's domains. `by_vhds`: a route configuration whose virtual hosts are resources. `mark` hashes
    type, name and content, for sums over sets.

    It is what is kept of a message: its bytes are a tenth of what the message takes."""

    name: str
    version: str
    packed: bytes = b""
    sotw_head: bytes = b""
    delta_head: bytes = b""
    asks: tuple[str, ...] = ()
    binds: frozenset[str] = _NOTHING
    by_vhds: bool = False
    mark: int = 0

    @property
    def known(self) -> bool:
        """False for one that a client brought along from an earlier stream and that is not current: only its version
        is known."""
        return bool(self.packed)

    @property
    def message(self) -> Any:
        """The message that this was made of: an equal one, which is another with each call."""
        envelope = AnyMessage.FromString(self.packed)
        made = GetMessageClass(descriptor_pool.Default().FindMessageTypeByName(envelope.TypeName()))()
        envelope.Unpack(made)
        return made


def message_of(resource: Any) -> Any:
    """The message of a resource that is ready to be sent, or is one still."""
    return resource.message if isinstance(resource, Versioned) else resource


def messages_of(resources: Mapping[str, Any]) -> dict[str, Any]:
    """Those of all of these, by name."""
    return {name: message_of(resource) for name, resource in resources.items()}


def versioned(type_url: str, name: str, message: Any) -> Versioned:
    """`message` ready to be sent. Its bytes are deterministic, so that equal content has equal versions."""
    content = message.SerializeToString(deterministic=True)
    version = version_of(content)
    packed = delimited(_ANY_TYPE_URL, type_url.encode()) + delimited(_ANY_VALUE, content)
    encoded_name = name.encode()
    body_head = _RESOURCE_BODY + varint(len(packed))
    inner_head = delimited(_RESOURCE_VERSION, version.encode()) + delimited(_RESOURCE_NAME, encoded_name) + body_head
    mark = hashlib.blake2b(b"\0".join((type_url.encode(), encoded_name, content)), digest_size=16).digest()
    return Versioned(
        name=name,
        version=version,
        packed=packed,
        sotw_head=_RESOURCES + varint(len(packed)),
        delta_head=_RESOURCES + varint(len(inner_head) + len(packed)) + inner_head,
        asks=asks_for(type_url, message),
        binds=_binds(type_url, message),
        by_vhds=type_url == ROUTE and message.HasField("vhds"),
        mark=int.from_bytes(mark, "big"),
    )


def asks_for(type_url: str, message: Any) -> tuple[str, ...]:
    """The names that a client asks for by itself once it has `message`: endpoints for a cluster that finds them by EDS,
    route configurations for a listener."""
    if type_url == CLUSTER:
        if message.WhichOneof("cluster_discovery_type") != "type" or message.type != message.EDS:
            return ()
        return (message.eds_cluster_config.service_name or message.name,)
    if type_url == LISTENER:
        return tuple(dict.fromkeys(_route_names(message)))
    return ()


def _route_names(listener: Any) -> list[str]:
    chains = [*listener.filter_chains, listener.default_filter_chain]
    configs = [f.typed_config for chain in chains for f in chain.filters if f.WhichOneof("config_type")]
    if listener.HasField("api_listener"):
        configs.append(listener.api_listener.api_listener)
    return [name for config in configs if (name := _rds_name(config))]


def _rds_name(config: Any) -> str:
    from envoy.extensions.filters.network.http_connection_manager.v3.http_connection_manager_pb2 import (
        HttpConnectionManager,
    )

    if not config.Is(HttpConnectionManager.DESCRIPTOR):
        return ""
    manager = HttpConnectionManager()
    config.Unpack(manager)
    return str(manager.rds.route_config_name) if manager.HasField("rds") else ""


def _binds(type_url: str, message: Any) -> frozenset[str]:
    if type_url == VIRTUAL_HOST:
        return frozenset(map(str.lower, message.domains))
    return _addresses(message) if type_url == LISTENER else _NOTHING


def _addresses(listener: Any) -> frozenset[str]:
    addresses = [listener.address, *(extra.address for extra in listener.additional_addresses)]
    return frozenset(
        f"{a.socket_address.address}:{a.socket_address.port_value}"
        for a in addresses
        if a.WhichOneof("address") == "socket_address"
    )
