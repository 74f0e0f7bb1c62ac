"""RDS and VHDS of sidecars that are asked as an HTTP proxy: every port of every service, told apart by the port in the
request's authority.

There are two forms. A route configuration that holds all virtual hosts is for clients that know no other; by VHDS each of
them is a resource of its own, so that a change of one costs one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from itertools import chain
from typing import Any, Final

from control_plane.layers import Layers
from control_plane.translate import virtual_service
from control_plane.translate.clusters import reachable
from control_plane.translate.hosts import covers, is_wildcard, short_names
from control_plane.translate.index import Index
from control_plane.translate.messages import authority
from control_plane.translate.ports import bare_port, is_http, may_be_http, virtual_addresses
from control_plane.translate.routes import Unserved, captured, rest, service_routes, unserved
from control_plane.translate.tcp_routes import Targets, service_chains
from control_plane.translate.viewer import Viewer
from control_plane.translate.virtual_hosts import (
    NOT_LOOKED_UP,
    PASS_ADDRESSES,
    Claim,
    Entry,
    assigned,
    by_vhds,
    configuration,
    connect_route,
    renamed,
    virtual_host,
)
from control_plane.world import Service
from mesh.naming import HTTP_PROXY_ROUTES, outbound_cluster
from mesh.node import ServicePort
from mesh.xds import ROUTE, VIRTUAL_HOST

PREFIX: Final = f"{HTTP_PROXY_ROUTES}/"  # of the names of virtual hosts that are resources
BY_VHDS: Final = by_vhds(configuration(HTTP_PROXY_ROUTES, (), ignore_port=False))  # shared: not to be changed


def route_configurations(
    index: Index, viewer: Viewer, ports: tuple[int, ...], *, apart: bool = False
) -> Mapping[str, Any]:
    """By name: one for each of the captured ports, and that of the explicit proxy; `apart`: this one without its hosts."""
    return index.once(
        ("route configurations", viewer, ports, apart), lambda: _configurations(index, viewer, ports, apart)
    )


def _configurations(index: Index, viewer: Viewer, ports: tuple[int, ...], apart: bool) -> Mapping[str, Any]:
    configs = {str(port): captured(index, viewer, port) for port in ports}
    whole = partial(index.once, ("http_proxy", viewer), lambda: _whole(index, viewer))
    configs[HTTP_PROXY_ROUTES] = BY_VHDS if apart else whole()
    return configs


def explicit_hosts(index: Index, viewer: Viewer) -> Mapping[str, Any]:
    """The virtual hosts of the explicit proxy as resources. There is always one, for unknown hosts: an Envoy waits 15 s for
    the first."""
    return index.once(("explicit hosts", viewer), lambda: _apart(index, viewer))


def _apart(index: Index, viewer: Viewer) -> Mapping[str, Any]:
    unknown = rest(index, PASS_ADDRESSES)
    name = PREFIX + unknown.name
    others = {name: index.once((name, id(unknown)), lambda: renamed(unknown, name))}
    return Layers(_hosts(index, viewer, PREFIX), others)


def _whole(index: Index, viewer: Viewer) -> Any:
    """There is no original destination that an unknown host could be passed on to; an address and a port are one
    themselves."""
    hosts = _hosts(index, viewer, "")
    ordered = [hosts[name] for name in sorted(hosts)]
    return configuration(HTTP_PROXY_ROUTES, [*ordered, rest(index, PASS_ADDRESSES)], ignore_port=False)


def taken_apart(built: Mapping[str, Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
    """What holds the virtual hosts of an explicit proxy in its routes, in the other form."""
    whole = built[ROUTE].get(HTTP_PROXY_ROUTES)
    if whole is None or not whole.virtual_hosts:
        return dict(built)
    hosts = {PREFIX + host.name: renamed(host, PREFIX + host.name) for host in whole.virtual_hosts}
    alone = by_vhds(whole)
    del alone.virtual_hosts[:]
    return {**built, ROUTE: {**built[ROUTE], HTTP_PROXY_ROUTES: alone}, VIRTUAL_HOST: hosts}


# ── virtual hosts, each service's by themselves ───────────────────────────────────────────────────────────────────────


def _hosts(index: Index, viewer: Viewer, prefix: str) -> Mapping[str, Any]:
    """By name. What two services both ask for is rare, so that each is made as if it were alone."""
    part = partial(_hosts_of, index, viewer, prefix)
    alone = index.memo.gather(("explicit", viewer, prefix), 1, lambda: _named(index), part)[0]
    conflicts = index.memo.fact(("conflicts", viewer), lambda: _conflicts(index, viewer))
    if not conflicts:
        return alone
    hosts = dict(alone)
    for (host, claim), domains in conflicts.items():
        del hosts[prefix + claim.name]
        if domains:
            [routes] = (each.routes for each in _entries_of(index, viewer, host) if each.claim == claim)
            hosts[prefix + claim.name] = virtual_host(
                prefix + claim.name, domains, routes, index.mesh.headers.attempt_count
            )
    return hosts


def _hosts_of(index: Index, viewer: Viewer, prefix: str, host: str) -> tuple[dict[str, Any]]:
    entries = _entries_of(index, viewer, host)
    attempts = index.mesh.headers.attempt_count
    return ({prefix + e.name: virtual_host(prefix + e.name, e.claim.wished, e.routes, attempts) for e in entries},)


def _named(index: Index) -> tuple[str, ...]:
    """All hosts that can be asked for: those of services, and others that have rules."""
    return index.fact("explicit", lambda index: (*dict.fromkeys((*index.hosts, *_unserved(index))),))


def _conflicts(index: Index, viewer: Viewer) -> Mapping[tuple[str, Claim], tuple[str, ...]]:
    """What is left to those that do not get all domains that they ask for."""
    asked = [(host, claim) for host in _named(index) for claim in _claims(index, viewer, host)]
    asked.sort(key=lambda each: each[1].name)
    got = assigned([claim for _, claim in asked])
    return {each: domains for each, domains in zip(asked, got, strict=True) if domains != each[1].wished}


def _claims(index: Index, viewer: Viewer, host: str) -> tuple[Claim, ...]:
    """Another route is no other claim: who has looked at claims only is not made again."""
    key = ("claims", viewer, host)
    return index.memo.fact(key, lambda: tuple(entry.claim for entry in _entries_of(index, viewer, host)))


# ── what can be asked for ─────────────────────────────────────────────────────────────────────────────────────────────


def _entries_of(index: Index, viewer: Viewer, host: str) -> list[Entry]:
    """Of one host; no two have one name."""
    return index.once(("entries", viewer, host), lambda: _find_entries(index, viewer, host))


def _find_entries(index: Index, viewer: Viewer, host: str) -> list[Entry]:
    found: dict[str, Entry] = {}
    entries = (_served(index, viewer, host), _not_looked_up(index, viewer, host), _ruled(index, viewer, host))
    for entry in chain.from_iterable(entries):
        found.setdefault(entry.name, entry)
    return list(found.values())


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
