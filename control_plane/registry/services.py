"""(declared resources, workloads) → services and their endpoints. Pure.

Of one host, a Kubernetes Service comes before ServiceEntries, the older before the younger, and all of them before the
implicit service that workloads make by naming it when they connect. ServiceEntries of one host, namespace and resolution
are one service with the ports of all.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, NamedTuple

from control_plane.registry.kubernetes import Kubernetes
from control_plane.registry.ports import Wanted, reached, service_ports
from control_plane.registry.selection import Labelled
from control_plane.registry.workload import Workload
from control_plane.world import Instance, Resolution, Service
from mesh.istio.resource import Resource
from mesh.istio.service_entry import Location, ServiceEntry
from mesh.istio.service_entry import Resolution as Declared
from mesh.istio.workload_entry import WorkloadEntry
from mesh.kubernetes.service import HEADLESS, ServiceSpec, ServiceType, SessionAffinity
from mesh.naming import service_host
from mesh.node import GENERATOR_GRPC, Locality, Node, ServicePort

Kinds = Mapping[str, tuple[Resource, ...]]
EXPORT_TO: Final = "networking.istio.io/exportTo"  # an annotation of Kubernetes' Service
NONE: Mapping[str, str] = {}

_RESOLUTIONS = {
    Declared.NONE: Resolution.NONE,
    Declared.STATIC: Resolution.REGISTRY,
    Declared.DNS: Resolution.DNS,
    Declared.DNS_ROUND_ROBIN: Resolution.DNS_ROUND_ROBIN,
    Declared.DYNAMIC_DNS: Resolution.DYNAMIC,
}


class _Declared(NamedTuple):
    """A service with its endpoints, as far as they do not come from workloads that name it. With `selects` there are no
    such: its selector says who belongs to it. `merges` says that others of its host may add to it."""

    service: Service
    wanted: tuple[Wanted, ...]
    instances: list[Instance]
    selects: bool
    merges: bool = False


class Members:
    """Who may be picked by a selector."""

    def __init__(self, workloads: Iterable[Workload], entries: Iterable[Resource]) -> None:
        self._workloads = Labelled((w.node.namespace, w.node.labels, w) for w in workloads)
        self._entries = Labelled((e.key.namespace, {**e.spec.labels, **e.labels}, e) for e in entries)

    def selected(self, service: Service, wanted: Sequence[Wanted]) -> list[Instance]:
        """The workloads of the service's namespace that carry all labels of its selector; those that registered come
        first, since more is known of them."""
        there = self._workloads.matching(service.namespace, service.selector)
        declared = self._entries.matching(service.namespace, service.selector)
        return _registered(there, wanted) + [_endpoint(service, e.spec, e.key.name, e.labels) for e in declared]


def discover(
    resources: Kinds, workloads: Sequence[Workload]
) -> tuple[dict[str, Service], dict[str, tuple[Instance, ...]]]:
    """Services by host, and the instances of those whose endpoints are known here."""
    declared: dict[str, list[_Declared]] = {}
    for each in _declared(resources, workloads):
        declared.setdefault(each.service.host, []).append(each)
    services = {host: _joined(found) for host, found in declared.items()}
    instances: dict[str, list[Instance]] = {}
    for host, joined in _by_service(workloads).items():
        if host not in services:
            services[host] = _implicit_service(host, joined)
            wanted = tuple(Wanted(port.number) for port in services[host].ports)
        elif any(each.selects for each in declared[host]):
            continue
        else:
            wanted = _all_wanted(declared[host])
        instances[host] = _registered(joined, wanted)
    for host, found in declared.items():
        instances.setdefault(host, []).extend(instance for each in found for instance in each.instances)
    return services, {host: _of(services[host], found) for host, found in instances.items() if _known(services[host])}


def _declared(resources: Kinds, workloads: Sequence[Workload]) -> Iterator[_Declared]:
    members = Members(workloads, resources.get("WorkloadEntry", ()))
    kubernetes = Kubernetes(resources)
    for resource in resources.get("Service", ()):
        yield _kubernetes_service(resource, members, kubernetes)
    for resource in resources.get("ServiceEntry", ()):
        for host in resource.spec.hosts:
            yield _service_entry(resource, host.lower(), members)


def _joined(declared: Sequence[_Declared]) -> Service:
    """The first; a ServiceEntry with the ports, addresses and names to look up of those that may add to it: of the same
    namespace, found in the same way (so Istio merges them). Of two ports with one number the first counts."""
    first, *others = (each.service for each in declared)
    if not others or not declared[0].merges:
        return first
    ports = {port.number: port for port in first.ports}
    addresses, endpoints = list(first.addresses), list(first.endpoints)
    for other in others:
        if (other.namespace, other.resolution) == (first.namespace, first.resolution):
            for port in other.ports:
                ports.setdefault(port.number, port)
            addresses += other.addresses
            endpoints += other.endpoints
    return replace(
        first,
        ports=tuple(ports.values()),
        addresses=tuple(dict.fromkeys(addresses)),
        endpoints=tuple({instance.key: instance for instance in endpoints}.values()),
    )


def _all_wanted(declared: Sequence[_Declared]) -> tuple[Wanted, ...]:
    found: dict[int, Wanted] = {}
    for each in declared:
        for wanted in each.wanted:
            found.setdefault(wanted.number, wanted)
    return tuple(found.values())


def _known(service: Service) -> bool:
    return service.resolution is Resolution.REGISTRY


def _of(service: Service, instances: Iterable[Instance]) -> tuple[Instance, ...]:
    """The instances once each, those that serve a port that the service has (others may be from another declaration of
    the same host)."""
    numbers = {port.number for port in service.ports}
    found: dict[Any, Instance] = {}
    for instance in instances:
        if numbers & instance.ports.keys():
            found.setdefault(instance.key, instance)
    return tuple(found.values())


# ── what is declared ──────────────────────────────────────────────────────────────────────────────────────────────────


def _kubernetes_service(resource: Resource, members: Members, kubernetes: Kubernetes) -> _Declared:
    spec: ServiceSpec = resource.spec
    namespace = resource.key.namespace
    ports, wanted = service_ports(spec)
    wanted = tuple(replace(each, target=kubernetes.target(namespace, spec.selector, each.target)) for each in wanted)
    targets = {each.number: each.target for each in wanted if isinstance(each.target, int)}
    ports = tuple(replace(port, target=targets.get(port.number, port.target)) for port in ports)
    addresses = spec.cluster_ips or (spec.cluster_ip,)
    service = Service(
        host=service_host(resource.key.name, resource.key.namespace),
        name=resource.key.name,
        namespace=resource.key.namespace,
        ports=ports,
        addresses=tuple(address for address in addresses if address not in ("", HEADLESS)),
        selector=spec.selector,
        affinity=spec.session_affinity is SessionAffinity.CLIENT_IP,
        near=spec.traffic_distribution,
        export_to=_exported(resource.annotations),
    )
    if spec.type is ServiceType.EXTERNAL_NAME:
        name = Instance(spec.external_name, {}, namespace=namespace)
        service = replace(service, resolution=Resolution.DNS, addresses=(), external=True, endpoints=(name,))
        return _Declared(service, wanted, [], selects=True)
    selects = bool(spec.selector)
    found = members.selected(service, wanted) if selects else kubernetes.endpoints(service)
    if spec.publish_not_ready_addresses:
        found = [replace(each, healthy=True) for each in found]
    return _Declared(service, wanted, found, selects)


def _exported(annotations: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(name for part in annotations.get(EXPORT_TO, "").split(",") if (name := part.strip()))


def _service_entry(resource: Resource, host: str, members: Members) -> _Declared:
    spec: ServiceEntry = resource.spec
    selects = spec.workload_selector is not None
    service = Service(
        host=host,
        name=host,
        namespace=resource.key.namespace,
        ports=tuple(ServicePort(p.number, p.name, p.protocol.spoken, p.target_port or 0) for p in spec.ports),
        resolution=_RESOLUTIONS[spec.resolution],
        addresses=spec.addresses,
        external=spec.location is Location.MESH_EXTERNAL,
        selector=spec.workload_selector.labels if spec.workload_selector else {},
        export_to=spec.export_to,
    )
    wanted = tuple(Wanted(port.number, port.app_port, port.name) for port in service.ports)
    if selects:
        found = members.selected(service, wanted)
    else:
        found = [_endpoint(service, endpoint) for endpoint in spec.endpoints]
    if service.resolution in (Resolution.DNS, Resolution.DNS_ROUND_ROBIN):
        if not selects and not found:  # the host itself is the name to look up
            own = {port.number: port.app_port for port in service.ports}
            found = [Instance(host, own, namespace=service.namespace)]
        service = replace(service, endpoints=tuple(found))
    return _Declared(service, wanted, found, selects, merges=True)


# ── who serves it ─────────────────────────────────────────────────────────────────────────────────────────────────────


def _registered(workloads: Iterable[Workload], wanted: Sequence[Wanted]) -> list[Instance]:
    return [
        Instance(
            address=node.address,
            ports=ports,
            labels=node.labels,
            namespace=node.namespace,
            workload=node.workload or node.name,
            locality=node.locality,
            weight=node.weight or 1,
            healthy=workload.healthy,
            meshed=node.generator != GENERATOR_GRPC,
            node_id=node.id,
            cluster_id=node.cluster_id,
        )
        for workload in workloads
        if (ports := reached(node := workload.node, wanted))
    ]


def _endpoint(service: Service, entry: WorkloadEntry, name: str = "", labels: Mapping[str, str] = NONE) -> Instance:
    """A declared endpoint: it says by name where it listens, else it is where the service says. The labels of its
    metadata come before those of its spec, as in Istio."""
    return Instance(
        address=entry.address,
        ports={port.number: entry.ports.get(port.name, port.app_port) for port in service.ports},
        labels={**entry.labels, **labels},
        namespace=service.namespace,
        workload=name,
        locality=Locality(*entry.locality.split("/")) if entry.locality else Locality(),
        weight=entry.weight or 1,
    )


# ── what workloads declare by connecting ──────────────────────────────────────────────────────────────────────────────


def _by_service(workloads: Iterable[Workload]) -> dict[str, list[Workload]]:
    found: dict[str, list[Workload]] = {}
    for workload in workloads:
        if workload.node.service:
            host = service_host(workload.node.service, workload.node.namespace).lower()
            found.setdefault(host, []).append(workload)
    return found


def _implicit_service(host: str, workloads: Sequence[Workload]) -> Service:
    """The ports of all its workloads; where two of them disagree, those of the one that came first."""
    first: Node = workloads[0].node
    ports: dict[int, ServicePort] = {}
    for workload in workloads:
        for port in workload.node.ports:
            ports.setdefault(port.number, port)
    return Service(host=host, name=first.service, namespace=first.namespace, ports=tuple(ports.values()))
