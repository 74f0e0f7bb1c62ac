"""`discover` for one state after the other: only the services that a change concerns are looked at again, and what is equal
to what it was stays the same object."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, TypeVar

from control_plane.registry.services import Kinds, discover
from control_plane.registry.workload import Workload
from control_plane.world import Instance, Service
from mesh.istio.resource import Resource
from mesh.naming import service_host
from mesh.node import Node

# Of these, nothing is said about services and endpoints.
_RULES: Final = frozenset(("DestinationRule", "Gateway", "ProxyConfig", "VirtualService", "WorkloadGroup"))

T = TypeVar("T")
Found = tuple[dict[str, Service], dict[str, tuple[Instance, ...]]]


class Discovery:
    """Remembers the state before."""

    def __init__(self) -> None:
        self._resources: Kinds | None = None
        self._workloads: dict[str, Workload] = {}
        self._services: dict[str, Service] = {}
        self._instances: dict[str, tuple[Instance, ...]] = {}
        self._declaring: dict[str, list[Resource]] = {}
        self._selectors = _Selectors()
        self._named: dict[str, tuple[Node, str]] = {}

    def discover(self, resources: Kinds, workloads: Sequence[Workload]) -> Found:
        """What `discover` returns, neither of which is to be changed."""
        known, self._workloads = self._workloads, {workload.node.id: workload for workload in workloads}
        if self._resources is None or not _same_declarations(self._resources, resources):
            self._resources = resources
            self._arrange(resources)
            self._adopt(discover(resources, workloads))
        else:
            changed = [node_id for node_id, w in self._workloads.items() if known.get(node_id) is not w]
            gone = [node_id for node_id in known if node_id not in self._workloads]
            concerned = [
                w for ids, of in ((changed, self._workloads), (changed, known), (gone, known)) for w in _of(ids, of)
            ]
            if hosts := self._concerned(concerned):
                self._look_again(resources, hosts, workloads)
        return self._services, self._instances

    # ── what belongs together ─────────────────────────────────────────────────────────────────────────────────────────

    def _arrange(self, resources: Kinds) -> None:
        self._declaring = {}
        self._selectors = _Selectors()
        for resource in resources.get("Service", ()):
            host = service_host(resource.key.name, resource.key.namespace)
            self._declaring.setdefault(host, []).append(resource)
            self._selectors.add(resource.key.namespace, resource.spec.selector, host)
        for resource in resources.get("ServiceEntry", ()):
            selector = resource.spec.workload_selector
            for host in map(str.lower, resource.spec.hosts):
                self._declaring.setdefault(host, []).append(resource)
                self._selectors.add(resource.key.namespace, selector.labels if selector else {}, host)

    def _named_host(self, node: Node) -> str:
        """The host of the service that a workload names, empty for none."""
        known = self._named.get(node.id)
        if known is None or known[0] is not node:
            host = service_host(node.service, node.namespace).lower() if node.service else ""
            known = self._named[node.id] = (node, host)
        return known[1]

    def _concerned(self, workloads: Iterable[Workload]) -> set[str]:
        hosts: set[str] = set()
        for workload in workloads:
            hosts.update(self._selectors.selecting(workload.node))
            hosts.add(self._named_host(workload.node))
        return hosts - {""}

    # ── what is looked at again ───────────────────────────────────────────────────────────────────────────────────────

    def _look_again(self, resources: Kinds, hosts: set[str], workloads: Sequence[Workload]) -> None:
        """Asks about these hosts only, with all that may have to do with them."""
        declaring = {id(resource) for host in hosts for resource in self._declaring.get(host, ())}
        some: dict[str, tuple[Resource, ...]] = dict(resources)
        for kind in ("Service", "ServiceEntry"):
            some[kind] = tuple(resource for resource in resources.get(kind, ()) if id(resource) in declaring)
        selected = any(host in self._selectors.hosts for host in hosts)
        services, instances = discover(
            some,
            [
                workload
                for workload in workloads
                if self._named_host(workload.node) in hosts
                or (selected and not hosts.isdisjoint(self._selectors.selecting(workload.node)))
            ],
        )
        self._services = _with(self._services, hosts, services)
        self._instances = _with(self._instances, hosts, instances)

    def _adopt(self, found: Found) -> None:
        services, instances = found
        self._services = {host: _kept(self._services.get(host), each) for host, each in services.items()}
        self._instances = {host: _kept(self._instances.get(host), each) for host, each in instances.items()}
        if len(self._named) > 2 * len(self._workloads) + 100:
            self._named.clear()


class _Selectors:
    """The services with selectors, to be found by the labels of a workload."""

    def __init__(self) -> None:
        self.hosts: set[str] = set()
        self._by_label: dict[tuple[str, str, str], list[tuple[Mapping[str, str], str]]] = {}

    def add(self, namespace: str, selector: Mapping[str, str], host: str) -> None:
        if selector:
            name, value = min(selector.items())
            self._by_label.setdefault((namespace, name, value), []).append((selector, host))
            self.hosts.add(host)

    def selecting(self, node: Node) -> list[str]:
        """The hosts whose selector a workload satisfies."""
        if not self.hosts:
            return []
        return [
            host
            for name, value in node.labels.items()
            for selector, host in self._by_label.get((node.namespace, name, value), ())
            if selector.items() <= node.labels.items()
        ]


def _of(ids: Iterable[str], workloads: Mapping[str, Workload]) -> Iterable[Workload]:
    return (workloads[node_id] for node_id in ids if node_id in workloads)


def _kept(before: T | None, now: T) -> T:
    return before if before is not None and before == now else now


def _with(before: dict[str, T], hosts: Iterable[str], found: Mapping[str, T]) -> dict[str, T]:
    """What is there once these hosts have been looked at again; the very same if that changes nothing."""
    changed = {host: found.get(host) for host in hosts if before.get(host) != found.get(host)}
    if not changed:
        return before
    return {h: v for h, v in {**before, **changed}.items() if v is not None}


def _same_declarations(one: Kinds, other: Kinds) -> bool:
    return all(one.get(kind) is other.get(kind) for kind in (one.keys() | other.keys()) - _RULES)
