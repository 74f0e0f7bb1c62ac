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
_WORKLOADS = ("Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "Pod", "WorkloadEntry", "WorkloadGroup")


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
    """`assumed` are the services that no resource declares; `stranger` says that nothing declares the client."""

    node: Node
    world: World
    messages: Resources
    assumed: tuple[str, ...]
    stranger: bool = False

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
    stranger = not _declared(kinds, services, client)
    return Preview(node, world, build(world, node), tuple(sorted(assumed)), stranger)


def _declared(kinds: Mapping[str, tuple[Resource, ...]], services: Mapping[str, Service], client: Client) -> bool:
    """Whether anything declares who calls: a service of that name, a workload, or a selector that means it."""
    if service_host(client.name, client.namespace).lower() in services:
        return True
    node = node_of(client)
    labels = node.labels.items()
    for kind in _WORKLOADS:
        for each in kinds.get(kind, ()):
            there = each.key.namespace == client.namespace
            if there and (each.key.name == client.name or _labels_of(each).get("app") == client.name):
                return True
    if client.gateway:
        return any(each.spec.selector.items() <= labels for each in kinds.get("Gateway", ()))
    return any(
        match.source_labels and match.source_labels.items() <= labels
        for each in kinds.get("VirtualService", ())
        for rule in each.spec.http
        for match in rule.match
    )


def _labels_of(resource: Resource) -> Mapping[str, str]:
    spec: Any = resource.spec
    if resource.key.kind == "WorkloadEntry":
        return {**spec.labels, **resource.labels}
    if resource.key.kind in ("WorkloadGroup", "Pod"):
        labels: Mapping[str, str] = spec.labels if resource.key.kind == "WorkloadGroup" else resource.labels
        return labels
    found: Mapping[str, str] = spec.template.metadata.labels
    return found


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
