"""Gateways: whether anybody is what they select, can be reached there, and has each port once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from control_plane.analysis.codes import (
    CONFLICTING_GATEWAYS,
    GATEWAY_PORT_NOT_ON_SERVICE,
    REFERENCED_RESOURCE_NOT_FOUND,
)
from control_plane.analysis.examined import Examined, Member, labels_text
from control_plane.analysis.finding import Finding, finding
from mesh.istio.resource import Key, Resource

Selector = frozenset[tuple[str, str]]


def conflicting_ports(seen: Examined) -> Iterator[Finding]:
    """Two Gateways for the same proxies with the same port and host."""
    places: dict[int, dict[Selector, dict[Key, set[str]]]] = {}
    for resource in seen.all("Gateway"):
        for server in resource.spec.servers:
            there = places.setdefault(server.port.number, {}).setdefault(_selector(resource), {})
            there.setdefault(resource.key, set()).update(server.hosts)
    for resource in seen.of("Gateway"):
        own = _selector(resource)
        for position, server in enumerate(resource.spec.servers):
            for other, gateways in places[server.port.number].items():
                if other == own or _some_have_both(seen, own, other):
                    yield from _conflicts(resource, position, gateways)


def _some_have_both(seen: Examined, one: Selector, other: Selector) -> bool:
    """Whether a selector narrows the other down, to somebody who is known."""
    narrower = max(one, other, key=len)
    return (one < other or other < one) and any(seen.picked(dict(narrower)))


def _conflicts(resource: Resource, position: int, gateways: Mapping[Key, set[str]]) -> Iterator[Finding]:
    server = resource.spec.servers[position]
    for key, hosts in gateways.items():
        shared = sorted(hosts & set(server.hosts))
        if key == resource.key or not shared:
            continue
        message = (
            f"Conflict with gateways {key.namespace}/{key.name} (workload selector "
            f"{labels_text(resource.spec.selector)}, port {server.port.number}, hosts {','.join(shared)})."
        )
        yield finding(CONFLICTING_GATEWAYS, resource, ("spec", "servers", position), message, (key,))


def _selector(resource: Resource) -> Selector:
    return frozenset(resource.spec.selector.items())


def unselected(seen: Examined) -> Iterator[Finding]:
    """A selector that no proxy or workload satisfies, where any is known."""
    if not seen.members:
        return
    for resource in seen.of("Gateway"):
        selector = resource.spec.selector
        if selector and not any(seen.picked(selector)):
            message = f'Referenced selector not found: "{labels_text(selector)}"'
            yield finding(REFERENCED_RESOURCE_NOT_FOUND, resource, ("spec", "selector"), message)


def ports_of_services(seen: Examined) -> Iterator[Finding]:
    """Where a Service leads to a gateway's workloads, ports that it does not lead to."""
    for resource in seen.of("Gateway"):
        selector = resource.spec.selector
        open_ports = {port for member in seen.picked(selector) for port in _ports(seen, member)} if selector else set()
        for position, server in enumerate(resource.spec.servers):
            if open_ports and server.port.number not in open_ports:
                message = (
                    f"The gateway is listening on a target port (port {server.port.number}) that is not defined in the "
                    f"Service associated with its workload instances (Pod selector {labels_text(selector)}). If you need "
                    "to access the gateway port through the gateway Service, it will not be available."
                )
                path = ("spec", "servers", position, "port", "number")
                yield finding(GATEWAY_PORT_NOT_ON_SERVICE, resource, path, message)


def _ports(seen: Examined, member: Member) -> Iterator[int]:
    """The ports of the Services that select a workload. A port of a Gateway may be that of the Service: where its proxy
    listens (`targetPort`) is found here."""
    for service in seen.selecting.of(member.namespace, member.labels):
        for port in service.spec.ports:
            yield port.port
            if isinstance(port.target_port, int):
                yield port.target_port
