"""The other proxies of a proxy's own service in its region: what routing by zones compares with a service's endpoints.

https://www.envoyproxy.io/docs/envoy/latest/intro/arch_overview/upstream/load_balancing/zone_aware
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from control_plane.layers import Layers
from control_plane.translate.endpoints import assignment
from control_plane.translate.index import Index
from mesh.naming import LOCAL_CLUSTER, service_host
from mesh.node import Node


def with_neighbours(index: Index, node: Node, endpoints: Mapping[str, Any]) -> Mapping[str, Any]:
    """The assignments with the one of the cluster that the proxy's bootstrap has for them, if it asked for that. It is
    there for a proxy without any, too: else that would wait for it."""
    if not node.self_discovery:
        return endpoints
    host = _own_service(index, node)
    region = node.locality.region
    made = index.once(("neighbours", host, region), lambda: _neighbours(index, host, region))
    return Layers(endpoints, {LOCAL_CLUSTER: made})


def _own_service(index: Index, node: Node) -> str:
    if node.service:
        return service_host(node.service, node.namespace)
    return next((host for host, _ in index.served_by(node.id)), "")


def _neighbours(index: Index, host: str, region: str) -> Any:
    service = index.served_service(host)
    port = service.ports[0].number if service is not None and service.ports else 0
    found = (instance for instance in index.instances(host) if instance.locality.region == region)
    return assignment(LOCAL_CLUSTER, found, port)
