"""Envoy's v3 resource types: their URLs, the order in which they are pushed, and packing."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from enum import StrEnum
from typing import Any, Final

from mesh.protobuf import delimited

CLUSTER: Final = "type.googleapis.com/envoy.config.cluster.v3.Cluster"
ENDPOINT: Final = "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment"
LISTENER: Final = "type.googleapis.com/envoy.config.listener.v3.Listener"
ROUTE: Final = "type.googleapis.com/envoy.config.route.v3.RouteConfiguration"
VIRTUAL_HOST: Final = "type.googleapis.com/envoy.config.route.v3.VirtualHost"
SECRET: Final = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret"

# Make before break: what is pointed to goes before what points to it.
PUSH_ORDER: Final = (CLUSTER, ENDPOINT, LISTENER, ROUTE, VIRTUAL_HOST)

# By this client feature a client says that it takes virtual hosts as resources (VHDS) over a delta ADS stream. (An Envoy
# does from its version 1.38 on, and says nothing.)
TAKES_VIRTUAL_HOSTS: Final = "asyncmesh.xds.virtual_hosts"

# Istio's type of a request by which a proxy tells how its app is: an error_detail says what is wrong, none that all is well.
HEALTH: Final = "type.googleapis.com/istio.v1.HealthInformation"
DRAINING: Final = "draining"  # the reason of a proxy that ends

SHORT: Final = {
    CLUSTER: "CDS",
    ENDPOINT: "EDS",
    LISTENER: "LDS",
    ROUTE: "RDS",
    VIRTUAL_HOST: "VHDS",
    SECRET: "SDS",
}


_VIRTUAL_HOSTS: Final = b"\x12"  # the protobuf key of RouteConfiguration.virtual_hosts


class SyncState(StrEnum):
    """Whether a proxy has what it is to have of a type."""

    SYNCED = "SYNCED"
    STALE = "STALE"
    NACKED = "NACKED"
    NOT_SENT = "NOT SENT"


def routes_of(virtual_host: str) -> str:
    """The route configuration that a virtual host as a resource belongs to: it is called ROUTES/HOST."""
    return virtual_host.rpartition("/")[0]


def with_virtual_hosts(routes: bytes, hosts: Iterable[bytes]) -> bytes:
    """A serialised route configuration with these virtual hosts, serialised too, behind its own: in protobuf two messages
    one after the other are one that has the repeated fields of both."""
    return b"".join((routes, *(delimited(_VIRTUAL_HOSTS, host) for host in hosts)))


def version_of(content: bytes) -> str:
    """A resource's version is the hash of its bytes: identical content is never pushed twice."""
    return hashlib.blake2b(content, digest_size=8).hexdigest()


def any_of(message: Any) -> Any:
    """`message` packed into a google.protobuf.Any with deterministic bytes."""
    from google.protobuf.any_pb2 import Any as AnyMessage

    packed = AnyMessage()
    packed.Pack(message, deterministic=True)
    return packed
