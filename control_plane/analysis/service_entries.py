"""ServiceEntries: whether everybody can reach what they declare, and whether they agree about it."""

from __future__ import annotations

from collections.abc import Iterator

from control_plane.analysis.codes import ADDRESSES_REQUIRED, CONFLICTING_PROTOCOLS, NOT_LOOKED_UP
from control_plane.analysis.examined import Examined
from control_plane.analysis.finding import Finding, finding
from control_plane.translate.hosts import is_wildcard
from control_plane.translate.scope import visible
from mesh.istio.resource import Resource
from mesh.istio.service_entry import Protocol, Resolution


def wildcards_by_name(seen: Examined) -> Iterator[Finding]:
    """A wildcard that is found by where the connection was going: a proxy that is asked by name does not know."""
    for resource in seen.of("ServiceEntry"):
        for position, host in enumerate(resource.spec.hosts):
            if resource.spec.resolution is Resolution.NONE and is_wildcard(host):
                message = (
                    f"{host} with resolution NONE is reached through intercepted connections only: an explicit proxy "
                    "(http_proxy) answers 502, because no name in it is one to look up. Name the hosts, with resolution DNS"
                )
                yield finding(NOT_LOOKED_UP, resource, ("spec", "hosts", position), message)


def without_addresses(seen: Examined) -> Iterator[Finding]:
    """Ports whose connections do not say for which host they are, of hosts that have no address of their own."""
    for resource in seen.of("ServiceEntry"):
        for position, port in enumerate(resource.spec.ports):
            if not resource.spec.addresses and port.protocol in (Protocol.UNSPECIFIED, Protocol.TCP):
                message = "ServiceEntry addresses are required for this protocol."
                yield finding(ADDRESSES_REQUIRED, resource, ("spec", "ports", position), message)


def protocols(seen: Examined) -> Iterator[Finding]:
    """A host and port that two entries, which a client may both see, declare with different protocols."""
    declared: dict[tuple[str, int], list[tuple[Resource, str]]] = {}
    for resource in seen.all("ServiceEntry"):
        for host in resource.spec.hosts:
            for port in resource.spec.ports:
                declared.setdefault((host.lower(), port.number), []).append((resource, port.protocol.value))
    asked = {resource.key for resource in seen.of("ServiceEntry")}
    for (host, number), found in declared.items():
        for resource, protocol in found:
            others = [(other, spoken) for other, spoken in found if spoken != protocol and _meet(resource, other)]
            if resource.key not in asked or not others:
                continue
            keys = {resource.key, *(other.key for other, _ in others)}
            names = sorted(f"{key.namespace}/{key.name}" for key in keys)
            spoken_by_all = sorted({protocol, *(spoken for _, spoken in others)})
            message = (
                f"ServiceEntries {', '.join(names)} define the same host {host} and port {number} with conflicting "
                f"protocols: {', '.join(each or 'unset' for each in spoken_by_all)}. (Here the oldest holds.)"
            )
            yield finding(CONFLICTING_PROTOCOLS, resource, ("metadata", "name"), message, tuple(keys - {resource.key}))


def _meet(one: Resource, other: Resource) -> bool:
    """Whether there may be a client that is told of both."""
    pairs = ((one, other), (other, one))
    return any(visible(entry.spec.export_to, entry.key.namespace, each.key.namespace) for entry, each in pairs)
