"""VirtualServices: what they name, and which of them hold."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from control_plane.analysis.codes import (
    DESTINATION_PORT_REQUIRED,
    HOST_NOT_IN_GATEWAY,
    REFERENCED_RESOURCE_NOT_FOUND,
    SHORT_NAME_WITH_DOTS,
)
from control_plane.analysis.destinations import destinations
from control_plane.analysis.examined import Examined, listed
from control_plane.analysis.finding import Finding, finding
from control_plane.translate.bound import gateway_name
from control_plane.translate.hosts import common, qualified
from mesh.istio.model import Path
from mesh.istio.resource import Resource
from mesh.istio.virtual_service import MESH_GATEWAY
from mesh.naming import DOMAIN


def unknown_destinations(seen: Examined) -> Iterator[Finding]:
    """Hosts that no service has, subsets that no DestinationRule has."""
    for resource in seen.of("VirtualService"):
        namespace = resource.key.namespace
        for path, destination in destinations(resource.spec):
            host = qualified(destination.host, namespace)
            service = seen.service(destination.host, namespace)
            if service is None:
                yield _missing(resource, (*path, "host"), "host", destination.host)
                continue
            rule = seen.index.rule(host, service.namespace, namespace)
            subsets = {subset.name for subset in rule.subsets} if rule is not None else set()
            if destination.subset and destination.subset not in subsets:
                name = f"{destination.host}+{destination.subset}"
                yield _missing(resource, (*path, "subset"), "host+subset in destinationrule", name)


def delegates(seen: Examined) -> Iterator[Finding]:
    """VirtualServices that others leave their requests to, and that are not there."""
    there = {(each.key.namespace, each.key.name): each for each in seen.all("VirtualService")}
    for resource in seen.of("VirtualService"):
        for number, rule in enumerate(resource.spec.http):
            if rule.delegate is None:
                continue
            namespace = rule.delegate.namespace or resource.key.namespace
            found = there.get((namespace, rule.delegate.name))
            if found is None or not found.spec.delegated:
                name = f"{namespace}/{rule.delegate.name}"
                yield _missing(resource, ("spec", "http", number, "delegate"), "delegate virtual service", name)


def _missing(resource: Resource, path: Path, what: str, name: str) -> Finding:
    return finding(REFERENCED_RESOURCE_NOT_FOUND, resource, path, f'Referenced {what} not found: "{name}"')


def ambiguous_ports(seen: Examined) -> Iterator[Finding]:
    """A destination without a port, of a service that has several, none of them the one that is called."""
    for resource in seen.of("VirtualService"):
        namespace = resource.key.namespace
        own = {qualified(host, namespace) for host in resource.spec.hosts}
        for path, destination in destinations(resource.spec):
            service = seen.service(destination.host, namespace)
            if service is None or destination.port is not None or len(service.ports) < 2 or service.host.lower() in own:
                continue
            ports = listed([port.number for port in service.ports])
            yield finding(
                DESTINATION_PORT_REQUIRED,
                resource,
                path,
                f'This VirtualService routes to a service "{destination.host}" that exposes multiple ports {ports}. '
                "Specifying a port in the destination is required to disambiguate.",
            )


def gateways(seen: Examined) -> Iterator[Finding]:
    """Gateways that are not there, and those that serve none of the hosts."""
    there = {f"{each.key.namespace}/{each.key.name}": each for each in seen.all("Gateway")}
    for resource in seen.of("VirtualService"):
        namespace = resource.key.namespace
        for position, name in enumerate(resource.spec.gateways):
            if name == MESH_GATEWAY:
                continue
            gateway = there.get(gateway_name(name, namespace))
            path: Path = ("spec", "gateways", position)
            if gateway is None:
                yield _missing(resource, path, "gateway", name)
                continue
            served = [host for server in gateway.spec.servers for host in _served(server.hosts, gateway, namespace)]
            lost = [
                host
                for host in resource.spec.hosts
                if not any(one == "*" or common(one, qualified(host, namespace)) for one in served)
            ]
            if lost:
                message = (
                    f"one or more host [{' '.join(lost)}] defined in VirtualService {namespace}/{resource.key.name} "
                    f"not found in Gateway {gateway_name(name, namespace)}."
                )
                yield finding(HOST_NOT_IN_GATEWAY, resource, path, message)


def _served(hosts: Iterable[str], gateway: Resource, namespace: str) -> Iterator[str]:
    """What of a server's hosts is there for VirtualServices of a namespace: those of `./host` are for the Gateway's own."""
    for host in hosts:
        scope, _, name = host.rpartition("/")
        if scope in ("", "*", namespace) or (scope == "." and gateway.key.namespace == namespace):
            yield name.lower()


def hosts(seen: Examined) -> Iterator[Finding]:
    """`reviews.default` is no short name: it is a DNS name of its own, and no service has it."""
    for resource in seen.of("VirtualService"):
        for position, host in enumerate(resource.spec.hosts):
            full = f"{host}.svc.{DOMAIN}"
            if host.count(".") == 1 and seen.index.service(host.lower()) is None and seen.index.service(full.lower()):
                message = f'"{host}" is taken as it is, and no service has this name: write "{full}"'
                yield finding(SHORT_NAME_WITH_DOTS, resource, ("spec", "hosts", position), message)
