"""Worlds for tests: Istio YAML, services in one line each, and the proxies that ask."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from control_plane.mesh_config import mesh_of
from control_plane.world import Instance, MeshConfig, Resolution, Service, World
from mesh.istio.load import load
from mesh.istio.resource import Resource
from mesh.naming import service_host
from mesh.node import INTERCEPT_NONE, INTERCEPT_REDIRECT, ROUTER, SIDECAR, Locality, Node, ServicePort

DEMO_PORT = 9080


def service(
    name: str,
    *ports: int | ServicePort,
    namespace: str = "default",
    resolution: Resolution = Resolution.REGISTRY,
    addresses: tuple[str, ...] = (),
    endpoints: tuple[Instance, ...] = (),
) -> Service:
    """A service; a port is a number where it speaks HTTP."""
    numbered = tuple(ServicePort(port) if isinstance(port, int) else port for port in ports or (DEMO_PORT,))
    return Service(service_host(name, namespace), name, namespace, numbered, resolution, addresses, endpoints=endpoints)


def instance(
    address: str,
    version: str = "v1",
    *,
    ports: Mapping[int, int] | None = None,
    healthy: bool = True,
    weight: int = 1,
    locality: Locality = Locality(),  # noqa: B008 - frozen
    app: str = "reviews",
    node_id: str = "",
) -> Instance:
    return Instance(
        address,
        {DEMO_PORT: 15006} if ports is None else ports,
        {"app": app, "version": version},
        workload=f"{app}-{version}",
        healthy=healthy,
        weight=weight,
        locality=locality,
        node_id=node_id,
    )


def world(
    *services: Service,
    yaml: str = "",
    instances: Mapping[str, Iterable[Instance]] | None = None,
    mesh: MeshConfig = MeshConfig(),  # noqa: B008 - frozen
) -> World:
    """`instances` by the short name of a service in the default namespace, or by its host."""
    by_kind: dict[str, list[Resource]] = defaultdict(list)
    for resource in load(yaml):
        by_kind[resource.key.kind].append(resource)
    resources = {kind: tuple(found) for kind, found in by_kind.items()}
    return World(
        revision=1,
        resources=resources,
        services={each.host: each for each in services},
        instances={service_host(name, "default"): tuple(found) for name, found in (instances or {}).items()},
        mesh=mesh_of(mesh, resources),
    )


def sidecar(
    name: str = "productpage",
    *ports: ServicePort,
    namespace: str = "default",
    labels: Mapping[str, str] | None = None,
    interception: str = INTERCEPT_NONE,
    address: str = "127.0.1.1",
    **more: Any,
) -> Node:
    """A workload of the service `name`."""
    return Node(
        SIDECAR,
        address,
        f"{name}-v1-1",
        namespace,
        service=name,
        labels={"app": name, "version": "v1"} if labels is None else labels,
        ports=ports or (ServicePort(DEMO_PORT),),
        workload=f"{name}-v1",
        interception=interception,
        **more,
    )


def transparent(name: str = "productpage", *ports: ServicePort, **more: Any) -> Node:
    return sidecar(name, *ports, interception=INTERCEPT_REDIRECT, address="10.0.0.1", **more)


def gateway(**labels: str) -> Node:
    return Node(ROUTER, "127.0.1.100", "ingress-1", labels=labels or {"istio": "ingressgateway"})


def grpc_client(namespace: str = "default") -> Node:
    return Node(SIDECAR, "127.0.1.50", "client-1", namespace, generator="grpc")
