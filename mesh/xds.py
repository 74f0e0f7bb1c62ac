"""Envoy's v3 resource types: their URLs, the order in which they are pushed, and packing."""

from __future__ import annotations

import hashlib
from enum import StrEnum
from typing import Any, Final

CLUSTER: Final = "type.googleapis.com/envoy.config.cluster.v3.Cluster"
ENDPOINT: Final = "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment"
LISTENER: Final = "type.googleapis.com/envoy.config.listener.v3.Listener"
ROUTE: Final = "type.googleapis.com/envoy.config.route.v3.RouteConfiguration"
SECRET: Final = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret"

# Make before break: what is pointed to goes before what points to it.
PUSH_ORDER: Final = (CLUSTER, ENDPOINT, LISTENER, ROUTE)

# Istio's type of a request by which a proxy tells how its app is: an error_detail says what is wrong, none that all is well.
HEALTH: Final = "type.googleapis.com/istio.v1.HealthInformation"
DRAINING: Final = "draining"  # the reason of a proxy that ends

SHORT: Final = {CLUSTER: "CDS", ENDPOINT: "EDS", LISTENER: "LDS", ROUTE: "RDS", SECRET: "SDS"}


class SyncState(StrEnum):
    """Whether a proxy has what it is to have of a type."""

    SYNCED = "SYNCED"
    STALE = "STALE"
    NACKED = "NACKED"
    NOT_SENT = "NOT SENT"


def version_of(content: bytes) -> str:
    """A resource's version is the hash of its bytes: identical content is never pushed twice."""
    return hashlib.blake2b(content, digest_size=8).hexdigest()


def any_of(message: Any) -> Any:
    """`message` packed into a google.protobuf.Any with deterministic bytes."""
    from google.protobuf.any_pb2 import Any as AnyMessage

    packed = AnyMessage()
    packed.Pack(message, deterministic=True)
    return packed
