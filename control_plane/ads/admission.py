"""Limits at the door: what a client may send of itself, and how much it may ask for. Whoever exceeds one is told which.

They are far above what any real proxy needs, and low enough that the worst that they let through costs milliseconds.
"""

from __future__ import annotations

import ipaddress
import math
import socket
from collections.abc import Iterable, Mapping
from enum import Enum
from typing import Any, Final

from mesh.errors import MeshError
from mesh.node import Node

MAX_NODE_BYTES: Final = 64 * 1024  # Istio's own metadata is 2 to 6 KB
MAX_NODE_ID: Final = 1024
MAX_PORTS: Final = 500  # without interception the proxy has a port for each, a hundred apart
MAX_LABELS: Final = 256
MAX_PORT_NUMBER: Final = 65535
MAX_NAMES: Final = 50_000  # of one type that one stream is subscribed to: 5,000 services of 10 ports or subsets
MAX_NAME: Final = 2048
MAX_TYPES: Final = 32
MAX_AGENT: Final = 100  # characters of a proxy's name for itself that are kept
MAX_ERROR: Final = 4096  # characters of a rejection's reason that are kept


class RequestError(MeshError):
    """A request that is refused, and its stream with it."""


class NodeError(RequestError):
    """A first request whose node cannot be taken."""


class LocalAddresses(Enum):
    """From whom a loopback or link-local address is believed: whoever sends traffic there reaches its own machine."""

    SAME_HOST = "same-host"
    ANYWHERE = "anywhere"


def check_node_size(node: Any) -> None:
    """Before anything of it is read. Raises NodeError."""
    size = node.ByteSize()
    if size > MAX_NODE_BYTES:
        raise NodeError(f"node {node.id[:100]!r} has {size:,} bytes; {MAX_NODE_BYTES:,} is the limit")
    if len(node.id) > MAX_NODE_ID:
        raise NodeError(f"node id {node.id[:100]!r}… has {len(node.id):,} characters; {MAX_NODE_ID:,} is the limit")


def check_metadata(node_id: str, metadata: Mapping[str, Any]) -> None:
    """The parts of it that cost more than their bytes. Raises NodeError."""
    ports = metadata.get("SERVICE_PORTS", ())
    if isinstance(ports, list):
        if len(ports) > MAX_PORTS:
            raise NodeError(f"node {node_id!r}: SERVICE_PORTS has {len(ports):,} ports; {MAX_PORTS:,} is the limit")
        for index, port in enumerate(ports):
            if isinstance(port, dict):
                _check_number(node_id, f"SERVICE_PORTS[{index}].number", port.get("number"), least=1)
                _check_number(node_id, f"SERVICE_PORTS[{index}].target", port.get("target", 0), least=0)
    for name in ("OUTBOUND_PORT", "INBOUND_PORT"):
        _check_number(node_id, name, metadata.get(name, 1), least=1)
    labels = metadata.get("LABELS", {})
    if isinstance(labels, dict) and len(labels) > MAX_LABELS:
        raise NodeError(f"node {node_id!r}: LABELS has {len(labels):,} labels; {MAX_LABELS:,} is the limit")


def _check_number(node_id: str, field: str, value: Any, least: int) -> None:
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 10:
        value = int(value)
    number = value if isinstance(value, int | float) and not isinstance(value, bool) else math.nan
    if not (least <= number <= MAX_PORT_NUMBER and number == int(number)):
        raise NodeError(
            f"node {node_id!r}: {field} must be a port number from {least} to {MAX_PORT_NUMBER}, not {value!r:.40}"
        )


def check_names(names: Iterable[str]) -> None:
    """Raises RequestError for a name that no resource has."""
    for name in names:
        if len(name) > MAX_NAME:
            raise RequestError(f"resource name {name[:100]!r}… has {len(name):,} characters; {MAX_NAME:,} is the limit")


def check_count(type_url: str, count: int) -> None:
    """Raises RequestError when a stream is subscribed to more names of a type than a mesh could have for it."""
    if count > MAX_NAMES:
        raise RequestError(f"{type_url}: {count:,} resource names are asked for; {MAX_NAMES:,} is the limit")


def check_types(types: int) -> None:
    """Raises RequestError when a stream asks for more types than there are."""
    if types > MAX_TYPES:
        raise RequestError(f"{types} types of resources are asked for on one stream; {MAX_TYPES} is the limit")


def check_address(node: Node, peer: str, policy: LocalAddresses) -> None:
    """`peer` is gRPC's name of who is connected. Raises NodeError for an address that means another machine for everybody
    else: with it a workload would draw others' traffic to themselves."""
    if policy is LocalAddresses.ANYWHERE or not node.address or not is_local(node.address):
        return
    if not is_this_machine(peer):
        raise NodeError(
            f"node {node.id!r}: its address {node.address} means this machine only, and it connects from another "
            f"({peer}); give it one that others reach, or start the control plane with --local-addresses anywhere"
        )


def is_local(address: str) -> bool:
    """Loopback or link-local."""
    try:
        ip = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    mapped = ip.ipv4_mapped if isinstance(ip, ipaddress.IPv6Address) else None
    return (mapped or ip).is_loopback or (mapped or ip).is_link_local


def is_this_machine(peer: str) -> bool:
    """Whether a peer, `ipv4:HOST:PORT`, `ipv6:[HOST]:PORT` or `unix:PATH`, is a process of this machine."""
    scheme, _, rest = peer.partition(":")
    if scheme in ("unix", "unix-abstract"):
        return True
    host = rest.rpartition(":")[0].replace("%5B", "[").replace("%5D", "]").strip("[]").partition("%")[0]
    try:
        ip = ipaddress.ip_address(host)
    except ValueError:
        return False
    if ip.is_loopback:
        return True
    # Only an address of one's own can be bound.
    family = socket.AF_INET if ip.version == 4 else socket.AF_INET6
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind((host, 0))
        except OSError:
            return False
    return True
