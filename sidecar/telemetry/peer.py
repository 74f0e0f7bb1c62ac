"""Who is on the other side: Istio's peer metadata, in the headers between sidecars and on endpoints.

`x-envoy-peer-metadata` is a base64 protobuf Struct of node metadata, `x-envoy-peer-metadata-id` a node id; with them
each side's metrics name the other. Clients without a sidecar may send anything: sizes and caches are bounded, and what
cannot be read is an unknown peer.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from google.protobuf.message import DecodeError
from google.protobuf.struct_pb2 import Struct

from mesh.node import Node
from sidecar.config.model import Endpoint
from sidecar.http.headers import Headers

METADATA_HEADER = b"x-envoy-peer-metadata"
ID_HEADER = b"x-envoy-peer-metadata-id"

# Ours take 300 to 600 bytes, Istio's up to about 2 KiB; nothing longer is read.
_LONGEST = 8 * 1024
# Peers known at a time. A workload talks to a few dozen.
_CACHED = 512
# No name in Kubernetes is longer; it keeps what a stranger can put into our metrics small.
_LONGEST_NAME = 253

_CANONICAL_NAME = "service.istio.io/canonical-name"
_CANONICAL_REVISION = "service.istio.io/canonical-revision"


@dataclass(frozen=True, slots=True, eq=False)
class Peer:
    """A workload as its neighbours see it; "" is not known. Compared by identity: equal headers give one object."""

    workload: str = ""
    namespace: str = ""
    canonical_service: str = ""
    canonical_revision: str = ""
    app: str = ""
    version: str = ""
    cluster: str = ""
    name: str = ""
    principal: str = ""


def from_node(node: Node) -> Peer:
    """This proxy's own workload."""
    return Peer(
        workload=node.workload or node.name,
        namespace=node.namespace,
        canonical_service=node.canonical_service,
        canonical_revision=node.canonical_revision,
        app=node.labels.get("app", ""),
        version=node.version,
        cluster=node.cluster_id,
        name=node.name,
    )


def headers(node: Node) -> Headers:
    """The headers that introduce `node`, rendered once a process."""
    own = from_node(node)
    labels = {
        _CANONICAL_NAME: own.canonical_service,
        _CANONICAL_REVISION: own.canonical_revision,
        "app": own.app,
        "version": own.version,
    }
    content = Struct()
    content.update(
        {
            "NAME": own.name,
            "NAMESPACE": own.namespace,
            "WORKLOAD_NAME": own.workload,
            "CLUSTER_ID": own.cluster,
            "LABELS": {key: value for key, value in labels.items() if value},
        }
    )
    return [
        (ID_HEADER, node.id.encode()),
        (METADATA_HEADER, b64encode(content.SerializeToString(deterministic=True))),
    ]


@lru_cache(maxsize=_CACHED)
def _decode(value: bytes) -> Peer | None:
    content = Struct()
    try:
        content.ParseFromString(b64decode(value, validate=True))
    except (ValueError, DecodeError):
        return None
    fields = content.fields
    labels = fields["LABELS"].struct_value.fields if "LABELS" in fields else {}
    return Peer(
        workload=_text(fields, "WORKLOAD_NAME"),
        namespace=_text(fields, "NAMESPACE"),
        canonical_service=_text(labels, _CANONICAL_NAME),
        canonical_revision=_text(labels, _CANONICAL_REVISION),
        app=_text(labels, "app"),
        version=_text(labels, "version"),
        cluster=_text(fields, "CLUSTER_ID"),
        name=_text(fields, "NAME"),
    )


def decode(value: bytes) -> Peer | None:
    """The peer that a metadata header introduces; None for what is not one."""
    return _decode(value) if len(value) <= _LONGEST else None


def _text(fields: Any, key: str) -> str:
    return str(fields[key].string_value)[:_LONGEST_NAME] if key in fields else ""


def from_endpoint(endpoint: Endpoint) -> Peer | None:
    """The peer that an endpoint's metadata names (`istio.workload`: "name;namespace;canonical;revision;cluster"), which
    serves until its response has introduced it."""
    istio = endpoint.metadata.get("istio")
    text = istio.get("workload") if isinstance(istio, Mapping) else None
    parts = text.split(";") if isinstance(text, str) else []
    if len(parts) < 5:
        return None
    workload, namespace, canonical_service, canonical_revision, cluster = parts[:5]
    return Peer(workload, namespace, canonical_service, canonical_revision, cluster=cluster)
