"""What one client is told of: `exportTo` of the resources, `workloadSelector` of DestinationRules, and the Sidecar that is
for its workload. A scope is a world of its own, in which the rest does not exist.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from control_plane.translate.hosts import covers, is_wildcard, qualified
from control_plane.translate.mesh_telemetry import for_node, told
from control_plane.world import OutboundPolicy, Service, World
from mesh.istio.destination import Destination
from mesh.istio.resource import Key
from mesh.istio.sidecar import ANY, OWN, Sidecar
from mesh.istio.virtual_service import MESH_GATEWAY, VirtualService
from mesh.node import SIDECAR, Node

if TYPE_CHECKING:
    from mesh.istio.resource import Resource

EVERYBODY = "*"


class Scope(NamedTuple):
    """Clients of one scope are told of the same. Empty where nothing is scoped; without `namespace` everything is told of,
    and only the mesh's settings differ."""

    namespace: str = ""
    rules: frozenset[tuple[str, str]] = frozenset()  # the selecting DestinationRules that are for the client
    sidecar: Key | None = None
    telemetry: tuple[Key, ...] = ()


UNSCOPED = Scope()


class Scoping:
    """The scopes of one world. It does not hold the world itself."""

    def __init__(self, world: World) -> None:
        kinds = world.resources
        self._sidecars = kinds.get("Sidecar", ())
        rules = kinds.get("DestinationRule", ())
        self._selecting = tuple(rule for rule in rules if rule.spec.workload_selector is not None)
        exported = (*rules, *kinds.get("VirtualService", ()))
        own = [each.spec.export_to for each in exported]
        own += [service.export_to for service in world.services.values()]
        told = world.mesh.exported
        own += (told.services, told.virtual_services, told.destination_rules)
        self._by_namespace = not all(map(_public, own))
        self._root = world.mesh.root_namespace
        self._telemetry = kinds.get("Telemetry", ())

    def of(self, node: Node) -> Scope:
        """The scope of a proxy."""
        sidecar = sidecar_of(self._sidecars, node, self._root)
        telemetry = tuple(each.key for each in for_node(self._telemetry, node, self._root))
        if not (self._by_namespace or self._selecting or sidecar is not None):
            return Scope(telemetry=telemetry)
        rules = frozenset((r.key.namespace, r.key.name) for r in self._selecting if _selects(r, node))
        return Scope(node.namespace, rules, sidecar.key if sidecar is not None else None, telemetry)


def sidecar_of(sidecars: Iterable[Resource], node: Node, root: str) -> Resource | None:
    """The Sidecar that is for a proxy's workload; gateways have none."""
    if node.kind != SIDECAR:
        return None
    own = [each for each in sidecars if each.key.namespace == node.namespace]
    picked = [each for each in own if each.spec.selector and each.spec.selector.items() <= node.labels.items()]
    everybody = [each for each in own if not each.spec.selector]
    mesh = [each for each in sidecars if each.key.namespace == root and not each.spec.selector]
    return next(iter((*picked, *everybody, *mesh)), None)


def _selects(rule: Resource, node: Node) -> bool:
    wanted = rule.spec.workload_selector.match_labels
    return rule.key.namespace == node.namespace and wanted.items() <= node.labels.items()


def _public(export_to: tuple[str, ...]) -> bool:
    return not export_to or EVERYBODY in export_to


def visible(export_to: tuple[str, ...], own: str, client: str) -> bool:
    """Whether something of the namespace `own` is exported to a client's namespace."""
    return _public(export_to) or client in export_to or (OWN in export_to and own == client)


def scoped(world: World, scope: Scope) -> World:
    """The part of a world that a scope's clients are told of."""
    client = scope.namespace
    if scope.telemetry:
        by_key = {each.key: each for each in world.resources["Telemetry"]}
        world = replace(world, mesh=told(world.mesh, [by_key[key] for key in scope.telemetry]))
    if not client:
        return world
    default = world.mesh.exported
    services = {
        h: s for h, s in world.services.items() if visible(s.export_to or default.services, s.namespace, client)
    }
    rules = _virtual_services(world.resources.get("VirtualService", ()), client, default.virtual_services)
    mesh = world.mesh
    if scope.sidecar is not None:
        spec: Sidecar = next(each.spec for each in world.resources["Sidecar"] if each.key == scope.sidecar)
        rules, services = _imported(spec, client, rules, services)
        if spec.outbound_traffic_policy is not None:
            mesh = replace(mesh, outbound_policy=OutboundPolicy(spec.outbound_traffic_policy.mode.value))
    kept = tuple(
        rule for rule in world.resources.get("DestinationRule", ()) if _holds(rule, scope, default.destination_rules)
    )
    policies = tuple(sorted(kept, key=lambda rule: rule.spec.workload_selector is None))
    resources = {**world.resources, "VirtualService": rules, "DestinationRule": policies}
    return replace(world, resources=resources, services=services, mesh=mesh)


def _holds(rule: Resource, scope: Scope, default: tuple[str, ...]) -> bool:
    if rule.spec.workload_selector is not None:
        return (rule.key.namespace, rule.key.name) in scope.rules
    return visible(rule.spec.export_to or default, rule.key.namespace, scope.namespace)


def _virtual_services(resources: Iterable[Resource], client: str, default: tuple[str, ...]) -> tuple[Resource, ...]:
    """Private ones of the client's namespace before those that are exported to it, and those before public ones."""

    def rank(resource: Resource) -> int:
        export_to = resource.spec.export_to or default
        return 2 if _public(export_to) else 1 if client in export_to else 0

    # A delegate is part of its root, whoever the root is for.
    kept = [r for r in resources if r.spec.delegated or visible(r.spec.export_to or default, r.key.namespace, client)]
    return tuple(sorted(kept, key=rank))


def _imported(
    spec: Sidecar, client: str, rules: Iterable[Resource], services: Mapping[str, Service]
) -> tuple[tuple[Resource, ...], dict[str, Service]]:
    """What the hosts of a Sidecar's egress stand for, and the services that imported rules send to."""
    if not spec.egress:
        return tuple(rules), dict(services)
    hosts = [_split(host, client) for each in spec.egress for host in each.hosts]

    def imports(namespace: str, name: str) -> bool:
        return any(where in (ANY, namespace) and _overlap(host, name) for where, host in hosts)

    own = tuple(r for r in rules if r.spec.delegated or _any_host(r, imports))
    found = {host: s for host, s in services.items() if imports(s.namespace, host.lower())}
    by_name = {host.lower(): (host, service) for host, service in services.items()}
    for resource in own:
        for name in _destinations(resource):
            if (there := by_name.get(name)) is not None:
                found.setdefault(*there)
    return own, found


def _split(host: str, client: str) -> tuple[str, str]:
    namespace, _, name = host.partition("/")
    return client if namespace == OWN else namespace, name.lower()


def _overlap(pattern: str, name: str) -> bool:
    return pattern == ANY or covers(pattern, name) or (is_wildcard(name) and covers(name, pattern))


def _any_host(resource: Resource, imports: Callable[[str, str], bool]) -> bool:
    spec: VirtualService = resource.spec
    namespace = resource.key.namespace
    if spec.gateways and MESH_GATEWAY not in spec.gateways:
        return False
    return any(imports(namespace, qualified(host, namespace)) for host in spec.hosts)


def _destinations(resource: Resource) -> Iterator[str]:
    namespace = resource.key.namespace
    spec: VirtualService = resource.spec
    found: list[Destination] = []
    for http in spec.http:
        found += [each.destination for each in http.route] + [copied_to for copied_to, _ in http.mirrored]
    for tls in spec.tls:
        found += [each.destination for each in tls.route]
    for tcp in spec.tcp:
        found += [each.destination for each in tcp.route]
    return (qualified(each.host, namespace) for each in found)
