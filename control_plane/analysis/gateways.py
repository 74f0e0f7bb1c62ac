"""Gateways: whether anybody is what they select."""

from __future__ import annotations

from collections.abc import Iterator

from control_plane.analysis.examined import Examined
from control_plane.analysis.finding import CONFLICTING_GATEWAYS, Finding, finding
from mesh.istio.resource import Resource


def conflicting_ports(seen: Examined) -> Iterator[Finding]:
    """Two Gateways for the same proxies with the same port and host."""
    for resource in seen.of("Gateway"):
        for position, server in enumerate(resource.spec.servers):
            for other in seen.all("Gateway"):
                shared = sorted(_shared(resource, other, server.port.number, server.hosts))
                if other.key == resource.key or not shared:
                    continue
                labels = ",".join(f"{name}={value}" for name, value in sorted(resource.spec.selector.items()))
                message = (
                    f"Conflict with gateways {other.key.namespace}/{other.key.name} (workload selector {labels}, "
                    f"port {server.port.number}, hosts {','.join(shared)})."
                )
                yield finding(CONFLICTING_GATEWAYS, resource, ("spec", "servers", position), message)


def _shared(one: Resource, other: Resource, number: int, hosts: tuple[str, ...]) -> set[str]:
    if one.spec.selector != other.spec.selector:
        return set()
    return {host for server in other.spec.servers if server.port.number == number for host in server.hosts} & set(hosts)
