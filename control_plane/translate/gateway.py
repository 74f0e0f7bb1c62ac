"""Gateways: the ports that Gateway resources open on the proxies they select, and the hosts that are served there."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from envoy.config.core.v3.base_pb2 import OUTBOUND
from envoy.config.listener.v3.listener_pb2 import Listener
from envoy.config.route.v3.route_components_pb2 import VirtualHost

from control_plane.translate import virtual_service
from control_plane.translate.bound import BoundService
from control_plane.translate.connection_manager import (
    GRPC_WEB_FILTER,
    SERVER_NAME,
    by_rds,
    connection_manager,
    set_server,
)
from control_plane.translate.dynamic import dynamic_filters
from control_plane.translate.hosts import common
from control_plane.translate.index import Index
from control_plane.translate.listeners import add_chains
from control_plane.translate.match import is_catch_all
from control_plane.translate.messages import address, authority, is_loopback
from control_plane.translate.tcp_routes import Chain, tcp_chains, tls_chains
from control_plane.translate.viewer import Viewer
from control_plane.translate.virtual_hosts import ANY, configuration, virtual_host
from mesh.istio.gateway import Server, ServerProtocol
from mesh.naming import ADMIN_PORT, HEALTH_PORT, PROMETHEUS_PORT
from mesh.node import Node

if TYPE_CHECKING:
    from mesh.istio.resource import Resource

WILDCARD: Final = "0.0.0.0"
_STATIC: Final = frozenset((ADMIN_PORT, HEALTH_PORT, PROMETHEUS_PORT))  # ports of every proxy's own


class Place(NamedTuple):
    """Where a gateway listens; on all of its addresses without `bind`."""

    port: int
    bind: str = ""

    @property
    def listener(self) -> str:
        return f"{self.bind or WILDCARD}_{self.port}"

    @property
    def routes(self) -> str:
        """The name of the route configuration."""
        return f"http.{self.port}.{self.bind}" if self.bind else f"http.{self.port}"


@dataclass(frozen=True, slots=True)
class Served:
    """The hosts of one server of one Gateway, as (namespace or `*`, host). `number` is the server's port, which rules
    speak of: where the proxy listens may be elsewhere. `redirect` sends plain HTTP to HTTPS."""

    gateway: str  # namespace/name
    number: int
    hosts: tuple[tuple[str, str], ...]
    protocol: ServerProtocol = ServerProtocol.HTTP
    redirect: bool = False


Servers = Mapping[Place, tuple[Served, ...]]


def servers_of(index: Index, node: Node) -> Servers:
    """By the place that the proxy listens at, what the Gateways whose selector its labels satisfy have there, the oldest
    first."""
    found: dict[Place, list[Served]] = defaultdict(list)
    targets = _targets(index, node)
    for resource in index.gateways:
        if not resource.spec.selector.items() <= node.labels.items():
            continue
        for server in resource.spec.servers:
            number = server.port.number
            if (listening := targets.get(number, number)) not in _STATIC:
                found[Place(listening, server.bind)].append(_served(resource, server))
    return {place: tuple(found[place]) for place in sorted(found)}


def _served(resource: Resource, server: Server) -> Served:
    namespace = resource.key.namespace
    return Served(
        f"{namespace}/{resource.key.name}",
        server.port.number,
        tuple(_server_host(host, namespace) for host in server.hosts),
        server.port.protocol,
        server.tls is not None and server.tls.https_redirect,
    )


def _targets(index: Index, node: Node) -> Mapping[int, int]:
    """Port of a service that the gateway is an instance of → where its proxy has to listen for it (`targetPort`)."""
    found = {port.number: port.app_port for port in node.ports}
    for _, instance in index.served_by(node.id):
        for number, target in instance.ports.items():
            found.setdefault(number, target)
    return found


def _server_host(host: str, namespace: str) -> tuple[str, str]:
    """`namespace/host`, of which `.` means the Gateway's own namespace and nothing any."""
    where, slash, name = host.rpartition("/")
    return (namespace if where == "." else where) if slash else ANY, name.lower()


def gateway_listeners(index: Index, viewer: Viewer, node: Node, servers: Servers) -> Mapping[str, Any]:
    """One for each place at which anything is served. On a loopback address of its own a gateway listens there only, so
    that several fit on one machine."""
    host = node.address if is_loopback(node.address) else WILDCARD
    made = {place.listener: _listener(index, viewer, node, host, place, servers[place]) for place in servers}
    return {name: listener for name, listener in made.items() if listener is not None}


def _listener(index: Index, viewer: Viewer, node: Node, host: str, place: Place, served: tuple[Served, ...]) -> Any:
    """TLS connections go by the names in their hellos; of all others HTTP has them if any server speaks it. None where
    no rule is for any server of a port that needs one."""
    listener = Listener(
        name=place.listener, address=address(place.bind or host, place.port), traffic_direction=OUTBOUND
    )
    http = any(each.protocol.is_http for each in served)
    chains = list(_connection_chains(index, viewer, served))
    add_chains(listener, index, viewer.namespace, [chain for chain in chains if not http or chain.names])
    if http:
        manager = connection_manager(index, index.mesh, node, f"outbound_{place.listener}")
        manager.use_remote_address.value = True  # the first proxy that a request meets: nobody is believed
        manager.xff_num_trusted_hops = index.mesh.trusted_proxies
        set_server(manager, index.mesh.headers, SERVER_NAME)
        web = any(each.protocol is ServerProtocol.GRPC_WEB for each in served)
        first = (GRPC_WEB_FILTER,) if web else ()
        listener.filter_chains.add(
            name=place.listener,
            filters=[by_rds(manager, place.routes, (*first, *dynamic_filters(index)), headers=index.mesh.headers)],
        )
    return listener if listener.filter_chains else None


def _connection_chains(index: Index, viewer: Viewer, served: Iterable[Served]) -> Iterator[Chain]:
    for server in served:
        if server.protocol.is_http:
            continue
        for bound in index.virtual_services:
            if server.gateway not in bound.gateways or not (shared := _shared_hosts(server, bound)):
                continue
            if not server.protocol.is_tls:
                yield from tcp_chains(index, viewer, bound, server.number, server.gateway)
                continue
            for chain in tls_chains(index, viewer, bound, server.number, server.gateway):
                names = dict.fromkeys(
                    n for name in chain.names or (ANY,) for host in shared if (n := common(host, name))
                )
                yield replace(chain, names=() if ANY in names else tuple(names))


# ── routes ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def gateway_routes(index: Index, viewer: Viewer, servers: Servers) -> Mapping[str, Any]:
    """One route configuration for each place that serves HTTP; without a VirtualService for it, everything is a 404."""
    http = {place: tuple(each for each in served if each.protocol.is_http) for place, served in servers.items()}
    return {
        place.routes: index.once(("gateway", viewer, place, served), partial(_routes, index, viewer, place, served))
        for place, served in http.items()
        if served
    }


@dataclass(slots=True)
class _Host:
    """What is bound to one host, in the order in which it came; `redirect` when a server of it wants HTTPS."""

    rules: list[tuple[BoundService, str]] = field(default_factory=list)
    routes: list[Any] = field(default_factory=list)
    redirect: bool = False


def _routes(index: Index, viewer: Viewer, place: Place, served: Iterable[Served]) -> Any:
    hosts: dict[str, _Host] = defaultdict(_Host)
    for server in served:
        if server.redirect:
            for _, host in server.hosts:
                hosts[host].redirect = True
        for bound in index.virtual_services:
            if server.gateway in bound.gateways:
                _bind(index, viewer, server, bound, hosts)
    return configuration(place.routes, _virtual_hosts(hosts, place.port, index.mesh.headers.attempt_count))


def _bind(index: Index, viewer: Viewer, server: Served, bound: BoundService, hosts: dict[str, _Host]) -> None:
    """Adds a VirtualService to the hosts that it and a server of its gateway have in common. The hosts of several
    servers may overlap: it counts once."""
    routes = virtual_service.routes(index, viewer, bound, server.number, server.gateway)
    if not routes:
        return
    for host in _shared_hosts(server, bound):
        if all(bound is not there for there, _ in hosts[host].rules):
            hosts[host].rules.append((bound, server.gateway))
            hosts[host].routes.extend(routes)
            hosts[host].redirect |= server.redirect


def _shared_hosts(server: Served, bound: BoundService) -> list[str]:
    """The hosts that a VirtualService and a server have in common."""
    visible = [host for namespace, host in server.hosts if namespace in (ANY, bound.namespace)]
    return list(dict.fromkeys(host for one in visible for other in bound.hosts if (host := common(one, other))))


def _virtual_hosts(hosts: Mapping[str, _Host], port: int, attempts: bool) -> list[Any]:
    """Hosts with the very same rules are one virtual host, named after the first of them."""
    if not hosts:
        return [virtual_host(authority("blackhole", port), [ANY], [])]
    together: dict[tuple[Any, ...], list[str]] = defaultdict(list)
    for host in sorted(hosts):
        together[(tuple(hosts[host].rules), hosts[host].redirect)].append(host)
    made = []
    for (_, redirect), names in together.items():
        routes = _catch_alls_last(hosts[names[0]].routes)
        made.append(virtual_host(authority(names[0], port), map(authority, names), routes, attempts))
        if redirect:
            made[-1].require_tls = VirtualHost.ALL
    return made


def _catch_alls_last(routes: list[Any]) -> list[Any]:
    """Of several VirtualServices for one host, none with a catch-all route hides the others."""
    return sorted(routes, key=lambda route: is_catch_all(route.match))
