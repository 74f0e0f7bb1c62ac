"""Where a resource is in effect: which proxies it concerns, and which of them have acknowledged what was made of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from control_plane.ads.origins import Origins, layers_of
from control_plane.ads.push import Progress, PushCore
from control_plane.ads.status import Nack, short
from control_plane.translate.carried import carries_connections
from control_plane.translate.hosts import is_wildcard, qualified
from control_plane.translate.indexes import indexes_of
from control_plane.translate.mesh_telemetry import for_node
from control_plane.translate.scope import sidecar_of
from control_plane.world import World
from mesh.istio.resource import Key, Resource
from mesh.naming import service_host
from mesh.node import ROUTER, Node
from mesh.xds import CLUSTER, ENDPOINT, LISTENER, ROUTE, VIRTUAL_HOST

_TYPES: Final = (CLUSTER, LISTENER, ROUTE, VIRTUAL_HOST)  # whose resources say what they were made of
_ALL: Final = (CLUSTER, ENDPOINT, LISTENER, ROUTE, VIRTUAL_HOST)


class Stream(Protocol):
    """A connected proxy."""

    node: Node
    core: PushCore

    @property
    def id(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Effect:
    """`concerned` proxies get anything of a resource, `in_effect` of them have it; the others have not answered yet
    (`waiting`, by id), or refused it."""

    concerned: int = 0
    in_effect: int = 0
    waiting: tuple[str, ...] = ()
    rejected: tuple[Nack, ...] = ()


@dataclass(slots=True)
class _Tally:
    concerned: int = 0
    waiting: list[str] = field(default_factory=list)
    rejected: list[Nack] = field(default_factory=list)

    def effect(self) -> Effect:
        done = self.concerned - len(self.waiting) - len({nack.proxy for nack in self.rejected})
        return Effect(self.concerned, done, tuple(self.waiting), tuple(self.rejected))


class Effects:
    """What holds at the moment of asking, for resources of `world`. Proxies that have everything, and the same, are looked
    at as one."""

    def __init__(self, streams: Iterable[Stream], world: World, origins: Origins) -> None:
        self._streams = list({stream.id: stream for stream in streams}.values())
        self._world = world
        self._origins = origins
        self._complete = {stream.id for stream in self._streams if _complete(stream.core)}
        self._groups: list[tuple[list[Stream], list[Mapping[Key, tuple[str, ...]]]]] = []
        groups: dict[Any, list[Stream]] = {}
        for stream in self._streams:
            sets = [(type_url, *self._named(stream, type_url)) for type_url in _TYPES]
            who = "" if stream.id in self._complete else stream.id
            groups.setdefault((who, *((url, *map(id, found)) for url, *found in sets)), []).append(stream)
        for members in groups.values():
            names = [self._names(members[0], type_url) for type_url in _TYPES]
            self._groups.append((members, names))

    def of(self, resource: Resource) -> Effect:
        """Nobody is concerned by what is only read."""
        tally = _Tally()
        if resource.key.kind in ("VirtualService", "DestinationRule"):
            self._made(resource, tally)
            if not tally.concerned and resource.key.kind == "VirtualService" and not resource.spec.http:
                self._by_node(resource, _connections(resource, self._world), (LISTENER,), tally)
        elif (concerns := _BY_NODE.get(resource.key.kind)) is not None:
            self._by_node(resource, concerns(resource, self._world), _ALL, tally)
        elif resource.key.kind in _SERVICES:
            self._by_cluster(resource, tally)
        return tally.effect()

    # ── by what was made of it ────────────────────────────────────────────────────────────────────────────────────────

    def _named(self, stream: Stream, type_url: str) -> list[Any]:
        """The sets of a proxy's resources in which anything says what it was made of."""
        layers = layers_of(stream.core.target.resources(type_url))
        return [names for layer in layers if (names := self._origins.names(layer))]

    def _names(self, stream: Stream, type_url: str) -> Mapping[Key, tuple[str, ...]]:
        found: dict[Key, tuple[str, ...]] = {}
        for names in self._named(stream, type_url):
            for key, some in names.items():
                found[key] = (*found.get(key, ()), *some)
        return found

    def _made(self, resource: Resource, tally: _Tally) -> None:
        for members, by_type in self._groups:
            items = [
                (url, name) for url, names in zip(_TYPES, by_type, strict=True) for name in names.get(resource.key, ())
            ]
            if not items:
                continue
            tally.concerned += len(members)
            if members[0].id not in self._complete:
                self._follow(members[0], items, tally)

    def _follow(self, stream: Stream, items: Sequence[tuple[str, str]], tally: _Tally) -> None:
        waiting = False
        for type_url, name in items:
            progress, message = stream.core.progress(type_url, name)
            if progress is Progress.REJECTED:
                tally.rejected.append(Nack(stream.id, short(type_url), name, message))
                return
            waiting = waiting or progress is Progress.WAITING
        if waiting:
            tally.waiting.append(stream.id)

    # ── by whom it is for ─────────────────────────────────────────────────────────────────────────────────────────────

    def _by_node(
        self, resource: Resource, concerns: Callable[[Node], bool], types: Sequence[str], tally: _Tally
    ) -> None:
        for stream in self._streams:
            if concerns(stream.node):
                tally.concerned += 1
                if stream.id not in self._complete:
                    self._types(stream, types, tally)

    def _types(self, stream: Stream, types: Sequence[str], tally: _Tally) -> None:
        for type_url in types:
            subscription = stream.core.subscriptions.get(type_url)
            if subscription is None:
                continue
            for name, rejection in subscription.rejected.items():
                tally.rejected.append(Nack(stream.id, short(type_url), name, rejection.message))
                return
        tally.waiting.append(stream.id)

    def _by_cluster(self, resource: Resource, tally: _Tally) -> None:
        """A service is in effect where its clusters are."""
        names = _SERVICES[resource.key.kind](resource, self._world)
        for stream in self._streams:
            there = stream.core.target.of(CLUSTER)
            items = [(CLUSTER, name) for name in names if name in there]
            if items:
                tally.concerned += 1
                if stream.id not in self._complete:
                    self._follow(stream, items, tally)


def _complete(core: PushCore) -> bool:
    """Whether a proxy has everything that it is to have."""
    return all(
        core.synced(url) and not core.subscriptions[url].rejected for url in _ALL if url in core.subscriptions
    ) and (CLUSTER in core.subscriptions or LISTENER in core.subscriptions)


# ── whom a kind is for ────────────────────────────────────────────────────────────────────────────────────────────────


def _gateway(resource: Resource, _world: World) -> Callable[[Node], bool]:
    selector = resource.spec.selector.items()
    return lambda node: node.kind == ROUTER and selector <= node.labels.items()


def _sidecar(resource: Resource, world: World) -> Callable[[Node], bool]:
    sidecars, root = world.resources.get("Sidecar", ()), world.mesh.root_namespace

    def concerns(node: Node) -> bool:
        found = sidecar_of(sidecars, node, root)
        return found is not None and found.key == resource.key

    return concerns


def _telemetry(resource: Resource, world: World) -> Callable[[Node], bool]:
    telemetries, root = world.resources.get("Telemetry", ()), world.mesh.root_namespace
    return lambda node: any(each.key == resource.key for each in for_node(telemetries, node, root))


def _envoy_filter(resource: Resource, world: World) -> Callable[[Node], bool]:
    labels, root = resource.spec.labels.items(), world.mesh.root_namespace
    return lambda node: resource.key.namespace in (root, node.namespace) and labels <= node.labels.items()


def _rate_limit(resource: Resource, world: World) -> Callable[[Node], bool]:
    host = service_host(resource.spec.host, resource.key.namespace).lower()
    serving = {instance.node_id for instance in world.instances.get(host, ())}
    return lambda node: node.id in serving


def _connections(resource: Resource, world: World) -> Callable[[Node], bool]:
    """A VirtualService of connections is in the listeners of those that it is for."""
    indexes = indexes_of(world)
    return lambda node: carries_connections(indexes.of(world, node), node, resource.key)


def _everybody(resource: Resource, world: World) -> Callable[[Node], bool]:
    """The first of its kind holds for all, the others for nobody."""
    holds = resource is world.resources.get("MeshConfig", (None,))[0]
    return lambda _node: holds


def _workload_group(resource: Resource, _world: World) -> Callable[[Node], bool]:
    return lambda node: (node.namespace, node.group) == (resource.key.namespace, resource.key.name)


_BY_NODE: Final[Mapping[str, Callable[[Resource, World], Callable[[Node], bool]]]] = {
    "Gateway": _gateway,
    "MeshConfig": _everybody,
    "Sidecar": _sidecar,
    "Telemetry": _telemetry,
    "EnvoyFilter": _envoy_filter,
    "RateLimit": _rate_limit,
    "WorkloadGroup": _workload_group,
}


def _clusters_of_service(resource: Resource, _world: World) -> list[str]:
    host = service_host(resource.key.name, resource.key.namespace)
    return [f"outbound|{port.port}||{host}" for port in resource.spec.ports]


def _clusters_of_host(resource: Resource, world: World) -> list[str]:
    """Of a breaker that holds; none of one behind another."""
    host = qualified(resource.spec.host, resource.key.namespace)
    breakers = world.resources.get("CircuitBreaker", ())
    holds = next((each for each in breakers if qualified(each.spec.host, each.key.namespace) == host), None)
    service = world.services.get(host) if holds is resource else None
    return [f"outbound|{port.number}||{service.host}" for port in service.ports] if service is not None else []


def _clusters_of_entry(resource: Resource, _world: World) -> list[str]:
    spec = resource.spec
    return [
        f"outbound|{port.number}||{host.lower()}" for host in spec.hosts if not is_wildcard(host) for port in spec.ports
    ]


_SERVICES: Final[Mapping[str, Callable[[Resource, World], list[str]]]] = {
    "CircuitBreaker": _clusters_of_host,
    "Service": _clusters_of_service,
    "ServiceEntry": _clusters_of_entry,
}
