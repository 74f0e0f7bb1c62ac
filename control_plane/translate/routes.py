"""RDS of sidecars: the services that are asked for on a captured port, or of the explicit proxy."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from control_plane.translate import virtual_service
from control_plane.translate.bound import BoundService
from control_plane.translate.clusters import reachable
from control_plane.translate.hash_policy import consistent_hash
from control_plane.translate.hosts import covers, is_wildcard, short_names
from control_plane.translate.index import Index
from control_plane.translate.messages import authority
from control_plane.translate.ports import bare_port, is_http, may_be_http, virtual_addresses
from control_plane.translate.tcp_routes import Targets, service_chains
from control_plane.translate.viewer import Audience, Viewer
from control_plane.translate.virtual_hosts import (
    BLOCK_UNKNOWN,
    NOT_LOOKED_UP,
    PASS_ADDRESSES,
    PASS_UNKNOWN,
    Entry,
    configuration,
    connect_route,
    pass_to,
    virtual_hosts,
)
from control_plane.world import OutboundPolicy, Service
from mesh.naming import HTTP_PROXY_ROUTES, outbound_cluster
from mesh.node import ServicePort

HTTP_PORT: Final = 80  # where hosts that no service has are asked for


def route_configurations(index: Index, viewer: Viewer, ports: tuple[int, ...]) -> Mapping[str, Any]:
    """By name: one for each of the captured ports, and that of the explicit proxy."""
    return index.once(("route configurations", viewer, ports), lambda: _configurations(index, viewer, ports))


def _configurations(index: Index, viewer: Viewer, ports: tuple[int, ...]) -> Mapping[str, Any]:
    configs = {str(port): captured(index, viewer, port) for port in ports}
    configs[HTTP_PROXY_ROUTES] = index.once(("http_proxy", viewer), lambda: _explicit(index, viewer))
    return configs


def http_ports(index: Index) -> tuple[int, ...]:
    """The ports on which some host may be asked for over HTTP."""
    return index.fact("http ports", _http_ports)


def captured(index: Index, viewer: Viewer, port: int, name: str = "") -> Any:
    """The routes of one captured port; with a name those of a listener that connections are made to: there is nowhere else
    that they may have been going."""
    return index.once(("captured", viewer, port, name), lambda: _captured(index, viewer, port, name))


def service_routes(index: Index, viewer: Viewer, service: Service, port: int) -> list[Any]:
    """The routes of a service's port: those of its VirtualService if there is one for this client, else to the whole
    service."""
    bound = index.mesh_service(service.host)
    ruled = virtual_service.routes(index, viewer, bound, port) if bound is not None else []
    grpc = viewer.audience is Audience.GRPC
    if ruled:
        return ruled
    hashing = consistent_hash(index, outbound_cluster(service.host, port), viewer.namespace) if index.hashes else None
    key = ("default route", service.host, port, grpc, hashing)
    retries = index.mesh.http_retries
    return [index.once(key, lambda: virtual_service.default_route(service.host, port, grpc, hashing, retries))]


# ── the explicit proxy ────────────────────────────────────────────────────────────────────────────────────────────────


def _explicit(index: Index, viewer: Viewer) -> Any:
    """Every port of every service, told apart by the port in the request's authority. There is no original destination
    that an unknown host could be passed on to; an address and a port are one themselves."""
    entries = [entry for host in index.hosts for entry in _entries_of(index, viewer, host)]
    entries += [
        Entry(authority(each.host, port), _asked_as(each.host, port, port == each.ports[0]), found)
        for each in _unserved(index)
        for port in each.ports
        if (found := virtual_service.routes(index, viewer, each.bound, port))
    ]
    unfound = [domain for host in index.hosts for domain in _not_looked_up(index, viewer, host)]
    entries += [Entry(domain, [domain], NOT_LOOKED_UP.routes) for domain in unfound]
    return configuration(HTTP_PROXY_ROUTES, [*virtual_hosts(entries), _rest(index, PASS_ADDRESSES)], ignore_port=False)


def _rest(index: Index, passing: Any) -> Any:
    """What becomes of hosts that no service has: `passing` where they are let through."""
    if index.mesh.outbound_policy is not OutboundPolicy.ALLOW_ANY:
        return BLOCK_UNKNOWN
    proxy = index.mesh.egress_proxy
    return index.once(("egress proxy", proxy), lambda: pass_to(proxy)) if proxy else passing


def _not_looked_up(index: Index, viewer: Viewer, host: str) -> list[str]:
    """The authorities of a service that no cluster of this client leads to: a wildcard without names to look up."""
    service = index.service(host)
    if service is None or not is_wildcard(host) or reachable(index, viewer, host):
        return []
    return [name for port in service.ports for name in _asked_as(host, port.number, port.number == bare_port(service))]


def _entries_of(index: Index, viewer: Viewer, host: str) -> list[Entry]:
    return index.once(("entries", viewer, host), lambda: list(_explicit_entries(index, viewer, host)))


def _explicit_entries(index: Index, viewer: Viewer, host: str) -> Iterator[Entry]:
    service = index.service(host)
    if service is None:
        return
    bare = bare_port(service)
    clusters = reachable(index, viewer, host)
    others = (*short_names(service.host, viewer.namespace),)
    addresses = virtual_addresses(service)
    for port in service.ports:
        cluster = outbound_cluster(service.host, port.number)
        if cluster not in clusters:
            continue
        is_bare = port.number == bare
        yield Entry(
            authority(service.host, port.number),
            [name for host in (service.host, *addresses) for name in _asked_as(host, port.number, is_bare)],
            [_connect_route(index, viewer, service, port), *_http_routes(index, viewer, service, port)],
            [name for host in others for name in _asked_as(host, port.number, is_bare)],
        )


def _asked_as(host: str, port: int, bare: bool) -> list[str]:
    """The authorities that mean a port of a host."""
    return [authority(host), authority(host, port)] if bare else [authority(host, port)]


def _connect_route(index: Index, viewer: Viewer, service: Service, port: ServicePort) -> Any:
    """By the rules for connections, as far as they do not ask for an address: who uses CONNECT names the host."""
    targets: Targets = ((outbound_cluster(service.host, port.number), 1),)
    if not is_http(port):
        host = service.host.lower()
        chains = (chain for chain in service_chains(index, viewer, service, port) if not chain.networks)
        named = (c for c in chains if not c.names or any(covers(name, host) for name in c.names))
        targets = next((chain.targets for chain in named), targets)
    http2 = may_be_http(port)
    return index.once(("connect", targets, http2), lambda: connect_route(targets, http2=http2))


def _http_routes(index: Index, viewer: Viewer, service: Service, port: ServicePort) -> list[Any]:
    return service_routes(index, viewer, service, port.number) if may_be_http(port) else []


# ── captured ports ────────────────────────────────────────────────────────────────────────────────────────────────────


def _http_ports(index: Index) -> tuple[int, ...]:
    ports = {port.number for service in index.services for port in service.ports if may_be_http(port)}
    ports.update(port for each in _unserved(index) for port in each.ports)
    return tuple(sorted(ports))


def _captured(index: Index, viewer: Viewer, port: int, name: str) -> Any:
    """Hosts are matched without their port, which is that of the listener."""
    entries = [
        Entry(
            authority(service.host, port),
            [authority(host) for host in (service.host, *virtual_addresses(service))],
            service_routes(index, viewer, service, port),
            short_names(service.host, viewer.namespace),
        )
        for service in index.services
        if any(p.number == port and may_be_http(p) for p in service.ports)
    ]
    entries += [
        Entry(authority(each.host, port), [authority(each.host)], found)
        for each in _unserved(index)
        if port in each.ports and (found := virtual_service.routes(index, viewer, each.bound, port))
    ]
    rest = _rest(index, BLOCK_UNKNOWN if name else PASS_UNKNOWN)
    return configuration(name or str(port), [*virtual_hosts(entries), rest])


@dataclass(frozen=True, slots=True)
class _Unserved:
    """A host of a VirtualService that is no service's. It is asked for on the ports of the services that its VirtualService
    is for besides, or of the service whose wildcard it is part of, else on port 80, as in Istio."""

    host: str
    bound: BoundService
    ports: tuple[int, ...]


def _unserved(index: Index) -> tuple[_Unserved, ...]:
    return index.fact("unserved", lambda index: tuple(_find_unserved(index)))


def _find_unserved(index: Index) -> Iterator[_Unserved]:
    wildcards = [service for service in index.services if is_wildcard(service.host)]
    for host, bound in index.hosts_without_service():
        named = [found for name in bound.hosts if (found := index.service(name)) is not None]
        around = named or [s for s in wildcards if covers(s.host, host)][:1]
        ports = {port.number: None for service in around for port in service.ports if may_be_http(port)}
        yield _Unserved(host, bound, tuple(ports) or (HTTP_PORT,))
