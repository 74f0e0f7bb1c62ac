"""A World, arranged for look-ups, with what has been made from it and from those before."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from functools import partial
from operator import is_
from typing import TYPE_CHECKING, Any, Final, TypeVar

from control_plane.translate.bound import BoundService, bind, delegates, source_labels
from control_plane.translate.host_rules import (
    HostRule,
    HostRules,
    WildcardRules,
    balancers,
    by_specificity,
    hashes,
    host_rules,
    prefers_places,
    rule_labels,
    wildcard_rules,
)
from control_plane.translate.hosts import covers, is_wildcard
from control_plane.translate.memo import Memo, Table
from control_plane.world import Instance, MeshConfig, Service, World
from mesh.istio.virtual_service import MESH_GATEWAY

if TYPE_CHECKING:
    from mesh.istio.resource import Resource
    from mesh.istio.sidecar import IstioEgressListener

T = TypeVar("T")

# The kinds whose changes are followed one by one; a change of any other makes everything anew.
_FOLLOWED: Final = frozenset(
    (
        "DestinationRule",
        "Gateway",
        "ProxyConfig",
        "Service",
        "ServiceEntry",
        "VirtualService",
        "WorkloadEntry",
        "WorkloadGroup",
    )
)


class Index:
    """Look-ups in one world after the other. What was made from one stays for the next (`follow`) as far as nothing that
    it was made from has changed: so everything that comes from a world is read through here (`memo`). It does not hold
    the world itself, which would keep both for ever (`index_of`)."""

    def __init__(self, world: World, whole: Index | None = None) -> None:
        """`whole` is the index of the whole world when this one's are scopes of it."""
        self.memo = Memo()
        self._whole = whole
        self.stamp = 0  # another one after every change of resources, services or settings, but not of instances
        self._resources: Mapping[str, tuple[Resource, ...]] = {}
        self._by_host: dict[str, Service] = {}
        self._known_services: Mapping[str, Service] = {}
        self._services: tuple[Service, ...] = ()
        self._hosts: tuple[str, ...] = ()
        self._instances: Mapping[str, tuple[Instance, ...]] = {}
        self._by_node: dict[str, dict[str, tuple[Instance, ...]]] = {}
        self._bound: dict[int, BoundService] = {}
        self._virtual_services: tuple[BoundService, ...] = ()
        self._mesh_exact: dict[str, BoundService] = {}
        self._mesh_wildcards: tuple[tuple[str, BoundService], ...] = ()
        self._host_rules: HostRules = {}
        self._wildcard_rules: WildcardRules = {}
        self._mesh = world.mesh
        # What each of a Sidecar's egress listeners with a port is told of, then all other ports; empty where these are all.
        self.egress: tuple[tuple[IstioEgressListener | None, Index], ...] = ()
        self.follow(world)

    # ── from world to world ───────────────────────────────────────────────────────────────────────────────────────────

    def follow(self, world: World) -> None:
        """From now on the look-ups are in `world`. Costs what changed since the one before, and a glance at the rest."""
        before, self._resources = self._resources, world.resources
        changed = {kind for kind in before.keys() | world.resources.keys() if not _same(before, world.resources, kind)}
        self.memo.next_round()
        if self._mesh != world.mesh or changed - _FOLLOWED:
            self.memo.clear()  # everything may depend on it
        services = self._services
        self._follow_services(world.services)
        if changed or self._services is not services or self._mesh != world.mesh:
            self.stamp += 1
        self._mesh = world.mesh
        self.memo.changed("whole", self._whole.stamp if self._whole is not None else 0)
        self._follow_instances(world.instances)
        if "VirtualService" in changed:
            self._follow_virtual_services(world.resources.get("VirtualService", ()))
        if "DestinationRule" in changed:
            self._follow_rules(world.resources.get("DestinationRule", ()))
        if "Gateway" in changed:
            self.memo.changed("gateways", world.resources.get("Gateway", ()))

    def _follow_services(self, services: Mapping[str, Service]) -> None:
        if services is self._known_services:
            return
        self._known_services = services
        before, now = self._by_host, {service.host.lower(): service for service in services.values()}
        changed = _not_the_same(before, now)
        if not changed:
            return
        self._by_host = now
        self._services = tuple(sorted(now.values(), key=lambda service: service.host))
        for host in changed:
            self.memo.changed(("service", host), now.get(host))
        self.memo.changed("services", self._services)
        hosts = tuple(service.host.lower() for service in self._services)
        if hosts != self._hosts:
            self._hosts = hosts
            self.memo.changed("hosts", hosts)

    def _follow_instances(self, instances: Mapping[str, tuple[Instance, ...]]) -> None:
        before, self._instances = self._instances, instances
        nodes: set[str] = set()
        for host in _not_the_same(before, instances):
            old, new = before.get(host, ()), instances.get(host, ())
            self.memo.changed(("instances", host), new)
            nodes |= _place_nodes(self._by_node, host, old, new)
        for node_id in nodes:
            self.memo.changed(("served by", node_id), None)  # a new list each time it is asked for

    def _follow_virtual_services(self, resources: Sequence[Resource]) -> None:
        known = self._bound
        parts = {(r.key.namespace, r.key.name): r.spec for r in resources if r.spec.delegated}
        own = [resource for resource in resources if not resource.spec.delegated]
        self._bound = {id(r): (None if delegates(r) else known.get(id(r))) or bind(r, parts) for r in own}
        self._virtual_services = tuple(self._bound[id(resource)] for resource in own)
        exact: dict[str, BoundService] = {}
        wildcards: dict[str, BoundService] = {}
        for bound in self._virtual_services:
            if MESH_GATEWAY in bound.gateways:
                for host in bound.hosts:
                    (wildcards if is_wildcard(host) else exact).setdefault(host, bound)
        before, self._mesh_exact = self._mesh_exact, exact
        for host in before.keys() | exact.keys():
            if before.get(host) is not exact.get(host):
                self.memo.changed(("mesh service", host), exact.get(host))
        if (ordered := by_specificity(wildcards)) != self._mesh_wildcards:
            self._mesh_wildcards = ordered
            self.memo.changed("mesh wildcards", ordered)
        self.memo.changed("virtual services", self._virtual_services)

    def _follow_rules(self, resources: Sequence[Resource]) -> None:
        before, self._host_rules = self._host_rules, host_rules(resources, self._host_rules)
        for key in before.keys() | self._host_rules.keys():
            old, new = before.get(key), self._host_rules.get(key)
            if (old and old[1]) is not (new and new[1]):
                self.memo.changed(("rule", *key), new[1] if new else None)
        wild, self._wildcard_rules = self._wildcard_rules, wildcard_rules(self._host_rules)
        for namespace in wild.keys() | self._wildcard_rules.keys():
            if (found := self._wildcard_rules.get(namespace, ())) != wild.get(namespace, ()):
                self.memo.changed(("wildcard rules", namespace), found)
        self.memo.changed("rules", resources)

    # ── values that are kept ──────────────────────────────────────────────────────────────────────────────────────────

    def once(self, key: Hashable, make: Callable[[], T]) -> T:
        """What `make` returns, made again only when something that it has read here has changed. What else it depends on
        is in `key`. The result is shared and must not be changed."""
        return self.memo.once(key, make)

    def gather(
        self, key: Hashable, width: int, part: Callable[[str], Sequence[Mapping[str, Any]]]
    ) -> tuple[Table, ...]:
        """`width` Tables of what `part` returns for each host that a service has: see `Memo.gather`."""
        return self.memo.gather(key, width, lambda: self.hosts, part)

    def fact(self, name: str, make: Callable[[Index], T]) -> T:
        """A small value that can be compared: who has read it is made again only when it is another one."""
        return self.memo.fact(("fact", name), partial(make, self))

    # ── look-ups ──────────────────────────────────────────────────────────────────────────────────────────────────────

    @property
    def mesh(self) -> MeshConfig:
        return self._mesh  # another one clears everything

    @property
    def gateways(self) -> tuple[Resource, ...]:
        return self.memo.read("gateways", self._resources.get("Gateway", ()))

    @property
    def services(self) -> tuple[Service, ...]:
        """All of them, by host."""
        return self.memo.read("services", self._services)

    @property
    def hosts(self) -> tuple[str, ...]:
        """Of all services, in lower case and in the order of `services`. Who needs no more than these is not made again when
        a service changes."""
        return self.memo.read("hosts", self._hosts)

    @property
    def virtual_services(self) -> tuple[BoundService, ...]:
        return self.memo.read("virtual services", self._virtual_services)

    @property
    def source_labels(self) -> tuple[str, ...]:
        """The labels by which any VirtualService tells its clients apart."""
        return self.fact("source labels", lambda index: source_labels(index.virtual_services))

    @property
    def rule_labels(self) -> tuple[str, ...]:
        """The labels by which any DestinationRule tells its clients apart."""
        return self.fact(
            "rule labels", lambda index: rule_labels(balancers(index.destination_rules), index.mesh.localities)
        )

    @property
    def hashes(self) -> bool:
        """Whether any DestinationRule or service spreads requests by a key."""
        return self.fact(
            "hashes",
            lambda index: hashes(index.destination_rules) or any(service.affinity for service in index.services),
        )

    @property
    def prefers_places(self) -> bool:
        """Whether any DestinationRule or service may make some client prefer the endpoints near to it."""
        return self.fact(
            "prefers places",
            lambda index: (
                index.mesh.localities is not None
                or any(map(prefers_places, index.destination_rules))
                or any(service.near for service in index.services)
            ),
        )

    @property
    def destination_rules(self) -> tuple[Resource, ...]:
        return self.memo.read("rules", self._resources.get("DestinationRule", ()))

    @property
    def whole(self) -> Index:
        """The index of the whole world. Who reads another one through this is made again with every change of its resources
        and services; of its instances nobody may ask there."""
        if self._whole is None:
            return self
        self.memo.read("whole", self._whole.stamp)
        return self._whole

    @property
    def envoy_filters(self) -> tuple[Resource, ...]:
        return self._resources.get("EnvoyFilter", ())  # a change of any clears everything

    @property
    def circuit_breakers(self) -> tuple[Resource, ...]:
        return self._resources.get("CircuitBreaker", ())  # likewise

    @property
    def rate_limits(self) -> tuple[Resource, ...]:
        return self._resources.get("RateLimit", ())  # a change of any clears everything

    @property
    def sidecars(self) -> tuple[Resource, ...]:
        return self._resources.get("Sidecar", ())  # likewise

    def served_service(self, host: str) -> Service | None:
        """A service, whether or not the client is told of it: it may be what its own workload serves."""
        return self.whole.service(host)

    def service(self, host: str) -> Service | None:
        return self.memo.read(("service", host), self._by_host.get(host))

    def instances(self, host: str) -> tuple[Instance, ...]:
        return self.memo.read(("instances", host), self._instances.get(host, ()))

    def served_by(self, node_id: str) -> tuple[tuple[str, Instance], ...]:
        """The services, by host, that a proxy's workload is an instance of."""
        found = self._by_node.get(node_id, {})
        return self.memo.read(
            ("served by", node_id), tuple((host, instance) for host in sorted(found) for instance in found[host])
        )

    def mesh_service(self, host: str) -> BoundService | None:
        """The VirtualService for calls between sidecars to `host`: one that names it, else the one with the longest
        wildcard; of two with the same host the older."""
        host = host.lower()
        if (exact := self.memo.read(("mesh service", host), self._mesh_exact.get(host))) is not None:
            return exact
        wildcards = self.memo.read("mesh wildcards", self._mesh_wildcards)
        return next((bound for pattern, bound in wildcards if covers(pattern, host)), None)

    def hosts_without_service(self) -> list[tuple[str, BoundService]]:
        """Hosts of mesh VirtualServices that no service has, and whose rules hold all the same."""
        hosts = frozenset(self.hosts)
        exact: dict[str, BoundService] = {}
        for bound in self.virtual_services:
            if MESH_GATEWAY in bound.gateways:
                for host in bound.hosts:
                    if not is_wildcard(host) and host not in hosts:
                        exact.setdefault(host, bound)
        wildcards = self.memo.read("mesh wildcards", self._mesh_wildcards)
        wild = [(p, bound) for p, bound in wildcards if not any(covers(p, host) for host in hosts)]
        return sorted([*exact.items(), *wild], key=lambda item: item[0])

    def rule(self, host: str, service_namespace: str, client_namespace: str) -> HostRule | None:
        """The DestinationRule for a client's traffic to a host: of the client's namespace, else of the service's, else
        of the mesh's root namespace. A client in the root namespace (a gateway, as a rule) has no rules of its own
        before others': what stands there is the mesh's default."""
        host, root = host.lower(), self.mesh.root_namespace
        first = () if client_namespace == root else (client_namespace,)
        for namespace in dict.fromkeys((*first, service_namespace, root)):
            exact = self._host_rules.get((namespace, host))
            if (rule := self.memo.read(("rule", namespace, host), exact[1] if exact else None)) is not None:
                return rule
            for pattern, wild in self.memo.read(("wildcard rules", namespace), self._wildcard_rules.get(namespace, ())):
                if covers(pattern, host):
                    return wild
        return None


def _same(one: Mapping[str, tuple[Resource, ...]], other: Mapping[str, tuple[Resource, ...]], kind: str) -> bool:
    """Whether two worlds have the very same resources of a kind."""
    before, now = one.get(kind, ()), other.get(kind, ())
    return before is now or (len(before) == len(now) and all(map(is_, before, now)))


def _not_the_same(before: Mapping[str, object], now: Mapping[str, object]) -> list[str]:
    """Every name under which the two do not have the very same."""
    found = [name for name, value in now.items() if before.get(name) is not value]
    return [*found, *(before.keys() - now.keys())]


def _place_nodes(
    by_node: dict[str, dict[str, tuple[Instance, ...]]], host: str, old: Iterable[Instance], new: Iterable[Instance]
) -> set[str]:
    """Notes which proxies' workloads are instances of a service now; those for which that has changed."""
    before, now = _of_nodes(old), _of_nodes(new)
    changed = {node_id for node_id in before.keys() | now.keys() if before.get(node_id) != now.get(node_id)}
    for node_id in changed:
        hosts = by_node.setdefault(node_id, {})
        hosts.pop(host, None)
        if node_id in now:
            hosts[host] = now[node_id]
        if not hosts:
            del by_node[node_id]
    return changed


def _of_nodes(instances: Iterable[Instance]) -> dict[str, tuple[Instance, ...]]:
    found: dict[str, tuple[Instance, ...]] = {}
    for instance in instances:
        if instance.node_id:
            found[instance.node_id] = (*found.get(instance.node_id, ()), instance)
    return found
