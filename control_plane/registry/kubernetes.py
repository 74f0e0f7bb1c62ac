"""What Deployments, Pods and EndpointSlices tell of services: the numbers of named ports, and endpoints. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from control_plane.registry.selection import Labelled, Labels
from control_plane.world import Instance, Service
from mesh.istio.resource import Resource
from mesh.kubernetes.endpoint_slice import SERVICE, EndpointSliceSpec
from mesh.kubernetes.workloads import PodSpec
from mesh.node import Locality

TEMPLATES: Final = ("Deployment", "StatefulSet", "DaemonSet", "ReplicaSet")


class Kubernetes:
    """The workloads and slices among the resources, arranged for look-ups."""

    def __init__(self, resources: Mapping[str, tuple[Resource, ...]]) -> None:
        self._pods = Labelled(_pods(resources))
        self._slices: dict[tuple[str, str], list[EndpointSliceSpec]] = {}
        for resource in resources.get("EndpointSlice", ()):
            service = (resource.key.namespace, resource.labels.get(SERVICE, ""))
            self._slices.setdefault(service, []).append(resource.spec)

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
        for spec in self._slices.get((service.namespace, service.name), ()):
            by_name = {port.name: port.port for port in spec.ports}
            ports = {p.number: by_name[p.name] for p in service.ports if p.name in by_name}
            if not ports and len(service.ports) == len(spec.ports) == 1:
                ports = {service.ports[0].number: spec.ports[0].port}
            found += [
                Instance(
                    endpoint.addresses[0],
                    ports,
                    namespace=service.namespace,
                    locality=Locality(zone=endpoint.zone),
                    healthy=endpoint.ready,
                )
                for endpoint in spec.endpoints
                if ports
            ]
        return found


def _pods(resources: Mapping[str, tuple[Resource, ...]]) -> Iterator[tuple[str, Labels, PodSpec]]:
    for kind in TEMPLATES:
        for resource in resources.get(kind, ()):
            template = resource.spec.template
            yield resource.key.namespace, template.metadata.labels, template.spec
    for resource in resources.get("Pod", ()):
        yield resource.key.namespace, resource.labels, resource.spec
