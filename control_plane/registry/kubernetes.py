"""What Deployments, Pods, EndpointSlices and Endpoints tell of services: the numbers of named ports, and endpoints. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from control_plane.registry.selection import Labelled, Labels
from control_plane.world import Instance, Service
from mesh.istio.resource import Resource
from mesh.kubernetes.endpoint_slice import SERVICE, Endpoints, EndpointSliceSpec
from mesh.kubernetes.workloads import PodSpec
from mesh.node import Locality

TEMPLATES: Final = ("Deployment", "StatefulSet", "DaemonSet", "ReplicaSet")


@dataclass(frozen=True, slots=True)
class _Slice:
    """Endpoints with the same ports: (address, zone, whether it is ready)."""

    ports: Mapping[str, int]
    places: tuple[tuple[str, str, bool], ...]


class Kubernetes:
    """The workloads and endpoints among the resources, arranged for look-ups."""

    def __init__(self, resources: Mapping[str, tuple[Resource, ...]]) -> None:
        self._pods = Labelled(_pods(resources))
        self._slices: dict[tuple[str, str], list[_Slice]] = {}
        for resource in resources.get("EndpointSlice", ()):
            name = resource.labels.get(SERVICE, "")
            self._slices.setdefault((resource.key.namespace, name), []).append(_slice(resource.spec))
        for resource in resources.get("Endpoints", ()):
            self._slices.setdefault((resource.key.namespace, resource.key.name), []).extend(_subsets(resource.spec))

    def target(self, namespace: str, selector: Labels, target: int | str | None) -> int | str | None:
        """A `targetPort`, as a number if it is the name of a port that a selected workload has."""
        if not isinstance(target, str) or not selector:
            return target
        numbers = (pod.port(target) for pod in self._pods.matching(namespace, selector))
        return next((number for number in numbers if number), target)

    def endpoints(self, service: Service) -> list[Instance]:
        """The endpoints that slices give a service. A port is the slice's of the same name; a name may be left out where
        there is only one."""
        found: list[Instance] = []
        for each in self._slices.get((service.namespace, service.name), ()):
            ports = {p.number: each.ports[p.name] for p in service.ports if p.name in each.ports}
            if not ports and len(service.ports) == len(each.ports) == 1:
                ports = {service.ports[0].number: next(iter(each.ports.values()))}
            found += [
                Instance(address, ports, namespace=service.namespace, locality=Locality(zone=zone), healthy=ready)
                for address, zone, ready in each.places
                if ports
            ]
        return found


def _slice(spec: EndpointSliceSpec) -> _Slice:
    places = tuple((each.addresses[0], each.zone, each.ready) for each in spec.endpoints)
    return _Slice({port.name: port.port for port in spec.ports}, places)


def _subsets(spec: Endpoints) -> Iterator[_Slice]:
    for subset in spec.subsets:
        ready = [(each.ip, "", True) for each in subset.addresses]
        rest = [(each.ip, "", False) for each in subset.not_ready_addresses]
        yield _Slice({port.name: port.port for port in subset.ports}, (*ready, *rest))


def _pods(resources: Mapping[str, tuple[Resource, ...]]) -> Iterator[tuple[str, Labels, PodSpec]]:
    for kind in TEMPLATES:
        for resource in resources.get(kind, ()):
            template = resource.spec.template
            yield resource.key.namespace, template.metadata.labels, template.spec
    for resource in resources.get("Pod", ()):
        yield resource.key.namespace, resource.labels, resource.spec
