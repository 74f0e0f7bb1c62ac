"""RDS and VHDS of sidecars: a route configuration for each captured port, and one for who asks the sidecar as an HTTP proxy,
in which every port of every service is told apart by the port in the request's authority.

There are two forms. Route configurations that hold all their virtual hosts are for clients that know no other; by VHDS each
virtual host is a resource of its own, so that a change of one costs one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import chain
from typing import Any

from envoy.config.route.v3.route_components_pb2 import Route

from control_plane.layers import Layers
from control_plane.resource import Versioned, versioned
from control_plane.translate import virtual_service
from control_plane.translate.clusters import reachable
from control_plane.translate.hosts import covers, is_wildcard, short_names
from control_plane.translate.index import Index
from control_plane.translate.messages import authority
from control_plane.translate.ports import bare_port, is_http, may_be_http, virtual_addresses
from control_plane.translate.routes import (
    Unserved,
    captured,
    captured_entry,
    http_ports,
    rest,
    service_routes,
    unserved,
)
from control_plane.translate.tcp_routes import Targets, service_chains
from control_plane.translate.viewer import Audience, Viewer
from control_plane.translate.virtual_hosts import (
    NOT_LOOKED_UP,
    PASS_ADDRESSES,
    PASS_UNKNOWN,
    Claim,
    Entry,
    assigned,
    by_vhds,
    configuration,
    connect_route,
    renamed,
    virtual_hosts,
)
from control_plane.world import Service
from mesh.naming import HTTP_PROXY_ROUTES, outbound_cluster
from mesh.node import ServicePort
from mesh.xds import ROUTE, VIRTUAL_HOST

Entries = Mapping[str, list[Entry]]  # by route configuration
Asked = tuple[str, str, Claim]  # for which route configuration, by which host


def route_configurations(
    index: Index, viewer: Viewer, ports: tuple[int, ...], *, apart: bool = False
) -> Mapping[str, Any]:
    """By name: one for each of the captured ports, and that of the explicit proxy; `apart`: without their virtual hosts."""
    make = _without_hosts if apart else _with_hosts
    return index.once(("route configurations", viewer, ports, apart), lambda: make(index, viewer, ports))


def _with_hosts(index: Index, viewer: Viewer, ports: tuple[int, ...]) -> Mapping[str, Any]:
    configs = {str(port): captured(index, viewer, port) for port in ports}
    configs[HTTP_PROXY_ROUTES] = index.once((HTTP_PROXY_ROUTES, viewer), lambda: _explicit(index, viewer))
    return configs


def _explicit(index: Index, viewer: Viewer) -> Any:
    """There is no original destination that an unknown host could be passed on to; an address and a port are one
    themselves."""
    entries = [each for host in _named(index) for each in _entries_of(index, viewer, host)[HTTP_PROXY_ROUTES]]
    hosts = virtual_hosts(entries, index.mesh.headers.attempt_count)
    return configuration(HTTP_PROXY_ROUTES, [*hosts, rest(index, PASS_ADDRESSES)], ignore_port=False)


# ── virtual hosts as resources, each service's by themselves ──────────────────────────────────────────────────────────


def _without_hosts(index: Index, _viewer: Viewer, ports: tuple[int, ...]) -> Mapping[str, Any]:
    names = (*map(str, ports), HTTP_PROXY_ROUTES)
    return {name: index.once(("by vhds", name), partial(_by_vhds, name)) for name in names}


def _by_vhds(name: str) -> Any:
    return by_vhds(configuration(name, (), ignore_port=name != HTTP_PROXY_ROUTES))


def sidecar_hosts(index: Index, viewer: Viewer) -> Mapping[str, Any]:
    """The virtual hosts of all of these. Each has one for unknown hosts: an Envoy waits 15 s for the first."""
    return index.once(("hosts", viewer), lambda: Layers(_hosts(index, viewer), _unknown(index, viewer)))


def _unknown(index: Index, viewer: Viewer) -> Mapping[str, Any]:
    found: dict[str, Any] = {}
    for routes in (
        HTTP_PROXY_ROUTES,
        *(map(str, http_ports(index)) if viewer.audience is Audience.TRANSPARENT else ()),
    ):
        host = rest(index, PASS_ADDRESSES if routes == HTTP_PROXY_ROUTES else PASS_UNKNOWN)
        name = f"{routes}/{host.name}"
        found[name] = index.once((name, id(host)), partial(renamed, host, name))
    return found


def _hosts(index: Index, viewer: Viewer) -> Mapping[str, Any]:
    """What two services both ask for is rare, so that each is made as if it were alone."""
    part = partial(_hosts_of, index, viewer)
    alone = index.memo.gather(("hosts of services", viewer), 1, lambda: _named(index), part)[0]
    conflicts = index.memo.fact(("conflicts", viewer), lambda: _conflicts(index, viewer))
    if not conflicts:
        return alone
    hosts = dict(alone)
    for (routes, host, claim), domains in conflicts.items():
        name = f"{routes}/{claim.name}"
        del hosts[name]
        if domains:
            [entry] = (each for each in _entries_of(index, viewer, host)[routes] if each.claim == claim)
            hosts[name] = _host(index, name, domains, entry)
    return hosts


def _hosts_of(index: Index, viewer: Viewer, host: str) -> tuple[dict[str, Versioned]]:
    return (
        {
            (name := f"{routes}/{each.name}"): _host(index, name, each.claim.wished, each)
            for routes, entries in _entries_of(index, viewer, host).items()
            for each in entries
        },
    )


def _host(index: Index, name: str, domains: Iterable[str], entry: Entry) -> Versioned:
    return versioned(VIRTUAL_HOST, name, entry.virtual_host(name, domains, index.mesh.headers.attempt_count))


def _conflicts(index: Index, viewer: Viewer) -> Mapping[Asked, tuple[str, ...]]:
    """What is left to those that do not get all domains that they ask for."""
    by_routes: dict[str, list[Asked]] = {}
    for host in _named(index):
        for routes, claim in _claims(index, viewer, host):
            by_routes.setdefault(routes, []).append((routes, host, claim))
    found: dict[Asked, tuple[str, ...]] = {}
    for asked in by_routes.values():
        asked.sort(key=lambda each: each[2].name)
        got = assigned([claim for *_, claim in asked])
        found |= {each: domains for each, domains in zip(asked, got, strict=True) if domains != each[2].wished}
    return found


def _claims(index: Index, viewer: Viewer, host: str) -> tuple[tuple[str, Claim], ...]:
    """Another route is no other claim: who has looked at claims only is not made again."""
    return index.memo.fact(("claims", viewer, host), lambda: tuple(_find_claims(_entries_of(index, viewer, host))))


def _find_claims(entries: Entries) -> Iterator[tuple[str, Claim]]:
    return ((routes, each.claim) for routes, found in entries.items() for each in found)


# ── from one form to the other ────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True, eq=False)
class Apart:
    """A route configuration as it was, without its virtual hosts, and these, as resources."""

    whole: Any
    alone: Any
    hosts: Mapping[str, Any]


def apart(whole: Any) -> Apart:
    alone = by_vhds(whole)
    del alone.virtual_hosts[:]
    names = [f"{whole.name}/{host.name}" for host in whole.virtual_hosts]
    return Apart(
        whole, alone, {name: renamed(host, name) for name, host in zip(names, whole.virtual_hosts, strict=True)}
    )


def kept_apart(index: Index, whole: Any) -> Apart:
    """The same, once for each. (It holds what it is found by the id of.)"""
    return index.once(("apart", id(whole)), lambda: apart(whole))


def taken_apart(
    built: Mapping[str, Mapping[str, Any]], split: Callable[[Any], Apart] = apart
) -> dict[str, Mapping[str, Any]]:
    """A sidecar's resources in the other form. A configuration without any virtual host stays as it is."""
    found = {name: split(whole) for name, whole in built[ROUTE].items() if whole.virtual_hosts}
    routes = {name: found[name].alone if name in found else whole for name, whole in built[ROUTE].items()}
    hosts = {name: host for each in found.values() for name, host in each.hosts.items()}
    return {**built, ROUTE: routes, VIRTUAL_HOST: hosts}


# ── what can be asked for ─────────────────────────────────────────────────────────────────────────────────────────────


def _named(index: Index) -> tuple[str, ...]:
    """All hosts: those of services, and others that have rules."""
    return index.fact("named hosts", lambda index: (*dict.fromkeys((*index.hosts, *_unserved(index))),))


def _entries_of(index: Index, viewer: Viewer, host: str) -> Entries:
    """Of one host; no two of a route configuration have one name."""
    return index.once(("entries", viewer, host), lambda: _find_entries(index, viewer, host))


def _find_entries(index: Index, viewer: Viewer, host: str) -> Entries:
    explicit = (_served(index, viewer, host), _not_looked_up(index, viewer, host), _ruled(index, viewer, host))
    found: dict[str, dict[str, Entry]] = {HTTP_PROXY_ROUTES: {}}
    for entry in chain.from_iterable(explicit):
        found[HTTP_PROXY_ROUTES].setdefault(entry.name, entry)
    if viewer.audience is Audience.TRANSPARENT:
        for port, entry in _captured(index, viewer, host):
            found.setdefault(str(port), {}).setdefault(entry.name, entry)
    return {routes: list(entries.values()) for routes, entries in found.items()}


def _captured(index: Index, viewer: Viewer, host: str) -> Iterator[tuple[int, Entry]]:
    service = index.service(host)
    if service is not None:
        for port in service.ports:
            if may_be_http(port):
                yield port.number, captured_entry(index, viewer, service, port.number)
        return
    for each in _unserved(index).get(host, ()):
        for number in each.ports:
            if found := virtual_service.routes(index, viewer, each.bound, number):
                yield number, Entry(authority(host, number), [authority(host)], found)


def _ruled(index: Index, viewer: Viewer, host: str) -> Iterator[Entry]:
    """A host that no service has. (Who has one depends on no other rules.)"""
    if index.service(host) is not None:
        return
    for each in _unserved(index).get(host, ()):
        for port in each.ports:
            if found := virtual_service.routes(index, viewer, each.bound, port):
                yield Entry(authority(host, port), _asked_as(host, port, port == each.ports[0]), found)


def _unserved(index: Index) -> Mapping[str, tuple[Unserved, ...]]:
    return index.fact("unserved by host", _unserved_by_host)


def _unserved_by_host(index: Index) -> Mapping[str, tuple[Unserved, ...]]:
    found: dict[str, tuple[Unserved, ...]] = {}
    for each in unserved(index):
        found[each.host] = (*found.get(each.host, ()), each)
    return found


def _not_looked_up(index: Index, viewer: Viewer, host: str) -> Iterator[Entry]:
    """The authorities of a service that no cluster of this client leads to: a wildcard without names to look up."""
    service = index.service(host)
    if service is None or not is_wildcard(host) or reachable(index, viewer, host):
        return
    for port in service.ports:
        for name in _asked_as(host, port.number, port.number == bare_port(service)):
            yield Entry(name, [name], NOT_LOOKED_UP.routes)


def _served(index: Index, viewer: Viewer, host: str) -> Iterator[Entry]:
    service = index.service(host)
    if service is None:
        return
    bare = bare_port(service)
    clusters = frozenset(reachable(index, viewer, host))
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
    kept = index.once(
        ("connect", targets, http2), lambda: bytes(connect_route(targets, http2=http2).SerializeToString())
    )
    return Route.FromString(kept)


def _http_routes(index: Index, viewer: Viewer, service: Service, port: ServicePort) -> list[Any]:
    return service_routes(index, viewer, service, port.number) if may_be_http(port) else []
