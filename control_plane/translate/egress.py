"""The egress listeners of a Sidecar that have ports of their own: each has the hosts that it imports, and no others.

https://istio.io/latest/docs/reference/config/networking/sidecar/#IstioEgressListener
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from operator import eq
from typing import Any

from control_plane.translate.connection_manager import by_rds, connection_manager
from control_plane.translate.dynamic import dynamic_filters
from control_plane.translate.index import Index
from control_plane.translate.listeners import (
    HTTP_DETECTED,
    LOOPBACK,
    WILDCARD,
    add_chains,
    address_listeners,
    captured_http_ports,
    detect_http,
    listener_at,
    outbound_listeners,
    own_ports,
    wildcard_listeners,
)
from control_plane.translate.ports import is_http, is_tls, may_be_http, virtual_addresses, virtual_networks
from control_plane.translate.routes import captured
from control_plane.translate.sidecar_routes import route_configurations
from control_plane.translate.tcp_routes import Chain, service_chains
from control_plane.translate.telemetry import with_session_stats
from control_plane.translate.viewer import Viewer
from mesh.istio.sidecar import CaptureMode, IstioEgressListener
from mesh.node import INTERCEPT_NONE, Node, ServicePort


@dataclass(frozen=True, slots=True)
class PortListener:
    """An egress listener with a port. A `bound` one opens it; connections are captured for the others. `spoken` is the
    protocol, empty where it is to be detected."""

    port: int
    host: str
    bound: bool
    any_address: bool
    spoken: str

    @property
    def name(self) -> str:
        return f"{self.host}_{self.port}"

    @property
    def http(self) -> bool:
        return may_be_http(ServicePort(self.port, protocol=self.spoken))

    @property
    def routes(self) -> str:
        """Of an HTTP listener: its route configuration."""
        return self.name if self.bound else str(self.port)


def port_listener(listener: IstioEgressListener | None, node: Node) -> PortListener | None:
    """None for the listener without a port, and for a port that is the proxy's own."""
    if listener is None or listener.port is None or listener.port.number in own_ports(node):
        return None
    bound = node.interception == INTERCEPT_NONE or listener.capture_mode is CaptureMode.NONE
    return PortListener(
        listener.port.number,
        listener.bind or (LOOPBACK if bound else WILDCARD),
        bound,
        not bound and not listener.bind,
        listener.port.protocol.spoken,
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Made:
    """What is one proxy's alone. It holds the node, so that another one cannot have its place in memory."""

    node: Node
    listeners: Mapping[str, Any]


def egress_listeners(index: Index, viewer: Viewer, node: Node) -> Mapping[str, Any]:
    """By name: those with ports, and those of all other ports."""
    found: dict[str, Any] = {}
    taken = captured_ports(index, node)
    for listener, own in index.egress:
        at = port_listener(listener, node)
        if at is not None or listener is None:
            key = ("egress", id(node), viewer, at, taken)
            made = own.once(key, partial(_made, own, viewer, node, at, taken))
            found = {**made.listeners, **found}
    return found


def _made(own: Index, viewer: Viewer, node: Node, at: PortListener | None, taken: Collection[int]) -> _Made:
    if at is None:
        listeners = outbound_listeners(own, viewer, node, taken)
    else:
        listeners = {each.name: each for each in _listeners(own, viewer, node, at)}
    return _Made(node, with_session_stats(listeners, own.mesh, node))


def captured_ports(index: Index, node: Node) -> frozenset[int]:
    """The ports whose captured connections are listeners' of a port alone."""
    found = (port_listener(listener, node) for listener, _ in index.egress)
    return frozenset(at.port for at in found if at is not None and not at.bound)


def egress_routes(index: Index, viewer: Viewer, node: Node) -> Mapping[str, Any]:
    """The route configurations of these listeners, by name."""
    found: dict[str, Any] = {}
    taken = captured_ports(index, node)
    for listener, own in index.egress:
        at = port_listener(listener, node)
        if listener is None:
            ports = tuple(port for port in captured_http_ports(own, node) if port not in taken)
            found.update(route_configurations(own, viewer, ports))
        elif at is not None and at.http:
            found[at.routes] = captured(own, viewer, at.port, at.name if at.bound else "")
    return found


def _listeners(own: Index, viewer: Viewer, node: Node, at: PortListener) -> Iterator[Any]:
    """Captured connections that are no HTTP go by the addresses of services, as far as these have any."""
    serves = partial(eq, at.port)
    if at.any_address and at.http:
        yield from wildcard_listeners(own, viewer, node, (at.port,), serves)
        return
    if at.any_address:
        yield from address_listeners(own, viewer, node, serves)
    chains = list(_chains(own, viewer, at))
    if at.http or chains:
        yield _listener(own, viewer, node, at, chains)


def _listener(own: Index, viewer: Viewer, node: Node, at: PortListener, chains: list[Chain]) -> Any:
    listener = listener_at(at.name, at.host, at.port)
    if not at.bound:
        listener.bind_to_port.value = False
    if at.http:
        manager = connection_manager(own, own.mesh, node, f"outbound_{at.name}")
        chain = listener.filter_chains.add(
            name=at.name, filters=[by_rds(manager, at.routes, dynamic_filters(own), headers=own.mesh.headers)]
        )
        if chains:
            chain.filter_chain_match.application_protocols.extend(HTTP_DETECTED)
            detect_http(listener, own.mesh)
    add_chains(listener, own, viewer.namespace, chains)
    return listener


def _chains(own: Index, viewer: Viewer, at: PortListener) -> Iterator[Chain]:
    """Of what may be something else than HTTP. Where nothing tells connections apart the first service has them all."""
    for service in own.services:
        for port in service.ports:
            if port.number != at.port or is_http(port) or (at.any_address and virtual_addresses(service)):
                continue
            networks = virtual_networks(service) if at.any_address else ()
            for chain in service_chains(own, viewer, service, port):
                names = (service.host.lower(),) if is_tls(port) and not chain.names else chain.names
                yield replace(chain, names=names, networks=chain.networks or networks)
