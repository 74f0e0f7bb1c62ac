"""VirtualService `tcp` and `tls`, and services without them → who a connection goes to, and what it is known by."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from control_plane.translate.bound import BoundService, gateway_name
from control_plane.translate.index import Index
from control_plane.translate.ports import is_tls
from control_plane.translate.viewer import Viewer
from control_plane.translate.virtual_service import destination_cluster
from control_plane.world import Service
from mesh.istio.destination import RouteDestination
from mesh.istio.virtual_service import MESH_GATEWAY
from mesh.istio.virtual_service_tcp import L4MatchAttributes
from mesh.naming import outbound_cluster
from mesh.node import ServicePort

ANY: Final = "*"

Targets = tuple[tuple[str, int], ...]  # clusters with their weights


@dataclass(frozen=True, slots=True)
class Chain:
    """Connections that go one way. Empty `names` (of a TLS hello) and `networks` (that were dialled) mean any."""

    targets: Targets
    names: tuple[str, ...] = ()
    networks: tuple[str, ...] = ()


def service_chains(index: Index, viewer: Viewer, service: Service, port: ServicePort) -> list[Chain]:
    """The chains of a service's port that is no HTTP, the first that fits counts: those of its VirtualService, then to the
    service itself. A TLS port whose VirtualService has rules for it takes the names in them only."""
    bound = index.mesh_service(service.host)
    found: list[Chain] = []
    if bound is not None and is_tls(port):
        found = list(tls_chains(index, viewer, bound, port.number))
        if found:
            return found
    elif bound is not None:
        found = list(tcp_chains(index, viewer, bound, port.number))
    if not found or found[-1].networks:
        found.append(Chain(((outbound_cluster(service.host, port.number), 1),)))
    return found


def tls_chains(
    index: Index, viewer: Viewer, bound: BoundService, port: int, gateway: str = MESH_GATEWAY
) -> Iterator[Chain]:
    """The `tls` rules that are for a client, port and gateway."""
    for rule in bound.spec.tls:
        for match in rule.match:
            if _is_for(match, bound, viewer, port, gateway):
                names = () if ANY in match.sni_hosts else tuple(name.lower() for name in match.sni_hosts)
                yield Chain(_targets(index, bound, rule.route, port), names, match.destination_subnets)


def tcp_chains(
    index: Index, viewer: Viewer, bound: BoundService, port: int, gateway: str = MESH_GATEWAY
) -> Iterator[Chain]:
    """The `tcp` rules that are for a client, port and gateway; nothing after one that takes every connection."""
    for rule in bound.spec.tcp:
        targets = _targets(index, bound, rule.route, port)
        fitting = [match for match in rule.match if _is_for(match, bound, viewer, port, gateway)]
        if not rule.match or any(not match.destination_subnets for match in fitting):
            yield Chain(targets)
            return
        for match in fitting:
            yield Chain(targets, networks=match.destination_subnets)


def _is_for(match: L4MatchAttributes, bound: BoundService, viewer: Viewer, port: int, gateway: str) -> bool:
    """The conditions that are known before any connection is."""
    if match.port is not None and match.port != port:
        return False
    if match.gateways:
        return gateway in {gateway_name(name, bound.namespace) for name in match.gateways}
    if match.source_namespace and match.source_namespace != viewer.namespace:
        return False
    return match.source_labels.items() <= dict(viewer.labels).items()


def _targets(index: Index, bound: BoundService, route: tuple[RouteDestination, ...], port: int) -> Targets:
    weighted = [(destination_cluster(index, bound, each.destination, port), each.weight) for each in route]
    if len(weighted) == 1:
        return ((weighted[0][0], 1),)
    return tuple(pair for pair in weighted if pair[1])
