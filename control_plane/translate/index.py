"""One World, arranged for look-ups, with what has been made from it already."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar
from weakref import WeakKeyDictionary

from control_plane.translate.hosts import covers, is_wildcard, qualified
from control_plane.translate.policy import Settings
from control_plane.world import Instance, Service, World
from mesh.istio.destination_rule import DestinationRule, Subset, TrafficPolicy
from mesh.istio.load_balancing import LoadBalancerSettings
from mesh.istio.virtual_service import MESH_GATEWAY, VirtualService

if TYPE_CHECKING:
    from mesh.istio.resource import Resource

T = TypeVar("T")


@dataclass(frozen=True, slots=True, eq=False)
class BoundService:
    """A VirtualService with its hosts and gateways in full. `asks_namespace` says whether any of its rules depends on
    the namespace of the client."""

    resource: Resource
    spec: VirtualService
    hosts: tuple[str, ...]
    gateways: frozenset[str]
    asks_namespace: bool

    @property
    def namespace(self) -> str:
        return self.resource.key.namespace

    @property
    def name(self) -> str:
        return self.resource.key.name


@dataclass(frozen=True, slots=True, eq=False)
class HostRule:
    """What the DestinationRules of one namespace say of one host: the oldest traffic policy, and all subsets (the
    oldest of each name). `resource` is the oldest rule."""

    resource: Resource
    policy: TrafficPolicy | None
    subsets: tuple[Subset, ...]


def gateway_name(name: str, namespace: str) -> str:
    """A gateway named in a rule of `namespace`, in full; the reserved name stays as it is."""
    return name if "/" in name or name == MESH_GATEWAY else f"{namespace}/{name}"


class Index:
    """Look-ups in one world. Everything here is made once for it, whoever asks. It does not hold the world itself, which
    would keep both for ever (`index_of`)."""

    def __init__(self, world: World) -> None:
        self.mesh = world.mesh
        self.gateways: tuple[Resource, ...] = tuple(world.resources.get("Gateway", ()))
        self._instances = world.instances
        self.services: tuple[Service, ...] = tuple(world.services[host] for host in sorted(world.services))
        self._by_host = {service.host.lower(): service for service in self.services}
        self.virtual_services = tuple(_bound(resource) for resource in world.resources.get("VirtualService", ()))
        self.source_labels = _source_labels(self.virtual_services)
        self._mesh_exact: dict[str, BoundService] = {}
        mesh_wildcards: dict[str, BoundService] = {}
        for bound in self.virtual_services:
            if MESH_GATEWAY in bound.gateways:
                for host in bound.hosts:
                    (mesh_wildcards if is_wildcard(host) else self._mesh_exact).setdefault(host, bound)
        self._mesh_wildcards = _by_specificity(mesh_wildcards)
        self._rules = _rules_by_namespace(world.resources.get("DestinationRule", ()))
        balancers = list(_balancers(world.resources.get("DestinationRule", ())))
        self.hashes = any(each.consistent_hash is not None for each in balancers)
        self.hashes = self.hashes or any(service.affinity for service in self.services)
        self.rule_labels = _rule_labels(balancers)
        self.prefers_places = any(map(_prefers_places, world.resources.get("DestinationRule", ())))
        self.prefers_places = self.prefers_places or any(service.near for service in self.services)
        self._by_node = _instances_by_node(world.instances)
        self._made: dict[Hashable, object] = {}

    def once(self, key: Hashable, make: Callable[[], T]) -> T:
        """What `make` returns, made at the first call for `key`: the key holds everything that `make` depends on,
        besides this world. The result is shared and must not be changed."""
        if key not in self._made:
            self._made[key] = make()
        return self._made[key]  # type: ignore[return-value]

    def service(self, host: str) -> Service | None:
        return self._by_host.get(host)

    def instances(self, host: str) -> tuple[Instance, ...]:
        return self._instances.get(host, ())

    def served_by(self, node_id: str) -> tuple[tuple[str, Instance], ...]:
        """The services, by host, that a proxy's workload is an instance of."""
        return self._by_node.get(node_id, ())

    def mesh_service(self, host: str) -> BoundService | None:
        """The VirtualService for calls between sidecars to `host`: one that names it, else the one with the longest
        wildcard; of two with the same host the older."""
        host = host.lower()
        if (exact := self._mesh_exact.get(host)) is not None:
            return exact
        return next((bound for pattern, bound in self._mesh_wildcards if covers(pattern, host)), None)

    def hosts_without_service(self) -> list[tuple[str, BoundService]]:
        """Hosts of mesh VirtualServices that no service has, and whose rules hold all the same."""
        hosts = self._by_host
        exact = [(host, bound) for host, bound in self._mesh_exact.items() if host not in hosts]
        wild = [(p, bound) for p, bound in self._mesh_wildcards if not any(covers(p, host) for host in hosts)]
        return sorted(exact + wild, key=lambda item: item[0])

    def rule(self, host: str, service_namespace: str, client_namespace: str) -> HostRule | None:
        """The DestinationRule for a client's traffic to a host: of the client's namespace, else of the service's, else
        of the mesh's root namespace. A client in the root namespace (a gateway, as a rule) has no rules of its own
        before others': what stands there is the mesh's default."""
        host, root = host.lower(), self.mesh.root_namespace
        first = () if client_namespace == root else (client_namespace,)
        for namespace in dict.fromkeys((*first, service_namespace, root)):
            if (found := self._rules.get(namespace)) is None:
                continue
            exact, wildcards = found
            if host in exact:
                return exact[host]
            for pattern, rule in wildcards:
                if covers(pattern, host):
                    return rule
        return None


_INDEXES: WeakKeyDictionary[World, Index] = WeakKeyDictionary()


def index_of(world: World) -> Index:
    """The index of a world, made when it is first asked for."""
    found = _INDEXES.get(world)
    if found is None:
        found = _INDEXES[world] = Index(world)
    return found


def _bound(resource: Resource) -> BoundService:
    spec: VirtualService = resource.spec
    namespace = resource.key.namespace
    return BoundService(
        resource,
        spec,
        tuple(dict.fromkeys(qualified(host, namespace) for host in spec.hosts)),
        frozenset(gateway_name(name, namespace) for name in spec.gateways or (MESH_GATEWAY,)),
        any(match.source_namespace for route in spec.http for match in route.match),
    )


def _source_labels(virtual_services: Iterable[BoundService]) -> tuple[str, ...]:
    """The labels by which any rule tells its clients apart."""
    matches = (match for bound in virtual_services for route in bound.spec.http for match in route.match)
    return tuple(sorted({label for match in matches for label in match.source_labels}))


def _by_specificity(wildcards: Mapping[str, T]) -> tuple[tuple[str, T], ...]:
    return tuple(sorted(wildcards.items(), key=lambda item: (-len(item[0]), item[0])))


def _settings(resource: Resource) -> Iterator[Settings]:
    """Everything in a DestinationRule that has settings of its own."""
    spec: DestinationRule = resource.spec
    for policy in (spec.traffic_policy, *(subset.traffic_policy for subset in spec.subsets)):
        if policy is not None:
            yield policy
            yield from policy.port_level_settings


def _balancers(resources: Iterable[Resource]) -> Iterator[LoadBalancerSettings]:
    for resource in resources:
        for settings in _settings(resource):
            if settings.load_balancer is not None:
                yield settings.load_balancer


def _rule_labels(balancers: Iterable[LoadBalancerSettings]) -> tuple[str, ...]:
    """The labels by which any DestinationRule tells its clients apart."""
    found = (each.locality_lb_setting for each in balancers)
    return tuple(sorted({label.partition("=")[0] for each in found if each for label in each.failover_priority}))


def _prefers_places(resource: Resource) -> bool:
    """Whether a DestinationRule may make some client prefer the endpoints near to it."""
    return any(
        each.outlier_detection is not None
        or (each.load_balancer is not None and each.load_balancer.locality_lb_setting)
        for each in _settings(resource)
    )


_Rules = dict[str, tuple[dict[str, HostRule], tuple[tuple[str, HostRule], ...]]]


def _rules_by_namespace(resources: Iterable[Resource]) -> _Rules:
    gathered: dict[str, dict[str, list[Resource]]] = defaultdict(lambda: defaultdict(list))
    for resource in resources:
        namespace = resource.key.namespace
        gathered[namespace][qualified(resource.spec.host, namespace)].append(resource)
    rules: _Rules = {}
    for namespace, by_host in gathered.items():
        merged = {host: _merged(found) for host, found in by_host.items()}
        wildcards = {host: rule for host, rule in merged.items() if is_wildcard(host)}
        rules[namespace] = (merged, _by_specificity(wildcards))
    return rules


def _merged(rules: list[Resource]) -> HostRule:
    subsets: dict[str, Subset] = {}
    for resource in rules:
        for subset in resource.spec.subsets:
            subsets.setdefault(subset.name, subset)
    policy = next((r.spec.traffic_policy for r in rules if r.spec.traffic_policy is not None), None)
    return HostRule(rules[0], policy, tuple(subsets.values()))


def _instances_by_node(instances: Mapping[str, tuple[Instance, ...]]) -> dict[str, tuple[tuple[str, Instance], ...]]:
    found: dict[str, list[tuple[str, Instance]]] = defaultdict(list)
    for host in sorted(instances):
        for instance in instances[host]:
            if instance.node_id:
                found[instance.node_id].append((host, instance))
    return {node_id: tuple(items) for node_id, items in found.items()}
