"""Worlds of many services, and the changes that pushes are measured with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

from control_plane.world import Instance, Service, World
from mesh.istio.load import load_documents
from mesh.istio.resource import Resource
from mesh.naming import inbound_port, service_host
from mesh.node import Node, ServicePort

PORT: Final = ServicePort(9080, "http", "HTTP")
_HELD: Final = 10  # endpoints of a service before the one that changes


def world(revision: int, services: int, endpoints: int, scope: int = 0) -> World:
    """`services` services of `endpoints` endpoints each; with `scope` proxies see so many of them."""
    names = [f"service-{n}" for n in range(services)]
    hosts = {service_host(name, "default"): name for name in names}
    return World(
        revision=revision,
        services={host: Service(host, name, "default", (PORT,)) for host, name in hosts.items()},
        instances={
            host: tuple(instance(name, number, n) for n in range(endpoints))
            for number, (host, name) in enumerate(hosts.items())
        },
        resources={"Sidecar": (sidecar(names[:scope]),)} if scope else {},
    )


def instance(service: str, number: int, n: int) -> Instance:
    address = f"127.{1 + n % 200}.{number // 250}.{number % 250 + 1}"
    return Instance(address, {9080: inbound_port(0)}, {"app": service}, workload=f"{service}-{n}", meshed=True)


def node(number: int, services: int) -> Node:
    """The proxy of that number."""
    address = f"127.250.{number // 250}.{number % 250 + 1}"
    return Node("sidecar", address, f"proxy-{number}", service=f"service-{number % services}", ports=(PORT,))


def resource(kind: str, name: str, spec: dict[str, Any]) -> Resource:
    head = {"apiVersion": "networking.istio.io/v1", "kind": kind, "metadata": {"name": name, "namespace": "default"}}
    return load_documents([{**head, "spec": spec}])[0]


def sidecar(names: Sequence[str]) -> Resource:
    return resource("Sidecar", "default", {"egress": [{"hosts": [f"./{service_host(n, 'default')}" for n in names]}]})


# ── changes ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def nothing(before: World) -> World:
    return before


def one_endpoint(before: World) -> World:
    """Another endpoint of the first service in place of the last such."""
    host, instances = next(iter(before.instances.items()))
    number = before.revision
    address = f"127.240.{number // 250 % 250}.{number % 250 + 1}"
    more = (*instances[:_HELD], Instance(address, {9080: inbound_port(0)}, workload="more", meshed=True))
    return replace(before, instances={**before.instances, host: more})


def one_route(before: World) -> World:
    """A VirtualService for the first service that sends another share elsewhere each time."""
    weight = before.revision % 50
    targets = [{"destination": {"host": f"service-{n}"}, "weight": w} for n, w in ((0, weight), (1, 100 - weight))]
    spec = {"hosts": ["service-0"], "http": [{"route": targets}]}
    return replace(before, resources={**before.resources, "VirtualService": (resource("VirtualService", "r", spec),)})


def one_service_more(before: World) -> World:
    host = service_host("more", "default")
    services = {**before.services, host: Service(host, "more", "default", (PORT,))}
    return replace(before, services=services, instances={**before.instances, host: (instance("more", 9_000, 0),)})


def one_service_less(before: World) -> World:
    host = service_host("more", "default")
    return replace(
        before,
        services={h: s for h, s in before.services.items() if h != host},
        instances={h: i for h, i in before.instances.items() if h != host},
    )
