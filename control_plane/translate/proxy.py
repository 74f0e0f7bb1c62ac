"""(world, node) → all resources of one proxy."""

from __future__ import annotations

from typing import Any

from control_plane.translate import clusters, gateway, grpc, inbound, listeners, routes, telemetry
from control_plane.translate.index import Index, index_of
from control_plane.translate.viewer import Audience, Viewer, viewer_of
from control_plane.world import World
from mesh.node import Node
from mesh.xds import CLUSTER, ENDPOINT, LISTENER, ROUTE

Resources = dict[str, dict[str, Any]]


def build(world: World, node: Node) -> Resources:
    """Resources by type URL and name, in a stable order. Messages are shared between proxies and must not be changed."""
    index = index_of(world)
    viewer = viewer_of(index, node)
    if viewer.audience is Audience.GRPC:
        return _grpc(index, viewer)
    if viewer.audience is Audience.GATEWAY:
        return _gateway(index, viewer, node)
    return _sidecar(index, viewer, node)


def _sidecar(index: Index, viewer: Viewer, node: Node) -> Resources:
    outbound = clusters.outbound(index, viewer)
    return {
        CLUSTER: {
            **outbound.clusters,
            **clusters.special(index, viewer),
            **_collector(index),
            **inbound.inbound_clusters(index, node),
        },
        ENDPOINT: dict(outbound.endpoints),
        LISTENER: {**listeners.outbound_listeners(index, node), **inbound.inbound_listeners(index, node)},
        ROUTE: dict(routes.route_configurations(index, viewer, listeners.captured_http_ports(index, node))),
    }


def _gateway(index: Index, viewer: Viewer, node: Node) -> Resources:
    outbound = clusters.outbound(index, viewer)
    servers = gateway.servers_of(index, node)
    return {
        CLUSTER: {**outbound.clusters, **clusters.special(index, viewer), **_collector(index)},
        ENDPOINT: dict(outbound.endpoints),
        LISTENER: dict(gateway.gateway_listeners(index, node, servers)),
        ROUTE: dict(gateway.gateway_routes(index, viewer, servers)),
    }


def _grpc(index: Index, viewer: Viewer) -> Resources:
    outbound = clusters.outbound(index, viewer)
    return {
        CLUSTER: dict(outbound.clusters),
        ENDPOINT: dict(outbound.endpoints),
        LISTENER: dict(grpc.grpc_listeners(index, viewer)),
        ROUTE: dict(grpc.grpc_routes(index, viewer)),
    }


def _collector(index: Index) -> dict[str, Any]:
    if not (index.mesh.enable_tracing and index.mesh.otlp_endpoint):
        return {}
    return {telemetry.OTLP_CLUSTER: index.once("collector", lambda: telemetry.otlp_cluster(index.mesh))}
