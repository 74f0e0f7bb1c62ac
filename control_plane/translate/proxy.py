"""(world, node) → all resources of one proxy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from control_plane.layers import Layers
from control_plane.resource import messages_of
from control_plane.translate import clusters, egress, gateway, grpc, inbound, listeners, sidecar_routes, telemetry
from control_plane.translate.index import Index
from control_plane.translate.indexes import Indexes, indexes_of
from control_plane.translate.neighbours import with_neighbours
from control_plane.translate.patches import patched, patches_for
from control_plane.translate.viewer import Audience, Viewer, viewer_of
from control_plane.world import World
from mesh.node import Node
from mesh.xds import CLUSTER, ENDPOINT, LISTENER, ROUTE, VIRTUAL_HOST

Resources = dict[str, Mapping[str, Any]]


class Translator:
    """`build` for one World after the other, faster: what was made for one stays for the next, as far as it can. Its
    results are those of `build`, and the same objects as before where nothing has changed. Resources that many proxies
    have are kept ready to be sent (`Versioned`), not as messages."""

    def __init__(self) -> None:
        self._world: World | None = None
        self._indexes: Indexes | None = None

    def build(self, world: World, node: Node) -> Resources:
        if self._indexes is None:
            self._indexes = Indexes(world)
        elif self._world is not world:
            self._indexes.follow(world)
        self._world = world
        return _built(self._indexes.of(world, node), node)


def build(world: World, node: Node) -> Resources:
    """Messages by type URL and name. Some are shared between proxies and must not be changed."""
    return {type_url: messages_of(each) for type_url, each in _built(indexes_of(world).of(world, node), node).items()}


def _built(index: Index, node: Node) -> Resources:
    patches = patches_for(index.envoy_filters, node, index.mesh.root_namespace) if index.envoy_filters else ()
    if not patches:
        return _resources(index, node, apart=node.takes_virtual_hosts)
    whole = patched(_resources(index, node, apart=False), patches, node)
    return sidecar_routes.taken_apart(whole) if node.takes_virtual_hosts else whole


def _resources(index: Index, node: Node, *, apart: bool) -> Resources:
    """`apart`: with the virtual hosts of a sidecar's routes as resources of their own."""
    viewer = viewer_of(index, node)
    if viewer.audience is Audience.GRPC:
        return _grpc(index, viewer)
    own = index.once(("own", id(node), viewer), lambda: _own(index, viewer, node))
    if viewer.audience is Audience.GATEWAY:
        return _gateway(index, viewer, node, own)
    return _sidecar(index, viewer, node, own, apart=apart)


@dataclass(frozen=True, slots=True, eq=False)
class _Own:
    """What is one proxy's alone. It holds the node, so that another one cannot have its place in memory."""

    node: Node
    clusters: Mapping[str, Any]
    listeners: Mapping[str, Any]
    ports: tuple[int, ...] = ()
    servers: gateway.Servers = field(default_factory=dict)


def _own(index: Index, viewer: Viewer, node: Node) -> _Own:
    if viewer.audience is Audience.GATEWAY:
        servers = gateway.servers_of(index, node)
        served = gateway.gateway_listeners(index, viewer, node, servers)
        return _Own(node, {}, _counted(index, node, served), servers=servers)
    asked = dict(inbound.inbound_clusters(index, node)), _counted(index, node, inbound.inbound_listeners(index, node))
    if index.egress:
        return _Own(node, *asked)
    outbound = _counted(index, node, listeners.outbound_listeners(index, viewer, node))
    return _Own(node, asked[0], {**outbound, **asked[1]}, listeners.captured_http_ports(index, node))


def _counted(index: Index, node: Node, made: Mapping[str, Any]) -> Mapping[str, Any]:
    return telemetry.with_session_stats(made, index.mesh, node)


def _sidecar(index: Index, viewer: Viewer, node: Node, own: _Own, *, apart: bool) -> Resources:
    """Where a Sidecar says so each listener has routes for hosts of its own; clusters are those of all of them."""
    built = {
        CLUSTER: Layers(_shared_clusters(index, viewer), own.clusters),
        ENDPOINT: with_neighbours(index, node, clusters.outbound_endpoints(index, viewer)),
    }
    if index.egress:
        built[LISTENER] = {**egress.egress_listeners(index, viewer, node), **own.listeners}
        built[ROUTE] = egress.egress_routes(index, viewer, node)
        return sidecar_routes.taken_apart(built, partial(sidecar_routes.kept_apart, index)) if apart else built
    built[LISTENER] = own.listeners
    built[ROUTE] = sidecar_routes.route_configurations(index, viewer, own.ports, apart=apart)
    if apart:
        built[VIRTUAL_HOST] = sidecar_routes.sidecar_hosts(index, viewer)
    return built


def _gateway(index: Index, viewer: Viewer, node: Node, own: _Own) -> Resources:
    return {
        CLUSTER: Layers(_shared_clusters(index, viewer), own.clusters),
        ENDPOINT: with_neighbours(index, node, clusters.outbound_endpoints(index, viewer)),
        LISTENER: own.listeners,
        ROUTE: gateway.gateway_routes(index, viewer, own.servers),
    }


def _grpc(index: Index, viewer: Viewer) -> Resources:
    return {
        CLUSTER: clusters.outbound_clusters(index, viewer),
        ENDPOINT: clusters.outbound_endpoints(index, viewer),
        LISTENER: grpc.grpc_listeners(index, viewer),
        ROUTE: grpc.grpc_routes(index, viewer),
    }


def _shared_clusters(index: Index, viewer: Viewer) -> Mapping[str, Any]:
    """The clusters of all services, and those that stand for none."""
    others = index.once(
        ("other clusters", viewer.audience), lambda: {**clusters.special(index, viewer), **_collector(index)}
    )
    return index.once(("all clusters", viewer), lambda: Layers(clusters.outbound_clusters(index, viewer), others))


def _collector(index: Index) -> dict[str, Any]:
    if not (index.mesh.enable_tracing and index.mesh.otlp_endpoint):
        return {}
    return {telemetry.OTLP_CLUSTER: index.once("collector", lambda: telemetry.otlp_cluster(index.mesh))}
