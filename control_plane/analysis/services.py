"""Services: names of ports, and Deployments that several of them select."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

from control_plane.analysis.codes import CONFLICTING_PORTS, EXTERNAL_NAME_PORT, PORT_NAME, SEVERAL_SERVICES
from control_plane.analysis.examined import Examined, listed
from control_plane.analysis.finding import Finding, finding
from control_plane.registry.ports import DETECT, protocol_of
from mesh.istio.resource import Resource
from mesh.kubernetes.service import ServiceType

# Of Kubernetes' and Istio's own; who names their ports is nobody that reads this.
_SYSTEM: Final = frozenset(("kube-system", "kube-public", "kube-node-lease", "istio-system"))


class _Port(NamedTuple):
    service: str
    number: int
    target: str
    protocol: str


def port_names(seen: Examined) -> Iterator[Finding]:
    """Ports of which nothing says what they speak."""
    for resource in seen.of("Service"):
        if resource.key.namespace in _SYSTEM:
            continue
        external = resource.spec.type is ServiceType.EXTERNAL_NAME
        for position, port in enumerate(resource.spec.ports):
            path = ("spec", "ports", position)
            if external and (protocol_of(port) == DETECT or port.name == "tcp"):
                message = (
                    "Port name for ExternalName service is invalid. Proxy may prevent tcp named ports and unmatched traffic "
                    "for ports serving TCP protocol from being forwarded correctly"
                )
                yield finding(EXTERNAL_NAME_PORT, resource, path, message)
            elif not external and protocol_of(port) == DETECT:
                target = port.port if port.target_port is None else port.target_port
                message = (
                    f"Port name {port.name} (port: {port.port}, targetPort: {target}) doesn't follow the naming convention "
                    "of Istio port."
                )
                yield finding(PORT_NAME, resource, path, message)


def shared_workloads(seen: Examined) -> Iterator[Finding]:
    """Deployments that Services select which disagree about a port."""
    asked = {resource.key for kind in ("Deployment", "Service") for resource in seen.of(kind)}
    if not asked:
        return
    for deployment in seen.all("Deployment"):
        labels = deployment.spec.template.metadata.labels
        services = seen.selecting.of(deployment.key.namespace, labels)
        if len(services) < 2 or not ({deployment.key, *(each.key for each in services)} & asked):
            continue
        ports = [port for service in services for port in _ports(service)]
        yield from _by_port(deployment, ports)
        yield from _by_target(deployment, ports)


def _ports(service: Resource) -> Iterator[_Port]:
    for port in service.spec.ports:
        target = str(port.port if port.target_port is None else port.target_port)
        yield _Port(service.key.name, port.port, target, protocol_of(port) or "UNSUPPORTED")


def _by_port(deployment: Resource, ports: list[_Port]) -> Iterator[Finding]:
    for number in sorted({port.number for port in ports}):
        same = [port for port in ports if port.number == number]
        if len({port.protocol for port in same}) > 1:
            message = (
                f"This deployment {deployment.key.name} is associated with multiple services using port {number} but "
                f"different protocols: {listed(sorted({port.service for port in same}))}"
            )
            yield finding(SEVERAL_SERVICES, deployment, ("metadata", "name"), message)


def _by_target(deployment: Resource, ports: list[_Port]) -> Iterator[Finding]:
    for target in sorted({port.target for port in ports}):
        same = [port for port in ports if port.target == target]
        numbers = sorted({port.number for port in same})
        if len(numbers) > 1 and len({port.service for port in same}) > 1:
            message = (
                f"This deployment {deployment.key.name} is associated with multiple services "
                f'{listed(sorted({port.service for port in same}))} using targetPort "{target}" but different ports: '
                f"{listed(numbers)}."
            )
            yield finding(CONFLICTING_PORTS, deployment, ("metadata", "name"), message)
