"""What a control plane would give to a proxy if it had only these resources: a mesh on paper. Pure.

Workloads tell what they are when they connect; here nobody has, so that services which no resource declares are taken to
be there as far as rules name them, and so is the proxy.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from control_plane.registry.services import discover
from control_plane.translate import Resources, build
from control_plane.world import Service, World
from mesh.istio.resource import Resource
from mesh.naming import DOMAIN, service_host
from mesh.node import INTERCEPT_NONE, INTERCEPT_REDIRECT, ROUTER, SIDECAR, Node, ServicePort

DEFAULT_PORT = 80


@dataclass(frozen=True, slots=True)
class Client:
    """Who calls: a workload of a service, or (`gateway`) what lets the world in. `redirected`: its connections come to its
    proxy by themselves; otherwise it asks the proxy by name."""

    name: str
    namespace: str = "default"
    version: str = ""
    gateway: bool = False
    redirected: bool = False


@dataclass(frozen=True, slots=True)
class Preview:
    """`assumed` are the services that no resource declares."""

    node: Node
    world: World
    messages: Resources
    assumed: tuple[str, ...]

    def virtual_address(self, host: str) -> str:
        """A service's own address, "" where it has none."""
        for name in (host, *(each.host for each in self.world.services.values() if each.name == host)):
            if (found := self.world.services.get(name)) is not None and found.addresses:
                return found.addresses[0]
        return ""


def preview(resources: Iterable[Resource], client: Client, host: str = "", port: int = DEFAULT_PORT) -> Preview:
    """The proxy's messages. `host` and `port` are what is called."""
    kinds = _by_kind(resources)
    services, instances = discover(kinds, ())
    named = [*_named(kinds), *([(host, client.namespace, port)] if host and not client.gateway else [])]
    assumed: dict[str, set[int]] = {}
    for name, namespace, number in named:
        full = service_host(name, namespace).lower()
        if full not in services and full.endswith(f".svc.{DOMAIN}"):
            assumed.setdefault(full, set()).add(number or port)
    services = {**services, **{full: _service(full, ports) for full, ports in assumed.items()}}
    world = World(1, kinds, services, instances)
    node = node_of(client)
    return Preview(node, world, build(world, node), tuple(sorted(assumed)))


def node_of(client: Client) -> Node:
    """The proxy as it would name itself."""
    if client.gateway:
        labels = {"istio": client.name.removeprefix("istio-"), "app": client.name}
        return Node(ROUTER, "127.0.0.1", client.name, client.namespace, labels=labels)
    labels = {"app": client.name, **({"version": client.version} if client.version else {})}
    interception = INTERCEPT_REDIRECT if client.redirected else INTERCEPT_NONE
    return Node(
        SIDECAR,
        "127.0.0.1",
        client.name,
        client.namespace,
        service=client.name,
        labels=labels,
        workload=client.name,
        interception=interception,
    )


def _by_kind(resources: Iterable[Resource]) -> dict[str, tuple[Resource, ...]]:
    found: dict[str, list[Resource]] = {}
    for resource in resources:
        found.setdefault(resource.key.kind, []).append(resource)
    return {kind: tuple(each) for kind, each in found.items()}


def _named(kinds: Mapping[str, tuple[Resource, ...]]) -> Iterable[tuple[str, str, int]]:
    """The hosts that rules name, with the namespace in which short ones are meant, and the port, 0 where none is named."""
    for resource in kinds.get("VirtualService", ()):
        for rule in resource.spec.http:
            for each in rule.route:
                port: Any = each.destination.port
                yield each.destination.host, resource.key.namespace, port.number if port is not None else 0
    for resource in kinds.get("DestinationRule", ()):
        if "*" not in resource.spec.host:
            yield resource.spec.host, resource.key.namespace, 0


def _service(host: str, ports: Iterable[int]) -> Service:
    name, namespace, *_ = host.split(".")
    return Service(host, name, namespace, tuple(ServicePort(port) for port in sorted(ports)))
