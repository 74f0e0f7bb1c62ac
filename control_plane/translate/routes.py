"""RDS of sidecars: the services that are asked for on a captured port."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from envoy.config.route.v3.route_components_pb2 import Route

from control_plane.translate import virtual_service
from control_plane.translate.bound import BoundService
from control_plane.translate.hash_policy import consistent_hash
from control_plane.translate.hosts import covers, is_wildcard, short_names
from control_plane.translate.index import Index
from control_plane.translate.messages import authority
from control_plane.translate.ports import may_be_http, virtual_addresses
from control_plane.translate.viewer import Audience, Viewer
from control_plane.translate.virtual_hosts import (
    BLOCK_UNKNOWN,
    PASS_UNKNOWN,
    Entry,
    configuration,
    pass_to,
    uncounted,
    virtual_hosts,
)
from control_plane.world import OutboundPolicy, Service
from mesh.istio.load_balancing import ConsistentHashLB
from mesh.istio.virtual_service import HTTPRetry
from mesh.naming import outbound_cluster

HTTP_PORT: Final = 80  # where hosts that no service has are asked for


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
    kept = index.once(key, lambda: _default_route(service.host, port, grpc, hashing, index.mesh.http_retries))
    return [Route.FromString(kept)]


def _default_route(
    host: str, port: int, grpc: bool, hashing: ConsistentHashLB | None, retries: HTTPRetry | None
) -> bytes:
    """Its bytes, of which there is one for every port of every service."""
    return bytes(virtual_service.default_route(host, port, grpc, hashing, retries).SerializeToString())


# ── captured ports ────────────────────────────────────────────────────────────────────────────────────────────────────


def rest(index: Index, passing: Any) -> Any:
    """What becomes of hosts that no service has: `passing` where they are let through."""
    if index.mesh.outbound_policy is not OutboundPolicy.ALLOW_ANY:
        return BLOCK_UNKNOWN
    proxy = index.mesh.egress_proxy
    if not proxy and not index.mesh.headers.attempt_count:
        return index.once(("uncounted", id(passing)), lambda: uncounted(passing))
    return (
        index.once(("egress proxy", proxy), lambda: pass_to(proxy, index.mesh.headers.attempt_count))
        if proxy
        else passing
    )


def _http_ports(index: Index) -> tuple[int, ...]:
    ports = {port.number for service in index.services for port in service.ports if may_be_http(port)}
    ports.update(port for each in unserved(index) for port in each.ports)
    return tuple(sorted(ports))


def _captured(index: Index, viewer: Viewer, port: int, name: str) -> Any:
    """Hosts are matched without their port, which is that of the listener."""
    entries = [
        captured_entry(index, viewer, service, port)
        for service in index.services
        if any(p.number == port and may_be_http(p) for p in service.ports)
    ]
    entries += [
        Entry(authority(each.host, port), [authority(each.host)], found)
        for each in unserved(index)
        if port in each.ports and (found := virtual_service.routes(index, viewer, each.bound, port))
    ]
    others = rest(index, BLOCK_UNKNOWN if name else PASS_UNKNOWN)
    return configuration(name or str(port), [*virtual_hosts(entries, index.mesh.headers.attempt_count), others])


def captured_entry(index: Index, viewer: Viewer, service: Service, port: int) -> Entry:
    """Who asks for a service on one of its ports."""
    return Entry(
        authority(service.host, port),
        [authority(host) for host in (service.host, *virtual_addresses(service))],
        service_routes(index, viewer, service, port),
        short_names(service.host, viewer.namespace),
    )


@dataclass(frozen=True, slots=True)
class Unserved:
    """A host of a VirtualService that is no service's. It is asked for on the ports of the services that its VirtualService
    is for besides, or of the service whose wildcard it is part of, else on port 80, as in Istio."""

    host: str
    bound: BoundService
    ports: tuple[int, ...]


def unserved(index: Index) -> tuple[Unserved, ...]:
    return index.fact("unserved", lambda index: tuple(_find_unserved(index)))


def _find_unserved(index: Index) -> Iterator[Unserved]:
    wildcards = [service for service in index.services if is_wildcard(service.host)]
    for host, bound in index.hosts_without_service():
        named = [found for name in bound.hosts if (found := index.service(name)) is not None]
        around = named or [s for s in wildcards if covers(s.host, host)][:1]
        ports = {port.number: None for service in around for port in service.ports if may_be_http(port)}
        yield Unserved(host, bound, tuple(ports) or (HTTP_PORT,))
