"""Gateways: the ports that Gateway resources open on the proxies they select, and the hosts that are served there."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

from envoy.config.core.v3.base_pb2 import OUTBOUND
from envoy.config.listener.v3.listener_components_pb2 import FilterChain
from envoy.config.listener.v3.listener_pb2 import Listener

from control_plane.translate import virtual_service
from control_plane.translate.connection_manager import SERVER_NAME, by_rds, connection_manager
from control_plane.translate.hosts import common
from control_plane.translate.index import BoundService, Index
from control_plane.translate.match import is_catch_all
from control_plane.translate.messages import address, authority, is_loopback
from control_plane.translate.viewer import Viewer
from control_plane.translate.virtual_hosts import ANY, configuration, virtual_host
from mesh.naming import ADMIN_PORT, HEALTH_PORT, PROMETHEUS_PORT
from mesh.node import Node

WILDCARD: Final = "0.0.0.0"
_STATIC: Final = frozenset((ADMIN_PORT, HEALTH_PORT, PROMETHEUS_PORT))  # ports of every proxy's own


@dataclass(frozen=True, slots=True)
class Served:
    """The hosts of one server of one Gateway, as (namespace or `*`, host). `number` is the server's port, which rules
    speak of: where the proxy listens may be elsewhere."""

    gateway: str  # namespace/name
    number: int
    hosts: tuple[tuple[str, str], ...]


Servers = Mapping[int, tuple[Served, ...]]


def servers_of(index: Index, node: Node) -> Servers:
    """By the port that the proxy listens on, what the Gateways whose selector its labels satisfy have there, the oldest
    first."""
    found: dict[int, list[Served]] = defaultdict(list)
    targets = _targets(index, node)
    for resource in index.gateways:
        if not resource.spec.selector.items() <= node.labels.items():
            continue
        namespace = resource.key.namespace
        for server in resource.spec.servers:
            number = server.port.number
            if (listening := targets.get(number, number)) not in _STATIC:
                hosts = tuple(_server_host(host, namespace) for host in server.hosts)
                found[listening].append(Served(f"{namespace}/{resource.key.name}", number, hosts))
    return {port: tuple(found[port]) for port in sorted(found)}


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


def gateway_listeners(index: Index, node: Node, servers: Servers) -> Mapping[str, Any]:
    """One for each port. On a loopback address of its own a gateway listens there only, so that several fit on one
    machine."""
    host = node.address if is_loopback(node.address) else WILDCARD
    return {f"{WILDCARD}_{port}": _listener(index, node, host, port) for port in servers}


def _listener(index: Index, node: Node, host: str, port: int) -> Any:
    name = f"{WILDCARD}_{port}"
    manager = connection_manager(index.mesh, node, f"outbound_{name}")
    manager.use_remote_address.value = True  # the first proxy that a request meets: nobody is believed
    manager.server_name = SERVER_NAME
    chain = FilterChain(name=name, filters=[by_rds(manager, route_name(port))])
    return Listener(name=name, address=address(host, port), traffic_direction=OUTBOUND, filter_chains=[chain])


# ── routes ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def route_name(port: int) -> str:
    return f"http.{port}"


def gateway_routes(index: Index, viewer: Viewer, servers: Servers) -> Mapping[str, Any]:
    """One route configuration for each port; without a VirtualService for it, everything is a 404."""
    return {
        route_name(port): index.once(("gateway", viewer, port, served), partial(_routes, index, viewer, port, served))
        for port, served in servers.items()
    }


@dataclass(slots=True)
class _Host:
    """What is bound to one host, in the order in which it came."""

    rules: list[tuple[BoundService, str]] = field(default_factory=list)
    routes: list[Any] = field(default_factory=list)


def _routes(index: Index, viewer: Viewer, port: int, served: Iterable[Served]) -> Any:
    hosts: dict[str, _Host] = defaultdict(_Host)
    for server in served:
        for bound in index.virtual_services:
            if server.gateway in bound.gateways:
                _bind(index, viewer, server, bound, hosts)
    return configuration(route_name(port), _virtual_hosts(hosts, port))


def _bind(index: Index, viewer: Viewer, server: Served, bound: BoundService, hosts: dict[str, _Host]) -> None:
    """Adds a VirtualService to the hosts that it and a server of its gateway have in common. The hosts of several
    servers may overlap: it counts once."""
    routes = virtual_service.routes(index, viewer, bound, server.number, server.gateway)
    if not routes:
        return
    visible = [host for namespace, host in server.hosts if namespace in (ANY, bound.namespace)]
    shared = dict.fromkeys(host for one in visible for other in bound.hosts if (host := common(one, other)))
    for host in shared:
        if all(bound is not there for there, _ in hosts[host].rules):
            hosts[host].rules.append((bound, server.gateway))
            hosts[host].routes.extend(routes)


def _virtual_hosts(hosts: Mapping[str, _Host], port: int) -> list[Any]:
    """Hosts with the very same rules are one virtual host, named after the first of them."""
    if not hosts:
        return [virtual_host(authority("blackhole", port), [ANY], [])]
    together: dict[tuple[tuple[BoundService, str], ...], list[str]] = defaultdict(list)
    for host in sorted(hosts):
        together[tuple(hosts[host].rules)].append(host)
    return [
        virtual_host(authority(names[0], port), map(authority, names), _catch_alls_last(hosts[names[0]].routes))
        for names in together.values()
    ]


def _catch_alls_last(routes: list[Any]) -> list[Any]:
    """Of several VirtualServices for one host, none with a catch-all route hides the others."""
    return sorted(routes, key=lambda route: is_catch_all(route.match))
