"""Which proxies have rules of a VirtualService for connections (`tcp`, `tls`) in their listeners."""

from __future__ import annotations

from collections.abc import Iterable

from control_plane.translate.gateway import servers_of
from control_plane.translate.index import Index
from control_plane.translate.ports import is_http, is_tls
from control_plane.translate.tcp_routes import tcp_chains, tls_chains
from control_plane.translate.viewer import Audience, viewer_of
from mesh.istio.resource import Key
from mesh.node import Node


def carries_connections(index: Index, node: Node, key: Key) -> bool:
    """Whether a listener of the proxy takes connections by the rules of the VirtualService `key`: it is told of it, it is
    the one that holds for a service or a server, and one of its rules is for this client. `index` is the proxy's own."""
    viewer = viewer_of(index, node)
    if viewer.audience is Audience.GATEWAY:
        return _by_gateway(index, node, key)
    if viewer.audience is Audience.GRPC:
        return False
    for service in index.services:
        bound = index.mesh_service(service.host)
        if bound is None or bound.resource.key != key:
            continue
        for port in service.ports:
            chains = tls_chains if is_tls(port) else tcp_chains
            if not is_http(port) and _any(chains(index, viewer, bound, port.number)):
                return True
    return False


def _by_gateway(index: Index, node: Node, key: Key) -> bool:
    viewer = viewer_of(index, node)
    mine = [bound for bound in index.virtual_services if bound.resource.key == key]
    served = [
        server for servers in servers_of(index, node).values() for server in servers if not server.protocol.is_http
    ]
    for bound in mine:
        for server in served:
            chains = tls_chains if server.protocol.is_tls else tcp_chains
            if server.gateway in bound.gateways and _any(chains(index, viewer, bound, server.number, server.gateway)):
                return True
    return False


def _any(chains: Iterable[object]) -> bool:
    return any(True for _ in chains)
