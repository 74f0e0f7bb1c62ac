"""The attributes that expressions may name: Envoy's, of a request that is over, and Istio's of the two workloads.

https://www.envoyproxy.io/docs/envoy/latest/intro/arch_overview/advanced/attributes
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from mesh.cel.check import Type

_TEXTS: Final = (
    "request.path", "request.url_path", "request.host", "request.scheme", "request.method", "request.referer",
    "request.useragent", "request.id", "request.protocol", "request.query",
    "response.code_details",
    "source.address", "destination.address",
    "connection.requested_server_name", "connection.termination_details",
    "upstream.address", "upstream.local_address", "upstream.transport_failure_reason",
    "xds.cluster_name", "xds.route_name", "xds.virtual_host_name", "xds.filter_chain_name",
)  # fmt: skip
_NUMBERS: Final = (
    "request.size", "response.code", "response.flags", "response.grpc_status", "response.size", "source.port",
    "destination.port", "upstream.port", "upstream.request_attempt_count",
)  # fmt: skip

OF_REQUESTS: Final[Mapping[str, Type]] = {
    **dict.fromkeys(_TEXTS, Type.STRING),
    **dict.fromkeys(_NUMBERS, Type.INT),
    "request.headers": Type.MAP,
    "response.headers": Type.MAP,
    "response.trailers": Type.MAP,
    "request.duration": Type.DURATION,
    "connection.mtls": Type.BOOL,
}

# What is known of a workload, by Istio's names for its peers, and what those are called in short.
PEER_FIELDS: Final = ("workload", "namespace", "app", "version", "service", "revision", "cluster", "name")
PEERS: Final[Mapping[str, str]] = {
    "source": "source",
    "destination": "destination",
    "filter_state.downstream_peer": "source",
    "filter_state.upstream_peer": "destination",
}

OF_METRICS: Final[Mapping[str, Type]] = {
    **OF_REQUESTS,
    **{f"{owner}.{field}": Type.STRING for owner in PEERS for field in PEER_FIELDS},
}
