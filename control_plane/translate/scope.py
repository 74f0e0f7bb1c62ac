"""What one client is told of: `exportTo` of the resources, `workloadSelector` of DestinationRules, and the Sidecar that is
for its workload. A scope is a world of its own, in which the rest does not exist.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from control_plane.translate.hosts import covers, is_wildcard, qualified
from control_plane.translate.mesh_telemetry import for_node, told
from control_plane.world import MeshConfig, OutboundPolicy, Service, World
from mesh.istio.destination import Destination
from mesh.istio.resource import Key
from mesh.istio.sidecar import ANY, NONE, OWN, IstioEgressListener, Sidecar, SidecarPort
from mesh.istio.virtual_service import MESH_GATEWAY, VirtualService
from mesh.naming import outbound_cluster
from mesh.node import SIDECAR, Node

if TYPE_CHECKING:
    from mesh.istio.resource import Resource

EVERYBODY = "*"


class Scope(NamedTuple):
    """Clients of one scope are told of the same. Empty where nothing is scoped; without `namespace` everything is told of,
    and only the mesh's settings differ. `egress` is one of the Sidecar's egress listeners, by its place (behind the last of
    them: none): what is told of on that one only."""

    namespace: str = ""
    rules: frozenset[tuple[str, str]] = frozenset()  # the selecting DestinationRules that are for the client
    sidecar: Key | None = None
    telemetry: tuple[Key, ...] = ()
    egress: int | None = None


UNSCOPED = Scope()


class Scoping:
    """The scopes of one world. It does not hold the world itself."""

    def __init__(self, world: World) -> None:
        kinds = world.resources
        self._sidecars = kinds.get("Sidecar", ())
        self._with_ports = {
            each.key: each.spec.egress for each in self._sidecars if any(e.port is not None for e in each.spec.egress)
        }
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

    def listeners(self, scope: Scope) -> tuple[tuple[IstioEgressListener | None, Scope], ...]:
        """The egress listeners of a scope that have ports, with their scopes, and then the one for all other ports. None
        where all are one: where no listener has a port."""
        egress = self._with_ports.get(scope.sidecar, ()) if scope.sidecar is not None else ()
        own = tuple((each, scope._replace(egress=at)) for at, each in enumerate(egress) if each.port is not None)
        return (*own, (None, scope._replace(egress=len(own)))) if own else ()


def sidecar_of(sidecars: Iterable[Resource], node: Node, root: str) -> Resource | None:
    """The Sidecar that is for a proxy's workload; gateways have none."""
    if node.kind != SIDECAR:
        return None
    own = [each for each in sidecars if each.key.namespace == node.namespace]
    picked = [each for each in own if each.spec.selector and each.spec.selector.items() <= node.labels.items()]
    everybody = [each for each in own if not each.spec.selector]
    mesh = [each for each in sidecars if each.key.namespace == root and not each.spec.selector]
    return next(iter((*picked, *everybody, *mesh)), None)


def _sidecar(sidecars: Iterable[Resource], key: Key) -> Sidecar:
    spec: Sidecar = next(each.spec for each in sidecars if each.key == key)
    return spec


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
        spec = _sidecar(world.resources["Sidecar"], scope.sidecar)
        rules, services = _imported(spec, scope, rules, services)
        mesh = _outbound(mesh, spec, scope.sidecar.namespace)
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


def _outbound(mesh: MeshConfig, spec: Sidecar, namespace: str) -> MeshConfig:
    """The mesh's settings with what a Sidecar says of traffic to hosts that no service has."""
    said = spec.outbound_traffic_policy
    if said is None:
        return mesh
    proxy = said.egress_proxy
    there = ""
    if proxy is not None and proxy.port is not None:
        there = outbound_cluster(qualified(proxy.host, namespace), proxy.port.number, proxy.subset)
    return replace(mesh, outbound_policy=OutboundPolicy(said.mode.value), egress_proxy=there)


def _imported(
    spec: Sidecar, scope: Scope, rules: Iterable[Resource], services: Mapping[str, Service]
) -> tuple[tuple[Resource, ...], dict[str, Service]]:
    """What the hosts of a Sidecar's egress (or of one of its listeners) stand for, and the services that imported rules
    send to."""
    if not spec.egress:
        return tuple(rules), dict(services)
    listeners = spec.egress if scope.egress is None else spec.egress[scope.egress : scope.egress + 1]
    imports = _imports([host for each in listeners for host in each.hosts], scope.namespace)
    own = tuple(r for r in rules if r.spec.delegated or _any_host(r, imports))
    found = {host: s for host, s in services.items() if imports(s.namespace, host.lower())}
    port = listeners[0].port if scope.egress is not None and listeners else None
    if port is not None:
        found = {host: at for host, s in found.items() if (at := _on_port(s, port)) is not None}
    by_name = {host.lower(): (host, service) for host, service in services.items()}
    for resource in own:
        for name in _destinations(resource):
            there = by_name.get(name)
            # On a port's listener are the hosts that it names: others are known by the ports that they have besides.
            if there is not None and (port is None or all(each.number != port.number for each in there[1].ports)):
                found.setdefault(*there)
    return own, found


def _on_port(service: Service, port: SidecarPort) -> Service | None:
    """A service as it is on the listener of a port, which says what is spoken there."""
    ports = (replace(p, protocol=port.protocol.spoken) for p in service.ports if p.number == port.number)
    found = next(ports, None)
    return replace(service, ports=(found,)) if found is not None else None


def _imports(hosts: Iterable[str], client: str) -> Callable[[str, str], bool]:
    """Whether a host of a namespace is imported, and is not taken out again."""
    taken = _Patterns(
        _split(host[1:] if host[1] != "/" else ANY + host[1:], client) for host in hosts if host[0] == NONE
    )
    named = _Patterns(_split(host, client) for host in hosts if host[0] != NONE)
    return lambda namespace, name: named.overlap(namespace, name) and not taken.cover(namespace, name)


class _Patterns:
    """Hosts with their namespaces, either of which may be anything. Asked for every service of the mesh, so that names
    without a wildcard cost one look-up, however many there are."""

    def __init__(self, patterns: Iterable[tuple[str, str]]) -> None:
        self._all = tuple(patterns)
        self._exact = frozenset(pattern for pattern in self._all if not is_wildcard(pattern[1]))
        self._wild = tuple(pattern for pattern in self._all if is_wildcard(pattern[1]))

    def cover(self, namespace: str, name: str) -> bool:
        """Whether one of them stands for all that `name` stands for."""
        if (namespace, name) in self._exact or (ANY, name) in self._exact:
            return True
        return any(where in (ANY, namespace) and covers(host, name) for where, host in self._wild)

    def overlap(self, namespace: str, name: str) -> bool:
        """Whether one of them stands for anything that `name` stands for."""
        if not is_wildcard(name):
            return self.cover(namespace, name)
        return any(where in (ANY, namespace) and _overlap(host, name) for where, host in self._all)


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
