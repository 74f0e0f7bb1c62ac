"""VirtualServices: what they name, and which of their rules can ever act."""

from __future__ import annotations

from collections.abc import Iterator

from control_plane.analysis.codes import (
    CONFLICTING_HOSTS,
    DESTINATION_PORT_REQUIRED,
    HOST_NOT_IN_GATEWAY,
    INEFFECTIVE_MATCH,
    REFERENCED_RESOURCE_NOT_FOUND,
    SHORT_NAME_WITH_DOTS,
    UNREACHABLE_RULE,
)
from control_plane.analysis.destinations import destinations
from control_plane.analysis.examined import Examined, listed
from control_plane.analysis.finding import Finding, finding
from control_plane.translate.bound import gateway_name
from control_plane.translate.hosts import common, is_wildcard, qualified
from control_plane.translate.match import is_catch_all, route_match
from mesh.istio.model import Path
from mesh.istio.resource import Resource
from mesh.istio.virtual_service import MESH_GATEWAY, HTTPMatchRequest, HTTPRoute
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
            served = [host.rpartition("/")[2].lower() for server in gateway.spec.servers for host in server.hosts]
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


def conflicts(seen: Examined) -> Iterator[Finding]:
    """Two VirtualServices for one host in the mesh: the older one's rules hold, the other's do nothing."""
    for resource in seen.of("VirtualService"):
        for position, host in enumerate(resource.spec.hosts):
            winner = seen.index.mesh_service(qualified(host, resource.key.namespace))
            if not _in_mesh(resource) or winner is None or winner.resource.key == resource.key:
                continue
            if is_wildcard(host) or qualified(host, resource.key.namespace) not in winner.hosts:
                continue
            names = ",".join(sorted(f"{key.namespace}/{key.name}" for key in (resource.key, winner.resource.key)))
            message = (
                f"The VirtualServices {names} associated with mesh gateway define the same host {host} which can lead to "
                "undefined behavior. This can be fixed by merging the conflicting VirtualServices into a single resource. "
                f"(Here {winner.namespace}/{winner.name} holds, the older one.)"
            )
            yield finding(CONFLICTING_HOSTS, resource, ("spec", "hosts", position), message, (winner.resource.key,))


def _in_mesh(resource: Resource) -> bool:
    return not resource.spec.gateways or MESH_GATEWAY in resource.spec.gateways


def unreachable(seen: Examined) -> Iterator[Finding]:
    """Rules after one that takes everything, and matches that are there twice."""
    for resource in seen.of("VirtualService"):
        taken = -1
        matches: dict[str, int] = {}  # what a match asks for → the rule that asked first
        for number, rule in enumerate(resource.spec.http):
            path: Path = ("spec", "http", number)
            if taken >= 0:
                reason = f"an earlier rule, {_name(resource, taken)}, has no conditions and takes every request"
                yield _not_used(resource, path, _name(resource, number), reason)
                continue
            asked = [_conditions(match) for match in rule.match]
            duplicates = [position for position, each in enumerate(asked) if each in matches]
            if rule.match and len(duplicates) == len(rule.match):
                yield _not_used(resource, path, _name(resource, number), "all matches are duplicates of earlier ones")
            for position in duplicates:
                message = (
                    f"VirtualService rule {_name(resource, number)} match #{position} is not used "
                    f"(duplicate/overlapping match in rule {_name(resource, matches[asked[position]])})."
                )
                yield finding(INEFFECTIVE_MATCH, resource, (*path, "match", position), message)
            for each in asked:
                matches.setdefault(each, number)
            if _takes_everything(rule):
                taken = number


def _conditions(match: HTTPMatchRequest) -> str:
    return match.model_dump_json(exclude={"name"}, exclude_defaults=True)


def _not_used(resource: Resource, path: Path, name: str, reason: str) -> Finding:
    return finding(UNREACHABLE_RULE, resource, path, f"VirtualService rule {name} not used ({reason}).")


def _name(resource: Resource, number: int) -> str:
    return f'"{resource.spec.http[number].name}"' if resource.spec.http[number].name else f"#{number}"


def _takes_everything(rule: HTTPRoute) -> bool:
    """Whoever asks, on whatever port, through whatever gateway."""
    return not rule.match or any(
        is_catch_all(route_match(match))
        and not (match.gateways or match.source_labels or match.source_namespace or match.port)
        for match in rule.match
    )


def hosts(seen: Examined) -> Iterator[Finding]:
    """`reviews.default` is no short name: it is a DNS name of its own, and no service has it."""
    for resource in seen.of("VirtualService"):
        for position, host in enumerate(resource.spec.hosts):
            full = f"{host}.svc.{DOMAIN}"
            if host.count(".") == 1 and seen.index.service(host.lower()) is None and seen.index.service(full.lower()):
                message = f'"{host}" is taken as it is, and no service has this name: write "{full}"'
                yield finding(SHORT_NAME_WITH_DOTS, resource, ("spec", "hosts", position), message)
